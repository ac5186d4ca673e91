"""Symmetric networks: what is mirrored going in comes out mirrored, from a fraction of the parameters."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from networks import MODELS, label
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.models.corrected import corrected_spec
from sr_plugins.models.symmetric_convolution import moved, phase_sets, positions, tap_places, write_out
from sr_plugins.testing import random_network
from sr_plugins.weights.pretrained import load_model
from sr_plugins.weights.safetensors_files import count_parameters

SYMMETRIC = [spec for spec in MODELS if spec.symmetry > 1 and spec.needs_weights]
Plane = NDArray[np.uint8]
ORDERS = (2, 4, 8)
QUARTERS = [(True, False, True), (True, True, False)]  # turns, each of which undoes the other


def network(
    order: int, scale: int = 2, *, features: int = 16, layers: int = 2, branches: bool = False
) -> CompactNetwork:
    made = random_network(lambda: CompactNetwork(scale, features, layers, symmetry=order, branches=branches))
    assert isinstance(made, CompactNetwork)
    return made


def test_positions_are_all_different_and_the_first_leaves_the_picture_as_it_is() -> None:
    x = torch.arange(9).view(3, 3)
    for order in ORDERS:
        seen = [moved(x, p) for p in positions(order)]
        assert torch.equal(seen[0], x)
        assert len({tuple(s.flatten().tolist()) for s in seen}) == order
    assert torch.equal(moved(x, (False, False, True)), torch.tensor([[2, 1, 0], [5, 4, 3], [8, 7, 6]]))
    assert torch.equal(moved(x, (True, True, False)), torch.rot90(x))
    with pytest.raises(ValueError, match="2, 4 or 8"):
        positions(3)


def test_a_kernel_is_written_out_by_hand() -> None:
    """Left and right: the second feature sees the mirrored picture and the features of the other side."""
    from_left, from_right = torch.arange(9.0).view(3, 3), torch.arange(9.0, 18).view(3, 3)
    shared = torch.stack([from_left, from_right])[None]
    expected = torch.stack([from_right.flip(-1), from_left.flip(-1)])[None]
    assert torch.equal(write_out(shared, 2, tap_places(2, 2)), torch.cat([shared, expected]))


@pytest.mark.parametrize("order", ORDERS)
def test_phases_fall_into_sets_that_mirrors_close(order: int) -> None:
    assert len(phase_sets(order, 2)) == {2: 2, 4: 1, 8: 1}[order]
    assert len(phase_sets(order, 3)) == {2: 6, 4: 4, 8: 3}[order]
    assert len(phase_sets(order, 4)) == {2: 8, 4: 4, 8: 3}[order]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("order", ORDERS)
def test_a_moved_picture_gives_the_moved_result(order: int, scale: int) -> None:
    x = torch.rand(1, 1, 9, 12)
    for branches in (False, True):
        symmetric = network(order, scale, branches=branches)
        with torch.inference_mode():
            y = symmetric(x)
            residual = y - CompactNetwork(scale, 8, 1).base(x)
            assert residual.std() > 0.002
            for position in positions(order):
                torch.testing.assert_close(symmetric(moved(x, position)), moved(y, position), rtol=0, atol=1e-5)
            if order < 8:  # and no symmetry more than was asked for
                other = (True, False, False)
                assert (symmetric(moved(x, other)) - moved(y, other)).abs().max() > 0.002


@pytest.mark.parametrize("order", ORDERS)
def test_shared_kernels_are_as_many_times_fewer(order: int) -> None:
    def size(network: CompactNetwork) -> int:
        return sum(p.numel() for p in network.body.parameters())

    assert size(network(order)) * order == size(CompactNetwork(2, 16, 2))


def test_folded_and_written_out_are_equal_to_what_was_trained() -> None:
    for order in ORDERS:
        trained = network(order, branches=True)
        folded = trained.fold()
        plain = folded.plain()
        assert all(type(layer) is nn.Conv2d for layer in (plain.head, *plain.body, plain.tail))
        assert plain.plain() is plain
        x = torch.rand(2, 1, 11, 8)
        with torch.inference_mode():
            expected = trained(x)
            torch.testing.assert_close(folded(x), expected, rtol=0, atol=1e-5)
            torch.testing.assert_close(plain(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_a_symmetric_network_grows_and_stays_symmetric(order: int) -> None:
    small = network(order)
    large = CompactNetwork(2, 32, 5, symmetry=order, branches=True)
    assert large.load_folded(small.state_dict()) == ["head", "body.0", "body.1", "tail"]
    x = nn.functional.interpolate(torch.rand(1, 1, 16, 16), scale_factor=2, mode="bilinear")
    inside = (..., slice(20, -20), slice(20, -20))
    with torch.inference_mode():
        torch.testing.assert_close(large(x)[inside], small(x)[inside], rtol=0, atol=1e-4)
        turned = moved(x, positions(order)[-1])
        torch.testing.assert_close(large(turned), moved(large(x), positions(order)[-1]), rtol=0, atol=1e-5)
    same = CompactNetwork(2, 16, 2, symmetry=order, branches=True)
    same.load_folded(small.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(same(x), small(x), rtol=0, atol=1e-5)


def test_a_network_grown_to_more_symmetry_is_the_self_ensemble_of_the_smaller() -> None:
    small = network(4, layers=2)
    x = nn.functional.interpolate(torch.rand(1, 1, 16, 16), scale_factor=2, mode="bilinear")
    for features, layers in ((32, 2), (48, 4)):
        large = CompactNetwork(2, features, layers, symmetry=8, branches=True)
        assert large.load_folded(small.state_dict()) == ["head", "body.0", "body.1", "tail"]
        inside = (..., slice(16, -16), slice(16, -16))
        with torch.inference_mode():
            expected = (small(x) + small(x.mT).mT) / 2
            assert (expected - small(x))[inside].abs().max() > 1e-3
            torch.testing.assert_close(large(x)[inside], expected[inside], rtol=0, atol=1e-4)


def test_kernels_are_not_taken_from_another_symmetry() -> None:
    four = network(4).state_dict()
    assert CompactNetwork(2, 32, 5, branches=True).load_folded(four) == []
    assert CompactNetwork(2, 64, 5, symmetry=2, branches=True).load_folded(four) == []


@pytest.mark.parametrize("spec", MODELS, ids=label)
def test_a_model_treats_those_positions_alike_that_it_says_and_no_others(spec: ModelSpec) -> None:
    module = random_network(spec.build)
    frames = (spec.frames,) if any(spec.window) else ()
    x = torch.rand(1, *frames, 1 if spec.channels == "luma" else 3, 10, 7)
    every = positions(8)
    with torch.inference_mode():
        y = module(x)
        alike = [p for p in every if (module(moved(x, p)) - moved(y, p)).abs().max() < 1e-5 * y.abs().max().clamp(1)]
    assert alike == (every[:1] if spec.symmetry == 1 else positions(spec.symmetry))


def test_a_symmetry_is_one_of_the_four() -> None:
    with pytest.raises(ValueError, match="symmetry of model 'fast' is 3"):
        replace(next(spec for spec in MODELS if spec.label == "fast x2"), symmetry=3)  # type: ignore[arg-type]


class Counted(nn.Module):
    """A network, and how often it and its copies were called."""

    calls = 0

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        Counted.calls += 1
        result: Tensor = self.network(x)
        return result


@pytest.mark.parametrize("order", [1, 2, 4, 8])
def test_the_self_ensemble_leaves_out_what_would_only_come_again(order: Literal[1, 2, 4, 8]) -> None:
    made = network(order) if order > 1 else random_network(lambda: CompactNetwork(2, 16, 2))
    spec = replace(MODELS[0], scale=2, build=lambda: made, receptive_radius=4, symmetry=order, weights=None)
    plane = np.random.default_rng(1).random((9, 14), np.float32)
    format = FrameFormat(family="gray", bits=32, is_float=True)
    Counted.calls = 0
    loaded = LoadedModel(spec, TorchNetwork(Counted(made)))
    with Upscaler(loaded, backend="torch", precision="float32", self_ensemble=True) as upscaler:
        result = upscaler.upscale(Frame([plane], format)).planes[0]
    assert Counted.calls == 8 // order
    x = torch.from_numpy(plane)[None, None]
    with torch.inference_mode():
        turned = [(p, made(moved(x, p))) for p in positions(8)]
        back = [moved(y, p if p not in QUARTERS else QUARTERS[1 - QUARTERS.index(p)]) for p, y in turned]
    np.testing.assert_allclose(result, torch.stack(back).mean(0)[0, 0].numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("spec", SYMMETRIC, ids=label)
def test_what_runs_has_plain_convolutions_and_what_is_kept_has_shared_ones(spec: ModelSpec) -> None:
    loaded = load_model(spec)
    runnable = loaded.torch().runnable()
    assert spec.weights is not None
    kept, run = count_parameters(spec.weights), sum(p.numel() for p in runnable.parameters())
    assert kept * 2 < run
    x = torch.rand(1, 1, 20, 17)
    with torch.inference_mode():
        torch.testing.assert_close(runnable(x), loaded.torch().module(x), rtol=0, atol=1e-5)
    with torch.no_grad():  # a copy, whatever it is
        next(runnable.parameters()).zero_()
        assert next(loaded.torch().module.parameters()).abs().sum() > 0


def test_a_symmetric_network_behind_a_correction_is_written_out_too() -> None:
    spec = next(spec for spec in MODELS if spec.label == "fast x2")
    corrected = corrected_spec(spec, 5)
    loaded = LoadedModel(corrected, TorchNetwork(random_network(corrected.build)))
    runnable = loaded.torch().runnable()
    assert not [m for m in runnable.modules() if type(m).__name__ == "SymmetricConv3x3"]
    x = torch.rand(1, 1, 9, 10)
    with torch.inference_mode():
        torch.testing.assert_close(runnable(x), loaded.torch().module(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "openvino", "onnxruntime"])
def test_a_mirrored_frame_comes_out_mirrored(backend: str) -> None:
    plane = np.random.default_rng(5).integers(0, 256, (40, 60), dtype=np.uint8)
    format = FrameFormat(family="gray", bits=8)
    with Upscaler("fast", scale=2, backend=backend, precision="float32") as upscaler:

        def enlarged(values: Plane) -> NDArray[np.int16]:
            return upscaler.upscale(Frame([np.ascontiguousarray(values)], format)).planes[0].astype(np.int16)

        result = enlarged(plane)
        for turn in (np.s_[::-1], np.s_[:, ::-1], np.s_[::-1, ::-1]):
            assert np.abs(enlarged(plane[turn])[turn] - result).max() <= 1

"""Every registered model keeps the contract: size, receptive radius, folding, flat colour."""

import pytest
import torch
from networks import COUNT, MODELS, label
from torch import nn

from sr_plugins.interface.model import ModelSpec
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.models.lapsrn_network import LapSRN
from sr_plugins.testing import check_model, measured_radius, random_network
from sr_plugins.weights.pretrained import load_model


def test_the_built_in_models_are_the_promised_ones() -> None:
    assert {spec.label for spec in MODELS} == {
        "nano x2", "tiny x2", "realtime x2", "realtime x3", "realtime x4", "fast x2", "fast x3", "fast x4",
        "quality x2", "restore x2", "photo x2", "photo x4", "perceptual x4", "film x2", "film x4", "vdsr x2", "edsr x2",
        "lapsrn x2", "lapsrn x4", "dbpn x2",
        "nearest x2", "nearest x3", "nearest x4",
        "bicubic x2", "bicubic x3", "bicubic x4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("nano", 8_000),
        ("tiny", 12_000),
        ("realtime", 60_000),
        ("fast", 60_000),
        ("restore", 60_000),
        ("photo", 69_000),
        ("quality", 1_000_000),
    ],
)
def test_parameters_stay_below_the_limit(name: str, most: int) -> None:
    for spec in MODELS:
        if spec.name == name:
            assert sum(p.numel() for p in spec.build().parameters()) <= most


@pytest.mark.parametrize("spec", MODELS, ids=label)
def test_every_model_keeps_its_promises(spec: ModelSpec) -> None:
    check_model(spec)


@pytest.mark.parametrize("spec", [s for s in MODELS if s.weights], ids=label)
def test_trained_weights_keep_them_too(spec: ModelSpec) -> None:
    check_model(load_model(spec))


@pytest.mark.parametrize("spec", [s for s in MODELS if s.window == (0, 0)], ids=label)  # else: test_film.py
def test_the_radius_is_no_larger_than_it_must_be(spec: ModelSpec) -> None:
    network = spec.build().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # all kernels positive: no path cancels another and no unit is dead, so that what can reach does
                module.weight.fill_(1 / module.weight[0].numel())
                assert module.bias is None or module.bias.zero_() is not None
        assert measured_radius(network, spec) == spec.receptive_radius


@pytest.mark.parametrize("spec", [s for s in MODELS if s.weights], ids=label)
def test_trained_weights_keep_a_flat_colour(spec: ModelSpec) -> None:
    network = load_model(spec).torch().module
    with torch.inference_mode():
        for value in (0.1, 0.5, 0.9):
            frames = (spec.frames,) if any(spec.window) else ()
            y = network(torch.full((1, *frames, COUNT[spec.channels], 48, 48), value))
            inside = y[..., 16 * spec.scale : -16 * spec.scale, 16 * spec.scale : -16 * spec.scale]
            assert (inside - value).abs().max() < 3 / 255


def test_a_network_starts_from_a_folded_one_of_another_scale() -> None:
    twice = random_network(lambda: CompactNetwork(2, 8, 2, branches=True)).fold()  # type: ignore[operator]
    thrice = CompactNetwork(3, 8, 2, branches=True)
    assert thrice.load_folded(twice.state_dict()) == ["head", "body.0", "body.1"]
    folded = thrice.fold()
    for name in ("head", "body.0", "body.1"):
        layer = folded.get_submodule(name)
        torch.testing.assert_close(layer.weight, twice.get_submodule(name).weight)
        torch.testing.assert_close(layer.bias, twice.get_submodule(name).bias)


def test_a_network_grown_from_a_smaller_one_computes_the_same_inside_the_border() -> None:
    small = load_model(next(spec for spec in MODELS if spec.label == "tiny x2")).torch().module
    large = CompactNetwork(2, 48, 12, branches=True)
    taken = large.load_folded(small.state_dict())
    assert taken == ["head", *(f"body.{i}" for i in range(4)), "tail"]
    x = torch.nn.functional.interpolate(torch.rand(1, 1, 24, 24), scale_factor=2, mode="bilinear")
    with torch.inference_mode():
        expected, y = small(x), large(x)
        inside = (..., slice(32, -32), slice(32, -32))
        torch.testing.assert_close(y[inside], expected[inside], rtol=0, atol=2e-4)
        assert (expected - small.base(x)).abs().max() > 0.01  # there is something to compute
    y = large(x)
    (y * torch.rand_like(y)).sum().backward()  # and every layer can learn
    for name, layer in [("head", large.head), ("tail", large.tail), *enumerate(large.body)]:
        assert layer.conv.weight.grad.abs().sum() > 0, name  # type: ignore[union-attr]


def test_lapsrn_starts_from_its_own_weights() -> None:
    spec = next(spec for spec in MODELS if spec.label == "lapsrn x4")
    trained = load_model(spec).torch().module
    assert spec.build_for_training is not None
    network = spec.build_for_training()
    assert set(network.load_folded(trained.state_dict())) == set(trained.state_dict())
    for key, value in network.fold().state_dict().items():
        assert torch.equal(value, trained.state_dict()[key]), key


def test_the_x2_picture_of_lapsrn_is_the_first_level_of_its_x4() -> None:
    four = random_network(lambda: LapSRN(2, 8, 2))
    two = LapSRN(1, 8, 2).eval()
    two.load_state_dict(four.state_dict())
    x = torch.rand(1, 1, 7, 6)
    with torch.inference_mode():
        torch.testing.assert_close(four.pyramid(x, 2)[0], two(x))  # type: ignore[operator]
        torch.testing.assert_close(four.pyramid(x, 2)[1], four(x))  # type: ignore[operator]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_keeps_a_ramp_and_matches_torch(scale: int) -> None:
    x = torch.rand(1, 1, 9, 8)
    ramp = (torch.arange(12.0) / 12).expand(1, 1, 12, 12)
    network = BicubicUpsample(scale)
    y = network(ramp)[0, 0, 6]
    inside = y[3 * scale : -3 * scale]
    torch.testing.assert_close(inside.diff(), torch.full_like(inside[1:], 1 / 12 / scale), rtol=1e-4, atol=1e-6)
    # torch's own kernel without antialiasing has a = -0.75; Pillow's, which it uses with antialiasing, has -0.5
    theirs = nn.functional.interpolate(x, scale_factor=scale, mode="bicubic", antialias=True)
    inner = (..., slice(3 * scale, -3 * scale), slice(3 * scale, -3 * scale))
    torch.testing.assert_close(network(x)[inner], theirs[inner], rtol=1e-4, atol=1e-4)

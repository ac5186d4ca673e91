"""``film``: what it starts as, how its frames come to lie on each other, and that it sees them."""

from functools import partial

import numpy as np
import pytest
import torch
from networks import MODELS
from torch import Tensor

from sr_plugins.interface.backend import Coding, CodingRunner, Placement
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models import flat_colours
from sr_plugins.models.alignment import REACH, aligned
from sr_plugins.models.film_network import FilmNetwork
from sr_plugins.plugins import Plugins
from sr_plugins.testing import random_network
from sr_plugins.weights.frames_as_channels import FramesAsChannels
from sr_plugins.weights.pretrained import load_model

FILM = next(spec for spec in MODELS if spec.label == "film x2")
DISTANCE = 3


def texture(side: int = 60, seed: int = 1) -> Tensor:
    noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1)


def shifted(x: Tensor, dy: int, dx: int) -> Tensor:
    return torch.roll(x, (dy, dx), (-2, -1))


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (1, -2), (-3, 3), (0, 3), (2, 2)])
def test_a_pan_is_taken_back(dy: int, dx: int) -> None:
    middle = texture()
    inner = (..., slice(8, -8), slice(8, -8))
    assert torch.equal(aligned(middle, shifted(middle, dy, dx), DISTANCE)[inner], middle[inner])


def test_each_frame_and_each_part_of_it_moves_by_itself() -> None:
    middle = texture()
    halves = torch.cat((shifted(middle, 0, 2)[..., :30], shifted(middle, -1, 0)[..., 30:]), -1)
    result = aligned(middle, torch.cat((halves, shifted(middle, 3, 1)), 1), DISTANCE)
    assert result.shape == (1, 2, 60, 60)
    for columns in (slice(8, 22), slice(38, 52)):
        assert torch.equal(result[:, :1, 8:-8, columns], middle[:, :, 8:-8, columns])
    assert torch.equal(result[:, 1:, 8:-8, 8:-8], middle[:, :, 8:-8, 8:-8])


def test_what_is_not_clearly_better_elsewhere_rests() -> None:
    flat = torch.full((1, 1, 24, 24), 0.4)
    noise = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(2)) * 0.0019  # less than half a code
    assert torch.equal(aligned(flat, flat + noise, DISTANCE), flat + noise)


def test_alignment_reads_no_further_than_it_says() -> None:
    middle, other = (torch.cat([texture(41, seed + i) for i in range(10)]) for seed in (0, 20))
    before, farthest = aligned(middle, other, DISTANCE), {"middle": 0, "other": 0}
    for value in (0.0, 1.0, 1e28):
        for name in farthest:
            pair = {"middle": middle.clone(), "other": other.clone()}
            pair[name][..., 20, 20] = value
            seen = (aligned(pair["middle"], pair["other"], DISTANCE) != before).any(0)[0].nonzero()
            farthest[name] = max(farthest[name], *(seen - 20).abs().flatten().tolist(), 0)
    assert farthest == {"middle": REACH, "other": REACH + DISTANCE}


def test_tiles_choose_as_the_whole_does() -> None:
    middle, other = texture(), torch.rand(1, 1, 60, 60, generator=torch.Generator().manual_seed(5))
    margin = REACH + DISTANCE
    whole = aligned(middle, other, DISTANCE)
    part = (..., slice(7, 47), slice(13, 50))
    tile = aligned(middle[part], other[part], DISTANCE)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    assert torch.equal(tile[inner], whole[part][inner])


def test_it_starts_as_the_network_of_one_frame_it_was_made_of() -> None:
    restore = load_model(next(spec for spec in MODELS if spec.label == "restore x2")).torch().module
    restore.level = None  # the curve is found anew
    assert FILM.build_for_training is not None
    film = FILM.build_for_training()
    taken = film.load_folded(restore.state_dict())
    assert {"head", "tail"} < set(taken)
    x = torch.cat([texture(50, seed)[:, None] for seed in range(5)], 1)
    inner = (..., slice(30, 70), slice(30, 70))  # where no padding is read: it is deeper
    with torch.inference_mode():
        torch.testing.assert_close(film(x)[inner], restore(x[:, 2])[inner], rtol=0, atol=1e-4)
        torch.testing.assert_close(film.fold()(x)[inner], restore(x[:, 2])[inner], rtol=0, atol=1e-4)


def test_a_deeper_one_starts_where_a_trained_one_ended() -> None:
    smaller = random_network(partial(FilmNetwork, 2, 32, 3, frames=5, fusion=5, distance=DISTANCE))
    deeper = FilmNetwork(2, 32, 7, frames=5, fusion=5, distance=DISTANCE, branches=True)
    deeper.load_folded(smaller.state_dict())
    x = torch.cat([texture(40, seed)[:, None] for seed in range(5)], 1)
    inner = (..., slice(20, 60), slice(20, 60))  # where no padding is read
    with torch.inference_mode():
        torch.testing.assert_close(deeper.fold()(x)[inner], smaller(x)[inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_every_backend_gives_what_torch_gives(name: str) -> None:
    backend = next(backend for backend in Plugins().backends() if backend.name == name)
    if backend.missing():
        pytest.skip(f"backend {name} is not installed")
    network = TorchNetwork(FramesAsChannels(random_network(FILM.build), 5))
    runner = backend.build(network, Placement(device="cpu", precision="float32"))
    x = torch.cat([shifted(texture(37), t, -t) for t in range(5)], 1)
    with torch.inference_mode():
        torch.testing.assert_close(runner(x), network.module(x), rtol=0, atol=1e-5)
    if isinstance(runner, CodingRunner):
        codes = runner.codes(x, Coding(16.0, 219.0, 8))
        assert codes is not None
        assert (codes.int() - (network.module(x) * 219 + 16).round().clamp(0, 255).int()).abs().max() <= 1


def test_it_starts_from_symmetric_kernels_too() -> None:
    fast = load_model(next(spec for spec in MODELS if spec.label == "fast x2")).torch().module
    film = FilmNetwork(2, 32, 18, frames=3, fusion=3, distance=0, branches=True)
    assert film.load_folded(fast.state_dict()) == ["head", *(f"body.{i}" for i in range(18)), "tail"]
    plain = fast.plain()
    assert torch.allclose(film.fold().body[3].weight, plain.body[3].weight, atol=1e-5)
    x = texture(30)
    with torch.inference_mode():
        plain.back_projection = None
        torch.testing.assert_close(film(x[:, None].expand(1, 3, 1, 30, 30)), plain(x), rtol=0, atol=1e-4)


def test_every_frame_of_the_window_counts_and_the_middle_one_is_enlarged() -> None:
    network = random_network(FILM.build)
    x = torch.cat([texture(30, seed)[:, None] for seed in range(5)], 1)
    with torch.inference_mode():
        y = network(x)
        assert y.shape == (1, 1, 60, 60)
        for t in range(5):
            other = x.clone()
            other[:, t] = texture(30, 9)
            change = (network(other) - y).abs().mean()
            assert change > 1e-4, t
        assert (y - network(x.flip(1))).abs().mean() > 1e-4  # before is not after


def test_its_own_curve_keeps_flat_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat_colours, "CODE", 4 / 219)  # from fewer flat pictures: lines between them are as near
    restore = load_model(next(spec for spec in MODELS if spec.label == "restore x2")).torch().module
    assert FILM.build_for_training is not None
    training = FILM.build_for_training()
    training.load_folded(restore.state_dict())
    network = training.fold()
    with torch.no_grad():
        network.tail.bias.add_(0.01)  # two codes too bright
        network.keep_flat_colours()
        assert network.distance == DISTANCE
        for value in np.linspace(0.05, 0.95, 7):
            y = network(torch.full((1, 5, 1, 40, 40), float(value)))
            assert (y[..., 30:50, 30:50] - value).abs().max() < 0.5 / 219
    again = FILM.build()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.level, network.level)

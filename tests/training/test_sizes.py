"""Losses, degradations and averages: at every size, down to a pixel, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sr_plugins.training.average import Average
from sr_plugins.training.degradations.chain import build_chain
from sr_plugins.training.losses.pixel import Charbonnier
from sr_plugins.training.losses.weighted_sum import WeightedSum

PATH = Path("recipe.toml")


def test_the_average_of_weights_by_hand() -> None:
    model = nn.Linear(2, 1)
    average = Average(model, 0.5)
    expected = {k: v.clone() for k, v in model.state_dict().items()}
    for iteration in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1
        decay = min(0.5, (1 + iteration) / (10 + iteration))
        expected = {k: decay * v + (1 - decay) * model.state_dict()[k] for k, v in expected.items()}
        average.update(model, iteration)
    for key, value in expected.items():
        assert torch.allclose(average.tensors[key], value, atol=1e-6)
    state = torch.random.get_rng_state()
    made = average.network(lambda: nn.Linear(2, 1))
    assert torch.equal(torch.random.get_rng_state(), state)  # building draws nothing from the run
    assert not made.training
    assert all(torch.equal(v, average.tensors[k]) for k, v in made.state_dict().items())


@pytest.mark.parametrize("name", ["l1", "l2", "charbonnier", "frequency", "content"])
@pytest.mark.parametrize("size", [(8, 8), (9, 16), (17, 12)])
def test_losses_fall_along_their_gradient_at_every_size(name: str, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(5)
    target = torch.rand(1, 1, *size, generator=generator)
    output = torch.rand(1, 1, *size, generator=generator).requires_grad_()
    loss = WeightedSum({name: 1.0}, 1, PATH)
    before = loss(output, target)
    (gradient,) = torch.autograd.grad(before, output)
    step = 1e-3 * gradient / gradient.norm()
    assert before.shape == ()
    assert loss(target, target) < 1.01e-3 < before
    after = loss(output - step, target)
    assert (before - after).item() == pytest.approx(1e-3 * float(gradient.norm()), rel=0.1)


@pytest.mark.parametrize("epsilon", [0, 1, -0.1, True, float("nan"), "0.1"])
def test_an_epsilon_is_between_nothing_and_one(epsilon: object) -> None:
    with pytest.raises(ValueError, match="is not a number between 0 and 1"):
        Charbonnier(epsilon)  # type: ignore[arg-type]


STEPS: list[dict[str, object]] = [
    {"name": "gaussian_blur", "sigma": 3.0, "aspect": [0.2, 1.0]},
    {"name": "motion_blur", "length": 15},
    {"name": "ringing"},
    {"name": "gaussian_noise", "sigma": 5},
    {"name": "poisson_noise", "photons": 1000},
    {"name": "jpeg", "quality": [30, 90]},
    {"name": "chroma_subsampling"},
    {"name": "video", "codec": "h264"},
]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (33, 18)])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["name"])
def test_every_step_takes_every_size_and_keeps_it(step: dict[str, object], size: tuple[int, int]) -> None:
    picture = np.random.default_rng(6).integers(0, 256, (*size, 3), np.uint8)
    result = build_chain([step], 1, PATH)(picture, np.random.default_rng(7))
    assert (result.shape, result.dtype) == (picture.shape, np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 13), (7, 6), (31, 18)])
@pytest.mark.parametrize("name", ["bicubic", "area", "lanczos", "subsample", "second_order"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_what_shrinks_rounds_up_at_every_size(name: str, size: tuple[int, int], scale: int) -> None:
    picture = np.random.default_rng(8).integers(0, 256, (*size, 3), np.uint8)
    result = build_chain([{"name": name}], scale, PATH)(picture, np.random.default_rng(9))
    assert result.shape == (-(-size[0] // scale), -(-size[1] // scale), 3)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("name", ["bicubic", "area", "lanczos", "subsample"])
def test_a_flat_picture_shrinks_to_that_colour(name: str, value: int) -> None:
    picture = np.full((21, 14, 3), value, np.uint8)
    result = build_chain([{"name": name}], 2, PATH)(picture, np.random.default_rng(9))
    assert np.unique(result).tolist() == [value]


@pytest.mark.parametrize("photons", [50, 1000])
def test_shot_noise_is_poisson_s(photons: int) -> None:
    """Its variance, in codes: value * 255 / photons; a gray draw is the same in R, G and B."""
    picture = np.full((200, 200, 3), 100, np.uint8)
    table = {"name": "poisson_noise", "photons": photons, "gray": 0.0}
    noise = build_chain([table], 1, PATH)(picture, np.random.default_rng(1)).astype(float) - 100
    assert noise.var() == pytest.approx(100 * 255 / photons, rel=0.12)
    assert abs(noise.mean()) < 0.5
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03
    gray = build_chain([table | {"gray": 1.0}], 1, PATH)(picture, np.random.default_rng(1))
    assert (gray[..., 0] == gray[..., 1]).all()

"""Losses against values worked out by hand or with numpy."""

import math
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.nn import functional as F

from sr_plugins.errors import RecipeError
from sr_plugins.plugins import Plugins
from sr_plugins.training.losses.adversarial import AdversarialLoss, UNetDiscriminator, relativistic
from sr_plugins.training.losses.perceptual import RandomFeatures, gram
from sr_plugins.training.losses.weighted_sum import WeightedSum

NAMES = {"l1", "l2", "charbonnier", "frequency", "total_variation", "artifacts", "content", "texture", "adversarial"}


def loss(losses: dict[str, object], channels: int = 1) -> WeightedSum:
    return WeightedSum(losses, channels, Path("recipe.toml"))  # type: ignore[arg-type]


def pair(side: int = 32, channels: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(2, channels, side, side, generator=generator)
    return (target + 0.1 * torch.randn(target.shape, generator=generator)).requires_grad_(), target


def test_all_losses_are_registered() -> None:
    assert {spec.name for spec in Plugins(installed=False).all_named("sr_losses")} == NAMES


def test_pixel_losses_by_hand() -> None:
    output, target = torch.tensor([[[[0.5, 0.1]]]]), torch.tensor([[[[0.2, 0.5]]]])
    assert loss({"l1": 1.0})(output, target).item() == pytest.approx(0.35)
    assert loss({"l2": 1.0})(output, target).item() == pytest.approx((0.09 + 0.16) / 2)
    expected = (math.sqrt(0.09 + 0.01) + math.sqrt(0.16 + 0.01)) / 2
    assert loss({"charbonnier": {"weight": 1.0, "epsilon": 0.1}})(output, target).item() == pytest.approx(expected)


def test_frequency_loss_equals_numpy_and_sees_only_what_changes() -> None:
    output, target = pair(16)
    spectrum = np.fft.fft2((output - target).detach().numpy())
    expected = (np.abs(spectrum.real) + np.abs(spectrum.imag)).mean() / 2
    assert loss({"frequency": 1.0})(output, target).item() == pytest.approx(expected, rel=1e-5)
    # a constant error is one coefficient: error * positions, shared by 2 * positions numbers
    assert loss({"frequency": 1.0})(target + 0.25, target).item() == pytest.approx(0.125, rel=1e-4)


def test_total_variation_by_hand() -> None:
    output = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    # horizontal differences 1 and 0, vertical 0.5 and 0.5
    assert loss({"total_variation": 1.0})(output, torch.zeros(1, 1, 2, 2)).item() == pytest.approx(0.5 + 0.5)


def test_artifacts_are_errors_weighted_by_their_variance() -> None:
    generator = torch.Generator().manual_seed(2)
    target, noise = torch.rand(2, 3, 20, 24, generator=generator), torch.randn(2, 3, 20, 24, generator=generator)
    noise[1] *= 0.1
    expected = []
    for error in (0.05 * noise).abs().double().numpy():
        total = error.sum(0)
        around = sliding_window_view(np.pad(total, 3, mode="reflect"), (7, 7))
        expected.append((around.var((2, 3)) * total.var(ddof=1) ** 0.2 * error).mean())
    ours = loss({"artifacts": 1.0})(target + 0.05 * noise, target)
    assert ours.item() == pytest.approx(np.mean(expected), rel=1e-3)


def test_artifacts_forgive_an_even_error() -> None:
    target = torch.rand(1, 1, 20, 24, generator=torch.Generator().manual_seed(2)) / 2
    assert loss({"artifacts": 1.0})(target + 0.25, target).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(RecipeError, match="window = 4 is not an odd number from 3 to 31"):
        loss({"artifacts": {"weight": 1.0, "window": 4}})


def test_gram_matrix_equals_numpy() -> None:
    features = torch.randn(3, 4, 50)
    expected = np.einsum("nap,nbp->nab", features.numpy(), features.numpy()) / 50
    np.testing.assert_allclose(gram(features).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["content", "texture"])
@pytest.mark.parametrize("channels", [1, 3])
def test_perceptual_losses_vanish_at_the_target_and_reach_every_pixel(name: str, channels: int) -> None:
    output, target = pair(channels=channels)
    term = loss({name: 1.0}, channels)
    assert term(target, target).item() == 0
    value = term(output, target)
    assert value.item() > 0
    value.backward()
    assert output.grad is not None
    assert output.grad.ne(0).float().mean() > 0.99


def test_texture_forgives_a_shift_more_than_content_does() -> None:
    generator = torch.Generator().manual_seed(5)
    target = torch.rand(1, 1, 64, 64, generator=generator)
    moved, blurred = target.roll(2, -1), F.avg_pool2d(target, 3, 1, 1)
    texture, content = loss({"texture": 1.0}), loss({"content": 1.0})
    assert texture(moved, target) < 0.5 * texture(blurred, target)
    assert content(moved, target) > content(blurred, target)


def test_random_features_are_the_same_in_every_run_and_blind_to_brightness() -> None:
    x = torch.rand(1, 3, 24, 24)
    first, second = RandomFeatures(), RandomFeatures()
    for a, b, c in zip(first(x), second(x), first(x + 0.1), strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-3, atol=1e-4)


def test_relativistic_loss_by_hand() -> None:
    zeros = torch.zeros(4)
    assert relativistic(zeros, zeros).item() == pytest.approx(math.log(2))
    # real 1, fake 0: both sides see a difference of 1
    assert relativistic(torch.ones(4), zeros).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert relativistic(zeros, torch.ones(4)).item() == pytest.approx(math.log(1 + math.exp(1)))


@pytest.mark.parametrize("side", [(8, 8), (17, 30)], ids=str)
def test_the_discriminator_judges_every_pixel(side: tuple[int, int]) -> None:
    logits, features = UNetDiscriminator(3, 8)(torch.rand(2, 3, *side))
    assert logits.shape == (2, 1, *side)
    assert [f.shape[1] for f in features] == [8, 16, 32, 64]


def test_the_discriminator_learns_and_the_generator_loss_leaves_it_alone() -> None:
    torch.manual_seed(0)
    adversarial = AdversarialLoss(1, features=8, learning_rate=2e-3, matching=0.0)
    target = torch.rand(4, 1, 16, 16)
    output = F.avg_pool2d(target, 3, 1, 1).requires_grad_()
    before = adversarial(output, target).item()
    for _ in range(25):
        adversarial.update(output.detach(), target)
    value = adversarial(output, target)
    assert value.item() > before + 0.1, "the discriminator tells sharp from blurred, so the generator's loss grows"
    adversarial.zero_grad()
    value.backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert all(p.grad is None or not p.grad.any() for p in adversarial.discriminator.parameters())


def test_feature_matching_adds_a_distance_that_vanishes_at_the_target() -> None:
    torch.manual_seed(0)
    plain = AdversarialLoss(1, features=8, learning_rate=1e-4, matching=0.0).eval()
    torch.manual_seed(0)
    matched = AdversarialLoss(1, features=8, learning_rate=1e-4, matching=2.0).eval()
    output, target = pair(16)
    assert matched(target, target).item() == pytest.approx(plain(target, target).item())
    assert matched(output, target).item() > plain(output, target).item()


def test_the_adversarial_loss_saves_its_discriminator_and_optimizer() -> None:
    target = torch.rand(2, 1, 16, 16)
    output = torch.rand(2, 1, 16, 16)
    torch.manual_seed(0)
    first, second = (loss({"adversarial": {"weight": 1.0, "features": 8}}) for _ in range(2))
    first.update(output, target)
    second.load_state_dict(deepcopy(first.state_dict()))
    for term in (first, second):
        term.update(output, target)
    for a, b in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        if isinstance(a[1], Tensor):
            assert torch.equal(a[1], b[1]), a[0]


def test_the_sum_weighs_its_terms() -> None:
    output, target = pair()
    both = loss({"l1": 2.0, "l2": {"weight": 3.0}})(output, target)
    expected = 2 * F.l1_loss(output, target) + 3 * F.mse_loss(output, target)
    assert both.item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"l3": 1.0}, "recipe.toml: no loss called 'l3': did you mean"),
        ({"l1": {"weight": 1.0, "epsilon": 1.0}}, "loss l1 has no option epsilon; there is none"),
        ({"content": {"weight": 1.0, "features": "resnet"}}, "features = 'resnet' is neither 'random' nor 'vgg19'"),
        ({"texture": {"weight": 1.0, "patch": 2}}, "patch = 2 is not a whole number of at least 8"),
    ],
)
def test_a_wrong_loss_gets_one_line(losses: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        loss(losses)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_vgg_without_its_weights_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(RecipeError, match=r"needs (the weights|torchvision).*features = 'random'"):
        loss({"content": {"weight": 1.0, "features": "vgg19"}})

"""Back-projection: its shrinking is the field's, and what comes out is nearer to what went in."""

import numpy as np
import pytest
import torch
from networks import MODELS
from torch.nn import functional as F

from sr_plugins.models.back_projection import BackProjection
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.weights.pretrained import load_model


def shrunk(step: BackProjection, large: torch.Tensor, scale: int) -> torch.Tensor:
    """(N, 1, H, W) made small by the step's own kernel."""
    phases = F.pixel_unshuffle(large, scale)
    return F.conv2d(F.pad(phases, (2, 2, 2, 2), mode="replicate"), -step.kernel)


def photograph(scale: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    rng = np.random.default_rng(scale)
    coarse = torch.from_numpy(rng.random((1, 1, 12, 9), np.float32))
    smooth = F.interpolate(coarse, size=(24 * scale, 18 * scale), mode="bicubic", align_corners=False)
    noisy = smooth[0, 0].numpy() * 200 + 20 + rng.normal(0, 4, (24 * scale, 18 * scale))
    return np.rint(noisy.clip(0, 255)).astype(np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_shrinks_as_the_test_sets_were_shrunk(scale: int) -> None:
    picture = photograph(scale)
    expected = downscale_bicubic(picture, scale).astype(np.float32)
    small = shrunk(BackProjection(scale), torch.from_numpy(picture.astype(np.float32))[None, None], scale)[0, 0].numpy()
    inside = np.s_[2:-2, 2:-2]
    assert np.abs(small - expected)[inside].max() <= 1  # which is rounded twice


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_what_shrinks_to_the_input_stays_and_what_does_not_comes_nearer(scale: int) -> None:
    step = BackProjection(scale)
    large = torch.from_numpy(photograph(scale).astype(np.float32) / 255)[None, None]
    x = shrunk(step, large, scale)
    phases = F.pixel_unshuffle(large, scale)
    torch.testing.assert_close(step(x, phases), phases, rtol=0, atol=1e-5)
    wrong = phases + 0.05 * torch.rand_like(phases)
    nearer = step(x, wrong)

    def lacks(p: torch.Tensor) -> float:
        return float((shrunk(step, F.pixel_shuffle(p, scale), scale) - x).square().mean().sqrt())

    assert lacks(nearer) < 0.5 * lacks(wrong)


def test_trained_weights_give_a_picture_nearer_to_their_input_than_without() -> None:
    spec = next(spec for spec in MODELS if spec.label == "fast x2")
    network = load_model(spec).torch().module
    assert isinstance(network, CompactNetwork)
    step = network.back_projection
    assert step is not None
    x = torch.from_numpy(photograph(2).astype(np.float32) / 255)[None, None]
    with torch.inference_mode():
        result = network(x)
        network.back_projection = None
        without = network(x)
    errors = [(shrunk(step, y, 2) - x)[..., 4:-4, 4:-4].abs().max() for y in (result, without)]
    assert errors[0] < 0.7 * errors[1]
    assert (result - without).abs().max() > 1e-3

"""Arrays of colours that Pillow has no mode for, through ``upscale_image``."""

from collections.abc import Iterator

import numpy as np
import pytest
from fakes import nearest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.pillow_filter import upscale_image


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (6, 8, 2), (6, 8, 3), (6, 8, 4)])
def test_an_array_comes_back_as_it_was(kind: str, shape: tuple[int, ...], repeat: Upscaler) -> None:
    values = (np.random.default_rng(0).random(shape) * (1 if kind[0] == "f" else 120)).astype(kind)
    if len(shape) == 3 and shape[2] in (2, 4):
        values[..., -1] = {"f": 1, "u": np.iinfo(kind).max if kind[0] == "u" else 0}.get(kind[0], 255)
    result = upscale_image(values, upscaler=repeat)
    assert result.dtype == values.dtype
    assert result.shape == (12, 16, *shape[2:])
    tolerance = {"f2": 1e-3, "f4": 1e-6, "f8": 1e-6, "u4": 300}.get(kind, 0)
    np.testing.assert_allclose(result, values.repeat(2, 0).repeat(2, 1), atol=tolerance, rtol=1e-6)


def test_an_array_of_8_bits_gives_what_its_image_does() -> None:
    values = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    image = upscale_image(Image.fromarray(values), 2, "tiny", device="cpu")
    np.testing.assert_array_equal(upscale_image(values, 2, "tiny", device="cpu"), np.asarray(image))


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 5)), np.zeros(4), np.zeros((4, 4), complex), np.zeros((2, 2, 2, 2))])
def test_what_is_no_picture_is_told(wrong: np.ndarray, repeat: Upscaler) -> None:
    with pytest.raises(ImageError, match="is no picture"):
        upscale_image(wrong, upscaler=repeat)

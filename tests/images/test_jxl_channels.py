"""JPEG XL of any depth, with alpha of both kinds and channels beside it; libjxl says what is stored."""

import logging
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images import jxl_profile
from sr_plugins.images.files import open_image, upscale_file
from sr_plugins.images.jxl_channels import Channel, JxlHeader, header_of
from sr_plugins.images.pillow_filter import upscale_image

rng = np.random.default_rng(4)
KINDS = {"alpha": ((0, 2),), "depth": ((1, 2),), "spot": ((2, 2), (0, 4)), "black": ((2, 2), (2, 4))}
NUMBERS = {"alpha": 0, "depth": 1, "spot": 2, "black": 4}
FULL = 0x3C00  # 1 as a float of 16 bits


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler("nearest", scale=2) as upscaler:
        yield upscaler


def written(samples: NDArray[np.uint16], bits: int) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(samples, lossless=True, usecontainer=False, bitspersample=bits))


def with_channel(samples: NDArray[np.uint16], kind: str, *, associated: bool = False, name: bytes = b"") -> bytes:
    """A file of 12 bits with alpha, whose header calls the last channel something else (ISO/IEC 18181-1, D.3.6)."""
    data = written(samples, 12)
    bits = jxl_profile.Bits(data[2:])
    jxl_profile.read_size(bits)
    assert bits.take(2) == 0
    assert jxl_profile.read_depth(bits) == 12
    assert bits.take(3) == 0b011  # buffers of 16 bits; one channel
    before = bits.at
    jxl_profile.skip_channel(bits)
    after = bits.at
    bits.take(1)
    jxl_profile.skip_colours(bits)
    jxl_profile.skip_end(bits)
    new = jxl_profile.WrittenBits()
    fields = [(bits.between(0, before), before), (0, 1), *KINDS[kind], (0, 1), (2, 2), (0, 2)]
    fields += [(1, 2), (len(name), 4), *((letter, 8) for letter in name)] if name else [(0, 2)]
    fields += [(number, 16) for number in (FULL, 0, 0, FULL)] if kind == "spot" else []
    fields += [(int(associated), 1)] if kind == "alpha" else []
    for value, count in (*fields, (bits.between(after, bits.at), bits.at - after)):
        new.put(value, count)
    return data[:2] + new.data() + data[2 + (bits.at + 7) // 8 :]


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_samples_of_any_depth_use_the_whole_range(bands: int, bits: int, tmp_path: Path, repeat: Upscaler) -> None:
    white = (1 << bits) - 1
    samples = rng.integers(0, white + 1, (6, 9, bands), np.uint16)
    samples[0, 0], samples[0, 1] = white, 0
    (tmp_path / "in.jxl").write_bytes(written(samples.squeeze(), bits))
    for target in ("out.png", "out.tif"):
        upscale_file(tmp_path / "in.jxl", tmp_path / target, repeat)
    found = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())
    expected = (samples.astype(int) * 65535 + white // 2) // white
    np.testing.assert_array_equal(found.reshape(12, 18, bands)[::2, ::2], expected)
    np.testing.assert_array_equal(
        imagecodecs.tiff_decode((tmp_path / "out.tif").read_bytes()).reshape(12, 18, bands)[::2, ::2], expected
    )


@pytest.mark.parametrize("kind", KINDS)
def test_channels_are_known(kind: str, tmp_path: Path) -> None:
    samples = rng.integers(0, 4096, (6, 9, 4), np.uint16)
    for name in (b"", b"a name"):
        (tmp_path / "in.jxl").write_bytes(with_channel(samples, kind, name=name))
        with open_image(tmp_path / "in.jxl") as opened:
            assert header_of(opened) == JxlHeader(12, (Channel(NUMBERS[kind]),))


def test_colours_that_are_multiplied_with_alpha_come_out_straight(tmp_path: Path, repeat: Upscaler) -> None:
    straight = rng.integers(0, 4096, (6, 9, 4), np.uint16)
    straight[..., 3] = np.maximum(straight[..., 3], 2000)
    stored = straight.copy()
    stored[..., :3] = np.rint(straight[..., :3] * (straight[..., 3:] / 4095))
    for name, data in (("out.png", with_channel(stored, "alpha", associated=True)), ("as.png", written(stored, 12))):
        (tmp_path / "in.jxl").write_bytes(data)
        upscale_file(tmp_path / "in.jxl", tmp_path / name, repeat)
    found = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())[::2, ::2].astype(int)
    assert np.abs(found - straight * (65535 / 4095)).max() <= 20  # half a step of 12 bits, at alpha one half
    left = imagecodecs.png_decode((tmp_path / "as.png").read_bytes())[::2, ::2].astype(int)
    assert np.abs(left - stored * (65535 / 4095)).max() <= 1
    (tmp_path / "in.jxl").write_bytes(with_channel(stored, "alpha", associated=True))
    with Image.open(tmp_path / "in.jxl") as image:  # Pillow's plug-in, 8 bits
        larger = np.asarray(upscale_image(image, upscaler=repeat))[::2, ::2].astype(int)
    assert np.abs(larger - straight * (255 / 4095)).max() <= 3


def test_channels_that_go_are_told_and_inks_refused(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    samples = rng.integers(0, 4096, (6, 9, 4), np.uint16)
    for kind, told in (
        ("depth", "its further channels (depth) are left out"),
        ("spot", "its spot colours become part of the picture"),
    ):
        (tmp_path / "in.jxl").write_bytes(with_channel(samples, kind))
        with caplog.at_level(logging.WARNING):
            upscale_file(tmp_path / "in.jxl", tmp_path / "out.png", repeat)
        assert told in caplog.text
    (tmp_path / "in.jxl").write_bytes(with_channel(samples, "black"))
    with pytest.raises(ImageError, match=r"in\.jxl: it is a JPEG XL of inks .*: convert it to RGB first"):
        upscale_file(tmp_path / "in.jxl", tmp_path / "out.png", repeat)

"""FITS of 16 bits, by the FITS standard 4.0: big endian with a sign, zero where BZERO says, lines from below."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file

rng = np.random.default_rng(6)


def fits(stored: NDArray[np.int16], zero: str) -> bytes:
    height, width = stored.shape
    cards = ["SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", f"NAXIS1  = {width}", f"NAXIS2  = {height}"]
    cards += [f"BZERO   = {zero}"] if zero else []
    head = "".join(card.ljust(80) for card in [*cards, "END"]).encode()
    data = stored[::-1].astype(">i2").tobytes()
    return head.ljust(2880) + data.ljust(2880, b"\0")


@pytest.mark.parametrize("zero", ["32768", "3.2768E4", "32768.0", ""])
def test_numbers_are_those_of_the_header(zero: str, tmp_path: Path) -> None:
    numbers = rng.integers(0, 65536 if zero else 32768, (7, 10), np.uint16)
    stored = (numbers.astype(int) - (32768 if zero else 0)).astype(np.int16)
    (tmp_path / "in.fits").write_bytes(fits(stored, zero))
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.fits", tmp_path / "out.png", upscaler)
    with Image.open(tmp_path / "out.png") as result:
        np.testing.assert_array_equal(np.asarray(result)[::2, ::2], numbers)


def test_numbers_below_zero_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.fits").write_bytes(fits(np.full((3, 4), -5, np.int16), ""))
    with Upscaler("nearest", scale=2) as upscaler, pytest.raises(ImageError, match=r"in\.fits.*below zero"):
        upscale_file(tmp_path / "in.fits", tmp_path / "out.png", upscaler)

"""Portable float maps (PFM), gray and in colour: samples begin where the header ends, whatever numbers stand in it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from fakes import nearest

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file

SAMPLES = np.random.default_rng(4).random((2, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def float_map(samples: np.ndarray, scale: str) -> bytes:
    head = f"{'PF' if samples.ndim == 3 else 'Pf'}\n{samples.shape[1]} {samples.shape[0]}\n{scale}\n"
    return head.encode() + samples[::-1].astype("<f4" if scale.startswith("-") else ">f4").tobytes()


@pytest.mark.parametrize("scale", ["-1.0", "1.0", "1", "2", "-2.5"])
@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES[..., 0]], ids=["colour", "gray"])
def test_samples_are_those_behind_the_header_and_their_factor_is_told(
    samples: np.ndarray, scale: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.pfm").write_bytes(float_map(samples, scale))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.pfm", tmp_path / "out.tif", repeat)
    result = imagecodecs.imread(tmp_path / "out.tif")
    assert np.allclose(result, samples.repeat(2, 0).repeat(2, 1), atol=1e-6)
    factor = abs(float(scale))
    assert (f"multiplied by {factor:g} is left out" in caplog.text) == (factor != 1)


@pytest.mark.parametrize("scale", ["0", "nan", "inf", "-0.0"])
def test_a_scale_that_is_none_is_refused(scale: str, tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / "in.pfm").write_bytes(float_map(SAMPLES, scale))
    with pytest.raises(ImageError, match=r"in\.pfm"):
        upscale_file(tmp_path / "in.pfm", tmp_path / "out.tif", repeat)

"""Radiance HDR: what its header tells stays, and its scan lines may run any way (ra_pic of Radiance)."""

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

LIGHT = np.random.default_rng(5).random((6, 10, 3)).astype(np.float32) * 3 + 0.1


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def radiance(samples: np.ndarray, scan: bytes = b"-Y %d +X %d", header: bytes = b"") -> bytes:
    plain = bytes(imagecodecs.rgbe_encode(np.ascontiguousarray(samples)))
    size = b"-Y %d +X %d" % samples.shape[:2]
    assert size in plain
    return plain.replace(size, scan % samples.shape[:2]).replace(b"FORMAT", header + b"FORMAT", 1)


@pytest.mark.parametrize(
    ("scan", "stored"),
    [
        (b"-Y %d +X %d", LIGHT),
        (b"+Y %d +X %d", LIGHT[::-1]),
        (b"-Y %d -X %d", LIGHT[:, ::-1]),
        (b"+Y %d -X %d", LIGHT[::-1, ::-1]),
        (b"+X %d -Y %d", LIGHT.swapaxes(0, 1)),
        (b"-X %d -Y %d", LIGHT[:, ::-1].swapaxes(0, 1)),
        (b"+X %d +Y %d", LIGHT[::-1].swapaxes(0, 1)),
        (b"-X %d +Y %d", LIGHT[::-1, ::-1].swapaxes(0, 1)),
    ],
)
def test_every_way_of_scan_lines_is_upright(scan: bytes, stored: np.ndarray, tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / "in.hdr").write_bytes(radiance(stored, scan))
    upscale_file(tmp_path / "in.hdr", tmp_path / "out.hdr", repeat)
    found = imagecodecs.rgbe_decode((tmp_path / "out.hdr").read_bytes())
    np.testing.assert_allclose(found, LIGHT.repeat(2, 0).repeat(2, 1), atol=0.035)  # two times a mantissa of 8 bits


def test_the_header_stays_and_is_told_where_it_cannot(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    header = b"EXPOSURE=0.25\nVIEW= -vtv -vp 0 0 0\nSOFTWARE=pcomb\n# a remark\n"
    (tmp_path / "in.hdr").write_bytes(radiance(LIGHT, header=header))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.hdr", tmp_path / "out.hdr", repeat)
        assert caplog.text == ""
        upscale_file(tmp_path / "in.hdr", tmp_path / "out.exr", repeat)
    assert "EXPOSURE, VIEW, SOFTWARE of its header are left out" in caplog.text
    written = (tmp_path / "out.hdr").read_bytes()
    lines = written.split(b"\n\n")[0].split(b"\n")
    assert lines[0] == b"#?RADIANCE"
    assert set(header.splitlines()) <= set(lines)
    assert lines.count(b"FORMAT=32-bit_rle_rgbe") == 1


def test_colours_of_another_kind_are_refused(tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / "in.hdr").write_bytes(radiance(LIGHT).replace(b"rle_rgbe", b"rle_xyze"))
    with pytest.raises(ImageError, match="ra_xyze"):
        upscale_file(tmp_path / "in.hdr", tmp_path / "out.hdr", repeat)

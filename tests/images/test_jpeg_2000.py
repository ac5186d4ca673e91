"""JPEG 2000: what its boxes tell goes along, into its own kind and out of others; bare codestreams are bare."""

import io
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from fakes import nearest
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from sr_plugins import Upscaler
from sr_plugins.images.exif_block import ExifBlock, numbers
from sr_plugins.images.files import upscale_file
from sr_plugins.images.jpeg_2000 import EXIF, IPTC, MAP, XMP, with_boxes
from sr_plugins.images.photoshop import iptc_of
from sr_plugins.images.pillow_filter import upscale_image

PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
RECORDS = b"\x1c\x02\x05\x00\x06Muewen"


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def boxes(path: Path) -> list[tuple[bytes, bytes]]:
    """Kind and content of the outermost boxes, by ISO 15444-1, I.4."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind, data[at + 8 : at + length]))
        at += length or len(data)
    return found


def named(path: Path, uuid: bytes) -> bytes | None:
    return next((body[16:] for kind, body in boxes(path) if kind == b"uuid" and body[:16] == uuid), None)


def exif(orientation: int = 1) -> bytes:
    block = Image.Exif()
    block[Base.Artist], block[Base.Orientation] = "Erika", orientation
    return block.tobytes().removeprefix(b"Exif\0\0")


def written(path: Path, *contents: tuple[bytes, bytes], size: tuple[int, int] = (20, 10)) -> None:
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(file, "JPEG2000")
    path.write_bytes(with_boxes(file.getvalue(), None, (300, 150), contents))


def test_everything_goes_along(tmp_path: Path, repeat: Upscaler) -> None:
    written(tmp_path / "in.jp2", (EXIF, exif()), (XMP, PACKET), (IPTC, RECORDS))
    upscale_file(tmp_path / "in.jp2", tmp_path / "out.jp2", repeat)
    assert named(tmp_path / "out.jp2", XMP) == PACKET
    assert named(tmp_path / "out.jp2", IPTC) == RECORDS
    assert b"Erika" in (named(tmp_path / "out.jp2", EXIF) or b"")
    assert boxes(tmp_path / "out.jp2")[-1][0] == b"jp2c"
    with Image.open(tmp_path / "out.jp2") as result:
        assert result.size == (40, 20)
        assert result.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
        result.load()


def test_into_and_out_of_other_formats(tmp_path: Path, repeat: Upscaler) -> None:
    written(tmp_path / "in.jp2", (EXIF, exif()), (XMP, PACKET), (IPTC, RECORDS))
    upscale_file(tmp_path / "in.jp2", tmp_path / "out.jpg", repeat)
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.getexif()[Base.Artist] == "Erika"
        assert result.info["xmp"] == PACKET
        assert result.info["dpi"] == (300, 150)
        records = b"".join(body for name, body in result.applist if name == "APP13")
    assert iptc_of(records.removeprefix(b"Photoshop 3.0\0")) == RECORDS
    upscale_file(tmp_path / "out.jpg", tmp_path / "back.jp2", repeat)
    assert named(tmp_path / "back.jp2", IPTC) == RECORDS
    assert named(tmp_path / "back.jp2", XMP) == PACKET
    assert b"Erika" in (named(tmp_path / "back.jp2", EXIF) or b"")


def test_its_orientation_is_applied_once(tmp_path: Path, repeat: Upscaler) -> None:
    written(tmp_path / "in.jp2", (EXIF, exif(6)), size=(20, 10))
    assert upscale_file(tmp_path / "in.jp2", tmp_path / "out.jp2", repeat) == (
        (10, 20),
        (20, 40),
    )  # as it is seen, both
    with Image.open(tmp_path / "in.jp2") as source, Image.open(tmp_path / "out.jp2") as result:
        turned = source.transpose(Image.Transpose.ROTATE_270)
        assert result.resize(turned.size, Image.Resampling.NEAREST).tobytes() == turned.tobytes()
        assert result.info["dpi"] == pytest.approx((150, 300), rel=1e-3)
    first = ExifBlock(b"Exif\0\0" + (named(tmp_path / "out.jp2", EXIF) or b"")).first()
    assert int(Base.Orientation) not in first


def test_its_place_on_the_map_is_made_true_or_told(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    """GeoJP2: a TIFF of one pixel whose pixel scale must halve."""
    scale = struct.pack("<3d", 10, 10, 0)
    entries = [(256, 3, 1, 1), (257, 3, 1, 1), (33550, 12, 3, 50)]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", 3)
    degenerate = head + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    written(tmp_path / "in.jp2", (MAP, degenerate.ljust(50, b"\0") + scale))
    upscale_file(tmp_path / "in.jp2", tmp_path / "out.jp2", repeat)
    block = ExifBlock(b"Exif\0\0" + (named(tmp_path / "out.jp2", MAP) or b""))
    assert [float(value) for value in numbers(block.first()[33550], "<")] == [5, 5, 0]
    assert [int(value) for value in numbers(block.first()[256], "<")] == [1]
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.jp2", tmp_path / "out.png", repeat)
    assert "GeoJP2" in caplog.text


@pytest.mark.parametrize("ending", [".j2k", ".j2c", ".jpc"])
def test_a_codestream_is_one_and_says_what_it_cannot_hold(
    ending: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path / "in.jp2", (EXIF, exif()), (XMP, PACKET))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.jp2", tmp_path / f"out{ending}", repeat)
    assert (tmp_path / f"out{ending}").read_bytes().startswith(b"\xff\x4f\xff\x51")
    assert "J2K cannot hold EXIF and XMP" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):  # nothing in it is taken for a box
        upscale_file(tmp_path / f"out{ending}", tmp_path / f"again{ending}", repeat)
    assert caplog.text == ""


def deep(bits: int, signed: bool, shape: tuple[int, ...]) -> NDArray[Any]:
    """Samples from black to white, both of them among them."""
    values = np.random.default_rng(bits).integers(0, 1 << bits, shape)
    values.flat[:40], values.flat[-40:] = (1 << bits) - 1, 0
    return values - (1 << bits - 1) if signed else values


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize(("bits", "signed"), [(10, False), (12, False), (16, False), (16, True)])
def test_more_than_8_bits_are_kept(
    bits: int, signed: bool, bands: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repeat = Upscaler("nearest", scale=2)  # alpha too
    stored = deep(bits, signed, (24, 32, bands)[: 2 + (bands > 1)])
    samples = stored.astype(np.int16 if signed else np.uint16)
    jp2 = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, bitspersample=bits, codecformat="jp2")
    (tmp_path / "in.jp2").write_bytes(with_boxes(bytes(jp2), None, (300, 150), [(XMP, PACKET)]))
    decoders: dict[str, Any] = {
        "png": imagecodecs.png_decode,
        **dict.fromkeys(("jp2", "j2k"), imagecodecs.jpeg2k_decode),
    }
    wanted = np.rint((stored - stored.min()) / ((1 << bits) - 1) * 65535)
    for ending, decode in decoders.items():
        with caplog.at_level(logging.WARNING):
            upscale_file(tmp_path / "in.jp2", tmp_path / f"out.{ending}", repeat)
        assert caplog.text == "" or ending == "j2k"  # which has no place for XMP
        found = decode((tmp_path / f"out.{ending}").read_bytes())
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found[::2, ::2], wanted)
    assert named(tmp_path / "out.jp2", XMP) == PACKET
    with Image.open(tmp_path / "out.jp2") as image:
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-3)
    assert "became" not in caplog.text


@pytest.mark.parametrize("bands", [2, 4])
def test_which_band_is_alpha_is_told(bands: int, tmp_path: Path) -> None:
    png = imagecodecs.png_encode(deep(16, False, (24, 32, bands)).astype(np.uint16))
    (tmp_path / "in.png").write_bytes(bytes(png))
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.png", tmp_path / "out.jp2", upscaler)
    header = next(body for kind, body in boxes(tmp_path / "out.jp2") if kind == b"jp2h")
    told = header[header.index(b"cdef") + 4 :]  # ISO 15444-1, I.5.3.6
    count, *numbers_told = struct.unpack(f">{1 + 3 * bands}H", told[: 2 + 6 * bands])
    channels = [tuple(numbers_told[at : at + 3]) for at in range(0, len(numbers_told), 3)]
    assert count == bands
    assert channels == [*((n, 0, n + 1) for n in range(bands - 1)), (bands - 1, 1, 0)]


def test_a_lossy_one_of_16_bits_stays_as_small(tmp_path: Path) -> None:
    smooth = Image.fromarray(np.random.default_rng(5).integers(0, 256, (12, 16), np.uint8)).resize((256, 192), 3)
    gray = np.asarray(smooth).astype(np.uint16) * 257
    noise = np.random.default_rng(6).integers(0, 256, (192, 256, 3), "u2")
    samples = np.dstack((gray, gray[::-1], 65535 - gray)) ^ noise
    jp2 = imagecodecs.jpeg2k_encode(samples, level=60, reversible=False, codecformat="jp2")
    (tmp_path / "in.jp2").write_bytes(bytes(jp2))
    with Upscaler("bicubic", scale=2) as upscaler:
        upscale_file(tmp_path / "in.jp2", tmp_path / "out.jp2", upscaler)
    ratios = [samples.nbytes / len(jp2), 4 * samples.nbytes / (tmp_path / "out.jp2").stat().st_size]
    assert ratios[0] > 4
    assert ratios[0] * 0.95 < ratios[1] < 2.5 * ratios[0]
    error = imagecodecs.jpeg2k_decode((tmp_path / "out.jp2").read_bytes())[::2, ::2].astype(int) - samples
    assert np.sqrt(np.mean(error**2.0)) < 0.03 * 65535


def test_white_of_16_bits_is_white_for_pillows_callers_too(tmp_path: Path) -> None:
    samples = np.full((24, 32, 3), 65535, np.uint16)
    file = io.BytesIO(bytes(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat="jp2")))
    with Image.open(file) as picture:
        larger = upscale_image(picture, 2, model="nearest")
    assert larger.getextrema() == ((255, 255),) * 3

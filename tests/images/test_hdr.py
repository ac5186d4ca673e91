"""HDR stays HDR: AVIF of 10 and 12 bits with its code points, gain maps, light in float; judged by outside readers."""

import io
import json
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from fakes import nearest
from PIL import Image, ImageCms

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.avif_file import write_avif
from sr_plugins.images.exif_block import HEAD
from sr_plugins.images.files import save_like, upscale_file
from sr_plugins.images.gain_map import ISO, segments_of
from sr_plugins.images.pillow_filter import upscale_image
from sr_plugins.images.png_texts import with_chunks

URN_MAP = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def ramp(bits: int, width: int = 32, height: int = 16) -> np.ndarray:
    row = np.linspace(0, (1 << bits) - 1, width).astype(np.uint16)
    return np.stack([row, row[::-1], row // 2], axis=1)[None].repeat(height, 0)


def by_exiftool(path: Path) -> dict[str, Any]:
    if not shutil.which("exiftool"):
        pytest.skip("no exiftool")
    told = subprocess.run(["exiftool", "-j", "-n", "-G1", "-a", path], capture_output=True, check=True).stdout
    found: dict[str, Any] = json.loads(told)[0]
    return found


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("codes", [(9, 16, 9), (12, 13, 1)], ids=["PQ", "P3"])
def test_avif_keeps_its_bits_and_code_points(
    bits: int, codes: tuple[int, int, int], tmp_path: Path, repeat: Upscaler
) -> None:
    primaries, transfer, matrix = codes
    data = imagecodecs.avif_encode(
        ramp(bits), level=100, bitspersample=bits, pixelformat="yuv444", primaries=primaries, transfer=transfer,
        matrix=matrix,
    )  # fmt: skip
    (tmp_path / "in.avif").write_bytes(data)
    upscale_file(tmp_path / "in.avif", tmp_path / "out.avif", repeat, quality=100)
    written = (tmp_path / "out.avif").read_bytes()
    result, source = imagecodecs.avif_decode(written), imagecodecs.avif_decode(data)
    assert result.dtype == np.uint16
    assert result.max() > 255
    difference = np.abs(result.astype(int) - source.repeat(2, 0).repeat(2, 1).astype(int))
    assert difference.max() <= (1 << bits) // 64
    assert b"colrnclx" + struct.pack(">HHH", *codes) in written
    assert written[written.index(b"av1C") + 6] & 0x60 == {10: 0x40, 12: 0x60}[bits]
    assert by_exiftool(tmp_path / "out.avif")["File:FileType"] == "AVIF"


def test_deep_avif_carries_exif_xmp_and_a_profile(tmp_path: Path, repeat: Upscaler) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Acme", 6
    Image.new("RGB", (8, 8)).save(tmp_path / "small.avif", exif=exif.tobytes())
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Acme"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    samples = (ramp(12).astype(np.uint32) * 65535 // 4095).astype(np.uint16)
    light = {b"cLLI": struct.pack(">II", 10_000_000, 4_000_000)}
    with (tmp_path / "in.avif").open("wb") as file:
        write_avif(
            file, samples, bits=10, quality=95, code_points=None, matrix=1, icc_profile=profile,
            exif=HEAD + exif.tobytes()[6:], xmp=packet, light=light,
        )  # fmt: skip
    with Image.open(tmp_path / "in.avif") as opened:  # libavif reads what was put in
        assert opened.info["icc_profile"] == profile
        assert opened.info["xmp"] == packet
        assert opened.getexif()[0x010F] == "Acme"
    told = by_exiftool(tmp_path / "in.avif")
    assert told["IFD0:Make"] == "Acme"
    assert told["XMP-xmp:CreatorTool"] == "Acme"
    upscale_file(tmp_path / "in.avif", tmp_path / "out.avif", repeat)
    with Image.open(tmp_path / "out.avif") as result:
        assert result.info["icc_profile"] == profile
        assert b"Acme" in result.info["xmp"]
        assert result.getexif()[0x010F] == "Acme"
        assert 0x0112 not in result.getexif()
        shown = np.asarray(result.convert("RGB"))
    assert b"clli" + struct.pack(">HH", 1000, 400) in (tmp_path / "out.avif").read_bytes()
    expected = np.rint(samples / 257).astype(int).repeat(2, 0).repeat(2, 1)
    expected = expected if shown.shape == expected.shape else np.rot90(expected, -1)
    assert np.abs(shown.astype(int) - expected).mean() < 3


def test_deep_avif_and_png_exchange_bits_and_code_points(tmp_path: Path, repeat: Upscaler) -> None:
    data = imagecodecs.avif_encode(
        ramp(10), level=100, bitspersample=10, pixelformat="yuv444", primaries=9, transfer=16, matrix=9
    )
    (tmp_path / "in.avif").write_bytes(data)
    upscale_file(tmp_path / "in.avif", tmp_path / "out.png", repeat)
    png = (tmp_path / "out.png").read_bytes()
    assert b"cICP" + bytes((9, 16, 0, 1)) in png
    samples = imagecodecs.png_decode(png)
    exact = np.rint(imagecodecs.avif_decode(data).astype(float) * 65535 / 1023)
    np.testing.assert_array_equal(samples, exact.repeat(2, 0).repeat(2, 1))
    upscale_file(tmp_path / "out.png", tmp_path / "again.avif", repeat)
    again = (tmp_path / "again.avif").read_bytes()
    assert b"colrnclx" + struct.pack(">HHH", 9, 16, 9) in again
    assert imagecodecs.avif_decode(again).max() > 1023  # of 12 bits


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_keeps_how_bright_picture_and_display_are(
    dtype: type[np.generic], tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    chunks = {
        b"cICP": bytes((9, 16, 0, 1)),
        b"mDCV": struct.pack(">8H2I", 35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 50),
        b"cLLI": struct.pack(">II", 10_000_000, 4_000_000),
    }
    samples = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(dtype)
    (tmp_path / "in.png").write_bytes(with_chunks(bytes(imagecodecs.png_encode(samples)), chunks))
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    png = (tmp_path / "out.png").read_bytes()
    for kind, body in chunks.items():  # each once, before the pixels, with its checksum (PNG third edition, 5.6)
        whole = kind + body + struct.pack(">I", zlib.crc32(kind + body))
        assert png.partition(b"IDAT")[0].count(whole) == 1
    np.testing.assert_array_equal(imagecodecs.png_decode(png), samples.repeat(2, 0).repeat(2, 1))
    assert not caplog.messages
    upscale_file(tmp_path / "in.png", tmp_path / "out.tiff", repeat)
    assert any("cLLI" in line and "mDCV" in line for line in caplog.messages)
    upscale_file(tmp_path / "in.png", tmp_path / "out.avif", repeat)
    assert b"clli" + struct.pack(">HH", 1000, 400) in (tmp_path / "out.avif").read_bytes()


def test_lossless_avif_stays_lossless(tmp_path: Path, repeat: Upscaler) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    (tmp_path / "in.avif").write_bytes(imagecodecs.avif_encode(samples, level=100, pixelformat="yuv444", matrix=0))
    upscale_file(tmp_path / "in.avif", tmp_path / "out.avif", repeat)
    with Image.open(tmp_path / "out.avif") as result:
        np.testing.assert_array_equal(np.asarray(result), samples.repeat(2, 0).repeat(2, 1))


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def xmp_of(attributes: str, inner: str = "") -> bytes:
    return (
        b"http://ns.adobe.com/xap/1.0/\0"
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        + f'<rdf:Description rdf:about="" {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'.encode()
    )


def jpeg(image: Image.Image, *segments: bytes) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()[:2] + b"".join(segments) + file.getvalue()[2:]


def hdr_photo(kind: str, orientation: int = 1, order: str = "<") -> bytes:
    """A photo with a map of half its size: Adobe's, ISO's, Apple's notes, or Google's container alone."""
    one = struct.pack(">II", 1, 1)
    numbers = (
        struct.pack(">HH", 0, 0) + b"\x40" + struct.pack(">II", 0, 1) + struct.pack(">II", 230, 100)
        + struct.pack(">iI", 0, 1) + struct.pack(">iI", 230, 100) + one + struct.pack(">iI", 1, 64) * 2
    )  # fmt: skip
    notes, heads = [], []
    namespace = URN_MAP
    if kind == "apple":
        apple = "urn:com:apple:photo:2020:aux:hdrgainmap"
        notes = [
            segment(
                0xE1, xmp_of(f'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" apdi:AuxiliaryImageType="{apple}"')
            )
        ]
    elif kind == "iso":
        notes = [segment(0xE2, ISO + numbers)]
        heads = [segment(0xE2, ISO + bytes(4))]
    else:
        notes = [segment(0xE1, xmp_of(namespace + ' hdrgm:GainMapMax="2.3" hdrgm:HDRCapacityMax="2.3"'))]
    gain = jpeg(Image.linear_gradient("L").resize((32, 24)), *notes)
    if kind in ("adobe", "container"):
        item = '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="{}" Item:Mime="image/jpeg"{}/></rdf:li>'
        listed = item.format("Primary", "") + item.format("GainMap", f' Item:Length="{len(gain)}"')
        names = (
            'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
            'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" ' + namespace
        )
        inner = f"<Container:Directory><rdf:Seq>{listed}</rdf:Seq></Container:Directory>"
        heads.append(segment(0xE1, xmp_of(names, inner)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    heads.insert(0, segment(0xE1, exif.tobytes()))
    image = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    if kind == "container":
        return jpeg(image, *heads) + gain

    def index(first: int, second_at: int) -> bytes:
        rows = struct.pack(order + "IIIHH", 0x030000, first, 0, 0, 0)
        rows += struct.pack(order + "IIIHH", 0, len(gain), second_at, 0, 0)
        entries = struct.pack(order + "H", 3) + struct.pack(order + "HHI4s", 0xB000, 7, 4, b"0100")
        entries += struct.pack(order + "HHII", 0xB001, 4, 1, 2) + struct.pack(order + "HHII", 0xB002, 7, 32, 50)
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
        return segment(0xE2, b"MPF\0" + head + entries + bytes(4) + rows)

    hole = b"\xaa" * len(index(0, 0))
    photo = jpeg(image, *heads, hole)
    at = photo.index(hole)
    return photo.replace(hole, index(len(photo), len(photo) - (at + 8))) + gain


@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["adobe", "iso", "apple", "container"])
def test_a_gain_map_is_enlarged_and_turned_with_its_photo(
    kind: str, orientation: int, order: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.jpg").write_bytes(hdr_photo(kind, orientation, order))
    upscale_file(tmp_path / "in.jpg", tmp_path / "out.jpg", repeat)
    assert not caplog.messages
    written = (tmp_path / "out.jpg").read_bytes()
    told = by_exiftool(tmp_path / "out.jpg")
    assert told["MPF0:NumberOfImages"] == 2
    start, length = told["MPImage2:MPImageStart"], told["MPImage2:MPImageLength"]
    assert start + length == len(written)
    assert told["MPImage1:MPImageLength"] == start
    if kind in ("adobe", "container"):
        assert told["XMP-Container:DirectoryItemLength"] == length
    gain = written[start:]
    with Image.open(io.BytesIO(gain)) as larger:
        assert larger.size == ((64, 48) if orientation == 1 else (48, 64))
        samples = np.asarray(larger.convert("L")).astype(float)
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.size == ((128, 96) if orientation == 1 else (96, 128))
    expected = np.asarray(Image.linear_gradient("L").resize((64, 48))).astype(float)
    expected = expected if orientation == 1 else np.rot90(expected, -1)
    assert np.abs(samples - expected).mean() < 3
    kept = [s.body[:20] for s in segments_of(gain) if s.marker in (0xE1, 0xE2)]
    assert kept == [s.body[:20] for s in segments_of(hdr_map_of(tmp_path / "in.jpg", kind)) if s.marker in (0xE1, 0xE2)]
    assert (ISO + bytes(4) in written[:start]) == (kind == "iso")


def hdr_map_of(path: Path, kind: str) -> bytes:
    whole = path.read_bytes()
    return whole[whole.rindex(b"\xff\xd8\xff") :]


def test_libultrahdr_reads_what_is_written(tmp_path: Path, repeat: Upscaler) -> None:
    light = np.ones((48, 64, 4), np.float16)
    light[..., :3] = (np.linspace(0, 1, 64) ** 3 * 4)[None, :, None]
    (tmp_path / "in.jpg").write_bytes(imagecodecs.ultrahdr_encode(light))
    upscale_file(tmp_path / "in.jpg", tmp_path / "out.jpg", repeat)
    before = imagecodecs.ultrahdr_decode((tmp_path / "in.jpg").read_bytes())[..., :3].astype(float)
    after = imagecodecs.ultrahdr_decode((tmp_path / "out.jpg").read_bytes())[..., :3].astype(float)
    assert after.shape == (96, 128, 3)
    assert after.max() > 2  # brighter than white
    assert np.abs(after[::2, ::2] - before).mean() < 0.1


def test_a_gain_map_goes_along_by_save_like_too_and_is_told_where_it_cannot(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.jpg").write_bytes(hdr_photo("adobe"))
    with Image.open(tmp_path / "in.jpg") as photo:
        larger = upscale_image(photo, upscaler=repeat)
        save_like(larger, tmp_path / "out.jpg", photo)
        assert by_exiftool(tmp_path / "out.jpg")["MPF0:NumberOfImages"] == 2
        assert not caplog.messages
        save_like(larger, tmp_path / "out.png", photo)
    assert any("gain map" in line for line in caplog.messages)
    with Image.open(tmp_path / "out.png") as png:
        assert b"hdrgm" not in png.info.get("xmp", b"")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_openexr_stays_in_float_above_white(dtype: type, tmp_path: Path, repeat: Upscaler) -> None:
    samples = (np.random.default_rng(2).random((12, 16, 3)) * 40 - 0.5).astype(dtype)
    (tmp_path / "in.exr").write_bytes(imagecodecs.exr_encode(samples))
    assert upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", repeat) == ((16, 12), (32, 24))
    result = imagecodecs.exr_decode((tmp_path / "out.exr").read_bytes())
    assert result.dtype == dtype
    np.testing.assert_allclose(result, samples.repeat(2, 0).repeat(2, 1), rtol=2e-3, atol=1e-3)


def test_light_goes_into_files_of_light_alone(tmp_path: Path, repeat: Upscaler) -> None:
    samples = (np.random.default_rng(2).random((12, 16, 3)) * 9).astype(np.float32)
    (tmp_path / "in.hdr").write_bytes(imagecodecs.rgbe_encode(samples))
    upscale_file(tmp_path / "in.hdr", tmp_path / "out.hdr", repeat)
    result = imagecodecs.rgbe_decode((tmp_path / "out.hdr").read_bytes())
    np.testing.assert_allclose(result, samples.repeat(2, 0).repeat(2, 1), atol=9 / 64)  # RGBE: 8 bits of the brightest
    upscale_file(tmp_path / "in.hdr", tmp_path / "out.pfm", repeat)
    assert (tmp_path / "out.pfm").read_bytes().startswith(b"PF\n32 24\n-1.0\n")
    upscale_file(tmp_path / "out.pfm", tmp_path / "again.exr", repeat)
    again = imagecodecs.exr_decode((tmp_path / "again.exr").read_bytes())
    np.testing.assert_allclose(again, samples.repeat(4, 0).repeat(4, 1), atol=9 / 64)
    with pytest.raises(ImageError, match=r"write \.exr"):
        upscale_file(tmp_path / "in.hdr", tmp_path / "out.png", repeat)
    Image.new("RGB", (4, 4)).save(tmp_path / "flat.png")
    with pytest.raises(ImageError, match="light in float"):
        upscale_file(tmp_path / "flat.png", tmp_path / "out.exr", repeat)


def test_transparency_of_openexr_is_kept(tmp_path: Path, repeat: Upscaler) -> None:
    alpha = np.linspace(0.25, 1, 16, dtype=np.float32)[None, :, None].repeat(12, 0)
    samples = np.concatenate((np.full((12, 16, 3), 2.0, np.float32) * alpha, alpha), axis=2)
    (tmp_path / "in.exr").write_bytes(imagecodecs.exr_encode(samples))
    upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", repeat)
    result = imagecodecs.exr_decode((tmp_path / "out.exr").read_bytes())
    np.testing.assert_allclose(result[..., :3] / result[..., 3:], 2.0, rtol=1e-2)  # associated, as OpenEXR has it
    assert np.abs(result[::2, ::2, 3] - alpha[..., 0]).max() < 0.05

"""What a format cannot hold is said, or refused before any work: bits, colours, transparency, resolution, places."""

import io
import logging
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.avif_file import box
from sr_plugins.images.color_profiles import matrix_profile
from sr_plugins.images.files import save_like, upscale_file
from sr_plugins.images.further_formats import register
from sr_plugins.video.ffmpeg_process import find_ffmpeg

register()
EXIF = b"II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0Abc\0\0\0\0\0"  # Make
PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
Told = Callable[..., list[str]]


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler("nearest", scale=2) as upscaler:
        yield upscaler


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, tmp_path: Path, repeat: Upscaler) -> Told:
    """Lines about a file made larger, without its name."""

    def told(name: str, data: bytes, ending: str) -> list[str]:
        source, target = tmp_path / name, tmp_path / f"out.{ending}"
        source.write_bytes(data)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            upscale_file(source, target, repeat)
        return [line.replace(f"{source}: ", "").replace(f"{target} ", "") for line in caplog.messages]

    return told


def colours(size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.effect_noise(size, 90).convert("RGB").rotate(90, expand=False)


def encoded(image: Image.Image, format: str, **arguments: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **arguments)
    return file.getvalue()


def ramp(alpha: tuple[int, int] = (0, 255)) -> Image.Image:
    """Colours that differ everywhere under alpha from one number to the other."""
    random = np.random.default_rng(3).integers(0, 255, (16, 24, 3)).astype(np.uint8)
    clear = np.linspace(*alpha, 24).astype(np.uint8)[None].repeat(16, 0)
    return Image.fromarray(np.dstack([random, clear]))


def deep(bits: int = 16) -> bytes:
    samples = np.random.default_rng(5).integers(0, 1 << 16, (16, 24, 3)).astype(np.uint16)
    if bits == 16:
        return bytes(imagecodecs.png_encode(samples))
    return bytes(imagecodecs.avif_encode(samples >> (16 - bits), level=95, bitspersample=bits))


@pytest.mark.parametrize("ending", ["gif", "tga", "qoi", "ppm", "ico", "j2k"])
def test_a_resolution_without_a_place_is_told(told: Told, ending: str) -> None:
    data = encoded(Image.new("RGB", (24, 16), "red"), "PNG", dpi=(300, 300))
    assert any("cannot hold a resolution of 300 dpi" in line for line in told("a.png", data, ending))


@pytest.mark.parametrize("ending", ["pcx", "dib", "bmp", "jpg"])
def test_a_resolution_with_a_place_is_kept(told: Told, ending: str, tmp_path: Path) -> None:
    assert not told("a.png", encoded(Image.new("RGB", (24, 16), "red"), "PNG", dpi=(300, 150)), ending)
    with Image.open(tmp_path / f"out.{ending}") as image:
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_a_bitmap_without_a_head_tells_of_its_profile(told: Told) -> None:
    data = encoded(colours(), "PNG", icc_profile=matrix_profile(12, 13))
    assert told("a.png", data, "dib") == ["DIB cannot hold its ICC profile, so colours may look different"]


def test_what_gif_decides_is_told(told: Told) -> None:
    assert told("a.png", encoded(ramp(), "PNG"), "gif") == [
        "knows no half transparent pixels: from one half on they are opaque",
        "holds 256 colours of a picture: there are more",
    ]
    two = Image.new("RGBA", (24, 16), "red")
    assert not told("b.png", encoded(two, "PNG"), "gif")


def test_a_gif_that_stays_one_tells_nothing_new(told: Told) -> None:
    assert not told("a.gif", encoded(colours().quantize(200), "GIF"), "gif")


@pytest.mark.parametrize(
    ("bits", "ending", "line"),
    [
        (16, "avif", ["holds 12 bits: 16 became 12"]),
        (10, "avif", []),
        (16, "webp", ["holds 8 bits of colour: 16 became 8"]),
        (10, "webp", ["holds 8 bits of colour: 10 became 8"]),
        (10, "png", []),
        (16, "heic", ["holds 10 bits: 16 became 10"]),
        (10, "heic", []),
    ],
)
def test_fewer_bits_are_told(told: Told, bits: int, ending: str, line: list[str]) -> None:
    if ending == "heic":
        pytest.importorskip("pillow_heif", reason="the extra formats")
    assert told(f"a.{'png' if bits == 16 else 'avif'}", deep(bits), ending) == line


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("ending", ["avif", "jp2", "jxl", "png"])
def test_gray_of_16_bits_stays_deep(told: Told, name: str, ending: str, tmp_path: Path) -> None:
    if ending == "jxl":
        pytest.importorskip("pillow_jxl", reason="the extra formats")
    gray = np.linspace(0, 65535, 24 * 16).astype(np.uint16).reshape(16, 24)
    file = io.BytesIO()
    if name == "a.png":
        Image.fromarray(gray).save(file, "PNG")
    else:
        tifffile.imwrite(file, gray, photometric="minisblack", metadata=None, software=False)
    lines = told(name, file.getvalue(), ending)
    assert [line for line in lines if "bits" in line] == (["holds 12 bits: 16 became 12"] if ending == "avif" else [])
    decode: dict[str, Any] = {"avif": imagecodecs.avif_decode, "jp2": imagecodecs.jpeg2k_decode}
    decode |= {"jxl": imagecodecs.jpegxl_decode, "png": imagecodecs.png_decode}
    larger = np.asarray(decode[ending]((tmp_path / f"out.{ending}").read_bytes()))
    larger = larger if larger.ndim == 2 else larger[..., 0]
    white = 4095 if ending == "avif" else 65535
    assert np.abs(larger / white - gray.repeat(2, 0).repeat(2, 1) / 65535).max() < 0.03
    assert len(np.unique(larger)) > 256  # more than 8 bits hold


def test_colours_under_full_transparency(told: Told, tmp_path: Path) -> None:
    data = encoded(ramp((0, 0)), "PNG")
    assert not told("a.png", data, "webp")
    with Image.open(tmp_path / "out.webp") as image, Image.open(tmp_path / "a.png") as source:
        wanted = np.asarray(source.resize(image.size, Image.Resampling.NEAREST)).astype(int)
        assert (
            np.abs(np.asarray(image).astype(int) - wanted)[..., :3].mean() < 40
        )  # of codes: noise, and one chroma of 4
    pytest.importorskip("pillow_jxl", reason="the extra formats")
    line = "does not keep the colours under full transparency: --quality 100 does"
    assert told("a.png", data, "jxl") == [line]
    assert not told("b.png", encoded(Image.new("RGBA", (24, 16), (255, 0, 0, 0)), "PNG"), "jxl")


class Idle(Upscaler):
    """Does no work."""

    def submit(self, *_: object, **__: object) -> object:  # type: ignore[override]
        raise AssertionError("the network was asked before the samples were refused")


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.float16, np.float64])
@pytest.mark.parametrize("bands", [1, 3])
def test_wide_samples_are_refused_before_the_network(dtype: type, bands: int, tmp_path: Path) -> None:
    samples: NDArray[Any] = np.linspace(0, 4e4 if dtype is np.float16 else 2**31 - 1, 64 * bands).astype(dtype)
    shape, kind = ((8, 8, 3), "rgb") if bands == 3 else ((8, 8), "minisblack")
    tifffile.imwrite(tmp_path / "a.tif", samples.reshape(shape), photometric=kind)
    with Idle("tiny") as upscaler, pytest.raises(ImageError, match=r"write \.tiff"):
        upscale_file(tmp_path / "a.tif", tmp_path / "out.png", upscaler)
    assert not (tmp_path / "out.png").exists()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_what_stands_behind_the_frames_of_an_animation_is_kept(told: Told, tmp_path: Path) -> None:
    frames = [colours(), colours().rotate(180)]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)
    late = chunk(b"eXIf", EXIF) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)
    end = data.rindex(b"IEND") - 4
    assert not told("a.png", data[:end] + late + data[end:], "webp")
    with Image.open(tmp_path / "out.webp") as image:
        assert image.getexif()[271] == "Abc"
        assert PACKET[:12] in image.info["xmp"]


def test_os2_bitmaps_have_no_colours_in_their_head(told: Told) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None] * 60
    head = struct.pack("<IiiHHIIiiII", 64, 4, 4, 1, 24, 0, 0, 0, 0, 0, 0) + b"\1" * 24
    assert not told("a.bmp", b"BM" + struct.pack("<IHHI", 78 + 48, 0, 0, 78) + head + pixels.tobytes(), "png")


def test_a_second_block_of_exif_is_told(told: Told) -> None:
    jpeg = encoded(colours(), "JPEG")
    block = b"\xff\xe1" + struct.pack(">H", len(EXIF) + 8) + b"Exif\0\0" + EXIF
    assert not told("a.jpg", jpeg[:2] + block + jpeg[2:], "png")
    assert told("a.jpg", jpeg[:2] + block + block + jpeg[2:], "png") == ["a second block of EXIF is left out"]


def test_the_note_of_a_tga_is_kept(told: Told, tmp_path: Path) -> None:
    data = encoded(colours(), "TGA", id_section=b"scanned by hand")
    assert not told("a.tga", data, "tga")
    with Image.open(tmp_path / "out.tga") as image:
        assert image.info["id_section"] == b"scanned by hand"
    assert told("a.tga", data, "qoi") == ["QOI cannot hold texts (comment): left out"]


def test_black_and_white_stays_without_a_word(told: Told) -> None:
    assert not told("a.pbm", b"P1\n4 2\n1 0 1 0\n0 1 0 1\n", "pbm")


def with_property(avif: bytes, added: bytes, *, essential: bool = False) -> bytes:
    """An AVIF with one more property, that its first item has."""

    def sized(data: bytes, name: bytes, by: int) -> bytes:
        at = data.index(name) - 4
        return data[:at] + struct.pack(">I", struct.unpack_from(">I", data, at)[0] + by) + data[at + 4 :]

    at = avif.index(b"ipco") - 4
    (length,) = struct.unpack_from(">I", avif, at)
    count, place = 0, at + 8
    while place < at + length:
        count, place = count + 1, place + struct.unpack_from(">I", avif, place)[0]
    ipma = avif.index(b"ipma") - 4
    (size,) = struct.unpack_from(">I", avif, ipma)
    links = bytearray(avif[ipma : ipma + size])
    links[18] += 1
    out = (
        avif[: at + length]
        + added
        + avif[at + length : ipma]
        + bytes(links)
        + bytes([essential * 128 + count + 1])
        + avif[ipma + size :]
    )
    grown = len(added) + 1
    for name, by in ((b"ipco", len(added)), (b"ipma", 1), (b"iprp", grown), (b"meta", grown)):
        out = sized(out, name, by)
    mdat, offset = avif.index(b"mdat") + 4, avif.index(b"iloc")
    old = struct.pack(">I", mdat)
    assert out.count(old, offset, out.index(b"ipco")) == 1
    return out.replace(old, struct.pack(">I", mdat + grown), 1)


def test_the_shape_of_an_avifs_pixels(told: Told, tmp_path: Path) -> None:
    data = with_property(encoded(colours(), "AVIF"), box(b"pasp", struct.pack(">II", 2, 1)))
    assert told("a.avif", data, "webp") == ["WEBP cannot hold how wide its pixels are beside their height: left out"]
    assert not told("a.avif", data, "png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["aspect"] == (1, 2)  # pixels in a length: twice as wide, half as many


def test_the_crop_of_an_avif_is_told(told: Told) -> None:
    crop = box(b"clap", struct.pack(">8I", 8, 1, 8, 1, 0, 1, 0, 1))
    data = with_property(encoded(colours(), "AVIF"), crop, essential=True)
    assert told("a.avif", data, "png") == ["its crop (clean aperture) is not applied: the whole picture is enlarged"]


@pytest.mark.parametrize("across", [1, 2, 4])
@pytest.mark.parametrize("down", [1, 2])
@pytest.mark.parametrize("rows", [4, 100])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_with_fewer_chroma(across: int, down: int, rows: int, order: str, told: Told, tmp_path: Path) -> None:
    """Uncompressed YCbCr of TIFF 6.0, section 21, sides that do not fill the cells; Pillow converts the planes."""
    width, height = 13, 9
    random = np.random.default_rng(across * 10 + down)
    luma = random.integers(0, 256, (height, width)).astype(np.uint8)
    cells, lines = -(-width // across), -(-height // down)
    chroma = random.integers(90, 166, (lines, cells, 2)).astype(np.uint8)
    padded = np.pad(luma, ((0, lines * down - height), (0, cells * across - width)))
    units = padded.reshape(lines, down, cells, across).swapaxes(1, 2).reshape(lines, cells, -1)
    data = np.concatenate((units, chroma), axis=2).tobytes()
    line = len(data) // lines
    rows = min(rows, height)
    strips = [data[i : i + rows // down * line] for i in range(0, len(data), rows // down * line)]
    if rows == height:
        strips = [data]

    def short(*values: int) -> bytes:
        return struct.pack(f"{order}{len(values)}H", *values)

    def long(*values: int) -> bytes:
        return struct.pack(f"{order}{len(values)}I", *values)

    fields = [
        *((256, 3, short(width)), (257, 3, short(height)), (258, 3, short(8, 8, 8)), (259, 3, short(1))),
        *((262, 3, short(6)), (273, 4, long(*range(len(strips)))), (277, 3, short(3)), (278, 3, short(rows))),
        *((279, 4, long(*map(len, strips))), (530, 3, short(across, down))),
        (532, 5, long(0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)),
    ]
    start = 8 + 2 + 12 * len(fields) + 4
    offsets = start + sum(len(value) for _, _, value in fields if len(value) > 4)
    places = [offsets + sum(map(len, strips[:i])) for i in range(len(strips))]
    entries, behind = b"", b""
    for tag, kind, value in fields:
        stored = long(*places) if tag == 273 else value
        count = len(stored) // {3: 2, 4: 4, 5: 8}[kind]
        if len(stored) > 4:
            stored, behind = long(start + len(behind)), behind + stored
        entries += short(tag, kind) + long(count) + stored.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + long(8) + short(len(fields))
    assert not told("a.tif", head + entries + long(0) + behind + b"".join(strips), "png")
    whole = chroma.repeat(down, 0).repeat(across, 1)[:height, :width]
    wanted = (
        Image.fromarray(np.dstack((luma, whole)), "YCbCr").convert("RGB").resize((26, 18), Image.Resampling.NEAREST)
    )
    with Image.open(tmp_path / "out.png") as image:
        assert np.abs(np.asarray(image).astype(int) - np.asarray(wanted)).max() <= 2


@pytest.mark.parametrize("bytes_of_sample", [1, 2])
def test_sgi_of_16_bits_is_told_where_they_are_lost(told: Told, bytes_of_sample: int) -> None:
    data = encoded(colours(), "SGI", bpc=bytes_of_sample)
    assert not told("a.sgi", data, "png")
    assert not told("a.sgi", data, "sgi")
    assert told("a.sgi", data, "webp") == (["holds 8 bits of colour: 16 became 8"] if bytes_of_sample == 2 else [])


def test_ones_of_an_x_bitmap_are_ink(told: Told, tmp_path: Path) -> None:
    """X11's bitmaps are drawn in the foreground, black on white, as ImageMagick and netpbm read them."""
    assert not told("a.xbm", b"#define a_width 8\n#define a_height 2\nstatic char a_bits[] = {\n0x01, 0xFF };\n", "png")
    with Image.open(tmp_path / "out.png") as result:
        black = np.asarray(result)[::2, ::2] == 0
    assert black.tolist() == [[True] + [False] * 7, [True] * 8]


@pytest.mark.parametrize(
    ("white", "primaries", "lines"),
    [
        ((0.3127, 0.329), (0.64, 0.33, 0.3, 0.6, 0.15, 0.06), []),  # as ImageMagick writes into every TIFF
        ((0.3127, 0.329), (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), ["its primaries"]),  # Display P3
        ((0.3457, 0.3585), (0.64, 0.33, 0.3, 0.6, 0.15, 0.06), ["its white point"]),
    ],
)
def test_colours_of_a_tiff_are_told_unless_they_are_those_of_srgb(
    told: Told, white: tuple[float, ...], primaries: tuple[float, ...], lines: list[str]
) -> None:
    def ratios(values: tuple[float, ...]) -> tuple[int, ...]:
        return tuple(part for value in values for part in (round(value * 10000), 10000))

    file = io.BytesIO()
    tags = [(318, 5, 2, ratios(white), True), (319, 5, 6, ratios(primaries), True)]
    tifffile.imwrite(file, np.asarray(colours()), photometric="rgb", extratags=tags)
    found = told("a.tif", file.getvalue(), "png")
    assert found == [f"PNG cannot hold {what}, so colours may look different" for what in lines]


def test_a_psd_whose_picture_is_packed_by_zip_is_refused_with_a_cure(told: Told) -> None:
    data = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 6, 8, 3) + bytes(12) + struct.pack(">H", 2)
    with pytest.raises(ImageError, match=r"a\.psd.*ZIP.*: save it as a TIFF"):
        told("a.psd", data + zlib.compress(bytes(72)), "png")


@pytest.mark.parametrize("ending", ["bmp", "dib", "pcx"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_resolution_that_is_not_told_is_not_made_up(told: Told, mode: str, ending: str, tmp_path: Path) -> None:
    told("a.png", encoded(Image.new(mode, (24, 16)), "PNG"), ending)
    stored = (tmp_path / f"out.{ending}").read_bytes()
    place = {"bmp": slice(38, 46), "dib": slice(24, 32), "pcx": slice(12, 16)}[ending]  # the fields of their heads
    assert not any(stored[place])


def with_parts(png: bytes, *parts: tuple[bytes, bytes]) -> bytes:
    """A PNG with these before its samples."""
    chunks = [struct.pack(">I4s", len(b), k) + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts]
    at = png.index(b"IDAT") - 4
    return png[:at] + b"".join(chunks) + png[at:]


@pytest.mark.parametrize(
    ("image", "stored", "expected"),
    [
        (Image.new("RGB", (9, 9)), (10, 20, 30), (10, 20, 30)),
        (Image.new("RGBA", (9, 9)), (255, 0, 7), (255, 0, 7)),
        (Image.new("L", (9, 9)), (77,), (77,)),
        (Image.new("1", (9, 9)), (1,), (255,)),
        (Image.new("I;16", (9, 9)), (4660,), (4660,)),
        (colours().quantize(4), None, None),
    ],
)
def test_the_background_of_a_png_stays(
    told: Told, image: Image.Image, stored: tuple[int, ...] | None, expected: tuple[int, ...] | None, tmp_path: Path
) -> None:
    if stored is None:  # the number of a colour
        palette = image.getpalette() or []
        data = with_parts(encoded(image, "PNG"), (b"bKGD", b"\2"))
        expected = tuple(palette[6:9])
    else:
        data = with_parts(encoded(image, "PNG"), (b"bKGD", struct.pack(f">{len(stored)}H", *stored)))
    assert told("a.png", data, "png") == []
    result = (tmp_path / "out.png").read_bytes()
    at = result.index(b"bKGD")
    assert at < result.index(b"IDAT")
    found = struct.unpack_from(f">{len(expected or ())}H", result, at + 4)
    assert int.from_bytes(result[at - 4 : at]) == 2 * len(found)
    assert found == expected
    assert subprocess.run([find_ffmpeg(), "-v", "error", "-i", tmp_path / "out.png", "-f", "null", "-"]).returncode == 0


def test_parts_of_a_png_that_hold_no_longer_are_told(told: Told) -> None:
    palette = with_parts(encoded(colours().quantize(2), "PNG"), (b"hIST", bytes(4)))
    assert told("a.png", palette, "png") == ["what its parts hIST hold is left out"]
    few = with_parts(encoded(colours(), "PNG"), (b"sBIT", b"\5\6\5"))
    (line,) = told("a.png", few, "png")
    assert line == "that 6 bits of its samples count (sBIT) is left out: the enlargement uses all"
    assert told("a.png", with_parts(encoded(colours(), "PNG"), (b"sBIT", b"\x08\x08\x08")), "png") == []


@pytest.mark.parametrize(("mode", "stays"), [("P", False), ("L", False), ("RGB", True)])
def test_a_background_goes_where_its_colour_is_one(mode: str, stays: bool, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(
        with_parts(encoded(Image.new("RGB", (9, 9)), "PNG"), (b"bKGD", struct.pack(">3H", 9, 8, 7)))
    )
    with Image.open(tmp_path / "a.png") as source:
        save_like(Image.new(mode, (18, 18)), tmp_path / "out.png", source)
    assert (b"bKGD" in (tmp_path / "out.png").read_bytes()) == stays
    assert imagecodecs.png_decode((tmp_path / "out.png").read_bytes()).shape[:2] == (18, 18)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32])
@pytest.mark.parametrize("ending", ["png", "pgm", "jp2"])
def test_signed_numbers_stay_what_they_are_and_white_is_told(
    dtype: type[np.generic], ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Cubic interpolation goes below black beside an edge: that was refused, after the work."""
    samples = np.zeros((24, 32), dtype)
    samples[4:20, 8:24] = 31000
    tifffile.imwrite(tmp_path / "in.tif", samples)
    target = tmp_path / f"out.{ending}"
    with caplog.at_level(logging.WARNING), Upscaler("bicubic", scale=2) as upscaler:
        upscale_file(tmp_path / "in.tif", target, upscaler)
    result = np.asarray(Image.open(target)).astype(int)
    assert result.shape == (48, 64)
    assert result[24, 32] == 31000
    assert result.min() == result[0, 0] == 0
    assert result.max() > 31000  # beside the edge
    largest = result.max()
    assert f"the largest, {largest}, is {largest / 65535:.0%} of white" in "".join(caplog.messages)


def test_numbers_below_zero_are_refused_before_the_work(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.full((8, 8), -3, np.int16))
    with pytest.raises(ImageError, match="numbers below zero"), Upscaler("bicubic", scale=2) as upscaler:
        upscale_file(tmp_path / "in.tif", tmp_path / "out.png", upscaler)

"""Colour of 16 bits in PNG and TIFF: not a bit lost, and everything beside the pixels kept."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from fakes import nearest
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD

from gimp_bridge import save_like
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.color_profiles import srgb_profile
from sr_plugins.images.exif_block import ExifBlock
from sr_plugins.images.files import upscale_file
from sr_plugins.images.formats import fitted
from sr_plugins.images.tiff_writer import write_tiff

RGB16 = FrameFormat(family="rgb", bits=16)


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def samples(bands: int = 3, height: int = 11, width: int = 17) -> NDArray[np.uint16]:
    """Random colours; alpha, where there is one, is opaque, so that the answer is known exactly."""
    result = np.random.default_rng(bands).integers(0, 65536, (height, width, bands), dtype=np.uint16)
    if bands in (2, 4):
        result[..., -1] = 65535
    return result


def repeated(array: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return array.repeat(2, 0).repeat(2, 1)


def write_png(path: Path, array: NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> None:
    data = imagecodecs.png_encode(array)
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(data[:33] + extra + data[33:])  # right after IHDR


@pytest.mark.parametrize("bands", [2, 3, 4])
def test_png(bands: int, tmp_path: Path, repeat: Upscaler) -> None:
    write_png(tmp_path / "in.png", samples(bands))
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    assert np.array_equal(imagecodecs.png_decode((tmp_path / "out.png").read_bytes()), repeated(samples(bands)))


def test_gray_png_and_tiff(tmp_path: Path, repeat: Upscaler) -> None:
    gray = samples(1)[..., 0]
    for name in ("in.png", "in.tif"):
        Image.fromarray(gray).save(tmp_path / name)
        for out in ("out.png", "out.tif"):
            upscale_file(tmp_path / name, tmp_path / out, repeat)
            with Image.open(tmp_path / out) as image:
                assert image.mode.startswith("I;16")
                assert np.array_equal(np.asarray(image), repeated(gray))


@pytest.mark.parametrize("bands", [1, 3])
def test_transparent_colour_of_a_deep_png(bands: int, tmp_path: Path, repeat: Upscaler) -> None:
    array = samples(bands)
    array[:, 8:] = 1234
    write_png(tmp_path / "in.png", array.squeeze(), (b"tRNS", struct.pack(">H", 1234) * bands))
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    result = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())
    assert result.shape == (22, 34, bands + 1)
    assert (result[:, :10, -1].min(), result[:, 22:, -1].max()) == (65535, 0)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib", "predictor": True, "byteorder": ">"},
        {"compression": "zstd", "tile": (16, 16)},
        {"compression": "packbits", "rowsperstrip": 3},
    ],
)
@pytest.mark.parametrize("bands", [3, 4])
def test_tiff(bands: int, layout: dict[str, Any], tmp_path: Path, repeat: Upscaler) -> None:
    extra = {"extrasamples": ["unassalpha"]} if bands == 4 else {}
    tifffile.imwrite(tmp_path / "in.tif", samples(bands), photometric="rgb", metadata=None, **extra, **layout)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), repeated(samples(bands)))
    with Image.open(tmp_path / "out.tif") as image:  # libtiff reads it as well
        image.load()
        assert (image.mode, image.size) == ("RGB" if bands == 3 else "RGBA", (34, 22))
        assert np.abs(np.asarray(image) - repeated(samples(bands)) / 257).max() <= 1


def test_tiff_of_separate_planes(tmp_path: Path, repeat: Upscaler) -> None:
    planes = np.moveaxis(samples(), 2, 0)
    tifffile.imwrite(tmp_path / "in.tif", planes, photometric="rgb", planarconfig="separate", metadata=None)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), repeated(samples()))


def test_premultiplied_tiff_becomes_straight(tmp_path: Path, repeat: Upscaler) -> None:
    half = np.zeros((6, 6, 4), np.uint16)
    half[...] = (20000, 10000, 0, 32768)
    tifffile.imwrite(tmp_path / "in.tif", half, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    result = tifffile.imread(tmp_path / "out.tif").astype(int)
    assert np.abs(result - (39999, 20000, 0, 32768)).max() <= 1


def test_pages_of_eight_and_sixteen_bits_stay_so(tmp_path: Path, repeat: Upscaler) -> None:
    deep, shallow = samples(3), (samples(3, 7, 5) >> 8).astype(np.uint8)
    for pages in ([deep, shallow], [shallow, deep]):
        with tifffile.TiffWriter(tmp_path / "in.tif") as writer:
            for page in pages:
                writer.write(page, photometric="rgb", metadata=None)
        upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
        with tifffile.TiffFile(tmp_path / "out.tif") as result:
            for page, page_out in zip(pages, result.pages, strict=True):
                assert page_out.dtype == page.dtype
                assert np.array_equal(page_out.asarray(), page.repeat(2, 0).repeat(2, 1))


def test_pages(tmp_path: Path, repeat: Upscaler) -> None:
    pages = [samples(3), samples(4, 7, 5)]
    with tifffile.TiffWriter(tmp_path / "in.tif") as writer:
        for page in pages:
            extra = {"extrasamples": ["unassalpha"]} if page.shape[2] == 4 else {}
            writer.write(page, photometric="rgb", metadata=None, **extra)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    with tifffile.TiffFile(tmp_path / "out.tif") as result:
        for page, written in zip(pages, result.pages, strict=True):
            assert np.array_equal(written.asarray(), repeated(page))


@pytest.mark.parametrize("out", [".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_metadata_and_orientation(out: str, orientation: int, tmp_path: Path, repeat: Upscaler) -> None:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = orientation, "Acme"
    tags[IFD.Exif] = {0x9003: "2024:05:06 07:08:09"}
    deep = Frame(list(np.moveaxis(samples(), 2, 0)), RGB16)
    with (tmp_path / "in.tif").open("w+b") as file:
        exif = Image.Exif()
        exif.load(tags.tobytes())
        write_tiff(
            file, [(deep, {"exif": ExifBlock(exif.tobytes()), "icc_profile": srgb_profile(), "dpi": (300, 300)})]
        )
    write_png(
        tmp_path / "in.png", samples(), (b"eXIf", tags.tobytes()[6:]), (b"pHYs", struct.pack(">IIb", 11811, 11811, 1))
    )
    method = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)  # Image.Transpose
    numbers = Image.fromarray(np.arange(11 * 17, dtype=np.int32).reshape(11, 17))
    order = np.asarray(numbers if method is None else numbers.transpose(Image.Transpose(method)))
    upright = samples().reshape(-1, 3)[order]  # as Pillow would turn it
    for source in ("in.tif", "in.png"):
        upscale_file(tmp_path / source, target := tmp_path / f"out{out}", repeat)
        deep_result = tifffile.imread(target) if out == ".tif" else imagecodecs.png_decode(target.read_bytes())
        assert np.array_equal(deep_result, repeated(upright))
        with Image.open(target) as image:
            found = image.getexif()
            assert found.get(0x0112, 1) == 1
            assert found[0x010F] == "Acme"
            assert found.get_ifd(IFD.Exif)[0x9003] == "2024:05:06 07:08:09"
            assert np.allclose(image.info["dpi"], (300, 300), atol=0.1)
            assert (image.info.get("icc_profile") == srgb_profile()) == (source == "in.tif")


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".avif", ".bmp"])
def test_eight_bit_formats_get_rounded_samples(ending: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (1, 1))
    value = np.full((8, 8), 129 * 257 - 100, np.uint16)
    save_like(Frame([value] * 3, RGB16), tmp_path / f"out{ending}", image)
    with Image.open(tmp_path / f"out{ending}") as result:
        pixel = result.convert("RGB").getpixel((4, 4))
    assert np.abs(np.subtract(pixel, 129)).max() <= (0 if ending == ".bmp" else 2)  # type: ignore[arg-type]


def test_sixteen_bit_gray_fits_eight() -> None:
    image = Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16))
    assert fitted(image, "JPEG", Path("x.jpg")).tobytes() == bytes([0, 0, 1, 255])


@pytest.mark.parametrize("name", ["in.png", "in.tif"])
def test_damaged_files(name: str, tmp_path: Path, repeat: Upscaler) -> None:
    path = tmp_path / name
    if name == "in.png":
        write_png(path, samples(3, 40, 40))
    else:
        tifffile.imwrite(path, samples(3, 40, 40), photometric="rgb", compression="zlib", metadata=None)
    whole = path.read_bytes()
    for part in (0.3, 0.7, 0.95):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ImageError, match=name) as told:
            upscale_file(path, tmp_path / "out.png", repeat)
        assert "\n" not in str(told.value)
    assert not (tmp_path / "out.png").exists()


def test_pages_together_may_be_a_bomb(tmp_path: Path, repeat: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    with tifffile.TiffWriter(tmp_path / "in.tif") as writer:
        for _ in range(4):
            writer.write(samples(3, 20, 20), photometric="rgb", metadata=None)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    with pytest.raises(ImageError, match="1600 pixels on all pages"):
        upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"])
def test_writer_against_libtiff(mode: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    size = {"LA": 2, "RGB": 3, "LAB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 1)
    if mode in ("I", "F", "I;16"):
        dtype = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        image = Image.fromarray((rng.random((1000, 1200)) * 60000).astype(dtype))
    else:
        image = Image.frombytes(mode, (1200, 1000), rng.bytes(1200 * 1000 * size))
    data = io.BytesIO()
    write_tiff(data, [(image, {"dpi": (72, 72)})] * 2)
    with Image.open(data) as result:
        assert result.n_frames == 2  # type: ignore[attr-defined]
        result.seek(1)
        assert (result.mode, result.size) == (image.mode, image.size)
        assert result.tobytes() == image.tobytes()
    assert len(tifffile.TiffFile(io.BytesIO(data.getvalue())).pages[0].dataoffsets) > 1  # several strips


@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
def test_portable_maps_of_10_bits(kind: bytes, tmp_path: Path) -> None:
    """Into every format: Pillow makes 32-bit samples of gray ones, and 8-bit ones of colours."""
    bands = 3 if kind in (b"P3", b"P6") else 1
    samples = (np.arange(24 * bands).reshape(4, 6, bands) * 13 % 1024).astype(np.uint16)
    body = samples.astype(">u2").tobytes() if kind in (b"P5", b"P6") else " ".join(map(str, samples.flat)).encode()
    (tmp_path / "in.pnm").write_bytes(kind + b" # ten bits\n6 4\n1023\n" + body)
    full = ((samples.astype(np.uint32) * 65535 + 511) // 1023).repeat(2, 0).repeat(2, 1)
    with Upscaler(nearest(channels="rgb")) as repeat:
        for ending in ("pgm", "ppm") if bands == 1 else ("ppm",):
            upscale_file(tmp_path / "in.pnm", tmp_path / f"out.{ending}", repeat)
            stored = (tmp_path / f"out.{ending}").read_bytes()
            assert stored.startswith(b"P5" if bands == 1 else b"P6")
            larger = np.frombuffer(stored[-full.size * 2 :], ">u2").reshape(full.shape)
            assert np.array_equal(larger, full)
        upscale_file(tmp_path / "in.pnm", tmp_path / "out.jpg", repeat)
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.mode == ("L" if bands == 1 else "RGB")


def _interlaced(samples: np.ndarray, colour: int, clear: bytes) -> bytes:
    """PNG third edition, 8.2: seven passes."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    lines = b""
    for left, top, right, below in passes:
        part = samples[top::below, left::right]
        lines += b"".join(b"\0" + row.astype(">u2").tobytes() for row in part if row.size)
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour, 0, 0, 1)
    chunks = [(b"IHDR", head), *([(b"tRNS", clear)] if clear else []), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (13, 11)])
@pytest.mark.parametrize(("colour", "bands", "clear"), [(0, 1, 2), (2, 3, 0), (2, 3, 6), (4, 2, 0), (6, 4, 0)])
def test_interlaced_pictures_are_read_in_silence(
    size: tuple[int, int], colour: int, bands: int, clear: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = np.random.default_rng(colour).integers(0, 65536, (*size, bands)).astype(np.uint16)
    key = samples[0, 0].astype(">u2").tobytes() if clear else b""
    (tmp_path / "a.png").write_bytes(_interlaced(samples, colour, key))
    with Upscaler("nearest", scale=1) as upscaler:
        upscale_file(tmp_path / "a.png", tmp_path / "b.png", upscaler)
    found = np.asarray(imagecodecs.png_decode((tmp_path / "b.png").read_bytes())).reshape(*size, -1)
    visible = (samples != samples[0, 0]).any(axis=2) if clear else np.ones(size, bool)
    assert np.array_equal(found[..., :bands], samples)
    if clear:
        assert np.array_equal(found[..., -1] > 0, visible)
    assert capfd.readouterr().err == ""

"""What no enlargement holds is told: parts of cameras and editors, what follows the picture, messages of codecs."""

import io
import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fakes import nearest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import in_letters
from sr_plugins.images.files import upscale_file


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, tmp_path: Path, repeat: Upscaler):
    def told(name: str, data: bytes, target: str = "out.png") -> str:
        (tmp_path / name).write_bytes(data)
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            upscale_file(tmp_path / name, tmp_path / target, repeat)
        return "\n".join(caplog.messages)

    return told


def jpeg(*segments: tuple[int, bytes], behind: bytes = b"", **arguments: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(file, "JPEG", **arguments)
    data = file.getvalue()
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return data[:2] + added + data[2:] + behind


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, "PNG")
    data = file.getvalue()
    added = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return data[:33] + added + data[33:]


@pytest.mark.parametrize(
    ("marker", "body", "name"),
    [
        (0xE1, b"FLIR\0\1\0\0thermal", "FLIR (APP1)"),
        (0xE1, b"QVCI\0\0casio", "QVCI (APP1)"),
        (0xE2, b"FPXR\0\0\1", "FPXR (APP2)"),
        (0xE5, b"RMETA\0\0", "RMETA (APP5)"),
        (0xE6, b"GoPro\0GPMF", "GoPro (APP6)"),
        (0xE9, b"\1\2\3", "APP9"),
        (0xEB, b"JP\0\1\0\0\0\1jumb....c2pa", "content credentials (C2PA)"),
        (0xEC, b"Ducky\0\2\0\x0e\0\0\0\5h\0e\0l\0l\0o\0\0", "Ducky (APP12)"),
    ],
)
def test_segments_of_cameras_and_editors(marker: int, body: bytes, name: str, told) -> None:
    assert name in told("in.jpg", jpeg((marker, body)))
    assert name in told("in.jpg", jpeg((marker, body)), "out.jpg")


@pytest.mark.parametrize("progressive", [False, True])
def test_ordinary_jpegs_need_no_word(progressive: bool, told) -> None:
    known = (0xEE, b"Adobe\0d\0\0\0\0\1"), (0xEC, b"Ducky\0\1\0\4\0\0\0P\0\0"), (0xED, b"Adobe_CM\0\2")
    data = jpeg(*known, progressive=progressive, comment=b"made by hand", dpi=(300, 300), behind=b"\0\0\xff" * 200)
    assert told("in.jpg", data, "out.jpg") == ""


@pytest.mark.parametrize("progressive", [False, True])
def test_what_follows_the_picture(progressive: bool, told) -> None:
    assert "8 bytes behind the picture" in told("in.jpg", jpeg(behind=b"AFCP-IPT", progressive=progressive))


def encoded(format: str, image: Image.Image, **arguments: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **arguments)
    return file.getvalue()


def psd(compression: int) -> bytes:
    """A flat picture of 20 x 10 as Photoshop writes it: head, no palette, no resources, no layers, then the samples."""
    head = struct.pack(">4sH6sHIIHH", b"8BPS", 1, b"", 3, 10, 20, 8, 3) + bytes(12)
    row = bytes((256 - 19, 200))  # PackBits: one byte 20 times
    rows = [row] * 30
    body = bytes(600) if compression == 0 else struct.pack(">30H", *map(len, rows)) + b"".join(rows)
    return head + struct.pack(">H", compression) + body


FRAMES = [Image.new("P", (20, 10), colour) for colour in (1, 2)]
WHOLE = {
    "png": encoded("PNG", Image.new("RGB", (20, 10), "red")),
    "gif": encoded("GIF", FRAMES[0], save_all=True, append_images=FRAMES[1:], comment=b"; a trap"),
    "webp": encoded("WEBP", Image.new("RGB", (21, 11), "red"), lossless=True),
    "psd": psd(1),
    "raw.psd": psd(0),
}


@pytest.mark.parametrize("ending", WHOLE)
def test_what_follows_pictures_of_other_formats(ending: str, told) -> None:
    """Photo Mechanic, for one, keeps its notes behind the end of a PSD."""
    target = "out.gif" if ending == "gif" else "out.png"
    assert "behind" not in told(f"in.{ending}", WHOLE[ending], target)
    assert "14 bytes behind the picture" in told(f"in.{ending}", WHOLE[ending] + b"notes of a cat", target)


def test_a_thumbnail_within_is_not_the_end(told) -> None:
    """The end marker of a picture within a segment is not that of the picture."""
    thumbnail = b"\0\0" + jpeg()
    assert "behind" not in told("in.jpg", jpeg((0xE9, thumbnail)))


def test_chunks_of_a_png(told) -> None:
    assert "content credentials (C2PA)" in told("in.png", png((b"caBX", b"jumbf")))
    assert "teST" in told("in.png", png((b"teST", b"anything"), (b"gAMA", struct.pack(">I", 45455))))
    assert told("in.png", png((b"bKGD", b"\0\1\0\1\0\1"), (b"tIME", b"\x07\xe8\1\1\0\0\0"))) == ""


def test_large_texts_of_a_png_stay(told, tmp_path: Path) -> None:
    """Pillow alone refuses more than a megabyte of unpacked text."""
    words = "word " * 400_000
    assert told("in.png", png((b"zTXt", b"Comment\0\0" + zlib.compress(words.encode())))) == ""
    with Image.open(tmp_path / "out.png") as result:
        assert result.info["Comment"] == words


def test_texts_without_an_end_are_left_out(told, tmp_path: Path) -> None:
    assert PngImagePlugin.MAX_TEXT_CHUNK < 1 << 26
    told_of_it = told("in.png", png((b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 27)))))
    assert "its damaged parts zTXt are left out" in told_of_it
    with Image.open(tmp_path / "out.png") as result:
        assert "Comment" not in result.info


def damaged_tiff(folder: Path, compression: str) -> bytes:
    path = folder / "whole.tif"
    noise = np.random.default_rng(0).normal(128, 80, (150, 200))  # the same every time: some damage decodes by chance
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    (image.convert("1") if compression == "group4" else image).save(path, compression=compression)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at, size = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data[at + size // 2 : at + size // 2 + 40] = b"\xff\0" * 20
    return bytes(data)


def test_libtiffs_words_become_a_line_about_the_file(told, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A fax with a bad line is decoded by guesses: libtiff prints that without a name, and Pillow says nothing."""
    line = told("fax.tif", damaged_tiff(tmp_path, "group4"))
    assert "fax.tif is damaged in places" in line
    assert "Bad code word" in line
    assert "code word" not in capfd.readouterr().err


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate"])
def test_a_tiff_that_cannot_be_decoded_is_refused_in_one_line(
    compression: str, told, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ImageError, match=r"in\.tif is damaged: (?!decoder error)\w"):
        told("in.tif", damaged_tiff(tmp_path, compression))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["exif", "iptc", "xmp", "APP1"])
@pytest.mark.parametrize("text", ["\nexif\n  9\n45786x", "exif", "\n\n\n", "\na\n99999999999999999999999\n4578\n"])
def test_a_profile_in_a_text_that_cannot_be_read_is_told(kind: str, text: str, told) -> None:
    line = told("in.png", png((b"tEXt", f"Raw profile type {kind}\0{text}".encode())))
    assert f"its 'Raw profile type {kind}' is damaged and left out" in line


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("head", [b"", b"Exif\0\0"])
def test_exif_in_imagemagicks_profile_stays(order: str, head: bytes, told, tmp_path: Path) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    artist = struct.pack(order + "HHI4s", 0x013B, 2, 4, b"Eva\0")
    block = mark + struct.pack(order + "IH", 8, 1) + artist + bytes(4)
    text = b"\nexif\n%8d\n%s\n" % (len(head + block), (head + block).hex().encode())
    assert told("in.png", png((b"tEXt", b"Raw profile type exif\0" + text))) == ""
    with Image.open(tmp_path / "out.png") as result:
        assert result.getexif()[0x013B] == "Eva"
        assert result.info["exif"].removeprefix(b"Exif\0\0").startswith(mark)


@pytest.mark.parametrize("code", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("marked", [False, True])
def test_xmp_of_every_encoding_is_made_true(code: str, marked: bool, told, tmp_path: Path) -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Artist="Möwe"'
        ' tiff:ImageWidth="40"/></rdf:RDF></x:xmpmeta>'
    )
    body = (("\ufeff" if marked else "") + packet).encode(code)
    assert told("in.jpg", jpeg((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + body)), "out.jpg") == ""
    with Image.open(tmp_path / "out.jpg") as result:
        kept = result.info["xmp"].decode("utf-8")
    assert 'tiff:ImageWidth="80"' in kept
    assert "Möwe" in kept


def test_names_of_parts_move_no_cursor() -> None:
    assert in_letters(b"a\x1b[2J\xff ") == "a?[2J?"


def with_tags(folder: Path, *tags: tuple[int, object, int, object, bool]) -> bytes:
    tifffile.imwrite(folder / "tags.tif", np.full((10, 20, 3), 9, np.uint8), photometric="rgb", extratags=tags)
    return (folder / "tags.tif").read_bytes()


@pytest.mark.parametrize("target", ["out.tif", "out.jpg"])
def test_tags_of_raw_sensors_are_told_and_others_stay(target: str, told, tmp_path: Path) -> None:
    """A developed TIFF may still have what a raw file had; the camera's own words and unknown tags go along."""
    matrix = (50721, "2i", 9, (1, 1) * 9, True)
    camera, lens = (50708, "s", 0, "Acme One", True), (50736, "2I", 4, (24, 1, 70, 1, 28, 10, 40, 10), True)
    own, microscope = (65001, "s", 0, "an own note", True), (51123, "s", 0, '{"PixelSize": 1}', True)
    line = told("in.tif", with_tags(tmp_path, camera, matrix, lens, own, microscope), target)
    assert line.count("tags of a camera's sensor (DNG) are left out") == 1
    with Image.open(tmp_path / target) as result:
        tags = result.tag_v2 if target == "out.tif" else result.getexif()
        assert tags[50708].rstrip("\0") == "Acme One"
        assert tags[65001].rstrip("\0") == "an own note"
        assert tags[51123].rstrip("\0") == '{"PixelSize": 1}'
        assert [float(value) for value in tags[50736]] == [24, 70, 2.8, 4]
        assert 50721 not in tags


@pytest.mark.parametrize(
    ("tag", "word"),
    [(37724, "Photoshop's layers"), (50839, "ImageJ's labels"), (50909, "GEO_METADATA"), (52545, "C2PA")],
)
def test_tags_that_tell_of_the_smaller_picture(tag: int, word: str, told, tmp_path: Path) -> None:
    line = told("in.tif", with_tags(tmp_path, (tag, "B", 12, b"anything 123", True)), "out.tif")
    assert word in line
    with Image.open(tmp_path / "out.tif") as result:
        assert tag not in result.tag_v2


def test_a_directory_of_a_private_tag_is_told(told, tmp_path: Path) -> None:
    assert "tag 65002" in told("in.tif", with_tags(tmp_path, (65002, 13, 1, 8, True)), "out.tif")


@pytest.mark.parametrize(
    "head", [b"P5\n4 2\n255\n", b"P5 # two\n4\n# lines\n2 1023\n", b"P6\n2 1\n255\n", b"P4\n9 2\n"]
)
def test_further_pictures_of_a_portable_map(head: bytes, told) -> None:
    size = {b"P5\n": 8, b"P5 ": 16, b"P6\n": 6, b"P4\n": 4}[head[:3]]
    one = head + bytes(range(65, 65 + size))
    assert "behind" not in told("in.pnm", one)
    assert f"{len(one)} bytes behind the picture" in told("in.pnm", one * 2)


@pytest.mark.parametrize(
    ("at", "value", "line"),
    [
        (28, 1, ""),
        (28, 5, "its smaller versions (mipmaps) are left out"),
        (112, 0xFE00, "the other faces of the cube are left out"),
        (112, 0x200000, "the further layers of the texture are left out"),
    ],
)
def test_surfaces_of_a_texture(told, at: int, value: int, line: str) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (8, 8), (9, 80, 200, 255)).save(file, "DDS")
    data = bytearray(file.getvalue())
    struct.pack_into("<I", data, at, value)
    found = told("a.dds", bytes(data))
    assert found.endswith(line) if line else not found


def test_smaller_pictures_of_an_apple_icon(told) -> None:
    file = io.BytesIO()
    small, smaller = Image.new("RGBA", (32, 32), (9, 80, 200, 255)), Image.new("RGBA", (16, 16), (9, 80, 200, 255))
    bodies = []
    for kind, image in ((b"icp5", small), (b"icp4", smaller)):
        file = io.BytesIO()
        image.save(file, "PNG")
        bodies.append(kind + struct.pack(">I", 8 + len(file.getvalue())) + file.getvalue())
    whole = b"icns" + struct.pack(">I", 8 + sum(map(len, bodies))) + b"".join(bodies)
    assert "smaller pictures of the icon are left out" in told("a.icns", whole)


def test_light_above_white_in_jpeg_xl(told) -> None:
    pytest.importorskip("pillow_jxl", reason="the extra formats")
    import imagecodecs

    light = np.linspace(0, 2, 8 * 8 * 3).astype(np.float32).reshape(8, 8, 3)
    encode = imagecodecs.jpegxl_encode
    assert "brighter than white" in told("a.jxl", bytes(encode(light, lossless=True, perceptualheuristics=False)))
    assert "brighter" not in told("b.jxl", bytes(encode(light / 2, lossless=True, perceptualheuristics=False)))


def flic(frames: NDArray[np.uint8]) -> bytes:
    """An FLI animation of gray frames (number, height, width), a palette in the first and each frame whole."""

    def chunk(kind: int, data: bytes) -> bytes:
        return struct.pack("<IH", 6 + len(data), kind) + data

    gray = bytes(level // 4 for level in range(256) for _ in range(3))
    body = b""
    for number, frame in enumerate(frames):
        parts = ([chunk(11, struct.pack("<HBB", 1, 0, 0) + gray)] if number == 0 else []) + [chunk(16, frame.tobytes())]
        inner = b"".join(parts)
        body += struct.pack("<IHH8x", 16 + len(inner), 0xF1FA, len(parts)) + inner
    count, height, width = frames.shape
    head = struct.pack("<IHHHHHHI", 128 + len(body), 0xAF11, count, width, height, 8, 3, 7)  # 7 times 1/70 s
    return head.ljust(128, b"\0") + body


def test_every_frame_of_a_flic_goes_along(tmp_path: Path, repeat: Upscaler) -> None:
    frames = np.random.default_rng(3).integers(0, 64, (3, 8, 16)).astype(np.uint8) * 4
    (tmp_path / "in.fli").write_bytes(flic(frames))
    for ending in ("png", "gif"):
        upscale_file(tmp_path / "in.fli", tmp_path / f"out.{ending}", repeat)
        with Image.open(tmp_path / f"out.{ending}") as result:
            assert (result.n_frames, result.info.get("loop")) == (3, 0)  # type: ignore[attr-defined]
            for number, frame in enumerate(frames):
                result.seek(number)
                assert round(result.info["duration"]) == 100
                np.testing.assert_array_equal(np.asarray(result.convert("L"))[::2, ::2], frame)
    with pytest.raises(ImageError, match="3 frames of an animation do not go into TIFF"):
        upscale_file(tmp_path / "in.fli", tmp_path / "out.tif", repeat)


def test_further_pages_of_old_formats_are_told(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    pages = []
    for colour in ("red", "green", "blue"):
        page = io.BytesIO()
        Image.new("RGB", (20, 12), colour).save(page, "PCX")
        pages.append(page.getvalue())
    places = [20 + sum(map(len, pages[:number])) for number in range(3)]
    (tmp_path / "fax.dcx").write_bytes(struct.pack("<5I", 0x3ADE68B1, *places, 0) + b"".join(pages))
    head = b"Image type: Greyscale image\r\nFile size (no of images): 2\r\nImage size (x*y): 9*8\r\n"
    (tmp_path / "two.im").write_bytes(head.ljust(511, b"\0") + b"\x1a" + bytes(2 * 9 * 8))
    for name, told in (
        ("fax.dcx", "2 pictures behind the first one are"),
        ("two.im", "1 picture behind the first one is"),
    ):
        with caplog.at_level(logging.WARNING):
            upscale_file(tmp_path / name, tmp_path / "out.png", repeat)
        assert f"{name}: {told}" in caplog.text

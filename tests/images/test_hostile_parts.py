"""Parts of picture files that say impossible things: they cost themselves, or one line, and never more than that."""

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import nearest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import SRError
from sr_plugins.images.files import upscale_file
from sr_plugins.images.own_formats import deep_pixmap
from sr_plugins.images.photoshop import resources_of
from sr_plugins.images.placement import Placement

LARGEST = (1 << 31) - 1
# what a body may be: nothing, too little, and the numbers at which arithmetic ends
BODIES = {
    "empty": b"",
    "short": b"\1",
    "zeros": bytes(40),
    "ones": b"\xff" * 40,
    "largest": struct.pack(">10i", *[LARGEST] * 10),
    "text": b"all work and no play\0makes Jack a dull boy\0\0\0",
}
CHUNKS = (
    *("cHRM", "gAMA", "sRGB", "cICP", "mDCV", "cLLI", "iCCP", "pHYs", "bKGD", "sBIT", "eXIf", "tEXt", "zTXt", "iTXt"),
    *("tRNS", "tIME", "acTL", "fcTL", "sPLT", "hIST", "oFFs"),
)
SEGMENTS = {
    "JFIF": (0xE0, b"JFIF\0"),
    "EXIF little endian": (0xE1, b"Exif\0\0II*\0"),
    "EXIF big endian": (0xE1, b"Exif\0\0MM\0*"),
    "XMP": (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    "extended XMP": (0xE1, b"http://ns.adobe.com/xmp/extension/\0"),
    "ICC": (0xE2, b"ICC_PROFILE\0\1\1"),
    "ICC, the second of none": (0xE2, b"ICC_PROFILE\0\2\0"),
    "multi-picture": (0xE2, b"MPF\0II*\0"),
    "ISO gain map": (0xE2, b"urn:iso:std:iso:ts:21496:-1\0"),
    "Photoshop": (0xED, b"Photoshop 3.0\0"),
    "guides": (0xED, b"Photoshop 3.0\x008BIM" + struct.pack(">HHI", 1032, 0, 40)),
    "resolution": (0xED, b"Photoshop 3.0\x008BIM" + struct.pack(">HHI", 1005, 0, 40)),
    "IPTC": (0xED, b"Photoshop 3.0\x008BIM" + struct.pack(">HHI", 1028, 0, 40)),
    "Adobe": (0xEE, b"Adobe\0"),
    "comment": (0xFE, b""),
}
TARGETS = ("png", "jpg", "tiff", "webp", "gif")  # of AVIF an encoder would take most of the time


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(2, "rgb"), device="cpu") as upscaler:
        yield upscaler


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8))


def stored(picture: Image.Image, format: str) -> bytes:
    data = io.BytesIO()
    picture.save(data, format)
    return data.getvalue()


def with_chunk(png: bytes, kind: str, body: bytes) -> bytes:
    """The file with a further chunk behind its head."""
    name = kind.encode()
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + chunk + png[33:]


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


def check(path: Path, target: Path, upscaler: Upscaler) -> str:
    """Enlarge; a whole picture came out, or one line names the file. The line, or nothing."""
    target.unlink(missing_ok=True)
    told = ""
    try:
        upscale_file(path, target, upscaler)
    except SRError as error:
        told = str(error)
    assert target.exists() == (not told)
    if told:
        assert str(path) in told
        assert "\n" not in told
        assert "format requires" not in told  # struct's words for what nobody thought of
    else:
        with Image.open(target) as image:
            image.load()
            assert image.size in ((26, 18), (18, 26))
    return told


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of what it reads
@pytest.mark.parametrize("kind", CHUNKS)
def test_no_chunk_of_a_png_costs_more_than_itself(
    kind: str, picture: Image.Image, tmp_path: Path, repeat: Upscaler
) -> None:
    png = stored(picture, "PNG")
    targets = itertools.cycle(TARGETS)
    for body in BODIES.values():
        (tmp_path / "in.png").write_bytes(with_chunk(png, kind, body))
        check(tmp_path / "in.png", tmp_path / f"out.{next(targets)}", repeat)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("marker", "head"), SEGMENTS.values(), ids=SEGMENTS)
def test_no_segment_of_a_jpeg_costs_the_picture(
    marker: int, head: bytes, picture: Image.Image, tmp_path: Path, repeat: Upscaler
) -> None:
    jpeg = stored(picture, "JPEG")
    targets = itertools.cycle(TARGETS)
    for body in BODIES.values():
        (tmp_path / "in.jpg").write_bytes(with_segment(jpeg, marker, head + body))
        told = check(tmp_path / "in.jpg", tmp_path / f"out.{next(targets)}", repeat)
        # Adobe's says how colours are stored; a JFIF head without a version is none that Pillow reads
        assert marker in (0xE0, 0xEE) or not told, told


def resource(number: int, content: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + b"\0" * (len(content) % 2)


@pytest.mark.parametrize(
    ("place", "moved"), [(0, 0), (32 * 5, 32 * 10), (-64, -128), (LARGEST, LARGEST), (-LARGEST - 1, -LARGEST)]
)
def test_guides_move_with_the_picture_and_end_at_the_largest_number(
    place: int, moved: int, picture: Image.Image
) -> None:
    """A guide lies at 32nds of a pixel (Adobe Photoshop File Formats Specification, grid and guides)."""
    head = struct.pack(">IIII", 1, 576, 576, 2)
    guides = resource(1032, head + struct.pack(">iB", place, 0) + struct.pack(">iB", place, 1))
    data = with_segment(stored(picture, "JPEG"), 0xED, b"Photoshop 3.0\0" + guides)
    with Image.open(io.BytesIO(data)) as source:
        found, told = resources_of(source, None, Placement((13, 9), 1, (26, 18)))
    assert found == resource(1032, head + struct.pack(">iB", moved, 0) + struct.pack(">iB", moved, 1))
    assert told == []


def test_guides_and_paths_of_a_picture_that_is_turned_are_left_out_and_told(picture: Image.Image) -> None:
    parts = resource(1032, bytes(16)) + resource(2000, bytes(26)) + resource(1034, b"\1")
    data = with_segment(stored(picture, "JPEG"), 0xED, b"Photoshop 3.0\0" + parts)
    with Image.open(io.BytesIO(data)) as source:
        found, told = resources_of(source, None, Placement((13, 9), 6, (18, 26)))
    assert found == resource(1034, b"\1")
    assert told == ["paths and guides are left out, because the picture was turned"]


MAPS = {
    "pixmap of 12 bits, cut off": b"P6\n13 9\n4095\n" + bytes(100),
    "pixmap without samples": b"P6\n13 9\n65535\n",
    "graymap of 16 bits, cut off": b"P5\n13 9\n65535\n" + bytes(100),
    "float map, cut off": b"PF\n13 9\n-1.0\n" + bytes(100),
    "pixmap of more pixels than there are": b"P6\n999999999 999999999\n4095\n" + bytes(100),
    "pixmap of no pixels": b"P6\n0 9\n4095\n",
    "pixmap without white": b"P6\n13 9\n0\n" + bytes(13 * 9 * 3),
}


@pytest.mark.parametrize("content", MAPS.values(), ids=MAPS)
def test_a_map_that_is_not_whole_is_one_line(content: bytes, tmp_path: Path, repeat: Upscaler) -> None:
    ending = {b"P6": "ppm", b"P5": "pgm", b"PF": "pfm"}[content[:2]]
    (tmp_path / f"in.{ending}").write_bytes(content)
    for target in ("png", "tiff"):
        assert check(tmp_path / f"in.{ending}", tmp_path / f"out.{target}", repeat)


@pytest.mark.parametrize("white", [256, 1000, 4095, 65535])
def test_a_deep_pixmap_becomes_16_bits_by_its_white(white: int, tmp_path: Path) -> None:
    """Whatever the number of white, black and white of 16 bits come out, and what lies between in proportion."""
    levels = np.linspace(0, white, 24).round().astype(int)
    samples = levels.repeat(3).astype(">u2")
    comments = b"P6 # a comment\n#another\n 24\t1 %d\n" % white
    (tmp_path / "in.ppm").write_bytes(comments + samples.tobytes())
    found = deep_pixmap(tmp_path / "in.ppm")
    assert found is not None
    assert found.shape == (1, 24, 3)
    assert np.abs(found[0, :, 0] - levels * 65535 / white).max() <= 0.5
    assert found.min() == 0
    assert found.max() == 65535


def test_samples_beyond_a_maps_white_are_white(tmp_path: Path) -> None:
    stored = np.array([[0, 100, 1023, 2000, 65535]], ">u2")
    (tmp_path / "in.pgm").write_bytes(b"P5 5 1 1023\n" + stored.tobytes())
    found = deep_pixmap(tmp_path / "in.pgm")
    assert found is not None
    with Image.open(tmp_path / "in.pgm") as image:
        assert found[..., 0].tolist() == np.asarray(image).tolist() == [[0, 6406, 65535, 65535, 65535]]

"""Gain maps behind photos: found by both indexes, turned and enlarged, and found again by Pillow's own reader."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from fakes import nearest
from PIL import Image, ImageSequence

from sr_plugins import Upscaler
from sr_plugins.images.exif_block import LONG, UNDEFINED, compiled, field_of
from sr_plugins.images.files import upscale_file
from sr_plugins.images.gain_map import ISO, gain_map_of, segments_of, stored_map
from sr_plugins.images.jpeg_segments import jpeg_segment
from sr_plugins.images.placement import Placement
from sr_plugins.images.upright import turned_by

XMP = b"http://ns.adobe.com/xap/1.0/\0"
NOTED = b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
APPLE = b'<a xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/" b="urn:com:apple:photo:2020:aux:hdrgainmap"/>'


def coded(picture: np.ndarray, *segments: bytes) -> bytes:  # type: ignore[type-arg]
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    data = file.getvalue()
    return data[:2] + b"".join(segments) + data[2:]


def ramps(height: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    """Bright at the right and, less so, at the bottom: no turn looks like another."""
    y, x = np.mgrid[0:height, 0:width]
    return (20 + 150 * x / width + 60 * y / height).astype(np.uint8)


PHOTO, MAP = np.stack([ramps(40, 64)] * 3, -1), ramps(10, 16)
NOTES = {
    "Adobe": jpeg_segment(0xE1, XMP + NOTED),
    "ISO": jpeg_segment(0xE2, ISO + bytes(40)),
    "Apple": jpeg_segment(0xE1, XMP + APPLE),
}


def indexed(order: str, note: str, *further: bytes) -> bytes:
    """A photo with its map behind it, by an index (CIPA DC-007) of either byte order."""
    behind = coded(MAP, NOTES[note])

    def index(first: int, offset: int) -> bytes:
        rows = struct.pack(order + "IIIHH", 0x030000, first, 0, 0, 0)
        rows += struct.pack(order + "IIIHH", 0, len(behind), offset, 0, 0)
        fields = [field_of(0xB000, UNDEFINED, b"0100", order), field_of(0xB001, LONG, [2], order)]
        return b"MPF\0" + compiled({(): [*fields, field_of(0xB002, UNDEFINED, rows, order)]}, order)[0]

    empty = coded(PHOTO, *further, jpeg_segment(0xE2, index(0, 0)))
    base = empty.index(b"MPF\0") + 4
    return coded(PHOTO, *further, jpeg_segment(0xE2, index(len(empty), len(empty) - base))) + behind


def contained(note: str, behind: bytes) -> bytes:
    """The same by Google's container alone, whose pieces follow each other; ``behind`` comes after the map."""
    stored = coded(MAP, NOTES[note])
    listed = b'<Container:Item Item:Semantic="Primary"/>'
    listed += b'<Container:Item Item:Semantic="GainMap" Item:Length="%d"/>' % len(stored)
    listed += b'<Container:Item Item:Semantic="MotionPhoto" Item:Length="%d"/>' % len(behind) if behind else b""
    return coded(PHOTO, jpeg_segment(0xE1, XMP + listed)) + stored + behind


@pytest.mark.parametrize("note", NOTES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_map_is_found_by_the_index_of_either_byte_order(order: str, note: str) -> None:
    with Image.open(io.BytesIO(indexed(order, note))) as image:
        assert image.n_frames == 2  # Pillow finds it there, too
        assert stored_map(image) == coded(MAP, NOTES[note])


@pytest.mark.parametrize("behind", [b"", b"the video of a motion photo"])
def test_a_map_is_found_by_a_container_alone(behind: bytes) -> None:
    with Image.open(io.BytesIO(contained("Adobe", behind))) as image:
        assert stored_map(image) == coded(MAP, NOTES["Adobe"])


@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO file")
def test_what_is_no_map_or_damaged_is_none() -> None:
    whole, plain = indexed("<", "Adobe"), coded(PHOTO)
    second = whole.replace(b"ns.adobe.com/hdr-gain-map", b"ns.adobe.com/something-el")
    broken = whole.replace(b"MPF\0II*\0", b"MPF\0IIxx")
    cut = whole[: -len(coded(MAP, NOTES["Adobe"])) // 4]
    for data in (plain, second, broken, cut, plain + coded(MAP, NOTES["Adobe"])):
        with Image.open(io.BytesIO(data)) as image:
            assert gain_map_of(image, Placement((64, 40), 1, (128, 80))) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_map_is_turned_and_enlarged_as_its_photo(orientation: int) -> None:
    size = (128, 80) if orientation < 5 else (80, 128)
    with Image.open(io.BytesIO(indexed("<", "Adobe"))) as image:
        found = gain_map_of(image, Placement((64, 40), orientation, size))
    assert found is not None
    with Image.open(io.BytesIO(found.jpeg)) as made:
        assert made.mode == "L"
        got = np.asarray(made).astype(int)
    expected = turned_by(Image.fromarray(MAP), orientation)
    expected = expected.resize((expected.width * 2, expected.height * 2), Image.Resampling.BICUBIC)
    assert got.shape == np.asarray(expected).shape
    assert np.abs(got - np.asarray(expected)).max() < 8
    noted = [segment.body for segment in segments_of(found.jpeg) if segment.marker == 0xE1]
    assert noted == [XMP + NOTED]


@pytest.mark.parametrize("note", NOTES)
def test_pillow_finds_both_pictures_in_what_is_written(note: str, tmp_path: Path) -> None:
    """The index names the lengths and the place of the second picture, as its reader wants them."""
    told = jpeg_segment(0xE2, ISO + b"\0\0\0\0")
    (tmp_path / "in.jpg").write_bytes(indexed(">", note, *([told] if note == "ISO" else [])))
    with Upscaler(nearest(channels="rgb"), device="cpu") as upscaler:
        upscale_file(tmp_path / "in.jpg", tmp_path / "out.jpg", upscaler)
    data = (tmp_path / "out.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as result:
        pictures = [frame.copy() for frame in ImageSequence.Iterator(result)]
        entries = result.mpinfo[0xB002]  # type: ignore[attr-defined]
        kept = stored_map(result)
    assert [picture.size for picture in pictures] == [(128, 80), (32, 20)]
    assert sum(entry["Size"] for entry in entries) == len(data)
    assert kept is not None
    assert data.endswith(kept)
    assert (ISO + b"\0\0\0\0" in data[: -len(kept)]) == (note == "ISO")
    larger = Image.fromarray(MAP).resize((32, 20), Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(pictures[1].convert("L")).astype(int) - np.asarray(larger)).max() < 8


def test_segments_end_where_the_picture_begins_or_the_file_does() -> None:
    data = coded(PHOTO, jpeg_segment(0xE1, b"one"), jpeg_segment(0xFE, b"two"))
    found = list(segments_of(data))
    assert [(s.marker, s.body) for s in found[:2]] == [(0xE1, b"one"), (0xFE, b"two")]
    assert all(data[s.at : s.at + len(s.body)] == s.body for s in found)
    assert found[-1].marker == 0xC4  # the last tables before the scan
    assert [s.marker for s in segments_of(data[:8])] == [0xE1]
    assert list(segments_of(b"\xff\xd8")) == list(segments_of(b"")) == []

"""XMP made true for a turned and enlarged picture, in every spelling that RDF has, without any other program."""

import re
from hashlib import md5
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from sr_plugins.images.placement import Placement
from sr_plugins.images.upright import turned_by
from sr_plugins.images.xmp import Xmp, area_of

SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "acdsee-rs": "http://ns.acdsee.com/regions/",
    "acdsee-stArea": "http://ns.acdsee.com/sType/Area#",
    "acdsee-stDim": "http://ns.acdsee.com/sType/Dimensions#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
STORED = (70, 50)


def packet(body: str, attributes: str = "") -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in SPACES.items())
    inside = f'<rdf:RDF {spaces}><rdf:Description rdf:about="" {attributes}>{body}</rdf:Description></rdf:RDF>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{inside}</x:xmpmeta>'.encode()


def told(xmp: Xmp, name: str) -> list[str]:
    """Every value of a simple property, wherever and however it is spelt."""
    prefix, _, local = name.partition(":")
    full, found = f"{{{SPACES[prefix]}}}{local}", []
    for element in ElementTree.fromstring(bytes(xmp)).iter():
        found += [element.attrib[full]] if full in element.attrib else []
        found += [element.text or ""] if element.tag == full and not len(element) else []
    return found


def placement(orientation: int, scale: int = 2) -> Placement:
    width, height = STORED if orientation < 5 else STORED[::-1]
    return Placement(STORED, orientation, (width * scale, height * scale))


def spelt(prefix: str, values: dict[str, object], how: str) -> tuple[str, str]:
    """The attributes of a structure's element and what stands in it."""
    as_attributes = " ".join(f'{prefix}:{name}="{value}"' for name, value in values.items())
    as_elements = "".join(f"<{prefix}:{name}>{value}</{prefix}:{name}>" for name, value in values.items())
    return {
        "attributes": (as_attributes, ""),
        "elements": ('rdf:parseType="Resource"', as_elements),
        "a node of attributes": ("", f"<rdf:Description {as_attributes}/>"),
        "a node of elements": ("", f"<rdf:Description>{as_elements}</rdf:Description>"),
    }[how]


SPELLINGS = ("attributes", "elements", "a node of attributes", "a node of elements")


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize("unit", ["normalized", "pixel"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("rs", "area", "st"),
    [("mwg-rs", "Area", "st"), ("acdsee-rs", "DLYArea", "acdsee-st"), ("acdsee-rs", "ALGArea", "acdsee-st")],
)
def test_faces_are_where_the_pixels_went(rs: str, area: str, st: str, orientation: int, unit: str, how: str) -> None:
    """The block of pixels that a region covers, turned as the picture is, against the region that is told."""
    to = placement(orientation)
    x, y, w, h = 20, 12, 10, 6  # pixels, by its centre
    mask = np.zeros(STORED[::-1], np.uint8)
    mask[y - h // 2 : y + h // 2, x - w // 2 : x + w // 2] = 255
    rows, columns = np.nonzero(turned_by(Image.fromarray(mask), orientation))
    size = (columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min())
    expected = [columns.mean() + 0.5, rows.mean() + 0.5, *size]
    upright = to.exchanged(*STORED)
    whole = [1, 1, 1, 1] if unit == "pixel" else [*STORED, *STORED]
    values: dict[str, object] = {
        **{n: v / side for n, v, side in zip("xywh", (x, y, w, h), whole, strict=True)}, "unit": unit
    }  # fmt: skip
    attributes, body = spelt(f"{st}Area", values, how)
    size_attributes, size_body = spelt(f"{st}Dim", {"w": STORED[0], "h": STORED[1], "unit": "pixel"}, how)
    xmp = Xmp(
        packet(
            f"<{rs}:AppliedToDimensions {size_attributes}>{size_body}</{rs}:AppliedToDimensions>"
            f"<{rs}:RegionList><rdf:Bag><rdf:li><{rs}:{area} {attributes}>{body}</{rs}:{area}></rdf:li></rdf:Bag>"
            f"</{rs}:RegionList>"
        )
    )
    xmp.place(to)
    got = [float(told(xmp, f"{st}Area:{n}")[0]) for n in "xywh"]
    larger = [2] * 4 if unit == "pixel" else [1 / upright[0], 1 / upright[1]] * 2
    assert got == pytest.approx([e * f for e, f in zip(expected, larger, strict=True)], abs=1e-5)
    assert [told(xmp, f"{st}Dim:{n}") for n in "wh"] == [[str(side)] for side in to.size]
    assert told(xmp, f"{st}Area:unit") == [unit]


@pytest.mark.parametrize("how", SPELLINGS)
def test_sizes_that_are_none_of_the_picture_stay(how: str) -> None:
    attributes, body = spelt("stDim", {"w": 8.5, "h": 11, "unit": "inch"}, how)
    xmp = Xmp(packet(f"<mwg-rs:AppliedToDimensions {attributes}>{body}</mwg-rs:AppliedToDimensions>"))
    xmp.place(placement(6))
    assert [told(xmp, f"stDim:{n}") for n in ("w", "h", "unit")] == [["8.5"], ["11"], ["inch"]]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("as_attribute", [True, False])
def test_people_of_microsoft_are_told_by_their_corner(orientation: int, as_attribute: bool) -> None:
    x, y, w, h = 0.1, 0.2, 0.3, 0.4
    rectangle = f"{x}, {y}, {w}, {h}"
    xmp = Xmp(
        packet("", f'MPReg:Rectangle="{rectangle}"')
        if as_attribute
        else packet(f"<MPReg:Rectangle>{rectangle}</MPReg:Rectangle>")
    )
    xmp.place(placement(orientation))
    corners = {1: (x, y, w, h), 3: (1 - x - w, 1 - y - h, w, h), 6: (1 - y - h, x, h, w), 8: (y, 1 - x - w, h, w)}
    got = [float(v) for v in told(xmp, "MPReg:Rectangle")[0].split(",")]
    assert got == pytest.approx(corners[orientation], abs=1e-5)


def test_sizes_resolutions_and_panoramas_are_those_of_the_result() -> None:
    values = {"ImageWidth": 70, "ImageLength": 50, "Orientation": 6, "XResolution": "300/1", "YResolution": "150/1"}
    panorama = {"FullPanoWidthPixels": 100, "FullPanoHeightPixels": 80, "CroppedAreaLeftPixels": 7}
    panorama |= {"LargestValidInteriorRectLeft": 3, "LargestValidInteriorRectHeight": 40}
    attributes = " ".join(f'tiff:{n}="{v}"' for n, v in values.items())
    body = "".join(f"<GPano:{n}>{v}</GPano:{n}>" for n, v in panorama.items())
    xmp = Xmp(packet(body + "<exif:PixelXDimension>70</exif:PixelXDimension>", attributes))
    xmp.place(placement(6))
    assert (told(xmp, "tiff:ImageWidth"), told(xmp, "tiff:ImageLength")) == (["100"], ["140"])
    assert told(xmp, "exif:PixelXDimension") == ["100"]
    assert told(xmp, "tiff:Orientation") == []
    assert (told(xmp, "tiff:XResolution"), told(xmp, "tiff:YResolution")) == (["150/1"], ["300/1"])
    assert [told(xmp, f"GPano:{name}") for name in panorama] == [["200"], ["160"], ["14"], ["6"], ["80"]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([10.0, 20.0], [20, 40]), ([10.0, 20.0, 6.0], [20, 40, 12]), ([10.0, 20.0, 6.0, 8.0], [20, 40, 12, 16])],
)
def test_a_subject_is_a_point_a_circle_or_a_rectangle(values: list[float], expected: list[float]) -> None:
    assert area_of(values, placement(1)) == pytest.approx(expected)
    turned = area_of(values, placement(6))
    assert turned[:2] == pytest.approx([2 * (50 - 20), 2 * 10])
    assert turned[2:] == pytest.approx(expected[2:][::-1])
    items = "".join(f"<rdf:li>{v:g}</rdf:li>" for v in values)
    xmp = Xmp(packet(f"<exif:SubjectArea><rdf:Seq>{items}</rdf:Seq></exif:SubjectArea>"))
    xmp.place(placement(1))
    assert told(xmp, "rdf:li") == [str(v) for v in expected]


def test_what_needs_no_change_keeps_its_bytes_and_what_is_no_xml_its_text() -> None:
    plain = packet("<dc:title>no  place,\n no size</dc:title>") + b"   "
    xmp = Xmp(plain)
    xmp.place(placement(6))
    assert bytes(xmp) == plain
    broken = b'<x:xmpmeta tiff:Orientation="6"><tiff:Orientation> 6 </tiff:Orientation><unclosed>'
    xmp = Xmp(broken)
    xmp.place(placement(6))
    assert bytes(xmp) == b"<x:xmpmeta ><unclosed>"  # turned once, not twice
    assert re.match("XMP that is no XML .* is copied as it is", xmp.told[0])
    bomb = b'<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>'
    assert bytes(Xmp(bomb)) == bomb
    assert "it defines entities" in Xmp(bomb).told[0]


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_two_bytes_a_letter_become_one(code: str, mark: str) -> None:
    plain = packet("<dc:title>Ärger</dc:title>")
    xmp = Xmp((mark + plain.decode()).encode(code))
    assert told(xmp, "dc:title") == ["Ärger"]
    assert bytes(xmp) == plain  # without the mark of a byte order that it no longer has


def test_a_packet_of_many_small_parts_is_split() -> None:
    """Each of them alone, with the names of its namespaces, is longer than in the whole."""
    owners = "".join(
        f'<rdf:Description rdf:about="" xmlns:n{i}="http://example.org/{"long/" * 9}{i}/">'
        + "".join(f"<n{i}:p{j}>value {i} {j}</n{i}:p{j}>" for j in range(40))
        + "</rdf:Description>"
        for i in range(40)
    )
    head = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{SPACES["rdf"]}">'
    whole = f"{head}{owners}</rdf:RDF></x:xmpmeta>".encode()
    most = len(whole) // 3
    first, rest = Xmp(whole).split(most)
    assert most * 0.9 < len(first) <= most
    texts = [sorted(filter(str.strip, ElementTree.fromstring(part).itertext())) for part in (first, rest)]
    assert sorted([*texts[0], *texts[1]]) == sorted(f"value {i} {j}" for i in range(40) for j in range(40))


def test_a_packet_that_is_too_large_is_split_and_joined_to_what_it_was() -> None:
    parts = "".join(f"<dc:part{i}>{chr(65 + i) * 900 * (i + 1)}</dc:part{i}>" for i in range(6))
    whole = packet(parts, 'tiff:ImageWidth="70"')
    first, rest = Xmp(whole).split(8000)
    assert len(first) <= 8000 < len(whole)
    digest = md5(rest, usedforsecurity=False).hexdigest().upper()
    assert told(Xmp(first, b"<no xml"), "xmpNote:HasExtendedXMP") == []
    assert f'HasExtendedXMP="{digest}"'.encode() in first
    joined = Xmp(first, rest)
    assert joined.told == []
    for i in range(6):
        assert told(joined, f"dc:part{i}") == [chr(65 + i) * 900 * (i + 1)]
    assert told(joined, "tiff:ImageWidth") == ["70"]
    assert told(joined, "xmpNote:HasExtendedXMP") == []
    assert Xmp(whole).split(len(whole)) == (whole, b"")
    with pytest.raises(ValueError, match="its smallest parts are too large"):
        Xmp(whole).split(300)
    with pytest.raises(ValueError, match="it is no XML"):
        Xmp(b"<unclosed>" + b"x" * 500).split(100)


def test_a_second_part_that_lacks_or_is_damaged_is_told() -> None:
    alone = packet("", 'xmpNote:HasExtendedXMP="ABC"')
    for extended, line in ((b"", "tells of a second part that is not there"), (b"<cut", "is damaged and left out")):
        xmp = Xmp(alone, extended)
        assert line in xmp.told[0]
        assert told(xmp, "xmpNote:HasExtendedXMP") == []


def items(*semantics: str, as_attributes: bool = True) -> str:
    entries = ""
    for semantic in semantics:
        attributes, body = spelt("Item", {"Semantic": semantic, "Length": 10}, SPELLINGS[not as_attributes])
        entries += f'<rdf:li rdf:parseType="Resource"><Container:Item {attributes}>{body}</Container:Item></rdf:li>'
    return f"<Container:Directory><rdf:Seq>{entries}</rdf:Seq></Container:Directory>"


@pytest.mark.parametrize("as_attributes", [True, False])
def test_what_lies_behind_a_picture_is_told_as_it_is(as_attributes: bool) -> None:
    def noted(*semantics: str) -> Xmp:
        return Xmp(packet(items(*semantics, as_attributes=as_attributes), 'GCamera:MotionPhoto="1"'))

    moving = noted("Primary", "GainMap", "MotionPhoto")
    moving.without_video()
    assert moving.told == ["the video of a motion photo is not enlarged and left out"]
    assert told(moving, "Item:Semantic") == ["Primary", "GainMap"]
    assert told(moving, "GCamera:MotionPhoto") == []
    moving.set_gain_map_length(1234)
    assert told(moving, "Item:Length") == ["10", "1234"]
    assert moving.without_gain_map()
    assert told(moving, "Item:Semantic") == []  # of the picture alone there is nothing to tell
    assert not moving.without_gain_map()


@pytest.mark.parametrize("declaration", ['<?xml version="1.0" encoding="ISO-8859-1"?>', ""])
def test_latin_letters_become_utf8_and_a_line_says_so(declaration: str) -> None:
    text = packet("<dc:title>Größe der Möwe</dc:title>", 'tiff:Orientation="6"').decode()
    xmp = Xmp((declaration + text).encode("latin-1"))
    assert xmp.told == [f"XMP in {'ISO-8859-1' if declaration else 'Latin-1'} becomes UTF-8"]
    assert "Größe der Möwe" in bytes(xmp).decode()
    assert ElementTree.fromstring(bytes(xmp)) is not None  # no declaration of the old letters is left
    xmp.place(Placement(STORED, 6, (100, 140)))
    assert told(xmp, "tiff:Orientation") == []
    assert "Größe der Möwe" in bytes(xmp).decode()


def test_a_packet_of_which_some_letters_are_utf8_stays_as_it_is() -> None:
    mixed = packet("<dc:title>Größe</dc:title>") + b"<!-- M\xf6we -->"
    xmp = Xmp(mixed)
    assert bytes(xmp) == mixed
    assert "no XML" in xmp.told[0]


def boundary(shape: str, unit: str, body: str) -> bytes:
    inside = f"<Iptc4xmpExt:rbShape>{shape}</Iptc4xmpExt:rbShape><Iptc4xmpExt:rbUnit>{unit}</Iptc4xmpExt:rbUnit>{body}"
    region = f'<Iptc4xmpExt:RegionBoundary rdf:parseType="Resource">{inside}</Iptc4xmpExt:RegionBoundary>'
    entry = f'<rdf:li rdf:parseType="Resource">{region}</rdf:li>'
    return packet(f"<Iptc4xmpExt:ImageRegion><rdf:Bag>{entry}</rdf:Bag></Iptc4xmpExt:ImageRegion>")


def corner(**values: float) -> str:
    return "".join(f"<Iptc4xmpExt:rb{name}>{value}</Iptc4xmpExt:rb{name}>" for name, value in values.items())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("unit", ["pixel", "relative"])
def test_regions_of_iptc_lie_where_their_pixels_do(unit: str, orientation: int) -> None:
    """A rectangle, drawn, and turned and enlarged by Pillow, covers what its boundary says afterwards."""
    left, top, width, height = 14, 10, 21, 5
    stored = np.zeros(STORED[::-1], np.uint8)
    stored[top : top + height, left : left + width] = 255
    upright = turned_by(Image.fromarray(stored), orientation)
    drawn = np.asarray(upright.resize((upright.width * 2, upright.height * 2), Image.Resampling.NEAREST))
    parts = STORED if unit == "relative" else (1, 1)
    values = {"X": left / parts[0], "Y": top / parts[1], "W": width / parts[0], "H": height / parts[1]}
    xmp = Xmp(boundary("rectangle", unit, corner(**values)))
    xmp.place(Placement(STORED, orientation, drawn.shape[::-1]))
    x, y, w, h = (float(told(xmp, f"Iptc4xmpExt:rb{name}")[0]) for name in "XYWH")
    across, down = drawn.shape[::-1] if unit == "relative" else (1, 1)
    found = np.zeros_like(drawn)
    found[round(y * down) : round((y + h) * down), round(x * across) : round((x + w) * across)] = 255
    np.testing.assert_array_equal(found, drawn)


def test_circles_and_polygons_of_iptc() -> None:
    to = Placement((80, 40), 6, (80, 160))  # a quarter to the right, and twice as large
    circle = Xmp(boundary("circle", "relative", corner(X=0.25, Y=0.5, Rx=0.1)))
    circle.place(to)
    assert [told(circle, f"Iptc4xmpExt:rb{name}") for name in ("X", "Y", "Rx")] == [["0.5"], ["0.25"], ["0.2"]]
    vertices = "".join(f'<rdf:li rdf:parseType="Resource">{corner(X=x, Y=y)}</rdf:li>' for x, y in ((10, 0), (30, 20)))
    polygon = Xmp(
        boundary("polygon", "pixel", f"<Iptc4xmpExt:rbVertices><rdf:Seq>{vertices}</rdf:Seq></Iptc4xmpExt:rbVertices>")
    )
    polygon.place(to)
    assert [told(polygon, f"Iptc4xmpExt:rb{name}") for name in "XY"] == [["80", "40"], ["20", "60"]]


@pytest.mark.parametrize("spelling", ["100/1", "100", "100.0"])
@pytest.mark.parametrize(("orientation", "expected"), [(1, ["200/1", "400/1"]), (6, ["400/1", "200/1"])])
def test_pixels_of_the_sensor_are_as_many_more(orientation: int, expected: list[str], spelling: str) -> None:
    """As in EXIF: pixels of the picture a unit of length of the sensor."""
    values = f'exif:FocalPlaneXResolution="{spelling}" exif:FocalPlaneYResolution="200/1"'
    xmp = Xmp(packet("", values))
    xmp.place(placement(orientation))
    assert [*told(xmp, "exif:FocalPlaneXResolution"), *told(xmp, "exif:FocalPlaneYResolution")] == expected


@pytest.mark.parametrize("orientation", [1, 3])
def test_pictures_within_a_packet_go_where_they_would_lie_otherwise(orientation: int) -> None:
    thumbnails = "<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/</rdf:li></rdf:Alt></xmp:Thumbnails>"
    xmp = Xmp(
        packet(f"{thumbnails}<GImage:Data>/9j/</GImage:Data>", 'GDepth:Near="1" GDepth:Data="/9j/" xmp:Rating="3"')
    )
    xmp.place(placement(orientation))
    stays = orientation == 1
    assert [name in bytes(xmp) for name in (b"Thumbnails", b"/9j/", b":Near", b"Rating")] == [stays] * 3 + [True]
    assert bool(xmp.told) != stays

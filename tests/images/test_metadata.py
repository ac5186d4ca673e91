"""What goes along with a picture, against exiftool, which is no part of this project: bytes, places, notes."""

import hashlib
import io
import json
import logging
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from fakes import nearest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from sr_plugins import Upscaler
from sr_plugins.images.files import upscale_file
from sr_plugins.images.placement import Placement
from sr_plugins.images.xmp import Xmp

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OTHER = SRGB[:80] + b"test" + SRGB[84:]
ENDINGS = [".jpg", ".png", ".webp", ".tif", ".avif"]


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def exiftool(path: Path, *tags: str) -> dict[str, Any]:
    command = ["exiftool", "-j", "-n", "-G1", "-a", *(f"-{tag}" for tag in tags), str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((64, 48)).convert("RGB")


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(path: Path, *segments: bytes) -> Path:
    picture().save(path, "JPEG", quality=95)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"".join(segments) + data[2:])
    return path


def block(order: str, ifd0: list[tuple[int, int, int, bytes]], exif: list[tuple[int, int, int, bytes]]) -> bytes:
    """An EXIF block made by hand, its maker note last and with an offset that counts from the header."""

    def directory(entries: list[tuple[int, int, int, bytes]], at: int) -> bytes:
        start, body, data = at + 2 + 12 * len(entries) + 4, b"", b""
        for tag, kind, count, value in sorted(entries):
            stored = value
            if len(stored) > 4:
                data += b"\0" * (len(data) % 2)
                stored, data = struct.pack(order + "I", start + len(data)), data + value
            body += struct.pack(order + "HHI", tag, kind, count) + stored.ljust(4, b"\0")
        return struct.pack(order + "H", len(entries)) + body + bytes(4) + data

    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    size = 8 + len(directory([*ifd0, (0x8769, 4, 1, bytes(4))], 8))
    size += size % 2
    first = head + directory([*ifd0, (0x8769, 4, 1, struct.pack(order + "I", size))], 8)
    note = [(6, *text("IMG:Acme Canon-like")), (9, *text("Erika Muster"))]
    length = len(directory(note, 0))
    hole = b"\xaa" * length
    whole = first.ljust(size, b"\0") + directory([*exif, (0x927C, 7, length, hole)], size)
    at = whole.index(hole)
    return b"Exif\0\0" + whole.replace(hole, directory(note, at))


def text(value: str) -> tuple[int, int, bytes]:
    stored = value.encode() + b"\0"
    return 2, len(stored), stored


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_keeps_its_letters_types_order_and_maker_note(
    order: str, ending: str, tmp_path: Path, repeat: Upscaler
) -> None:
    ifd0 = [
        (0x010E, *text("Größe der Möwe, 東京")),
        (0x010F, *text("Canon")),
        (0x0110, *text("Canon EOS 40D")),
        (0x0112, 3, 1, struct.pack(order + "H", 1)),
    ]
    comment = b"UNICODE\0" + "Hallo".encode("utf-16-le" if order == "<" else "utf-16-be")
    details = [
        (0x8834, 4, 1, struct.pack(order + "I", 7)),
        (0x9206, 5, 1, struct.pack(order + "II", 35, 10)),
        (0x9286, 7, len(comment), comment),
        (0xA300, 7, 1, b"\3"),
    ]
    source = jpeg(tmp_path / "in.jpg", segment(0xE1, block(order, ifd0, details)))
    target = tmp_path / f"out{ending}"
    upscale_file(source, target, repeat)
    names = ("ImageDescription", "ExifByteOrder", "UserComment", "SubjectDistance", "FileSource", "Canon:all")
    before, after = exiftool(source, *names), exiftool(target, *names)
    assert before["Canon:OwnerName"] == "Erika Muster"
    assert before["IFD0:ImageDescription"] == "Größe der Möwe, 東京"
    assert {**after, "SourceFile": ""} == {**before, "SourceFile": ""}
    types = subprocess.run(["exiftool", "-v3", "-EXIF:all", str(target)], capture_output=True, check=True).stdout
    assert b"undef[%d]" % len(comment) in types
    assert b"rational64u[1]" in types


def xmp(attributes: str, inner: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


TIFF = 'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '


@pytest.mark.parametrize(
    "packet",
    [
        xmp(TIFF + "tiff:Orientation='6'"),
        xmp(TIFF + 'tiff:Orientation = "6"'),
        xmp(TIFF, "<tiff:Orientation> 6 </tiff:Orientation>"),
        xmp('xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6"'),
        xmp(TIFF, '<tiff:Orientation rdf:datatype="http://www.w3.org/2001/XMLSchema#integer">6</tiff:Orientation>'),
    ],
)
def test_orientation_in_xmp_goes_in_every_spelling(packet: bytes, tmp_path: Path, repeat: Upscaler) -> None:
    exif = segment(0xE1, block("<", [(0x0112, 3, 1, b"\6\0")], []))
    source = jpeg(tmp_path / "in.jpg", exif, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet))
    assert int(exiftool(source, "XMP-tiff:Orientation")["XMP-tiff:Orientation"]) == 6
    upscale_file(source, tmp_path / "out.jpg", repeat)
    found = exiftool(tmp_path / "out.jpg", "Orientation", "ImageSize", "warning")
    assert found["Composite:ImageSize"] == "96 128"
    assert not [name for name in found if name.endswith((":Orientation", ":Warning"))]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_places_move_with_the_pixels(orientation: int, tmp_path: Path, repeat: Upscaler) -> None:
    """One white pixel block is where SubjectLocation and the face region say, before and after."""
    image = Image.new("L", (64, 48))
    image.paste(255, (20, 8, 24, 12))
    face = (
        '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource">'
        f'<mwg-rs:Area stArea:x="{22 / 64}" stArea:y="{10 / 48}" stArea:w="0.0625" stArea:h="0.25"/></rdf:li></rdf:Bag>'
        "</mwg-rs:RegionList></mwg-rs:Regions>"
    )
    names = (
        'xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
        'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"'
    )
    exif = block("<", [(0x0112, 3, 1, struct.pack("<H", orientation))], [(0xA214, 3, 2, struct.pack("<HH", 22, 10))])
    image.save(tmp_path / "in.png", exif=exif)
    packet = xmp(names, face)
    image.save(tmp_path / "in.webp", exif=exif, xmp=packet, lossless=True)
    upscale_file(tmp_path / "in.webp", tmp_path / "out.webp", repeat)
    with Image.open(tmp_path / "out.webp") as result:
        rows, columns = np.nonzero(np.asarray(result.convert("L")) > 128)
        width, height = result.size
    centre = columns.mean() + 0.5, rows.mean() + 0.5
    found = exiftool(tmp_path / "out.webp", "SubjectLocation", "RegionAreaX", "RegionAreaY", "RegionAreaW")
    assert [float(v) for v in str(found["ExifIFD:SubjectLocation"]).split()] == pytest.approx(centre, abs=1)
    x, y = found["XMP-mwg-rs:RegionAreaX"] * width, found["XMP-mwg-rs:RegionAreaY"] * height
    assert (x, y) == pytest.approx(centre, abs=0.1)
    assert found["XMP-mwg-rs:RegionAreaW"] == (0.0625 if orientation < 5 else 0.25)


def test_a_packet_too_large_for_a_segment_goes_into_two_parts() -> None:
    packet = xmp('xmlns:a="http://a/"', f"<a:large>{'x' * 90_000}</a:large><a:small>y</a:small>")
    first, rest = Xmp(packet).split(65_000)
    assert len(first) <= 65_000
    assert b"small" in first
    assert b"large" in rest
    joined = bytes(Xmp(first, rest))
    assert b"x" * 90_000 in joined
    assert b"HasExtendedXMP" not in joined


def test_bytes_of_a_packet_stay_where_nothing_changes() -> None:
    packet = xmp('xmlns:a="http://a/" a:b="c"', "<!-- a comment -->")
    tree = Xmp(packet)
    tree.place(Placement((4, 4), 1, (8, 8)))
    assert bytes(tree) == packet


def test_each_page_keeps_its_own(tmp_path: Path, repeat: Upscaler) -> None:
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for profile, dpi, name in ((SRGB, 300, "one"), (OTHER, 150, "two"), (None, 72, "three")):
            tags: list[Any] = [(34675, 7, len(profile), profile)] if profile else []
            more: dict[str, Any] = {"resolution": (dpi, dpi), "resolutionunit": "INCH", "metadata": None}
            file.write(np.asarray(picture()), photometric="rgb", description=name, extratags=tags, **more)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    with tifffile.TiffFile(tmp_path / "out.tif") as result:
        told = [(p.tags["ImageDescription"].value, p.tags["XResolution"].value[0]) for p in result.pages]
        profiles = [p.tags[34675].value if 34675 in p.tags else None for p in result.pages]
    assert told == [("one", 300), ("two", 150), ("three", 72)]
    assert profiles == [SRGB, OTHER, None]


@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_layers_lie_where_they_lay(unit: str, orientation: int, tmp_path: Path, repeat: Upscaler) -> None:
    """Editors keep a layer's place, in pixels, as a position in the unit of resolution: both are doubled together."""
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for name, across, down in (("one", 10, 40), ("two", 0, 3)):
            tags: list[Any] = [
                *((286, 5, 1, (across, 100), True), (287, 5, 1, (down, 50), True), (285, 2, 0, name, True)),
                *((274, 3, 1, orientation, True), (337, 2, 0, "a printer", True)),
            ]
            more: dict[str, Any] = {"resolution": (100, 50), "resolutionunit": unit, "metadata": None}
            file.write(np.asarray(picture()), photometric="rgb", extratags=tags, **more)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    told = exiftool(tmp_path / "out.tif")
    for page, name, across, down in (("IFD0", "one", 10, 40), ("IFD1", "two", 0, 3)):
        places = [told[f"{page}:{axis}Position"] * told[f"{page}:{axis}Resolution"] for axis in "XY"]
        pixels = [2 * across, 2 * down]
        assert places == pytest.approx(pixels if orientation == 1 else pixels[::-1])
        assert (told[f"{page}:PageName"], told[f"{page}:TargetPrinter"]) == (name, "a printer")


def test_a_map_keeps_its_corners_and_its_holes(tmp_path: Path, repeat: Upscaler) -> None:
    heights = (500 + 50 * np.sin(np.arange(30 * 40) / 9)).reshape(30, 40).astype(np.float32)
    heights[10:16, 12:20] = -9999
    tags: list[Any] = [
        (33550, 12, 3, (10.0, 10.0, 0.0)),
        (33922, 12, 6, (3.0, 2.0, 0.0, 500000.0, 5800300.0, 0.0)),
        (42113, 2, 0, "-9999"),
    ]
    tifffile.imwrite(tmp_path / "in.tif", heights, metadata=None, extratags=tags)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    with tifffile.TiffFile(tmp_path / "out.tif") as result:
        page: Any = result.pages[0]
        assert page.tags[33550].value == (5.0, 5.0, 0.0)
        assert page.tags[33922].value == (6.0, 4.0, 0.0, 500000.0, 5800300.0, 0.0)
        assert page.tags[42113].value == "-9999"
        samples = page.asarray()
    holes = (heights == -9999).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(samples == -9999, holes)
    assert np.allclose(samples[~holes], heights.repeat(2, 0).repeat(2, 1)[~holes], atol=0.01)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_white_is_zero_is_inverted_once(dtype: type, white: int, tmp_path: Path, repeat: Upscaler) -> None:
    ramp = (np.linspace(0, 1, 64)[None].repeat(48, 0) * white).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", ramp, photometric="miniswhite")
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    assert np.allclose(tifffile.imread(tmp_path / "out.tif"), white - ramp.repeat(2, 0).repeat(2, 1), atol=white / 5000)


@pytest.mark.parametrize("ending", [".jpg", ".tif", ".png"])
def test_iptc_is_kept(ending: str, tmp_path: Path, repeat: Upscaler) -> None:
    data = b"".join(
        struct.pack(">BBBH", 0x1C, 2, n, len(v)) + v for n, v in ((25, b"sea"), (25, b"sun"), (80, b"Erika"))
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    source = jpeg(tmp_path / "in.jpg", segment(0xED, b"Photoshop 3.0\0" + resource))
    upscale_file(source, tmp_path / f"out{ending}", repeat)
    found = exiftool(tmp_path / f"out{ending}", "IPTC:all")
    assert (found["IPTC:Keywords"], found["IPTC:By-line"]) == (["sea", "sun"], "Erika")


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("ending", [".jpg", ".tif", ".png"])
def test_sizes_in_iptc_are_those_of_the_enlargement(
    ending: str, orientation: int, tmp_path: Path, repeat: Upscaler
) -> None:
    """And Photoshop's digest still is that of the records, by exiftool's own reckoning."""
    values = [(2, 25, b"sea"), *((3, n, struct.pack(">H", v)) for n, v in ((20, 64), (30, 48), (40, 7), (50, 9)))]
    data = b"".join(struct.pack(">BBBH", 0x1C, record, n, len(v)) + v for record, n, v in values)
    data += struct.pack(">BBBHI", 0x1C, 2, 120, 0x8004, 3) + b"abc"
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    resource += b"8BIM\x04\x25\0\0" + struct.pack(">I", 16) + digest
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = jpeg(
        tmp_path / "in.jpg",
        segment(0xE1, b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")),
        segment(0xED, b"Photoshop 3.0\0" + resource),
    )
    upscale_file(source, tmp_path / f"out{ending}", repeat)
    found = exiftool(tmp_path / f"out{ending}", "IPTC:all", "Photoshop:IPTCDigest", "CurrentIPTCDigest")
    across, down, wide, high = (128, 96, 7, 9) if orientation == 1 else (96, 128, 9, 7)
    assert (found["IPTC:IPTCImageWidth"], found["IPTC:IPTCImageHeight"]) == (across, down)
    assert (found["IPTC:IPTCPixelWidth"], found["IPTC:IPTCPixelHeight"]) == (wide, high)
    assert (found["IPTC:Keywords"], found["IPTC:Caption-Abstract"]) == ("sea", "abc")
    current = found.get("File:CurrentIPTCDigest", found["Photoshop:IPTCDigest"])  # it reckons none for PNG
    assert found["Photoshop:IPTCDigest"] == current != digest.hex()


@pytest.mark.parametrize(
    ("names", "dots", "told"),
    [
        (b"Orange\0Green\0Violet\0Black\0", (0, 255), "the names of its inks (InkNames)"),
        (b"cyan\0Magenta\0yellow\0Black\0", (5, 250), "the samples that its inks begin and end at (DotRange)"),
        (b"Cyan\0Magenta\0Yellow\0Black\0", (0, 255), ""),
    ],
)
def test_inks_that_are_not_what_they_are_taken_for_are_told(
    names: bytes, dots: tuple[int, int], told: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    tags = [(333, 2, len(names), names, True), (336, 3, 2, dots, True)]
    samples = np.full((48, 64, 4), 99, np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="separated", extratags=tags)
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    assert told in "".join(caplog.messages)
    assert ("its inks" in "".join(caplog.messages)) == bool(told)


def test_what_is_too_large_is_left_out_and_said(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    picture().save(tmp_path / "in.webp", exif=exif.tobytes())
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.webp", tmp_path / "out.jpg", repeat)
    assert "JPEG cannot hold EXIF of" in caplog.text
    upscale_file(tmp_path / "in.webp", tmp_path / "out.png", repeat)
    assert exiftool(tmp_path / "out.png", "ImageDescription")["IFD0:ImageDescription"] == "x" * 70_000


@pytest.mark.parametrize("called", ["{}", "{} profile"], ids=["ImageMagick", "exiftool"])
@pytest.mark.parametrize(
    ("name", "head"), [("xmp", b""), ("APP1", b"http://ns.adobe.com/xap/1.0/\0")], ids=["xmp", "APP1"]
)
def test_what_other_programs_put_into_texts_of_a_png_is_kept(
    name: str, head: bytes, called: str, tmp_path: Path, repeat: Upscaler
) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    packet += (
        b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/x-own"/></rdf:RDF></x:xmpmeta>'
    )
    info = PngInfo()
    record = struct.pack(">BBBH", 0x1C, 2, 25, 3) + b"sea"
    for kind, body in ((name, head + packet), ("icc", OTHER), ("iptc", record)):
        text = f"\n{called.format(kind)}\n{len(body):8}\n{body.hex()}\n"
        info.add_text(f"Raw profile type {kind}", text, zip=True)
    picture().save(tmp_path / "in.png", pnginfo=info)
    for ending in (".png", ".jpg"):
        upscale_file(tmp_path / "in.png", tmp_path / f"out{ending}", repeat)
        found = exiftool(tmp_path / f"out{ending}", "XMP:all", "IPTC:all", "ICC-header:DeviceManufacturer")
        assert found["IPTC:Keywords"] == "sea"
        assert found["XMP-dc:Format"] == "image/x-own"
        with Image.open(tmp_path / f"out{ending}") as result:
            assert result.info["icc_profile"] == OTHER


@pytest.mark.parametrize("in_exif", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_the_shape_of_pixels_without_a_unit(turned: bool, in_exif: bool, tmp_path: Path, repeat: Upscaler) -> None:
    """JFIF's density 2 : 1 of unit 0, pHYs of unit 0 and TIFF's resolution of unit 1 say the same."""
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    if in_exif:  # of unit 1: none
        exif[282], exif[283], exif[296] = 20, 10, 1
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, "JPEG", exif=exif)
    data = bytearray(file.getvalue())
    assert data[2:4] == b"\xff\xe0"
    data[13:18] = struct.pack(">BHH", 0, 2, 1)
    (tmp_path / "in.jpg").write_bytes(data)
    told = (1, 2) if turned else (2, 1)
    for ending in ("jpg", "png", "tif"):
        upscale_file(tmp_path / "in.jpg", tmp_path / f"out.{ending}", repeat)
        with Image.open(tmp_path / f"out.{ending}") as result:
            if ending == "jpg":
                assert (result.info["jfif_unit"], result.info["jfif_density"]) == (0, told)
            elif ending == "png":
                assert result.info["aspect"] == told
            else:
                assert (result.tag_v2[296], result.tag_v2[282], result.tag_v2[283]) == (1, *told)
    upscale_file(tmp_path / "out.png", tmp_path / "again.jpg", repeat)
    with Image.open(tmp_path / "again.jpg") as result:
        assert (result.info["jfif_unit"], result.info["jfif_density"]) == (0, told)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [1, 3, 4])  # BYTE, SHORT, LONG
def test_an_orientation_of_any_type_is_obeyed(kind: int, order: str, tmp_path: Path, repeat: Upscaler) -> None:
    """exiftool reads all of them, and turns the picture by them."""
    value = struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[kind], 6)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    exif = b"Exif\0\0" + head + struct.pack(order + "HHHI", 1, 0x112, kind, 1) + value + bytes(4)
    Image.new("RGB", (20, 10), "red").save(tmp_path / "in.jpg", exif=exif)
    assert exiftool(tmp_path / "in.jpg", "Orientation#")["IFD0:Orientation"] == 6
    upscale_file(tmp_path / "in.jpg", tmp_path / "out.jpg", repeat)
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.size == (20, 40)
        assert not result.getexif()


@pytest.mark.parametrize("ending", ["png", "bmp", "jpg", "tif"])
def test_a_photo_that_tells_no_resolution_gets_none(ending: str, tmp_path: Path, repeat: Upscaler) -> None:
    """Of EXIF without a resolution, and no JFIF beside it, Pillow makes 72 dots per inch."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "Abc"
    Image.new("RGB", (20, 10), "red").save(file, "JPEG", exif=exif)
    assert file.getvalue()[2:4] == b"\xff\xe0"
    (tmp_path / "in.jpg").write_bytes(file.getvalue()[:2] + file.getvalue()[20:])
    upscale_file(tmp_path / "in.jpg", tmp_path / f"out.{ending}", repeat)
    told = exiftool(
        tmp_path / f"out.{ending}", "PixelsPerUnitX#", "PixelsPerMeterX#", "XResolution#", "ResolutionUnit#"
    )
    assert not {"PNG-pHYs:PixelsPerUnitX"} & set(told)
    assert told.get("File:PixelsPerMeterX", 0) == 0
    assert told.get("JFIF:ResolutionUnit", 0) == 0
    assert told.get("IFD0:XResolution", 1) == 1

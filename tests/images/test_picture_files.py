"""What files carry beside pixels: ICC, EXIF, XMP, DPI, texts and frames, through every format."""

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from fakes import nearest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin
from PIL.ExifTags import IFD

from gimp_bridge import SuperResolution, save_like, upscale_image
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import ImageError, SRError
from sr_plugins.images.color_profiles import srgb_profile
from sr_plugins.images.files import open_image, upscale_file
from sr_plugins.images.formats import fitted
from sr_plugins.images.sixteen_bit import write_png

STILL = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif"}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" tiff:Make="Acme"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
TURNED = 6  # turn by a quarter, clockwise, to see it upright

LINEAR = {"gAMA": bytes.fromhex("000186a0"), "cHRM": bytes(range(32))}  # gamma 1 and primaries of nobody
PQ = {"cICP": bytes((9, 16, 0, 1))}  # Rec. 2020 and PQ


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def corners() -> Image.Image:
    """32 x 16 with a colour in each corner's quarter: turns and flips show."""
    image = Image.new("RGB", (32, 16))
    for place, colour in (((0, 0), "red"), ((16, 0), "lime"), ((0, 8), "blue"), ((16, 8), "white")):
        image.paste(colour, (*place, place[0] + 16, place[1] + 8))
    return image


def exif(orientation: int = TURNED) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Acme"
    tags[IFD.Exif] = {0x9003: "2024:05:06 07:08:09", 0xA002: 32, 0xA003: 16}
    tags[IFD.GPSInfo] = {1: "N", 2: (48.0, 8.0, 14.0)}
    return tags.tobytes()


def written(folder: Path, format: str, image: Image.Image | None = None, **arguments: object) -> Path:
    path = folder / f"in{STILL[format]}"
    lossless = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
        "JPEG": {"quality": 100, "subsampling": 0},
    }
    (image or corners()).save(path, format, **{**lossless.get(format, {}), **arguments})  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("out", STILL)
@pytest.mark.parametrize("format", STILL)
def test_profile_and_exif_go_from_any_format_to_any(format: str, out: str, tmp_path: Path, repeat: Upscaler) -> None:
    source = written(tmp_path, format, exif=exif(), icc_profile=srgb_profile(), dpi=(300, 300))
    target = tmp_path / f"out{STILL[out]}"
    _, after = upscale_file(source, target, repeat)
    with Image.open(target) as image:
        tags = image.getexif()
        assert image.size == after == (32, 64)
        assert image.info["icc_profile"] == srgb_profile()
        assert tags.get(0x010F) == "Acme"
        assert tags.get(0x0112, 1) == 1
        details = tags.get_ifd(IFD.Exif)
        assert (details[0x9003], details[0xA002], details[0xA003]) == ("2024:05:06 07:08:09", 32, 64)
        assert tags.get_ifd(IFD.GPSInfo)[2] == (48.0, 8.0, 14.0)
        image.load()
        assert image.size == (32, 64)
        # clockwise by a quarter: what was bottom left is top left, what was top left is top right
        seen = [image.convert("RGB").getpixel(place) for place in ((4, 4), (28, 4), (4, 60), (28, 60))]
    assert np.abs(np.subtract(seen, [(0, 0, 255), (255, 0, 0), (255, 255, 255), (0, 255, 0)])).max() < 30


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", STILL)
def test_orientation_is_applied_once(format: str, orientation: int, tmp_path: Path, repeat: Upscaler) -> None:
    source = written(tmp_path, format, exif=exif(orientation))
    upscale_file(source, tmp_path / "out.png", repeat)
    with Image.open(source) as plain, Image.open(tmp_path / "out.png") as result:
        size = (64, 32) if orientation < 5 else (32, 64)
        method = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)  # Image.Transpose
        expected = corners() if method is None else corners().transpose(Image.Transpose(method))
        expected = expected.resize(size, Image.Resampling.NEAREST)
        assert result.size == size
        assert np.abs(np.subtract(expected, result.convert("RGB"), dtype=int)).mean() < 3
        assert plain.getexif().get(0x0112, 1) == orientation


@pytest.mark.parametrize("format", STILL)
def test_resolution_is_kept(format: str, tmp_path: Path, repeat: Upscaler) -> None:
    source = tmp_path / "in.png"
    corners().save(source, dpi=(300, 240))
    target = tmp_path / f"out{STILL[format]}"
    upscale_file(source, target, repeat)
    upscale_file(target, tmp_path / "again.png", repeat)
    with Image.open(tmp_path / "again.png") as image:
        assert np.allclose(image.info["dpi"], (300, 240), atol=0.1)


@pytest.mark.parametrize("out", STILL)
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_xmp_is_kept_without_orientation(format: str, out: str, tmp_path: Path, repeat: Upscaler) -> None:
    source = written(tmp_path, format, xmp=XMP)
    upscale_file(source, target := tmp_path / f"out{STILL[out]}", repeat)
    with Image.open(target) as image:
        image.load()
        xmp = image.info["xmp"]
        assert b'tiff:Make="Acme"' in xmp
        assert b"Orientation" not in xmp
        assert image.getexif().get(0x0112, 1) == 1


def test_thumbnail_is_dropped(tmp_path: Path, repeat: Upscaler) -> None:
    tags = Image.Exif()
    tags[0x010F] = "Acme"
    data = tags.tobytes()
    order: Literal["big", "little"] = "big" if data[6:8] == b"MM" else "little"
    # the link to the second directory, where cameras keep a thumbnail, stands at the end of the first
    head = len(b"Exif\0\0") + 8
    link = head + 2 + 12 * int.from_bytes(data[head : head + 2], order)
    second = (1).to_bytes(2, order) + (0x0103).to_bytes(2, order) + (3).to_bytes(2, order)
    second += (1).to_bytes(4, order) + (6).to_bytes(2, order) + bytes(2) + bytes(4)
    data = data[:link] + (len(data) - 6).to_bytes(4, order) + data[link + 4 :] + second
    source = written(tmp_path, "JPEG", exif=data)
    with Image.open(source) as image:
        assert image.getexif().get_ifd(IFD.IFD1)
    upscale_file(source, tmp_path / "out.jpg", repeat)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.getexif()[0x010F] == "Acme"
        assert not image.getexif().get_ifd(IFD.IFD1)


def test_texts_and_comments_are_kept(tmp_path: Path, repeat: Upscaler) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "Schöne Aussicht")
    corners().save(tmp_path / "in.png", pnginfo=texts)
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    with Image.open(tmp_path / "out.png") as image:
        assert image.text == {"Title": "Schöne Aussicht"}  # type: ignore[attr-defined]
    upscale_file(written(tmp_path, "JPEG", comment=b"hello"), tmp_path / "out.jpg", repeat)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["comment"] == b"hello"


def test_filter_result_saved_like_its_source_is_turned_once(tmp_path: Path, repeat: Upscaler) -> None:
    with Image.open(written(tmp_path, "JPEG", exif=exif())) as source:
        filtered = source.filter(SuperResolution(upscaler=repeat))
        wrapped = upscale_image(source, upscaler=repeat)
        assert (filtered.size, wrapped.size) == ((64, 32), (32, 64))
        for name, result in (("filtered.png", filtered), ("wrapped.png", wrapped)):
            save_like(result, tmp_path / name, source)
    with Image.open(tmp_path / "filtered.png") as one, Image.open(tmp_path / "wrapped.png") as other:
        assert one.size == other.size == (32, 64)
        assert one.tobytes() == other.tobytes()
        assert one.getexif().get(0x0112, 1) == other.getexif().get(0x0112, 1) == 1


def test_profile_of_the_result_wins_over_the_sources(tmp_path: Path) -> None:
    with Image.open(written(tmp_path, "PNG", icc_profile=srgb_profile())) as source:
        out = source.copy()
        out.info["icc_profile"] = other = (
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[:-1] + b"\1"
        )
        save_like(out, tmp_path / "out.png", source)
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == other


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "LAB", "YCbCr", "HSV", "I;16"])
@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif", ".avif", ".bmp", ".gif", ".jp2", ".ppm", ".tga"])
def test_every_mode_fits_every_format(mode: str, ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = Image.new(mode, (20, 12))
    save_like(image, tmp_path / f"out{ending}", image)
    with Image.open(tmp_path / f"out{ending}") as result:
        result.load()
        assert result.size == (20, 12)
    told = "put on white" in caplog.text
    assert told == (mode in ("LA", "RGBA") and ending in (".jpg", ".ppm"))


def test_transparency_goes_on_white() -> None:
    image = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    image.putpixel((1, 1), (255, 0, 0, 255))
    assert fitted(image, "JPEG", Path("x.jpg")).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_profile_does_not_end_in_an_rgb_file(tmp_path: Path) -> None:
    image = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    image.info["icc_profile"] = (148).to_bytes(4) + b"\0" * 12 + b"CMYK" + b"\0" * 16 + b"acsp" + b"\0" * 108
    with pytest.raises(ImageError, match="ICC profile"):
        save_like(image, tmp_path / "out.png", image)  # cannot be converted, so nothing wrong is written
    image.info["icc_profile"] = srgb_profile()  # of no use to CMYK
    save_like(image, tmp_path / "out.jpg", image)
    with Image.open(tmp_path / "out.jpg") as result:
        assert (result.mode, result.info.get("icc_profile")) == ("CMYK", None)


@pytest.mark.parametrize(("mode", "ending"), [("F", ".png"), ("I", ".jpg"), ("F", ".webp")])
def test_float_samples_are_not_cut_off_in_silence(mode: str, ending: str, tmp_path: Path) -> None:
    image = Image.new(mode, (4, 4), 70000)
    with pytest.raises(ImageError, match=r"write \.tiff"):
        save_like(image, tmp_path / f"out{ending}", image)
    save_like(image, tmp_path / "out.tiff", image)
    with Image.open(tmp_path / "out.tiff") as result:
        assert result.getpixel((0, 0)) == 70000


def test_lossless_webp_stays_lossless(tmp_path: Path, repeat: Upscaler) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    upscale_file(written(tmp_path, "WEBP", noise), tmp_path / "out.webp", repeat)
    with Image.open(tmp_path / "out.webp") as result:
        assert np.array_equal(np.asarray(result), np.asarray(noise).repeat(2, 0).repeat(2, 1))


def test_a_failing_save_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "old.jpg").write_bytes(b"old")
    image = Image.new("RGB", (4, 4))
    huge = Image.new("1", (70000, 1))
    for wrong, name in ((huge, "old.jpg"), (image, "none/x.png"), (image, "x.nope"), (image, "x"), (huge, "y.webp")):
        with pytest.raises(ImageError) as told:
            save_like(wrong, tmp_path / name, image)
        assert "\n" not in str(told.value)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        save_like(image, tmp_path / "folder.png", image)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["folder.png", "old.jpg"]
    assert (tmp_path / "old.jpg").read_bytes() == b"old"


def test_an_interrupted_save_leaves_nothing_behind(tmp_path: Path) -> None:
    class Interrupted(Image.Image):
        def save(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

        def _new(self, im: object) -> Image.Image:
            return self

    image = Interrupted()
    image.im, image._mode, image._size = Image.new("RGB", (4, 4)).im, "RGB", (4, 4)
    with pytest.raises(KeyboardInterrupt):
        save_like(image, tmp_path / "out.png", Image.new("RGB", (4, 4)))
    assert list(tmp_path.iterdir()) == []


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4))
    save_like(image, tmp_path / "out.png", image)
    (tmp_path / "plain").touch()
    assert os.stat(tmp_path / "out.png").st_mode == os.stat(tmp_path / "plain").st_mode  # noqa: PTH116


def _bmp_of(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("1", (8, 1)).save(data, "BMP")
    head = bytearray(data.getvalue())
    head[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return bytes(head)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.png", b"", "is empty"),
        ("text.png", b"hello, I am a text", "is not a picture"),
        ("none.gif", b"GIF89a\0\0\0\0\0\0\0;", "none.gif"),
        ("flat.bmp", _bmp_of(0, 5), "flat.bmp"),
        ("bomb.bmp", _bmp_of(40000, 40000), "bomb.bmp"),
        ("large.bmp", _bmp_of(17000, 9000), "would be"),
        ("head.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "head.png"),
    ],
)
def test_bad_files_are_told_in_a_line(name: str, content: bytes, told: str, tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / name).write_bytes(content)
    with Upscaler(nearest(), 8) as upscaler, pytest.raises((ImageError, ValueError), match=told) as error:
        upscale_file(tmp_path / name, tmp_path / "out.png", upscaler)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("format", STILL)
def test_truncated_files_are_refused(format: str, tmp_path: Path, repeat: Upscaler) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = written(tmp_path, format, noise).read_bytes()
    for part in (0.1, 0.5, 0.9):
        cut = tmp_path / f"cut{STILL[format]}"
        cut.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ImageError, match="cut"):
            upscale_file(cut, tmp_path / "out.png", repeat)
    assert not (tmp_path / "out.png").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    format=st.sampled_from(sorted(STILL)),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    value=st.binary(min_size=1),
)
def test_damaged_bytes_never_surprise(
    format: str, places: list[float], value: bytes, tmp_path: Path, repeat: Upscaler
) -> None:
    """Whatever a few wrong bytes do to a file with metadata: a picture comes out, or one line."""
    path = written(tmp_path, format, exif=exif(), icc_profile=srgb_profile(), dpi=(300, 300))
    content = bytearray(path.read_bytes())
    for i, place in enumerate(places):
        content[int(place * (len(content) - 1))] = value[i % len(value)]
    path.write_bytes(content)
    (tmp_path / "out.png").unlink(missing_ok=True)
    told = ""
    try:
        upscale_file(path, tmp_path / "out.png", repeat)
    except SRError as error:
        told = str(error)
    assert "\n" not in told
    assert (tmp_path / "out.png").exists() == (not told)
    if not told:
        with Image.open(tmp_path / "out.png") as image:
            image.load()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.integers(6, 200), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_exif_costs_no_picture(places: list[tuple[int, int]], tmp_path: Path, repeat: Upscaler) -> None:
    damaged = bytearray(exif())
    for place, value in places:
        damaged[place % len(damaged)] = value
    image = corners()
    image.info["exif"] = bytes(damaged)
    result = upscale_image(image, upscaler=repeat)
    assert sorted(result.size) == [32, 64]
    save_like(result, tmp_path / "out.jpg", image)


def test_unreadable_place(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"), open_image(tmp_path / "none.png"):
        pass
    with pytest.raises(ImageError, match="directory"), open_image(tmp_path):
        pass


def png_chunks(path: Path) -> dict[str, bytes]:
    """The first chunk of each kind of a PNG file."""
    content, place, found = path.read_bytes(), 8, {}
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        found.setdefault(kind.decode(), content[place + 8 : place + 8 + length])
        place += 12 + length
    return found


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("chunks", [LINEAR, PQ], ids=["linear", "pq"])
def test_a_png_keeps_saying_what_its_colours_are(
    chunks: dict[str, bytes], deep: bool, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "in.png"
    info = PngImagePlugin.PngInfo()
    for kind, body in chunks.items():
        info.add(kind.encode(), body)
    corners().save(source, pnginfo=info)
    if deep:
        frame = Frame(
            [np.full((4, 4), value, np.uint16) for value in (1, 256, 65535)], FrameFormat(family="rgb", bits=16)
        )
        with source.open("wb") as file:
            write_png(file, [frame], {"pnginfo": info})
    upscale_file(source, tmp_path / "out.png", repeat)
    kept = png_chunks(tmp_path / "out.png")
    assert {kind: kept[kind] for kind in chunks} == chunks
    assert (kept["IHDR"][8] == 16) == deep
    assert not caplog.records
    upscale_file(source, tmp_path / "out.webp", repeat)
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if "16 became 8" not in line] == [
        f"{source}: WEBP cannot hold {' and '.join(chunks)}, so colours may look different"
    ]


@pytest.mark.parametrize("kinds", [["sRGB", "gAMA"], ["gAMA", "cHRM"]])
def test_a_png_that_is_srgb_loses_nothing_elsewhere(
    kinds: list[str], tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = {"sRGB": b"\0", "gAMA": struct.pack(">I", 45455), "cHRM": b""}
    bodies["cHRM"] = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    info = PngImagePlugin.PngInfo()
    for kind in kinds:
        info.add(kind.encode(), bodies[kind])
    corners().save(tmp_path / "in.png", pnginfo=info)
    upscale_file(tmp_path / "in.png", tmp_path / "out.jpg", repeat)
    assert not caplog.records

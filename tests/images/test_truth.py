"""A file is what the line says, and holds what its source held: sizes, formats, colours, transparency, frames."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from fakes import nearest
from PIL import Image, ImageCms, PngImagePlugin

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.color_profiles import matrix_profile, srgb_profile
from sr_plugins.images.files import save_like, upscale_file
from sr_plugins.images.pillow_filter import upscale_image


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def noise(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    bands = len(mode)
    return Image.frombytes(mode, size, np.random.default_rng(4).bytes(size[0] * size[1] * bands))


def doubled(image: Image.Image) -> np.ndarray:
    return np.asarray(image).repeat(2, 0).repeat(2, 1)


def test_every_picture_of_an_icon_is_enlarged(tmp_path: Path, repeat: Upscaler) -> None:
    images = [noise("RGBA", (side, side)) for side in (64, 32, 16)]
    images[0].save(tmp_path / "in.ico", sizes=[i.size for i in images], append_images=images[1:])
    assert upscale_file(tmp_path / "in.ico", tmp_path / "out.ico", repeat)[1] == (128, 128)
    with Image.open(tmp_path / "out.ico") as result:
        assert result.info["sizes"] == {(128, 128), (64, 64), (32, 32)}
        opaque = np.asarray(images[2])[..., 3] > 0
        small = np.asarray(result.ico.getimage((32, 32)))  # type: ignore[attr-defined]
    shown = opaque.repeat(2, 0).repeat(2, 1) & (small[..., 3] > 0)
    assert shown.mean() > 0.8
    assert np.array_equal(small[shown][:, :3], doubled(images[2])[shown][:, :3])


@pytest.mark.parametrize(("ending", "told"), [(".ico", "256"), (".icns", "squares"), (".pgm", "no colours")])
def test_what_a_format_cannot_be_is_refused_before_work(
    ending: str, told: str, tmp_path: Path, repeat: Upscaler
) -> None:
    noise("RGB", (300, 200)).save(tmp_path / "in.png")
    with pytest.raises(ImageError, match=told):
        upscale_file(tmp_path / "in.png", tmp_path / f"out{ending}", repeat)
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


@pytest.mark.parametrize("kind", ["bmp", "png"])
def test_a_cursor_is_read_as_an_icon_is(
    kind: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 4)).astype(np.uint8)
    sides = [(16, 16), (32, 32)]
    Image.fromarray(pixels).save(tmp_path / "in.ico", sizes=sides, bitmap_format=kind)
    data = bytearray((tmp_path / "in.ico").read_bytes())
    data[2] = 2
    for at in (6, 22):
        struct.pack_into("<HH", data, at + 4, 7, 11)  # the point that clicks
    (tmp_path / "in.cur").write_bytes(data)
    upscale_file(tmp_path / "in.cur", tmp_path / "out.png", repeat)
    upscale_file(tmp_path / "in.ico", tmp_path / "icon.png", repeat)
    with Image.open(tmp_path / "out.png") as result, Image.open(tmp_path / "icon.png") as icon:
        assert result.size == (64, 64)
        np.testing.assert_array_equal(np.asarray(result), np.asarray(icon))
    told = " ".join(caplog.messages)
    assert "the point that clicks is left out" in told
    assert "the smaller pictures of the icon are left out" in told
    upscale_file(tmp_path / "in.cur", tmp_path / "out.ico", repeat)
    with Image.open(tmp_path / "out.ico") as result:
        assert result.info["sizes"] == {(32, 32), (64, 64)}
    (tmp_path / "in.cur").write_bytes(data[:30])
    with pytest.raises(ImageError, match=r"in\.cur"):
        upscale_file(tmp_path / "in.cur", tmp_path / "out.png", repeat)


def test_an_apple_icon_has_the_size_of_the_line(tmp_path: Path, repeat: Upscaler) -> None:
    noise("RGBA", (64, 64)).save(tmp_path / "in.png")
    assert upscale_file(tmp_path / "in.png", tmp_path / "out.icns", repeat)[1] == (128, 128)
    with Image.open(tmp_path / "out.icns") as result:
        assert result.info["sizes"] == [(128, 128, 1)]


@pytest.mark.parametrize(("ending", "head"), [(".pbm", b"P4"), (".pgm", b"P5"), (".ppm", b"P6"), (".pfm", b"PF")])
def test_portable_maps_are_what_their_names_say(ending: str, head: bytes, tmp_path: Path, repeat: Upscaler) -> None:
    noise("RGB" if ending in (".ppm", ".pfm") else "L").save(tmp_path / "in.png")
    upscale_file(tmp_path / "in.png", tmp_path / f"out{ending}", repeat)
    assert (tmp_path / f"out{ending}").read_bytes()[:2] == head


def test_bitmaps_keep_alpha_and_profile(tmp_path: Path, repeat: Upscaler) -> None:
    image = noise("RGBA")
    other = srgb_profile()[:80] + b"test" + srgb_profile()[84:]
    image.save(tmp_path / "in.png", icc_profile=other, dpi=(300, 300))
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    upscale_file(tmp_path / "in.png", tmp_path / "out.bmp", repeat)
    upscale_file(tmp_path / "out.bmp", tmp_path / "again.png", repeat)
    with Image.open(tmp_path / "out.bmp") as result, Image.open(tmp_path / "out.png") as same:
        assert result.mode == "RGBA"
        assert np.array_equal(np.asarray(result), np.asarray(same))
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    with Image.open(tmp_path / "again.png") as result:
        assert result.info["icc_profile"] == other


def _avif(path: Path, codes: tuple[int, int, int]) -> None:
    primaries, transfer, matrix = codes
    path.write_bytes(
        imagecodecs.avif_encode(np.asarray(noise()), primaries=primaries, transfer=transfer, matrix=matrix, level=95)
    )


def test_colours_told_by_code_points_stay_or_become_a_profile(tmp_path: Path, repeat: Upscaler) -> None:
    _avif(tmp_path / "in.avif", (12, 13, 1))
    for ending in (".avif", ".png", ".jpg"):
        upscale_file(tmp_path / "in.avif", tmp_path / f"out{ending}", repeat)
    written = (tmp_path / "out.avif").read_bytes()
    assert struct.unpack_from(">HH", written, written.index(b"colrnclx") + 8) == (12, 13)
    assert b"cICP\x0c\x0d\0\x01" in (tmp_path / "out.png").read_bytes()
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.info["icc_profile"] == matrix_profile(12, 13)


def test_a_made_profile_is_the_one_of_its_primaries() -> None:
    """Little CMS, an outside reader: sRGB's own code points give sRGB, and P3's red lies outside of it."""
    own = matrix_profile(1, 13)
    assert own is not None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(own))
    image = noise()
    there = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    assert there is not None
    assert np.abs(np.asarray(there).astype(int) - np.asarray(image)).max() <= 1
    wide = matrix_profile(12, 13)
    assert wide is not None
    red = Image.new("RGB", (1, 1), (200, 0, 0))
    seen = ImageCms.profileToProfile(red, ImageCms.ImageCmsProfile(io.BytesIO(wide)), ImageCms.createProfile("sRGB"))
    assert seen is not None
    assert seen.getpixel((0, 0))[0] == pytest.approx(218, abs=2)  # type: ignore[index]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_gray_of_few_bits(bits: int, tmp_path: Path, repeat: Upscaler) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    values = np.arange(16) * 2**bits // 16
    row = int("".join(f"{v:0{bits}b}" for v in values), 2).to_bytes(2 * bits, "big")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 8, bits, 0, 0, 0, 0))
    clear = chunk(b"tRNS", struct.pack(">H", int(values[-1])))
    data = b"\x89PNG\r\n\x1a\n" + head + clear + chunk(b"IDAT", zlib.compress((b"\0" + row) * 8)) + chunk(b"IEND", b"")
    (tmp_path / "in.png").write_bytes(data)
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    with Image.open(tmp_path / "out.png") as result:
        alpha = np.asarray(result.convert("RGBA"))[0, :, 3]
    wanted = (values == values[-1]).repeat(2)
    inner = [i for i in range(1, 31) if wanted[i - 1] == wanted[i] == wanted[i + 1]]  # edges are interpolated
    assert ((alpha < 128) == wanted)[inner].all()


def test_texts_are_all_kept_and_never_taken_for_something_else(tmp_path: Path, repeat: Upscaler) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("transparency", "half of the shapes")
    info.add_text("Comment", "one")
    info.add_text("Comment", "two")
    info.add_itxt("Title", "Die Möwe", "de", "Titel")
    noise().save(tmp_path / "in.png", pnginfo=info)
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    data = (tmp_path / "out.png").read_bytes()
    for text in (b"Comment\0one", b"Comment\0two", b"transparency\0half", b"Title\0\0\0de\0Titel\0Die M\xc3\xb6we"):
        assert text in data


def test_a_poster_is_no_frame_of_other_formats(tmp_path: Path, repeat: Upscaler) -> None:
    frames = [noise(), *(Image.new("RGB", (24, 16), colour) for colour in ("red", "lime", "blue"))]
    frames[0].save(
        tmp_path / "in.png", save_all=True, append_images=frames[1:], default_image=True, duration=[100, 200, 300]
    )
    for ending in (".gif", ".webp"):
        upscale_file(tmp_path / "in.png", tmp_path / f"out{ending}", repeat)
        with Image.open(tmp_path / f"out{ending}") as result:
            assert result.n_frames == 3  # type: ignore[attr-defined]
            assert result.convert("RGB").getpixel((5, 5))[0] > 200  # type: ignore[index]


def test_a_gif_whose_frames_are_equal_becomes_a_still(tmp_path: Path, repeat: Upscaler) -> None:
    one, other = noise("L"), noise("L")
    other.putpixel((0, 0), 255 - other.getpixel((0, 0)))  # type: ignore[operator]
    one.save(tmp_path / "in.gif", save_all=True, append_images=[other], duration=[100, 100])
    with Upscaler(nearest(channels="rgb"), size=(1, 1)) as tiny:
        assert upscale_file(tmp_path / "in.gif", tmp_path / "out.gif", tiny)[1] == (1, 1)


@pytest.mark.parametrize("scale", [2, 3])
def test_colours_under_full_transparency_stay(scale: int, tmp_path: Path) -> None:
    image = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    image.putalpha(Image.new("L", (64, 48), 255))
    alpha = Image.new("L", (64, 48))
    alpha.paste(255, (0, 0, 32, 48))
    image.putalpha(alpha)
    with Upscaler(nearest(channels="rgb"), scale) as upscaler:
        result = np.asarray(upscale_image(image, upscaler=upscaler)).astype(int)
        image.putalpha(0)
        hidden = np.asarray(upscale_image(image, upscaler=upscaler)).astype(int)
    source = np.asarray(image).repeat(scale, 0).repeat(scale, 1).astype(int)
    clear = result[..., 3] == 0
    assert clear.sum() > 1000
    assert np.abs(result - source)[clear][:, :3].mean() < 4
    assert np.abs(hidden - source)[..., :3].mean() < 4
    assert not hidden[..., 3].any()


def test_a_file_object_is_as_good_as_a_name(tmp_path: Path, repeat: Upscaler) -> None:
    data = io.BytesIO()
    noise().save(data, "WEBP", lossless=True)
    with Image.open(data) as source:
        result = upscale_image(source, upscaler=repeat)
        out = io.BytesIO()
        save_like(result, out, source, format="webp")
    with Image.open(out) as written:
        assert np.array_equal(np.asarray(written), doubled(noise()))  # lossless, as its source


def test_signed_samples_are_true_and_unsigned_ones_of_32_bits_too(tmp_path: Path, repeat: Upscaler) -> None:
    signed = np.linspace(-100, 100, 64).astype(np.int8)[None].repeat(48, 0)
    tifffile.imwrite(tmp_path / "in.tif", signed)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    found = tifffile.imread(tmp_path / "out.tif")
    assert np.abs(found - signed.repeat(2, 0).repeat(2, 1)).max() <= 1
    unsigned = np.linspace(0, 4e9, 64).astype(np.uint32)[None].repeat(48, 0)
    tifffile.imwrite(tmp_path / "in.tif", unsigned)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "out.tif"), unsigned.repeat(2, 0).repeat(2, 1), atol=600)


def test_overviews_and_stacks(tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture) -> None:
    pixels = np.asarray(noise("RGB", (64, 48)))
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(pixels, photometric="rgb", metadata=None)
        file.write(pixels[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    assert "1 overviews" in caplog.text
    with tifffile.TiffFile(tmp_path / "out.tif") as result:
        assert len(result.pages) == 1
        assert np.array_equal(result.asarray(), pixels.repeat(2, 0).repeat(2, 1))
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 48, 64), np.uint8), truncate=True)
    with pytest.raises(ImageError, match="stack of 5"):
        upscale_file(tmp_path / "stack.tif", tmp_path / "out.tif", repeat)


def test_directories_that_form_a_circle_end(tmp_path: Path, repeat: Upscaler) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.asarray(noise()), photometric="rgb", metadata=None)
    data = bytearray((tmp_path / "in.tif").read_bytes())
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    struct.pack_into("<I", data, at + 2 + 12 * count, at)  # the next directory is this one
    (tmp_path / "in.tif").write_bytes(data)
    assert upscale_file(tmp_path / "in.tif", tmp_path / "out.png", repeat)[1] == (48, 32)


def test_a_long_name_is_written(tmp_path: Path, repeat: Upscaler) -> None:
    name = "n" * 246 + ".png"
    noise().save(tmp_path / name)
    (tmp_path / "out").mkdir()
    upscale_file(tmp_path / name, tmp_path / "out" / name, repeat)
    assert (tmp_path / "out" / name).is_file()


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    "keyword",
    ["bbox", "interlace", "transparency", "dpi", "icc_profile", "exif", "gamma", "loop", "duration", "default_image"],
)
def test_a_text_is_a_text_whatever_its_keyword(
    keyword: str, interlaced: bool, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    """Pillow enters texts under their keyword into ``info``, where the decoder and writers look for other things."""
    image = noise("P" if keyword == "transparency" else "RGB")
    if image.mode == "P":
        image.putpalette(bytes(range(256)) * 3)
        image.info["transparency"] = bytes([0, 128]) + b"\xff" * 254
    data = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(data, "PNG", dpi=(300, 300), icc_profile=profile)
    whole = data.getvalue()
    if interlaced:
        plain = np.asarray(noise("RGB"))
        passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
        rows = b"".join(b"\0" + row.tobytes() for y, dy, x, dx in passes for row in plain[y::dy, x::dx] if row.size)
        head = struct.pack(">IIBBBBB", 24, 16, 8, 2, 0, 0, 1)
        whole = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
        )
        image = noise("RGB")
    body = b"tEXt" + keyword.encode() + b"\0half of it"
    text = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    at = whole.index(b"IDAT") - 4  # behind the chunks that it could stand in for
    (tmp_path / "in.png").write_bytes(whole[:at] + text + whole[at:])
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    assert caplog.text == ""  # nothing of it is damaged
    with Image.open(io.BytesIO(whole)) as source:
        expected = np.asarray(source.convert("RGBA"))
    opaque = expected[..., 3] == 255
    found = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())[::2, ::2, :3]
    assert np.array_equal(found[opaque], expected[opaque][:, :3])
    assert b"half of it" in (tmp_path / "out.png").read_bytes()


def test_a_lossy_jpeg_2000_stays_lossy_and_a_lossless_one_lossless(tmp_path: Path, repeat: Upscaler) -> None:
    picture = Image.effect_noise((96, 64), 60).convert("RGB")
    picture.save(tmp_path / "exact.jp2")
    picture.save(tmp_path / "lossy.jp2", irreversible=True, quality_mode="rates", quality_layers=[20])
    for name in ("exact", "lossy"):
        upscale_file(tmp_path / f"{name}.jp2", tmp_path / f"{name}-2x.jp2", repeat)
    with Image.open(tmp_path / "exact-2x.jp2") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(picture).repeat(2, 0).repeat(2, 1))
    sizes = [(tmp_path / f"{name}.jp2").stat().st_size for name in ("lossy", "lossy-2x")]
    assert 3 < sizes[1] / sizes[0] < 4.5


def test_a_sidecar_is_not_passed_over_in_silence(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.png.xmp").write_text("<x:xmpmeta/>")
    upscale_file(tmp_path / "a.png", tmp_path / "b.png", repeat)
    assert [line for line in caplog.messages if "a.png.xmp beside it is not taken along" in line]

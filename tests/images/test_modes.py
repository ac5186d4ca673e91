"""Every mode of Pillow through the filter and the wrapper."""

import io

import numpy as np
import pytest
from fakes import blur, nearest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter

from gimp_bridge import SuperResolution, upscale_image
from sr_plugins import Frame, FrameFormat, SRError, Upscaler
from sr_plugins.errors import FrameError, ImageError
from sr_plugins.images.color_profiles import from_srgb, srgb_profile, to_srgb
from sr_plugins.images.modes import image_to_frame

MODES = (
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "LAB",
    "YCbCr",
    "HSV",
    "I;16",
    "I",
    "F",
)


@pytest.fixture(scope="module")
def repeat():  # type: ignore[no-untyped-def]
    """An upscaler that repeats pixels; what comes back is known exactly."""
    with Upscaler(nearest()) as upscaler:
        yield upscaler


@pytest.fixture(scope="module")
def repeat_rgb():  # type: ignore[no-untyped-def]
    """The same as an RGB model: a luma model interpolates colour, this one repeats it."""
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def noise(mode: str, size: tuple[int, int] = (13, 9)) -> Image.Image:
    """A picture of random colours in this mode, transparent pixels included where the mode knows them."""
    rng = np.random.default_rng(3)
    width, height = size
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
    if mode == "I":
        return Image.fromarray(rng.integers(-70000, 70000, (height, width), dtype=np.int32))
    if mode == "F":
        return Image.fromarray(rng.normal(0.0, 3.0, (height, width)).astype(np.float32))
    if mode == "LAB":
        return to_lab(noise("RGB", size))
    rgba = Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8))
    if mode == "La":
        return rgba.convert("LA").convert("La")
    if mode == "P":
        return rgba.convert("RGB").quantize(16)
    if mode == "PA":
        return rgba.convert("PA")
    return rgba.convert("RGB").convert(mode) if mode in ("CMYK", "HSV", "YCbCr", "1", "RGBX") else rgba.convert(mode)


def to_lab(image: Image.Image) -> Image.Image:
    result = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert result is not None
    return result


def repeated(image: Image.Image) -> NDArray[np.generic]:
    return np.asarray(image).repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize("mode", MODES)
def test_wrapper_returns_every_mode_at_the_new_size(mode: str, repeat: Upscaler) -> None:
    comes_back = {"1": "L", "P": "RGB", "PA": "RGBA", "RGBX": "RGB"}.get(mode, mode)
    result = upscale_image(noise(mode), upscaler=repeat)
    assert (result.mode, result.size) == (comes_back, (26, 18))
    result.load()


@pytest.mark.parametrize("mode", [m for m in MODES if m != "P"])
def test_filter_and_wrapper_give_the_same_pixels(mode: str, repeat: Upscaler) -> None:
    image = noise(mode)
    filtered = image.filter(SuperResolution(upscaler=repeat))
    wrapped = upscale_image(image, upscaler=repeat)
    assert (filtered.mode, filtered.size) == (wrapped.mode, wrapped.size)
    assert filtered.tobytes() == wrapped.tobytes()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "1", "RGBX", "I;16", "I"])
def test_samples_pass_exactly(mode: str, repeat_rgb: Upscaler) -> None:
    image = noise(mode)
    if image.mode.endswith("A"):
        image.putalpha(255)  # alpha is interpolated, see below
    expected = {"1": "L", "RGBX": "RGB"}.get(mode, mode)
    result = upscale_image(image, upscaler=repeat_rgb)
    difference = np.asarray(result).astype(np.int64) - repeated(image.convert(expected))
    assert np.abs(difference).max() == 0


def test_float_samples_pass_to_rounding(repeat: Upscaler) -> None:
    image = noise("F")
    result = np.asarray(upscale_image(image, upscaler=repeat))
    assert np.allclose(result, repeated(image), atol=2e-6 * float(np.abs(np.asarray(image)).max()))


@pytest.mark.parametrize(("top", "white"), [(0.9, 1.0), (200.0, 255.0), (60000.0, 65535.0), (1e6, 1e6)])
def test_float_range_is_the_smallest_usual_one(top: float, white: float) -> None:
    frame, _ = image_to_frame(Image.fromarray(np.array([[0.0, top]], np.float32)))
    assert np.allclose(frame.planes[0], [[0.0, top / white]])


@pytest.mark.parametrize(("mode", "tolerance"), [("YCbCr", 2), ("HSV", 6), ("LAB", 3), ("CMYK", 1)])
def test_colours_survive_conversions(mode: str, tolerance: int, repeat_rgb: Upscaler) -> None:
    """Within what 8 bits of the mode can say: a step of HSV's hue is 6 codes of a saturated colour."""
    # smooth, saturated but inside sRGB, so that nothing is cut off on the way
    y, x = np.mgrid[0:12, 0:16]
    image = Image.fromarray(np.stack((60 + 8 * x, 90 + 6 * y, 200 - 7 * x), 2).astype(np.uint8))
    image = to_lab(image) if mode == "LAB" else image.convert(mode)
    before = np.asarray(to_srgb(image, None)).astype(int).repeat(2, 0).repeat(2, 1)
    result = upscale_image(image, upscaler=repeat_rgb)
    after = np.asarray(to_srgb(result, None)).astype(int)
    assert np.abs(after - before).max() <= tolerance


def test_ycbcr_is_not_converted_for_a_luma_model(repeat: Upscaler) -> None:
    image = noise("YCbCr")
    assert np.array_equal(np.asarray(upscale_image(image, upscaler=repeat).getchannel("Y")), repeated(image)[..., 0])


def test_black_ink_stays_black_ink() -> None:
    image = Image.new("CMYK", (4, 4), (0, 0, 0, 200))
    assert from_srgb(to_srgb(image, None), "CMYK", None).getpixel((0, 0)) == (0, 0, 0, 200)


@pytest.mark.parametrize("ink", [(0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0), (0, 128, 255, 0), (10, 0, 30, 40)])
def test_ink_agrees_with_pillows_own_formula(ink: tuple[int, ...]) -> None:
    image = Image.new("CMYK", (2, 2), ink)
    ours, pillows = to_srgb(image, None).getpixel((0, 0)), image.convert("RGB").getpixel((0, 0))
    assert np.abs(np.subtract(ours, pillows)).max() <= 1  # type: ignore[arg-type]


def test_damaged_profile_is_told(repeat: Upscaler) -> None:
    image = Image.new("CMYK", (4, 4))
    image.info["icc_profile"] = (
        (240).to_bytes(4) + b"\0" * 12 + b"CMYK" + b"\0" * 16 + b"acsp" + b"\0" * 200
    )  # whole, and of nothing
    with pytest.raises(ImageError, match="ICC profile"):
        upscale_image(image, upscaler=repeat)


def test_profile_of_another_mode_is_not_applied(repeat: Upscaler) -> None:
    plain = noise("CMYK")
    wrong = plain.copy()
    wrong.info["icc_profile"] = srgb_profile()
    assert upscale_image(plain, upscaler=repeat).tobytes() == upscale_image(wrong, upscaler=repeat).tobytes()


def disc(mode: str, colour: tuple[int, ...], size: int = 48) -> Image.Image:
    """A filled opaque disc on transparent black."""
    y, x = np.mgrid[0:size, 0:size]
    inside = (x - size / 2 + 0.5) ** 2 + (y - size / 2 + 0.5) ** 2 < (size / 3) ** 2
    bands = [np.where(inside, c, 0) for c in (*colour, 255)]
    return Image.merge(mode, [Image.fromarray(band.astype(np.uint8)) for band in bands])


@pytest.mark.parametrize("scale", [2, 3, 1.5])
@pytest.mark.parametrize("channels", ["luma", "rgb"])
def test_red_disc_on_transparent_black_has_no_fringe(scale: float, channels: str) -> None:
    with Upscaler(nearest(channels=channels), scale) as upscaler:  # type: ignore[arg-type]
        result = np.asarray(upscale_image(disc("RGBA", (255, 0, 0)), upscaler=upscaler)).astype(int)
    colour, alpha = result[..., :3], result[..., 3]
    assert np.abs(colour[alpha > 0] - (255, 0, 0)).max() <= 1
    assert ((alpha > 0) & (alpha < 255)).any()  # the edge is smooth


def test_gray_disc_has_no_fringe(repeat: Upscaler) -> None:
    result = np.asarray(upscale_image(disc("LA", (230,)), upscaler=repeat)).astype(int)
    assert np.abs(result[..., 0][result[..., 1] > 0] - 230).max() <= 1


def test_opaque_and_transparent_areas_stay_exactly_so(repeat: Upscaler) -> None:
    image = disc("RGBA", (255, 0, 0))
    alpha = np.asarray(image.getchannel("A"))
    result = np.asarray(upscale_image(image, upscaler=repeat).getchannel("A"))
    padded = np.pad(alpha, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).reshape(*alpha.shape, -1)
    for value in (0, 255):
        constant = (windows == value).all(axis=2).repeat(2, 0).repeat(2, 1)
        assert constant.any()
        assert (result[constant] == value).all()


def test_premultiplied_alpha_is_premultiplied_again(repeat: Upscaler) -> None:
    image = disc("RGBA", (255, 0, 0)).convert("RGBa")
    result = np.asarray(upscale_image(image, upscaler=repeat)).astype(int)
    assert np.abs(result[..., 0] - result[..., 3]).max() <= 1  # red times alpha
    assert result[..., 1:3].max() <= 1


def test_palette_transparency_becomes_alpha(repeat: Upscaler) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(0, (0, 0, 4, 8))
    image.info["transparency"] = 1
    result = upscale_image(image, upscaler=repeat)
    assert result.mode == "RGBA"
    assert (result.getpixel((0, 0)), result.getpixel((15, 0))[3]) == ((255, 0, 0, 255), 0)  # type: ignore[index]
    assert "transparency" not in result.info


@pytest.mark.parametrize(("mode", "key", "becomes"), [("L", 7, "LA"), ("RGB", (1, 2, 3), "RGBA")])
def test_transparent_colour_becomes_alpha(mode: str, key: object, becomes: str, repeat: Upscaler) -> None:
    image = Image.new(mode, (8, 8), key)  # type: ignore[arg-type]
    image.info["transparency"] = key
    result = upscale_image(image, upscaler=repeat)
    assert (result.mode, result.getextrema()[-1]) == (becomes, (0, 0))
    assert "transparency" not in result.info


def test_filter_refuses_what_it_cannot_see(repeat: Upscaler) -> None:
    with pytest.raises(FrameError, match="upscale_image"):
        noise("P").filter(SuperResolution(upscaler=repeat))


def test_gray_palette_stays_gray(repeat: Upscaler) -> None:
    assert upscale_image(noise("L").convert("P"), upscaler=repeat).mode == "L"


def test_big_endian_samples(repeat: Upscaler) -> None:
    image = noise("I;16")
    swapped = Image.frombytes("I;16B", image.size, np.asarray(image).astype(">u2").tobytes())
    result = upscale_image(swapped, upscaler=repeat)
    assert result.mode == "I;16B"
    assert np.array_equal(np.asarray(result), repeated(image))


def test_same_bytes_as_the_core() -> None:
    image = noise("RGBA", (31, 22))
    with Upscaler(blur(channels="rgb")) as upscaler:
        bands = [np.asarray(band) for band in image.split()]
        expected = upscaler.upscale(Frame(bands[:3], FrameFormat(family="rgb"), bands[3]))
        result = image.filter(SuperResolution(upscaler=upscaler))
    assert expected.alpha is not None
    for band, plane in zip(result.split(), (*expected.planes, expected.alpha), strict=True):
        assert np.array_equal(np.asarray(band), plane)


def test_filter_is_a_multiband_filter_with_a_shared_upscaler() -> None:
    assert issubclass(SuperResolution, ImageFilter.MultibandFilter)
    one, other = SuperResolution(2, "fast"), SuperResolution(2, "fast")
    assert one.upscaler is other.upscaler
    assert Image.new("RGB", (10, 6)).filter(one).size == (20, 12)


@pytest.mark.parametrize(("size", "expected"), [((50, None), (50, 30)), ((None, 12), (20, 12)), ((33, 44), (33, 44))])
def test_size_instead_of_scale(size: tuple[int | None, int | None], expected: tuple[int, int]) -> None:
    assert upscale_image(Image.new("L", (10, 6)), model="fast", size=size).size == expected


def test_one_pixel(repeat: Upscaler) -> None:
    assert upscale_image(Image.new("RGB", (1, 1), (9, 8, 7)), upscaler=repeat).getpixel((1, 1)) == (9, 8, 7)


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_no_pixels(size: tuple[int, int], repeat: Upscaler) -> None:
    for enlarge in (lambda i: i.filter(SuperResolution(upscaler=repeat)), lambda i: upscale_image(i, upscaler=repeat)):
        with pytest.raises(FrameError, match="nothing to enlarge"):
            enlarge(Image.new("RGB", size))


def test_not_a_number(repeat: Upscaler) -> None:
    with pytest.raises(FrameError, match="not a number"):
        upscale_image(Image.fromarray(np.array([[0.0, np.nan]], np.float32)), upscaler=repeat)


def test_unknown_model_is_an_error_of_ours() -> None:
    with pytest.raises(SRError, match="no model called 'fats'"):
        Image.new("RGB", (4, 4)).filter(SuperResolution(2, "fats"))


def test_too_large_a_result_is_refused_before_work() -> None:
    with Upscaler(nearest(), 16) as upscaler, pytest.raises(ImageError, match="choose a smaller scale"):
        upscale_image(Image.new("1", (4000, 4000)), upscaler=upscaler)


def test_wrapper_does_not_change_the_original(repeat: Upscaler) -> None:
    data = io.BytesIO()
    noise("RGB").save(data, "JPEG", exif=_turned(), dpi=(300, 300))
    with Image.open(data) as image:
        before = dict(image.info)
        result = upscale_image(image, upscaler=repeat)
        assert (image.size, image.info) == ((13, 9), before)
    assert result.size == (18, 26)
    assert result.getexif().get(0x0112) is None
    assert result.info["dpi"] == (300, 300)


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()

"""Animations and pages: every frame, delay, loop and hole survives, in every format that has them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import mixing, nearest
from gif_frames import by_ffmpeg
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageSequence
from shots import film

from gimp_bridge import save_like, upscale_image
from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.animations import Timing, timing_of
from sr_plugins.images.files import upscale_file
from sr_plugins.images.sixteen_bit import write_png
from sr_plugins.pixels.frame import FrameFormat, frame_of

ANIMATED = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"}
DELAYS = [40, 120, 80, 300]
LOSSLESS = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def discs(*, transparent: bool) -> list[Image.Image]:
    """A disc that wanders and changes its colour, on nothing or on gray."""
    frames = []
    for i, colour in enumerate(("red", "lime", "blue", "yellow")):
        frame = Image.new("RGBA", (48, 32), (0, 0, 0, 0) if transparent else (90, 90, 90, 255))
        ImageDraw.Draw(frame).ellipse((8 * i, 4 * i, 8 * i + 18, 4 * i + 18), colour)
        frames.append(frame if transparent else frame.convert("RGB"))
    return frames


def write(path: Path, format: str, frames: list[Image.Image], **arguments: object) -> None:
    given = {"duration": DELAYS, **LOSSLESS.get(format, {}), **arguments}
    frames[0].save(path, format, save_all=True, append_images=frames[1:], **given)  # type: ignore[arg-type]


def read(path: Path) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """The frames as a viewer composes them, and their delays."""
    frames, delays = [], []
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            frame.load()
            frames.append(np.asarray(frame.convert("RGBA")))
            delays.append(round(frame.info.get("duration", 0)))
    return frames, delays


def same_picture(one: NDArray[np.uint8], other: NDArray[np.uint8], tolerance: int) -> bool:
    """Equal holes, and equal colours where there is no hole."""
    seen = (one[..., 3] > 127) & (other[..., 3] > 127)
    if np.mean((one[..., 3] > 127) != (other[..., 3] > 127)) > 0.02:
        return False
    difference = np.abs(one[seen, :3].astype(int) - other[seen, :3])
    return bool(np.quantile(difference, 0.95) <= tolerance)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("out", ANIMATED)
@pytest.mark.parametrize("format", ANIMATED)
def test_frames_and_delays(format: str, out: str, transparent: bool, tmp_path: Path, repeat: Upscaler) -> None:
    frames = discs(transparent=transparent)
    source, target = tmp_path / f"in{ANIMATED[format]}", tmp_path / f"out{ANIMATED[out]}"
    write(source, format, frames, loop=0, **({"disposal": 2} if format == "GIF" else {}))
    before, after = upscale_file(source, target, repeat)
    assert after == (before[0] * 2, before[1] * 2)
    composed, delays = read(target)
    assert delays == DELAYS
    lossy = out in ("WEBP", "AVIF") or "AVIF" in (format, out)
    for frame, result in zip(frames, composed, strict=True):
        expected = np.asarray(frame.convert("RGBA")).repeat(2, 0).repeat(2, 1)
        assert same_picture(expected, result, 40 if lossy else 4)


@pytest.mark.parametrize(("format", "loop"), [(f, n) for f in ("GIF", "PNG", "WEBP") for n in (0, 1, 3)])
def test_loops(format: str, loop: int, tmp_path: Path, repeat: Upscaler) -> None:
    source, target = tmp_path / f"in{ANIMATED[format]}", tmp_path / f"out{ANIMATED[format]}"
    write(source, format, discs(transparent=False), loop=loop)
    upscale_file(source, target, repeat)
    with Image.open(target) as image:
        image.load()
        assert image.info["loop"] == loop


@pytest.mark.parametrize(("given", "expected"), [(None, 1), (0, 0), (2, 3)])
def test_gif_counts_repetitions_and_webp_plays(
    given: int | None, expected: int, tmp_path: Path, repeat: Upscaler
) -> None:
    write(tmp_path / "in.gif", "GIF", discs(transparent=False), **({} if given is None else {"loop": given}))
    upscale_file(tmp_path / "in.gif", tmp_path / "out.webp", repeat)
    upscale_file(tmp_path / "in.gif", tmp_path / "out.gif", repeat)
    with Image.open(tmp_path / "out.webp") as image:
        assert image.info["loop"] == expected
    with Image.open(tmp_path / "out.gif") as image:
        assert image.info.get("loop") == given


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_disposal_of_gif_frames(disposal: int, tmp_path: Path, repeat: Upscaler) -> None:
    write(tmp_path / "in.gif", "GIF", discs(transparent=False), disposal=[min(disposal, 1), *[disposal] * 3])
    upscale_file(tmp_path / "in.gif", tmp_path / "out.gif", repeat)
    _, delays = read(tmp_path / "out.gif")
    assert delays == DELAYS
    wanted, composed = by_ffmpeg(tmp_path / "in.gif", (48, 32)), by_ffmpeg(tmp_path / "out.gif", (96, 64))
    for frame, result in zip(wanted, composed, strict=True):
        assert same_picture(frame.repeat(2, 0).repeat(2, 1), result, 4)
    with Image.open(tmp_path / "out.gif") as image:
        image.seek(1)
        # restoring an earlier picture has no meaning between whole pictures
        assert image.disposal_method == {3: 2}.get(disposal, disposal)  # type: ignore[attr-defined]


def test_default_image_of_an_animated_png(tmp_path: Path, repeat: Upscaler) -> None:
    frames = discs(transparent=False)
    frames[0].save(
        tmp_path / "in.png", save_all=True, append_images=frames[1:], default_image=True, duration=[50, 60, 70]
    )
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["default_image"]
        assert image.n_frames == 4  # type: ignore[attr-defined]
    composed, delays = read(tmp_path / "out.png")
    assert delays[1:] == [50, 60, 70]
    assert np.array_equal(composed[0], np.asarray(frames[0].convert("RGBA")).repeat(2, 0).repeat(2, 1))


def test_pages_of_a_tiff(tmp_path: Path, repeat: Upscaler) -> None:
    pages = [Image.new("L", (10, 6), 50), Image.new("RGB", (5, 9), "red"), Image.new("CMYK", (4, 4), (9, 8, 0, 0))]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:], dpi=(200, 200))
    upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    with Image.open(tmp_path / "out.tif") as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]
        for number, page in enumerate(pages):
            image.seek(number)
            assert (image.mode, image.size) == (page.mode, (page.width * 2, page.height * 2))
            assert image.getpixel((1, 1)) == page.getpixel((0, 0))
            assert image.info["dpi"] == (200, 200)


def test_frames_by_hand(tmp_path: Path, repeat: Upscaler) -> None:
    write(tmp_path / "in.webp", "WEBP", discs(transparent=True), loop=2)
    with Image.open(tmp_path / "in.webp") as source:
        larger = [upscale_image(frame, upscaler=repeat) for frame in ImageSequence.Iterator(source)]
        save_like(larger, tmp_path / "out.webp", source)
    assert read(tmp_path / "out.webp")[1] == DELAYS


@pytest.mark.parametrize(("source", "target"), [("in.gif", "out.jpg"), ("in.gif", "out.tif"), ("in.tif", "out.png")])
def test_frames_are_never_dropped_in_silence(source: str, target: str, tmp_path: Path, repeat: Upscaler) -> None:
    frames = discs(transparent=False)
    frames[0].save(tmp_path / source, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="do not go into"):
        upscale_file(tmp_path / source, tmp_path / target, repeat)
    assert not (tmp_path / target).exists()


def test_many_frames_are_counted_before_work(tmp_path: Path) -> None:
    frames = [Image.new("L", (900, 900), i) for i in range(8)]
    write(tmp_path / "in.gif", "GIF", frames, duration=20)
    with Upscaler(nearest(), 16) as upscaler, pytest.raises(ImageError, match="8 pictures of 14400 x 14400"):
        upscale_file(tmp_path / "in.gif", tmp_path / "out.gif", upscaler)


def test_progress_counts_frames(tmp_path: Path, repeat: Upscaler) -> None:
    write(tmp_path / "in.gif", "GIF", discs(transparent=False))
    told: list[tuple[int, int]] = []
    upscale_file(
        tmp_path / "in.gif", tmp_path / "out.gif", repeat, done=lambda ready, count: told.append((ready, count))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("ending", ["png", "webp", "gif", "tiff"])
def test_models_that_see_neighbours_are_shown_those_of_an_animation(ending: str, tmp_path: Path) -> None:
    """And pages of a document are no animation."""
    frames = film([3, 4])
    source, target = tmp_path / f"in.{ending}", tmp_path / "out.tiff" if ending == "tiff" else tmp_path / "out.png"
    images = [Image.fromarray(frame.planes[0]) for frame in frames]
    exact = {"lossless": True} if ending == "webp" else {}
    images[0].save(source, save_all=True, append_images=images[1:], **exact)
    with Upscaler(mixing(), backend="torch") as upscaler:
        upscale_file(source, target, upscaler)
        expected = [f.planes[0] for f in upscaler.stream(frames, film=ending != "tiff")]
    with Image.open(target) as made:
        for n, wanted in enumerate(expected):
            made.seek(n)
            assert np.abs(np.asarray(made.convert("L")).astype(int) - wanted).max() <= 1, n


def deep_frames() -> list[NDArray[np.uint16]]:
    return [*np.random.default_rng(1).integers(0, 65536, (3, 12, 20, 3), dtype=np.uint16)]


def write_deep(path: Path, poster: bool = False) -> list[NDArray[np.uint16]]:
    """An APNG of 16 bits at 30 frames a second, played twice."""
    frames = deep_frames()
    made = [frame_of(FrameFormat(family="rgb", bits=16), [one[..., c] for c in range(3)]) for one in frames]
    with path.open("wb") as file:
        write_png(file, made, {}, Timing((0.0 if poster else 1000 / 30, 200.0, 1000 / 30), 2, poster))
    return frames


@pytest.mark.parametrize("poster", [False, True])
def test_an_animation_of_16_bits_stays_one(poster: bool, tmp_path: Path, repeat: Upscaler) -> None:
    """Judged by another reader for the samples, and by Pillow for the times."""
    import imagecodecs

    frames = write_deep(tmp_path / "in.png", poster)
    assert upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat) == ((20, 12), (40, 24))
    result = imagecodecs.apng_decode((tmp_path / "out.png").read_bytes())
    np.testing.assert_array_equal(result, np.stack(frames).repeat(2, 1).repeat(2, 2))
    with Image.open(tmp_path / "in.png") as before, Image.open(tmp_path / "out.png") as after:
        assert (after.n_frames, after.info["loop"], bool(after.info.get("default_image"))) == (3, 2, poster)
        for number in range(3):
            before.seek(number)
            after.seek(number)
            if not (poster and number == 0):
                assert after.info["duration"] == pytest.approx(before.info["duration"], abs=1e-9)


@pytest.mark.parametrize("poster", [False, True])
def test_elsewhere_it_becomes_8_bits_with_its_times(
    poster: bool, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    frames = write_deep(tmp_path / "in.png", poster)
    upscale_file(tmp_path / "in.png", tmp_path / "out.webp", repeat)
    assert caplog.messages.count(f"{tmp_path}/out.webp holds 8 bits of colour: 16 became 8") == 1
    with Image.open(tmp_path / "out.webp") as after:
        shown = [(frame.load(), frame.info["duration"])[1] for frame in ImageSequence.Iterator(after)]
    assert shown == ([200, 33] if poster else [33, 200, 33])
    assert len(frames) == 3


def test_a_thirtieth_of_a_second_stays_one(tmp_path: Path, repeat: Upscaler) -> None:
    write(tmp_path / "in.png", "PNG", discs(transparent=False), duration=1000 / 30)
    upscale_file(tmp_path / "in.png", tmp_path / "out.png", repeat)
    with Image.open(tmp_path / "out.png") as image:
        assert timing_of(image).delays == pytest.approx([1000 / 30] * 4, abs=1e-9)


@pytest.mark.parametrize(
    ("ending", "line"), [("webp", ""), ("png", ""), ("gif", "the colour that it asks to be shown on")]
)
def test_background_of_a_webp_animation(
    ending: str, line: str, repeat: Upscaler, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its ANIM chunk holds blue, green, red and alpha (WebP container specification); bKGD three of 8 or 16 bits."""
    write(tmp_path / "in.webp", "WEBP", discs(transparent=True), background=(200, 100, 50, 255))
    assert b"ANIM\6\0\0\0\x32\x64\xc8\xff" in (tmp_path / "in.webp").read_bytes()
    upscale_file(tmp_path / "in.webp", tmp_path / f"out.{ending}", repeat)
    assert line in caplog.text
    assert bool(line) == bool(caplog.text)
    result = (tmp_path / f"out.{ending}").read_bytes()
    assert (b"ANIM\6\0\0\0\x32\x64\xc8\xff" in result) == (ending == "webp")
    assert (b"bKGD\0\xc8\0\x64\0\x32" in result) == (ending == "png")

"""``auto``: what is seen in a picture, which model that means, and that every host means the same one."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
import warm_python
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import choose_model, open_model
from sr_plugins.errors import ArgumentError, UnknownModelError
from sr_plugins.estimation.compression import find_jpeg, jpeg_of
from sr_plugins.estimation.sight import look, look_at, luma_of
from sr_plugins.images.file_choice import choose_for_file
from sr_plugins.images.modes import image_to_frame
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.upscaler import Upscaler
from sr_plugins.video.pipe import PipeFormat, upscale_pipe

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photograph() -> Picture:
    """Sharp and without a codec's traces: a real one, shrunk by four."""
    data = pytest.importorskip("skimage.data", reason="pip install scikit-image")
    picture = Image.fromarray(data.astronaut()).resize((256, 256), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def jpeg(picture: Picture, quality: int, subsampling: int = 2) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def decoded(file: bytes) -> Picture:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def frame(picture: Picture) -> Frame:
    return image_to_frame(Image.fromarray(picture))[0]


@pytest.mark.parametrize("quality", [30, 62, 80, 85, 92])
def test_the_quality_of_a_jpeg_shows_in_its_pixels(photograph: Picture, quality: int) -> None:
    assert look(luma_of(frame(decoded(jpeg(photograph, quality))))).quality == pytest.approx(quality, abs=2)


@pytest.mark.parametrize("turn", range(4))
def test_it_shows_however_the_picture_is_turned(photograph: Picture, turn: int) -> None:
    odd = np.rot90(decoded(jpeg(np.ascontiguousarray(photograph[:250, :243]), 70)), turn)
    assert look(luma_of(frame(np.ascontiguousarray(odd)))).quality == pytest.approx(70, abs=2)


def test_a_clean_picture_shows_nothing(photograph: Picture) -> None:
    assert find_jpeg(luma_of(frame(photograph))).codec == "none"
    assert look(luma_of(frame(photograph))).noise < 2


def test_noise_shows(photograph: Picture) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(photograph + rng.normal(0, 8, (*photograph.shape[:2], 1)), 0, 255).astype(np.uint8)
    assert look(luma_of(frame(noisy))).noise == pytest.approx(8, rel=0.3)


def test_what_is_chosen(photograph: Picture) -> None:
    assert choose_model([frame(photograph)]).model == "fast"
    chosen = choose_model([frame(decoded(jpeg(photograph, 62)))])
    assert chosen.line() == "JPEG of quality 62: photo x2; --model fast for the plain one"
    gray = Image.fromarray(decoded(jpeg(photograph, 62))).convert("L")
    assert choose_model(image_to_frame(gray)[:1]).model == "restore"  # there are no colours to mend
    assert choose_model([frame(decoded(jpeg(photograph, 95)))]).model == "fast"
    flat = np.full((256, 256, 3), 120) + np.random.default_rng(0).normal(0, 12, (256, 256, 1))
    assert choose_model([frame(flat.astype(np.uint8))]).model == "bicubic"
    with pytest.raises(ArgumentError, match="no picture"):
        choose_model([])


def test_a_scale_that_photo_was_not_trained_for_takes_fast(photograph: Picture) -> None:
    file = frame(decoded(jpeg(photograph, 40)))
    assert choose_model([file], 1.5).model == "photo"
    assert (choose_model([file], 3).model, choose_model([file], 3).scale) == ("photo", 4)
    chosen = choose_model([file], 5)
    assert (chosen.model, chosen.scale) == ("fast", 4)
    assert "photo has no weights for this scale" in chosen.line()


@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize("quality", [30, 70])
def test_a_gray_jpeg_is_never_worse_than_by_bicubic(scale: int, quality: int) -> None:
    """At these scales ``restore``, which has weights for two alone, runs twice: ``fast`` is below bicubic."""
    data = pytest.importorskip("skimage.data", reason="pip install scikit-image")
    large = data.astronaut()[: 480 // scale * scale, : 480 // scale * scale]
    small = np.asarray(Image.fromarray(downscale_bicubic(large, scale)).convert("L"))
    given, truth = image_to_frame(Image.open(io.BytesIO(jpeg(small, quality))))[0], luma_of(frame(large))

    def error(model: str) -> float:
        with Upscaler(model, scale, device="cpu", backend="torch") as upscaler:
            return float(np.square(luma_of(upscaler.upscale(given)) - truth)[4:-4, 4:-4].mean())

    chosen = choose_model([given], scale)
    assert f": {chosen.model} x2, twice; --model fast" in chosen.line()
    assert error(chosen.model) < min(error("bicubic"), error("fast"))


def test_by_four_noise_is_not_made_detail_of() -> None:
    data = pytest.importorskip("skimage.data", reason="pip install scikit-image")
    large = data.astronaut()[:480, :480]
    noise = np.random.default_rng(0).normal(0, 8, (120, 120, 3))
    given = frame(np.clip(np.rint(downscale_bicubic(large, 4) + noise), 0, 255).astype(np.uint8))
    errors = {}
    for model in ("photo", chosen := choose_model([given], 4).model):
        with Upscaler(model, 4, device="cpu", backend="torch") as upscaler:
            errors[model] = np.square(luma_of(upscaler.upscale(given)) - luma_of(frame(large)))[4:-4, 4:-4].mean()
    assert errors[chosen] < 0.9 * errors["photo"]


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (64, 8), (65, 130)])
def test_small_and_empty_pictures_are_chosen_for(shape: tuple[int, int]) -> None:
    assert choose_model([frame(np.zeros((*shape, 3), np.uint8))]).model == "fast"


def test_every_format_of_the_same_picture_shows_the_same(photograph: Picture) -> None:
    gray = np.asarray(Image.fromarray(photograph).convert("L"))
    formats = {
        "8": Frame([gray], FrameFormat(family="gray")),
        "16": Frame([gray.astype(np.uint16) * 257], FrameFormat(family="gray", bits=16)),
        "float": Frame([gray.astype(np.float32) / 255], FrameFormat(family="gray", bits=32, is_float=True)),
        "limited": Frame(
            [((gray.astype(np.uint32) * 219 * 4 + 127) // 255 + 64).astype(np.uint16)] * 3,
            FrameFormat(family="yuv", bits=10),
        ),
        "rgb": frame(np.repeat(gray[..., None], 3, 2)),
    }
    for name, one in formats.items():
        assert np.abs(luma_of(one) - gray).max() < 0.6, name
        assert look_at([one]).detail == pytest.approx(look_at([formats["8"]]).detail, rel=0.05), name


def test_the_middle_of_a_large_picture_keeps_its_blocks(photograph: Picture) -> None:
    large = np.tile(photograph, (5, 6, 1))[:1251, :1530]
    assert luma_of(frame(large)).shape == (768 + 1251 % 8, 768 + 1530 % 8)
    assert look(luma_of(frame(decoded(jpeg(large, 70))))).quality == pytest.approx(70, abs=2)


def test_a_film_without_fine_detail_is_restored_by_its_neighbours_and_a_picture_is_not() -> None:
    y = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8)
    planes = [y, np.full((64, 64), 128, np.uint8), np.full((64, 64), 128, np.uint8)]
    soft = Frame(planes, FrameFormat(family="yuv", subsampling=(1, 1)))
    assert choose_model([soft], film=True).model == "film"
    assert choose_model([soft]).model == "fast"
    larger = choose_model([soft], 3, film=True)
    assert (larger.model, larger.scale) == ("film", 4)
    assert choose_model([soft], 5, film=True).model == "fast"  # nothing was trained for that
    noise = np.random.default_rng(1).normal(0, 6, y.shape)
    noisy = Frame([np.clip(80 + y / 4 + noise, 16, 235).astype(np.uint8), *planes[1:]], soft.format)
    assert choose_model([noisy], film=True).model in ("restore", "bicubic")  # film learnt of no noise


def test_auto_is_no_model_to_open() -> None:
    with pytest.raises(UnknownModelError, match="choose_model"):
        open_model("auto")


# -- the hosts ---------------------------------------------------------------------------------------------------------


def srp(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = warm_python.srp(*arguments)
    assert done.returncode == 0, done.stderr
    return done


def test_srp_image_says_what_it_chose_and_makes_that_models_bytes(photograph: Picture, tmp_path: Path) -> None:
    (tmp_path / "web.jpg").write_bytes(jpeg(photograph[:96, :96], 62))
    Image.fromarray(photograph[:96, :96]).save(tmp_path / "clean.png")
    done = srp("image", tmp_path / "web.jpg", tmp_path / "clean.png", "-o", tmp_path / "out/", "--format", "png")
    assert "web.jpg: JPEG of quality 62: photo x2; --model fast for the plain one\n" in done.stderr
    assert "clean.png: no trace of compression" in done.stderr
    for name, model in (("web.jpg", "photo"), ("clean.png", "fast")):
        target = tmp_path / f"{model}.png"
        srp("image", tmp_path / name, "-o", target, "--model", model)
        assert (tmp_path / "out" / name).with_suffix(".png").read_bytes() == target.read_bytes()


def test_pillow_and_gimps_worker_choose_as_srp_image_does(photograph: Picture, tmp_path: Path) -> None:
    from gimp_bridge import SuperResolution, upscale_image
    from gimp_bridge.worker import Answerer
    from gimp_bridge.worker import Picture as Request

    (tmp_path / "web.jpg").write_bytes(jpeg(photograph[:96, :104], 50))
    assert choose_for_file(tmp_path / "web.jpg").model == "photo"
    with Image.open(tmp_path / "web.jpg") as image:
        image.load()
        wanted = np.asarray(upscale_image(image, model="photo", device="cpu"))
        assert np.array_equal(np.asarray(upscale_image(image, model="auto", device="cpu")), wanted)
        bare = image.copy()
    assert np.array_equal(np.asarray(bare.filter(SuperResolution(2, "auto", device="cpu"))), wanted)
    answer, pixels = Answerer("cpu")(Request(np.asarray(bare), "auto", 2, False))
    assert answer["type"] == "result"
    assert pixels is not None
    assert np.array_equal(pixels, wanted)


def h264(photograph: Picture, path: Path, frames: int = 8) -> Path:
    """A film whose frames move and are coarsely coded."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, {"crf": "34", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(frames):
            part = np.ascontiguousarray(photograph[number : number + 96, 2 * number : 2 * number + 128])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(part, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("format", ["y4m", "nut"])
def test_srp_pipe_takes_one_model_for_the_stream_and_makes_its_bytes(
    format: PipeFormat, photograph: Picture, tmp_path: Path
) -> None:
    film, raw = h264(photograph, tmp_path / "film.mkv"), tmp_path / f"raw.{format}"
    codec = ["-c:v", "rawvideo"] if format == "nut" else []
    subprocess.run(["ffmpeg", "-v", "error", "-i", film, *codec, raw], check=True)
    words = ("-m", "sr_plugins.cli", "pipe", "--format", format, "--model", "auto")
    done = warm_python.called(*words, given=raw.read_bytes(), timeout=200)
    assert done.returncode == 0
    told = done.stderr.decode()
    assert "srp: the first frames: a film without its finest detail, as codecs leave it: film x2; --model fast" in told
    film_made = io.BytesIO()
    with raw.open("rb") as given, Upscaler("film") as upscaler:
        upscale_pipe(given, film_made, upscaler, format)
    assert done.stdout == film_made.getvalue() != b""


def test_a_stream_that_breaks_among_the_first_frames_gives_those_that_are_whole(photograph: Picture) -> None:
    from sr_plugins.errors import PipeError

    seen: list[list[Frame]] = []
    stream = b"YUV4MPEG2 W8 H8 F25:1 Cmono\n" + 2 * (b"FRAME\n" + bytes(64)) + b"FRAME\n" + bytes(9)
    target = io.BytesIO()
    with Upscaler("tiny", 2, device="cpu") as upscaler:

        def choose(first: list[Frame]) -> Upscaler:
            seen.append(first)
            return upscaler

        with pytest.raises(PipeError, match="in the middle of frame 2"):
            upscale_pipe(io.BytesIO(stream), target, choose)
        assert [len(first) for first in seen] == [2]
        empty = b"YUV4MPEG2 W8 H8 F25:1 Cmono\n"
        assert upscale_pipe(io.BytesIO(empty), io.BytesIO(), choose) == 0
    assert target.getvalue().startswith(b"YUV4MPEG2 W16 H16")


def test_vapoursynth_takes_one_model_for_the_clip_and_makes_its_frames(photograph: Picture) -> None:
    vs = pytest.importorskip("vapoursynth")
    from vapoursynth_filter import upscale

    gray = Image.fromarray(decoded(jpeg(photograph, 50))).convert("L")
    samples = np.asarray(gray)[:96, :128]
    blank = vs.core.std.BlankClip(format=vs.GRAY8, width=128, height=96, length=7, keep=True)

    def filled(n: int, f: object) -> object:
        made = f.copy()  # type: ignore[attr-defined]
        np.copyto(np.asarray(made[0]), np.roll(samples, 8 * n, 1))
        return made

    clip = blank.std.ModifyFrame(blank, filled)
    said: list[str] = []
    handle = vs.core.add_log_handler(lambda kind, text: said.append(text))
    try:
        chosen = upscale(clip, "auto", device="cpu")
    finally:
        vs.core.remove_log_handler(handle)
    wanted = upscale(clip, "restore", device="cpu")
    assert any("JPEG of quality" in text and "restore x2; model='fast' for the plain one" in text for text in said)
    for n in (0, 3, 6):
        assert np.array_equal(np.asarray(chosen.get_frame(n)[0]), np.asarray(wanted.get_frame(n)[0]))


def test_a_film_keeps_the_model_that_it_was_begun_with(photograph: Picture, tmp_path: Path) -> None:
    """Chosen, journalled, and taken again when it goes on, whatever would be chosen then."""
    from video_clips import picture_hash

    from sr_plugins.video.transcode import FilmProgress, upscale_video

    film = h264(photograph, tmp_path / "source.mkv")
    whole = srp("video", film, "-o", tmp_path / "whole.mkv", "--chunk", 3, "--device", "cpu")
    assert "source.mkv: a film without its finest detail, as codecs leave it: film x2" in whole.stderr

    def stop(progress: FilmProgress) -> None:
        if progress.done > 3:
            raise KeyboardInterrupt

    with Upscaler("tiny", device="cpu") as upscaler:
        upscale_video(film, tmp_path / "tiny-whole.mkv", upscaler, chunk_frames=3)
    # the one that it would choose, and one that somebody else chose
    for model, straight in (("film", tmp_path / "whole.mkv"), ("tiny", tmp_path / "tiny-whole.mkv")):
        target = tmp_path / f"{model}.mkv"
        with Upscaler(model, device="cpu") as upscaler, pytest.raises(KeyboardInterrupt):
            upscale_video(film, target, upscaler, chunk_frames=3, progress=stop)
        told = srp("video", film, "-o", target, "--chunk", 3, "--device", "cpu").stderr
        assert f"source.mkv: goes on with {model}, as it was begun" in told
        assert " of them from before" in told
        assert picture_hash(target) == picture_hash(straight)


@pytest.mark.parametrize("quality", [30, 60, 80, 90, 94, 95, 96, 98, 99, 100])
def test_a_jpeg_file_is_said_to_be_of_the_quality_it_was_saved_with(
    photograph: Picture, quality: int, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg(photograph, quality))
    with Image.open(tmp_path / "photo.jpg") as image:
        found = jpeg_of(image)
        assert found is not None
        assert found.stored == pytest.approx(quality, abs=0.6)
        low, high = found.quality
        assert 1 <= low <= high <= 95  # what recipes take
    if quality >= 90:  # nothing above is seen in pixels alone
        seen = choose_for_file(tmp_path / "photo.jpg").seen
        assert int(seen.rpartition(" ")[2]) == pytest.approx(quality, abs=0.6)

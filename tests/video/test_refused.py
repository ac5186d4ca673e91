"""What is refused leaves nothing behind, and is refused before a model is made ready wherever it can be."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from video_clips import BUNDLED, SYSTEM, both_ffmpegs, ffmpeg_run, moving, tone

from sr_plugins import Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import FrameError, PipeError
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.preview import Stills
from sr_plugins.video.transcode import FilmProgress, upscale_video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("refused") / "in.mkv"
    ffmpeg_run(*moving("64x48", 1.5, "10"), *tone(1.5), "-c:v", "libx264", "-c:a", "aac", path)
    return path


_REFUSED_OPTIONS = [
    *("-c:v aac", "-vf nosuch=1", "-vf crop=5000:10", "-level 99", "-c:a nosuch", "-c:a copy -af volume=2", "-map 0:9"),
    *("-c:v nosuch", "-pix_fmt nosuch", "-f hls", "-f segment", "-f dash", "-f null", "-f tee", "-target pal-dvd"),
]


def _left(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


@both_ffmpegs
def test_refused_options_leave_nothing(ffmpeg: str, film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    for words in _REFUSED_OPTIONS:
        made: list[object] = []
        with pytest.raises(PipeError) as caught:
            upscale_video(
                film, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=words.split(), progress=made.append
            )
        assert (words, _left(tmp_path), made) == (words, [], []), caught.value


def test_frames_larger_than_all_memory_leave_nothing(film: Path, tmp_path: Path) -> None:
    with (
        Upscaler("tiny", size=(10**6, 10**6), device="cpu", backend="torch") as upscaler,
        pytest.raises(FrameError, match="more memory than this machine has"),
    ):
        upscale_video(film, tmp_path / "out.mkv", upscaler)
    assert not _left(tmp_path)


def test_what_the_decoder_refuses_leaves_nothing(film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    with pytest.raises(PipeError, match=r"nonsense.*without --hwaccel the processor decodes it"):
        upscale_video(film, target, doubled, hwaccel="nonsense", ffmpeg=BUNDLED)
    assert not _left(tmp_path)
    target.with_name("out.mkv.parts").mkdir()
    with pytest.raises(PipeError):
        upscale_video(film, target, doubled, hwaccel="nonsense", ffmpeg=BUNDLED)
    assert _left(tmp_path) == ["out.mkv.parts"]  # not ours, and nothing of ours in it


@both_ffmpegs
def test_hardware_that_is_not_there_is_told_before_a_model_is_made(ffmpeg: str, film: Path, tmp_path: Path) -> None:
    """In a line, and by ``--preview``, too; nothing of ours asks which machines have it: one frame is decoded."""

    def never() -> Upscaler:
        raise AssertionError("a model was made")

    absent = "vdpau" if ffmpeg == SYSTEM else "d3d11va"
    with pytest.raises(PipeError, match=rf"--hwaccel {absent}: ffmpeg .* without --hwaccel the processor decodes it"):
        upscale_video(film, tmp_path / "out.mkv", never, hwaccel=absent, ffmpeg=ffmpeg)
    with pytest.raises(PipeError, match=rf"--hwaccel {absent}: "):
        Stills(film, [], DecodeOptions(hwaccel=absent), ffmpeg)
    assert not _left(tmp_path)


def test_addresses_are_no_targets_and_hwaccel_is_ours(film: Path, tmp_path: Path) -> None:
    for words, cure in (
        (["-o", "https://example.org/out.mkv"], "https://example.org/out.mkv is an address, and srp writes files"),
        (["-o", str(tmp_path / "out.mkv"), "--", "-hwaccel", "cuda"], "--hwaccel NAME stands before the --"),
    ):
        result = CliRunner().invoke(srp, ["video", str(film), *words])
        assert cure in result.stderr + str(result.exception), words
    assert not _left(tmp_path)


def test_a_stop_before_the_first_chunk_leaves_nothing(film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_video(film, tmp_path / "out.mkv", doubled, progress=stop)
    assert not _left(tmp_path)

    def stop_later(progress: FilmProgress) -> None:
        if progress.done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_video(film, tmp_path / "out.mkv", doubled, chunk_frames=5, progress=stop_later)
    assert (tmp_path / "out.mkv.parts" / "000000.nut").is_file()


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        ((99.0, None), r"in\.mkv: no frame lies between --start and --end: its frames are shown until 1\.500 s"),
        ((1.5, None), "no frame lies between"),
        ((1.41, 1.45), "no frame lies between"),
        ((1.0, 0.5), r"the end, 0\.5 s, is not after the start, 1 s"),
        ((0.5, 0.5), "is not after the start"),
        ((None, 0.0), "is not after the start, 0 s"),
        ((-1.0, None), r"start of -1\.0 is not possible"),
        ((float("nan"), None), "start of nan is not possible"),
        ((0.0, float("inf")), "end of inf is not possible"),
    ],
)
def test_a_cut_without_frames_is_told_before_a_model_is_made(
    cut: tuple[float | None, float | None], told: str, film: Path, tmp_path: Path
) -> None:
    def no_model() -> Upscaler:
        raise AssertionError("a model was made ready")

    with pytest.raises(PipeError, match=told):
        upscale_video(film, tmp_path / "out.mkv", no_model, start=cut[0], end=cut[1])
    with pytest.raises(PipeError, match=told):
        Stills(film, [], DecodeOptions(), BUNDLED, cut=cut)
    assert not _left(tmp_path)


@pytest.mark.parametrize("model", ["auto", "tiny"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--start", "1:00"], "no frame lies between --start and --end: its frames are shown until 1.500 s"),
        (["--hwaccel", "nonsense"], "--hwaccel nonsense: this ffmpeg"),
        (["--", "-c:v", "nosuch"], "has no encoder 'nosuch'"),
    ],
)
def test_the_command_tells_it_first_and_leaves_no_folder(
    model: str, words: list[str], told: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_model(*_: object, **__: object) -> None:
        raise AssertionError("a model was made ready")

    monkeypatch.setattr("sr_plugins.upscaler.Upscaler.__init__", no_model)
    monkeypatch.setattr("sr_plugins.video.choosing.choose_for_film", no_model)
    place = f"{tmp_path / 'new' / 'films'}/"
    done = CliRunner().invoke(srp, ["video", str(film), "-m", model, "-o", place, *words])
    assert isinstance(done.exception, PipeError), done.output
    assert told in str(done.exception)
    assert not _left(tmp_path)


def test_a_preview_looks_at_the_part_that_is_asked_for(film: Path) -> None:
    part = Stills(film, [], DecodeOptions(), BUNDLED, cut=(0.4, 0.8))
    assert part.count == 4
    times = [still.time for still in part.seen()]
    assert [round(time, 3) for time in times] == [0.5, 0.6, 0.7]
    whole = Stills(film, times, DecodeOptions(), BUNDLED)
    assert whole.count == 15
    for one, other in zip(part.seen(), whole.seen(), strict=True):
        assert np.array_equal(one.frame.samples()[0], other.frame.samples()[0])


def test_a_named_model_that_is_broken_is_told_once_for_many_films(film: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    words = ["video", str(film), str(film), "-m", str(broken), "-o", f"{tmp_path / 'out'}/"]
    done = CliRunner().invoke(srp, words)
    assert done.exit_code == 1
    assert len(re.findall("broken", done.output)) <= 1
    assert not (tmp_path / "out").exists()


def test_raw_frames_that_nut_calls_something_else(tmp_path: Path, doubled: Upscaler) -> None:
    """p010 comes out of NUT as RGB of 15 bits, which would be a picture of noise; the latter is read."""
    for name in ("p010le", "rgb555le", "nv16"):
        ffmpeg_run(*moving("32x24", 0.1), "-c:v", "rawvideo", "-pix_fmt", name, tmp_path / f"{name}.nut")
    with pytest.raises(PipeError, match=r"nv16\.nut: NUT has no name for these frames .*: use -pix_fmt yuv422p$"):
        upscale_video(tmp_path / "nv16.nut", tmp_path / "out.mkv", doubled)  # of the size of RGB of 15 bits
    with pytest.raises(PipeError, match=r"p010le\.nut: NUT has no name for these frames .*: use -pix_fmt yuv420p10le"):
        upscale_video(tmp_path / "p010le.nut", tmp_path / "out.mkv", doubled)
    white = ["-f", "lavfi", "-i", "color=white:s=32x24:r=25:d=0.1"]  # the highest samples that there are
    ffmpeg_run(*white, "-c:v", "rawvideo", "-pix_fmt", "rgb555le", tmp_path / "white.nut")
    for name in ("rgb555le", "white"):
        target = tmp_path / f"{name}.mkv"
        assert upscale_video(tmp_path / f"{name}.nut", target, doubled, options=["-c:v", "ffv1"]).frames == 3


@both_ffmpegs
def test_an_encoder_without_its_hardware(ffmpeg: str, film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    options = ["-c:v", "hevc_vaapi"]  # without a device, whatever hardware there is
    with pytest.raises(PipeError) as caught:
        upscale_video(film, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=options)
    assert str(caught.value).endswith("hevc_vaapi needs a device with its driver, and options that ffmpeg asks for; "
                                      "libx265 needs none")  # fmt: skip
    assert len(str(caught.value)) < 1200
    assert _left(tmp_path) == []


@both_ffmpegs
@pytest.mark.parametrize(
    ("suffix", "words", "cures"),
    [
        ("mp4", "-c:a nosuch", False),
        ("mp4", "-af nosuch", False),
        ("ts", "-bsf:a nosuch", False),
        ("mov", "-f mov -c:v libvpx-vp9", False),
        ("mov", "-c:v libvpx-vp9", True),
        ("webm", "-c:v libx264", True),
    ],
)
def test_matroska_is_named_where_it_is_a_cure(
    ffmpeg: str, suffix: str, words: str, cures: bool, film: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    with pytest.raises(PipeError) as caught:
        upscale_video(film, tmp_path / f"out.{suffix}", doubled, ffmpeg=ffmpeg, options=words.split())
    assert str(caught.value).endswith("; .mkv as target holds everything") == cures
    assert not _left(tmp_path)
    if cures:
        upscale_video(film, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=words.split())

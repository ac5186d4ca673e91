"""A look before a night of work: frames of a film through several models, on a page."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import nearest, with_lanes
from torch import Tensor, nn
from video_clips import BUNDLED, ffmpeg_run, moving

from sr_plugins import Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.engine.windows import Seen
from sr_plugins.errors import PipeError
from sr_plugins.estimation.choice import BEST_FIRST
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.video.choosing import choose_for_film
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.pace import estimated_pace, noise
from sr_plugins.video.preview import Stills, as_rgb
from sr_plugins.video.tuning import Measured, line, running_least, runs_for, table


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preview") / "in.mkv"
    scale = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"
    tags = f"{scale},format=yuv444p,setparams=colorspace=bt709:range=tv"
    ffmpeg_run(*moving("64x48", 4, "10"), "-vf", tags, "-c:v", "ffv1", path)
    return path


def test_frames_at_their_times_in_their_colours(film: Path, tmp_path: Path) -> None:
    chosen = Stills(film, [0.0, 1.25, 3.99], DecodeOptions(), BUNDLED)
    found = chosen.seen()
    assert [round(still.time, 3) for still in found] == [0.0, 1.2, 3.9]
    assert [round(s.time, 1) for s in Stills(film, [], DecodeOptions(), BUNDLED).seen()] == [1.0, 2.0, 3.0]
    for still in found:
        shown = tmp_path / "shown.png"
        number = round(still.time * 10)
        ffmpeg_run("-i", film, "-vf", f"select=eq(n\\,{number}),scale=in_color_matrix=bt709", "-frames:v", "1", shown)
        from PIL import Image

        with Image.open(shown) as image:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - as_rgb(still.frame)).max() <= 3
    with pytest.raises(PipeError, match=r"in\.mkv: there is no frame at 4 s: it lasts 4\.000 s"):
        Stills(film, [4.0], DecodeOptions(), BUNDLED)
    assert chosen.source.timeline[-1] * chosen.source.time_base < 4


def test_the_page_of_a_command(film: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ["video", str(film), "--preview", "--at", "0:01,3.5", "--model", "tiny,fast", "--device", "cpu"]
    words += ["--backend", "torch", "-o", str(page)]
    done = CliRunner().invoke(srp, words, standalone_mode=False)
    assert done.exception is None, done.output
    told = re.search(r"\[\{\"title\".*\}\]\}\]", page.read_text())
    assert told is not None
    scenes = json.loads(told[0])
    assert [scene["title"] for scene in scenes] == ["0:00:01.00", "0:00:03.50"]
    assert [p["name"] for p in scenes[0]["pictures"]] == ["in.mkv", "tiny", "fast"]
    assert [p["width"] for p in scenes[0]["pictures"]] == [64, 128, 128]
    assert all("s a frame" in p["note"] for p in scenes[1]["pictures"][1:])
    assert "for all 40 frames" in done.stderr
    assert [p.name for p in film.parent.iterdir()] == ["in.mkv"]
    again = CliRunner().invoke(srp, words, standalone_mode=False)
    assert "exists: --overwrite" in str(again.exception)
    alone = CliRunner().invoke(srp, ["video", str(film), "-o", str(tmp_path / "o.mkv"), "--at", "1"])
    assert "--at names the frames of --preview" in alone.output


def test_times_count_as_those_of_a_cut_do(tmp_path: Path) -> None:
    """From the beginning of the film, where its picture begins later."""
    late = tmp_path / "late.mkv"
    picture = ["-itsoffset", "0.7", *moving("64x48", 1, "10")]
    ffmpeg_run(*picture, "-f", "lavfi", "-i", "sine=d=2", "-c:v", "ffv1", "-c:a", "flac", late)
    assert [round(s.time, 3) for s in Stills(late, [0.0, 1.05], DecodeOptions(), BUNDLED).seen()] == [0.7, 1.0]
    part = Stills(late, [1.05], DecodeOptions(), BUNDLED, cut=(1.0, 1.3))
    assert [round(still.time, 3) for still in part.seen()] == [1.0]
    assert part.count == 3


@pytest.mark.parametrize(
    ("at", "cut", "told"),
    [
        (0.5, (1.0, 2.0), "0.5 s lies outside --start 1 --end 2"),
        (2.0, (1.0, 2.0), "2 s lies outside --start 1 --end 2"),
        (0.5, (1.5, None), "0.5 s lies outside --start 1.5"),
        (3.0, (None, 2.5), "3 s lies outside --end 2.5"),
    ],
)
def test_times_outside_of_the_part_are_refused(
    at: float, cut: tuple[float | None, float | None], told: str, film: Path
) -> None:
    with pytest.raises(PipeError, match=rf"in\.mkv: {re.escape(told)}: name times of the part$"):
        Stills(film, [at], DecodeOptions(), BUNDLED, cut=cut)


def _previewed(source: Path, page: Path, *words: str) -> tuple[list[str], str]:
    """Titles of the scenes, and what was said."""
    said = ["video", str(source), "--preview", "--model", "bicubic", "--device", "cpu", "--backend", "torch"]
    done = CliRunner().invoke(srp, [*said, "-o", str(page), *words], standalone_mode=False)
    assert done.exception is None, done.output
    told = re.search(r"\[\{\"title\".*\}\]\}\]", page.read_text())
    assert told is not None
    return [scene["title"] for scene in json.loads(told[0])], done.stderr


def test_a_frame_is_shown_once(tmp_path: Path) -> None:
    one = tmp_path / "one.gif"
    ffmpeg_run(*moving("64x48", 1), "-frames:v", "1", one)
    titles, said = _previewed(one, tmp_path / "page.html")
    assert titles == ["0:00:00.00"]
    assert "for its only frame, but encoding" in said
    assert "page.html: 1 frame, 1 model;" in said


@pytest.mark.parametrize("named", ["f_%03d.png", "."])
def test_numbered_pictures(named: str, tmp_path: Path) -> None:
    """By their pattern or their folder, from any number on."""
    folder = tmp_path / "frames"
    folder.mkdir()
    ffmpeg_run(*moving("64x48", 1, "10"), "-start_number", "100", folder / "f_%03d.png")
    titles, said = _previewed(folder / named, tmp_path / "page.html", "--fps", "10")
    assert titles == ["0:00:00.20", "0:00:00.50", "0:00:00.70"]
    assert "for all 10 frames" in said
    (_, *rows, _), said = _tune(folder / named, "--fps", "10")
    assert rows
    assert "png: no trace of compression, no noise" in said
    made = CliRunner().invoke(srp, ["video", str(folder), "--preview"])
    assert made.exit_code == 0
    assert (folder / "f-preview.html").exists()


def test_combs_are_told_before_the_page(tmp_path: Path) -> None:
    source, page = tmp_path / "fields.mkv", tmp_path / "page.html"
    fields = ["-vf", "tinterlace=4", "-flags", "+ildct+ilme", "-x264-params", "tff=1"]
    ffmpeg_run(*moving("64x48", 1, "50"), *fields, "-c:v", "libx264", source)
    assert "fields.mkv is interlaced, which upscaling would bake in: add --deinterlace" in _previewed(source, page)[1]
    assert "interlaced" not in _previewed(source, page, "--overwrite", "--deinterlace")[1]


@pytest.mark.parametrize("frames", [3, 60])
def test_a_model_is_chosen_for_what_nobody_can_seek_in(frames: int, tmp_path: Path) -> None:
    """``auto`` looked at no frame of a codec's own stream and took the plain model."""
    bare, film = tmp_path / "film.h264", tmp_path / "film.mkv"
    ffmpeg_run(*moving("64x48", 4), "-frames:v", str(frames), "-c:v", "libx264", "-crf", "30", "-g", "5", film)
    ffmpeg_run("-i", film, "-c", "copy", "-bsf:v", "h264_mp4toannexb", bare)
    chosen = choose_for_film(bare)
    assert (chosen.model, chosen.seen) == (choose_for_film(film).model, choose_for_film(film).seen)


def _tune(film: Path, *words: str) -> tuple[list[str], str]:
    done = CliRunner().invoke(
        srp, ["video", str(film), "--tune", "--device", "cpu", "--backend", "torch", *words], standalone_mode=False
    )
    assert done.exception is None, done.output
    return done.stdout.splitlines(), done.stderr


def test_the_best_model_that_is_real_time(film: Path, tmp_path: Path) -> None:
    (head, *rows, told), said = _tune(film, "--at", "1")
    assert said.startswith("srp: in.mkv: ")
    assert head.split() == ["model", "frames", "a", "second", "times", "real", "time"]
    models = [row.split()[0] for row in rows]
    assert models == list(BEST_FIRST["fast"])
    speeds = {row.split()[0]: float(row.split()[1]) for row in rows}
    assert speeds["tiny"] > speeds["quality"]
    assert all(abs(float(row.split()[1]) / 10 / float(row.split()[2]) - 1) < 0.02 for row in rows)
    quick = [model for model in models if speeds[model] >= 10]
    if quick:
        assert f"{quick[0]} x2 on torch, cpu, float32: the best that is real time here" in told
        assert told.endswith(f"the film has 10: --model {quick[0]}")
    assert [p.name for p in film.parent.iterdir()] == ["in.mkv"]


def test_models_that_run_twice_are_left_out() -> None:
    clean, coded = BEST_FIRST["fast"], BEST_FIRST["restore"]
    assert running_least(clean, {"scale": 4}, (64, 48)) == ("fast", "realtime")
    assert running_least(clean, {"scale": 1.5}, (64, 48)) == clean
    assert running_least(clean, {"size": (128, None)}, (64, 48)) == clean
    assert running_least(clean, {"size": (256, None)}, (64, 48)) == clean  # all are x2, run twice
    assert running_least(coded, {}, (64, 48)) == coded


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("wanted", [(5, 4), (10, 8), (10, 9), (11, 8), (15, 12), (30, 36), (45, 36), (80, 64), (3, 40)])
def test_runs_are_as_many_as_the_engine_makes(scale: int, wanted: tuple[int, int]) -> None:
    called = []

    def network(module: nn.Module, x: Tensor) -> Tensor:
        called.append(x.shape)
        result: Tensor = module(x)
        return result

    with Upscaler(nearest(scale), backend="laned", plugins=with_lanes(network, 1), reuse=False) as upscaler:
        result = upscaler.submit(Frame([np.zeros((4, 5), np.uint8)], FrameFormat(family="gray")), size=wanted).result()
    assert (result.width, result.height) == wanted
    assert len(called) == runs_for(scale, (5, 4), wanted)


def test_models_that_are_named(film: Path) -> None:
    (_, *rows, _), said = _tune(film, "--at", "1", "--size", "128x", "--model", "bicubic, tiny")
    assert [row.split()[0] for row in rows] == ["bicubic", "tiny"]
    assert said == ""
    both = CliRunner().invoke(srp, ["video", str(film), "--tune", "-o", "out.mkv"])
    assert "--tune measures and writes nothing" in both.output


def test_which_is_named() -> None:
    slow, middle, quick = (Measured(n, f"{n} x2", f, n != "a") for n, f in (("a", 0.5), ("b", 24.0), ("c", 61.25)))
    assert line([slow, middle, quick], 24.0) == (
        "b x2: the best that is real time here: 24 frames a second without encoding, the film has 24: --model b"
    )
    assert line([slow, middle], 25.0) == (
        "none is real time here: b x2, the quickest, makes 24 frames a second, the film has 25: "
        "the film takes 1.04 times as long as it plays"
    )
    assert table([slow, quick], 25.0)[1:] == [
        "a            about 0.5             0.02",
        "c                 61.2             2.45",
    ]


def test_a_large_slow_frame_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Seen(noise(FrameFormat(family="yuv", subsampling=(1, 1)), 640, 180), (), ())]
    with Upscaler("bicubic", 2, device="cpu", backend="torch", reuse=False) as upscaler:
        asked: list[int] = []
        submit = upscaler.submit

        def watched(frame: Frame, *neighbours: Sequence[Frame], size: tuple[int, int] | None = None) -> Future[Frame]:
            asked.append(frame.width)
            return submit(frame, *neighbours, size=size)

        monkeypatch.setattr(upscaler, "submit", watched)
        monkeypatch.setattr("sr_plugins.video.pace.PATIENCE", 0.0)
        seconds, whole = estimated_pace(upscaler, frames)
        assert (set(asked), whole) == ({320}, False)
        monkeypatch.setattr("sr_plugins.video.pace.PATIENCE", 1e9)
        exactly, whole = estimated_pace(upscaler, frames)
        assert (asked[-1], whole) == (640, True)
        assert 0 < exactly / seconds < 100

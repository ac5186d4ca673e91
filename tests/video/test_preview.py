"""A look before a night of work: frames of a film through several models, on a page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from video_clips import BUNDLED, ffmpeg_run, moving

from sr_plugins.cli.main import srp
from sr_plugins.errors import PipeError
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.preview import as_rgb, stills


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preview") / "in.mkv"
    scale = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"
    tags = f"{scale},format=yuv444p,setparams=colorspace=bt709:range=tv"
    ffmpeg_run(*moving("64x48", 4, "10"), "-vf", tags, "-c:v", "ffv1", path)
    return path


def test_frames_at_their_times_in_their_colours(film: Path, tmp_path: Path) -> None:
    source, found = stills(film, [0.0, 1.25, 3.99], DecodeOptions(), BUNDLED)
    assert [round(still.time, 3) for still in found] == [0.0, 1.2, 3.9]
    assert [round(s.time, 1) for s in stills(film, [], DecodeOptions(), BUNDLED)[1]] == [1.0, 2.0, 3.0]
    for still in found:
        shown = tmp_path / "shown.png"
        number = round(still.time * 10)
        ffmpeg_run("-i", film, "-vf", f"select=eq(n\\,{number}),scale=in_color_matrix=bt709", "-frames:v", "1", shown)
        from PIL import Image

        with Image.open(shown) as image:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - as_rgb(still.frame)).max() <= 3
    with pytest.raises(PipeError, match=r"in\.mkv: there is no frame at 4 s: it lasts 4\.000 s"):
        stills(film, [4.0], DecodeOptions(), BUNDLED)
    assert source.timeline[-1] * source.time_base < 4


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

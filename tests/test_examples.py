"""The examples, run as their texts say, on real input."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import warm_python
from PIL import Image
from video_clips import ffmpeg_run, moving, tone

EXAMPLES = Path(__file__).parent.parent / "examples"


def environment(path: Path | None = None, **variables: str) -> dict[str, str]:
    """This checkout is on the import path, and what ``path`` holds."""
    folders = [str(EXAMPLES.parent), *([str(path)] if path else [])]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1", **variables}
    given.pop("XDG_CONFIG_HOME", None)
    return given


def run(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], env=environment(**variables), capture_output=True, text=True, check=False, timeout=250
    )


def python(*command: object, path: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return warm_python.python(*command, env=environment(path), cwd=cwd, timeout=250)


def test_the_vapoursynth_script_gives_frames_twice_as_large(tmp_path: Path) -> None:
    vs = pytest.importorskip("vapoursynth")
    programs = Path(sys.executable).parent
    # vspipe finds this Python by a settings file, which is not to be that of whoever runs the tests
    home = {"HOME": str(tmp_path), "SR_PLUGINS_BACKEND": "torch"}
    assert run(programs / "vapoursynth", "config", **home).returncode == 0
    made = tmp_path / "made.y4m"
    done = run(programs / "vspipe", "-c", "y4m", EXAMPLES / "upscale.vpy", made, **home)
    assert done.returncode == 0, done.stderr
    assert "Output 3 frames" in done.stderr
    assert b" W320 H180 " in made.read_bytes().partition(b"\n")[0]
    film = tmp_path / "film.mkv"
    ffmpeg_run(*moving(seconds=0.16), "-c:v", "libx264", film)
    done = run(programs / "vspipe", EXAMPLES / "upscale.vpy", "-a", f"source={film}", "--", **home)
    opens_films = any(hasattr(vs.core, plugin) for plugin in ("bs", "ffms2", "lsmas"))
    assert done.returncode == (0 if opens_films else 1)
    assert ("Output 4 frames" if opens_films else "no source filter is installed") in done.stderr


def test_a_folder_is_transcoded_and_a_bad_film_stops_nobody(tmp_path: Path) -> None:
    season = tmp_path / "season"
    season.mkdir()
    ffmpeg_run(*moving(seconds=0.16), *tone(0.16), "-c:v", "libx264", season / "good.mp4")
    (season / "bad.mkv").write_bytes(b"no film")
    script = (EXAMPLES / "transcode_folder.py", season, tmp_path / "out", "--model", "tiny")
    done = python(*script)
    assert done.returncode == 1
    assert "good.mkv: 4 frames" in done.stdout
    assert "bad.mkv" in done.stderr
    assert "Traceback" not in done.stderr
    with av.open(season / "good.mp4") as small, av.open(tmp_path / "out" / "good.mkv") as large:
        a, b = small.streams.video[0], large.streams.video[0]
        assert (b.width, b.height) == (2 * a.width, 2 * a.height)
    made = (tmp_path / "out" / "good.mkv").stat().st_mtime_ns
    assert python(*script).returncode == 1
    assert (tmp_path / "out" / "good.mkv").stat().st_mtime_ns == made, "what is there is left alone"


def test_pictures_become_larger_and_keep_what_they_carry(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    photo = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8))
    photo.save(tmp_path / "photo.jpg", dpi=(300, 300))
    frames = [Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)) for _ in range(3)]
    frames[0].save(tmp_path / "dance.gif", save_all=True, append_images=frames[1:], duration=70)
    out = tmp_path / "out"
    done = python(EXAMPLES / "pillow_thumbnails.py", out, tmp_path / "photo.jpg", tmp_path / "dance.gif")
    assert done.returncode == 0, done.stderr
    assert "photo.jpg: 40x30 -> 80x60" in done.stdout
    with Image.open(out / "photo.jpg") as larger, Image.open(out / "dance.gif") as dance:
        assert (larger.size, larger.info["dpi"]) == ((80, 60), (300, 300))
        assert (dance.size, dance.n_frames, dance.info["duration"]) == ((32, 24), 3, 70)  # type: ignore[attr-defined]
    with Image.open(out / "photo-preview.png") as preview:
        assert preview.size == (128, 128)


def test_the_plugin_is_installed_by_pip_and_its_model_and_degradation_work(tmp_path: Path) -> None:
    """pip builds and installs it; then ``srp`` finds it, its own tests pass, and a recipe's chain takes its step."""
    source = tmp_path / "plugin"
    shutil.copytree(EXAMPLES / "plugin", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    site = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    done = run(*pip, "--no-build-isolation", "--target", site, source)
    assert done.returncode == 0, done.stderr
    done = python("-m", "sr_plugins.cli", "models", path=site)
    assert "sharpened-cubic" in done.stdout
    Image.new("RGB", (20, 10), (200, 100, 50)).save(tmp_path / "in.png")
    arguments = ["in.png", "-o", "out.png", "--model", "sharpened-cubic", "--backend", "torch"]
    done = python("-m", "sr_plugins.cli", "image", *arguments, path=site, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (40, 20)
        assert np.abs(np.asarray(picture).astype(int) - (200, 100, 50)).max() <= 1, "a flat colour stays"
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", source / "tests", path=site, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    chain = (
        "import sys, numpy as np; from pathlib import Path;"
        "from sr_plugins.training.degradations.chain import read_chain; chain = read_chain(Path(sys.argv[1]), 2);"
        "print(chain(np.full((8, 8, 3), 200, np.uint8), np.random.default_rng(0)).shape)"
    )
    (tmp_path / "chain.toml").write_text(
        '[[degradation]]\nname = "scan-lines"\ndepth = 0.2\n[[degradation]]\nname = "bicubic"\n'
    )
    done = python("-c", chain, tmp_path / "chain.toml", path=site)
    assert done.stdout.strip() == "(4, 4, 3)", done.stderr

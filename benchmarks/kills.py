"""Sixteen kinds of film, each ended at random moments and continued: is it the film of an uninterrupted run?

    python benchmarks/kills.py --kills 100

Every kind is first made in one go, which tells how long it takes. Then the same command is started and sent SIGKILL,
SIGTERM or SIGINT (--signals) after a random part of that time, again and again, and at last left alone. Compared are
the times and pixels of all frames and the packets of every other stream; no process may be left that touches the
folder, files of others beside and inside the folder of chunks must be what they were, and whoever is asked to end
does so within half a minute, with the status of the signal. Ends with status 1 where something differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

from sr_plugins import Upscaler, upscale_video
from sr_plugins.cli.stopping import stoppable
from sr_plugins.video.ffmpeg_process import bundled_ffmpeg, find_ffmpeg
from sr_plugins.video.sequence import is_sequence

MOVING = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2"]
TONE = ["-f", "lavfi", "-i", "sine=d=2"]
UNEVEN = ["-vf", "select='not(eq(mod(n,7),3)+eq(mod(n,11),5))'", "-fps_mode", "passthrough"]
FAST = ["-preset", "ultrafast"]
MAPPED = [word for number in range(4) for word in ("-map", str(number))]
PROGRAMS = ["-program", "program_num=5:st=0:st=1", "-program", "program_num=6:st=2:st=3"]
PATIENCE = 30  # seconds for a process that was asked to end
# name: ffmpeg's words for the source, its file, the target, and what `upscale_video` is told
KINDS: dict[str, tuple[list[str], str, str, dict[str, Any]]] = {
    "uneven times": ([*MOVING, *TONE, *UNEVEN, "-c:a", "aac"], "in.mkv", "out.mkv", {"options": FAST}),
    "gif": (MOVING, "in.gif", "out.mkv", {"options": ["-c:v", "ffv1"]}),
    "broadcast": ([*MOVING, *TONE, "-c:v", "mpeg2video", "-c:a", "mp2"], "in.ts", "out.mp4", {"options": FAST}),
    "trimmed": ([*MOVING, *TONE, "-c:a", "aac"], "whole.mov", "out.mkv", {"options": FAST}),
    "prores": ([*MOVING, *TONE, "-c:a", "aac"], "in.mp4", "out.mov", {"options": ["-c:v", "prores_ks"]}),
    "ten bits": ([*MOVING, "-pix_fmt", "yuv420p10le", "-c:v", "ffv1"], "in.mkv", "out.mp4", {"options": FAST}),
    "cut": ([*MOVING, *TONE, "-bf", "3"], "in.mkv", "out.mkv", {"options": FAST, "start": 0.5, "end": 1.7}),
    "pictures in": ([*MOVING, "-pix_fmt", "rgb24"], "f_%03d.png", "out.mkv", {"options": ["-c:v", "ffv1"]}),
    "pictures out": ([*MOVING, *TONE], "in.mkv", "g_%03d.png", {}),
    "open groups": (
        [*MOVING, "-bf", "3", "-x264-params", "keyint=8:open-gop=1"],
        "in.mp4",
        "out.mkv",
        {"options": FAST},
    ),
    "sound first": (
        ["-itsoffset", "0.7", *MOVING, *TONE, "-c:v", "libx264", "-c:a", "aac"],
        "in.mkv",
        "out.mp4",
        {"options": FAST},
    ),
    "covers": ([*MOVING, *TONE, "-c:a", "flac"], "covered.mkv", "out.mkv", {"options": FAST}),
    "cut subtitles": (
        [*MOVING, "-f", "srt", "-i", "SUBTITLES", "-c:v", "libx264", "-c:s", "mov_text"],
        "in.mp4",
        "out.mkv",
        {"options": FAST, "start": 0.5},
    ),
    "programs": (
        [*(*MOVING, *TONE) * 2, *MAPPED, "-c:v", "mpeg2video", "-c:a", "mp2", *PROGRAMS],
        "in.ts",
        "out.ts",
        {"options": FAST},
    ),
    "gif out": (MOVING, "in.mkv", "out.gif", {}),
    "late in avi": (
        [*MOVING, *TONE, "-c:v", "mpeg4", "-bf", "2", "-c:a", "mp3"],
        "in.avi",
        "out.avi",
        {"options": ["-c:v", "mpeg4"]},
    ),
}


def fingerprint(target: Path) -> list[str]:
    """Times and pixels of the film, and the packets of the other streams, as hashes."""
    if is_sequence(target):
        pictures = sorted(target.parent.glob(target.name.replace("%03d", "*")))
        return [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in pictures]
    lines = []
    with av.open(str(target)) as container:
        for frame in container.decode(video=0):
            samples = b"".join(bytes(plane) for plane in frame.planes)
            lines.append(f"{frame.time:.6f} {frame.format.name} {hashlib.sha256(samples).hexdigest()}")
    with av.open(str(target)) as container:
        main = container.streams.video[0].index
        lines += [f"{a.name} {hashlib.sha256(a.data).hexdigest()}" for a in container.streams.attachments]
        for packet in container.demux(*(stream for stream in container.streams if stream.type != "attachment")):
            if packet.stream_index == main:
                continue
            lines.append(f"{packet.stream_index} {packet.pts} {hashlib.sha256(bytes(packet)).hexdigest()}")
    return lines


def make(source: Path, target: Path, settings: dict[str, Any]) -> None:
    """The work itself."""
    with Upscaler("tiny", 2, device="cpu", backend="torch") as upscaler:
        upscale_video(source, target, upscaler, chunk_frames=6, notice=lambda _: None, **settings)


def started(work: Callable[[], None]) -> int:
    """A process of its own that does the work: what this one imported is there at once."""
    if child := os.fork():
        return child
    status = 0
    try:
        with stoppable():
            work()
    except SystemExit as ended:
        status = int(str(ended.code))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        status = 1
    os._exit(status)


def killed(child: int, after: float, by: signal.Signals) -> int | None:
    """Send a signal to a process after so many seconds; its status, or ``None``: it had ended by then."""
    if (status := ended(child, after)) is not None:
        return None if status == 0 else status
    os.kill(child, by)
    if (status := ended(child, PATIENCE)) is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return -1
    return status


def ended(child: int, within: float) -> int | None:
    """The status of a process that ends in these seconds, as a shell tells it."""
    deadline = time.monotonic() + within
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)


def film(kind: str, folder: Path) -> Path:
    """The source of a kind, made."""
    words, name, _, _ = KINDS[kind]
    source, maker = folder / name, bundled_ffmpeg() or find_ffmpeg()
    told = folder / "told.srt"
    told.write_text("1\n00:00:00,200 --> 00:00:01,900\nline\n")
    words = [str(told) if word == "SUBTITLES" else word for word in words]
    subprocess.run([maker, "-v", "error", "-y", *words, source], check=True)
    if kind == "trimmed":
        whole, source = source, folder / "in.mov"
        subprocess.run([maker, "-v", "error", "-y", "-ss", "0.6", "-i", whole, "-c", "copy", source], check=True)
    if kind == "covers":
        bare, source, pictures = source, folder / "in.mkv", [folder / f"cover{n}.png" for n in range(2)]
        words = []
        for number, picture in enumerate(pictures):
            subprocess.run([maker, "-v", "error", "-y", *MOVING, "-frames:v", "1", picture], check=True)
            words += ["-attach", str(picture), f"-metadata:s:t:{number}", "mimetype=image/png"]
        subprocess.run([maker, "-v", "error", "-y", "-i", bare, "-c", "copy", *words, source], check=True)
    return source


def left_behind(folder: Path) -> list[str]:
    """Processes that name the folder, five seconds after one was killed at the latest."""
    deadline = time.monotonic() + 5
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if int(process.name) != os.getpid() and any(os.fsencode(folder) in word for word in words):
                found.append(b" ".join(words).decode(errors="replace"))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def foreign(folder: Path, parts: Path) -> dict[Path, bytes]:
    """Files of somebody else, beside the film and, once there are finished chunks, among them."""
    files = {folder / "out.mkv.old": b"mine", folder / "notes.txt": b"also mine"}
    if (parts / "journal.jsonl").exists():
        files[parts / "my notes.txt"] = b"even this"
    for path, text in files.items():
        if not path.exists():
            path.write_bytes(text)
    return files


def tidy(parts: Path, others: dict[Path, bytes]) -> None:
    """Take our note out of a folder that is nobody's: a job that was ended before its first chunk leaves no list."""
    note = parts / "my notes.txt"
    if note in others and not (parts / "journal.jsonl").exists():
        assert note.read_bytes() == others.pop(note)
        note.unlink()
        parts.rmdir()


def kill_often(
    kind: str, times: int, folder: Path, chance: random.Random, signals: list[str]
) -> tuple[int, int, list[str]]:
    """(kills, runs that were over before, faults) of one kind."""
    _, _, target_name, settings = KINDS[kind]
    source, straight, target = film(kind, folder), folder / "straight" / target_name, folder / "killed" / target_name
    straight.parent.mkdir()
    target.parent.mkdir()
    begun = time.monotonic()
    if os.waitpid(started(lambda: make(source, straight, settings)), 0)[1]:
        return 0, 0, [f"{kind}: cannot be made at all"]
    lasting = time.monotonic() - begun
    wanted, faults, kills, late = fingerprint(straight), list[str](), 0, 0
    parts = target.with_name(target.name + ".parts")
    others: dict[Path, bytes] = {}

    def compare() -> None:
        if fingerprint(target) != wanted:
            faults.append(f"{kind}: another film than the uninterrupted one")
        for path, text in others.items():
            if not path.exists() or path.read_bytes() != text:
                faults.append(f"{kind}: {path.name} of somebody else is gone or changed")
        shutil.rmtree(target.parent)
        target.parent.mkdir()
        others.clear()

    while kills < times:
        tidy(parts, others)
        begun = time.monotonic()
        by = signal.Signals[chance.choice(signals)]
        status = killed(started(lambda: make(source, target, settings)), chance.uniform(0, lasting), by)
        if status is not None:
            kills += 1
            if status not in (0, 128 + by):  # asked after the last moment, or gone by the signal
                faults.append(f"{kind}: {by.name} ended it with status {status}")
        else:
            late += 1
            lasting = min(lasting, time.monotonic() - begun)  # the first run may have shared the machine
        faults += [f"{kind}: left behind: {line}" for line in left_behind(folder)]
        if finished(target):
            compare()
        others |= foreign(target.parent, parts)
    tidy(parts, others)
    if os.waitpid(started(lambda: make(source, target, settings)), 0)[1]:
        faults.append(f"{kind}: cannot be continued")
    else:
        compare()
    return kills, late, faults


def finished(target: Path) -> bool:
    """Whether the film is made, and its folder of chunks is no more, but for what is not ours."""
    parts = target.with_name(target.name + ".parts")
    made = target.exists() or (is_sequence(target) and any(target.parent.glob("g_*.png")))
    return made and not (parts / "journal.jsonl").exists()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--signals", nargs="*", default=["SIGKILL", "SIGTERM", "SIGINT"])
    arguments = parser.parse_args()
    chance, faults, done = random.Random(arguments.seed), list[str](), 0
    print(f"{'kind':14} {'kills':>6} {'over before':>12}  faults")
    for number, kind in enumerate(arguments.kinds):
        count = len(arguments.kinds)
        share = arguments.kills * (number + 1) // count - arguments.kills * number // count
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            kills, late, found = kill_often(kind, share, Path(folder), chance, arguments.signals)
        print(f"{kind:14} {kills:6} {late:12}  {len(found)}", flush=True)
        faults += found
        done += kills
    print("\n".join([*faults, f"{done} kills, {len(faults)} faults"]))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

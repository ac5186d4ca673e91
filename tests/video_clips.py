"""Small clips for the video tests, made with ffmpeg's own sources, and ways to look at what came out."""

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sr_plugins.video.ffmpeg_process import MINIMUM, bundled_ffmpeg, version_number

BUNDLED = bundled_ffmpeg() or ""
SYSTEM = shutil.which("ffmpeg") or ""

_FFMPEGS = [
    pytest.param(BUNDLED, id="bundled", marks=pytest.mark.skipif(not BUNDLED, reason="no bundled ffmpeg")),
    pytest.param(
        SYSTEM,
        id="system",
        marks=pytest.mark.skipif(
            not SYSTEM or version_number(SYSTEM) < MINIMUM, reason="no ffmpeg 5.1 or newer on PATH"
        ),
    ),
]

both_ffmpegs = pytest.mark.parametrize("ffmpeg", _FFMPEGS)


def by_turns(**values: Sequence[Any]) -> pytest.MarkDecorator:
    """Every combination of two or more parameters with one of both ffmpegs: each of the ``values`` meets both."""
    cases = []
    for places in product(*(range(len(of_one)) for of_one in values.values())):
        ffmpeg = _FFMPEGS[sum(places) % 2]
        combined = {name: of_one[place] for (name, of_one), place in zip(values.items(), places, strict=True)}
        said = [
            v if isinstance(v, str) else f"{name}{at}" for at, (name, v) in zip(places, combined.items(), strict=True)
        ]
        cases.append(
            pytest.param(*ffmpeg.values, *combined.values(), marks=ffmpeg.marks, id="-".join([*said, str(ffmpeg.id)]))
        )
    return pytest.mark.parametrize(("ffmpeg", *values), cases)


def ffmpeg_run(*arguments: str | Path) -> None:
    """Run the bundled ffmpeg, which has every encoder that the clips need."""
    command = [BUNDLED, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


def moving(size: str = "48x32", seconds: float = 1, rate: str = "25") -> list[str]:
    """Input options of a moving test picture."""
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]


def open_groups(path: Path, seconds: float) -> Path:
    """Frames at uneven times in open groups of pictures of 8: decoding cannot begin just anywhere."""
    gops = ["-c:v", "libx264", "-bf", "3", "-x264-params", "keyint=8:min-keyint=8:open-gop=1:scenecut=0"]
    ffmpeg_run(*moving(seconds=seconds), *UNEVEN, *gops, path)
    return path


def tone(seconds: float = 1, frequency: int = 440) -> list[str]:
    """Input options of a sine tone."""
    return ["-f", "lavfi", "-i", f"sine=f={frequency}:d={seconds}"]


# Drops frames unevenly and starts late: no two neighbouring gaps are alike for long.
UNEVEN = ["-vf", "select='not(eq(mod(n,7),3)+eq(mod(n,11),5))',setpts='PTS+0.2/TB'", "-fps_mode", "passthrough"]


def packets(path: Path, index: int) -> list[tuple[Fraction, bytes]]:
    """(time in seconds, bytes) of every packet of a stream, in order of time."""
    with av.open(str(path)) as container:
        found = [p for p in container.demux(container.streams[index]) if p.size]
        return sorted(((p.pts or 0) * _fraction(p.time_base or Fraction(1)), bytes(p)) for p in found)


def times(path: Path, index: int = 0) -> list[Fraction]:
    """When the packets of a stream are shown, in seconds."""
    return [time for time, _ in packets(path, index)]


def pictures(path: Path) -> list[list[np.ndarray]]:
    """The decoded planes of the first video stream's frames, read by PyAV alone."""
    shown = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            planes = []
            for plane in picture.planes:
                kind = np.dtype(np.uint8 if max(c.bits for c in picture.format.components) == 8 else np.uint16)
                samples = plane.width * (4 if picture.format.name.startswith(("bgr", "rgba")) else 1)
                planes.append(np.frombuffer(plane, kind).reshape(plane.height, -1)[:, :samples].copy())
            shown.append(planes)
    return shown


def picture_hash(path: Path) -> str:
    """A hash over all decoded frames."""
    state = hashlib.sha256()
    for planes in pictures(path):
        for plane in planes:
            state.update(np.ascontiguousarray(plane))
    return state.hexdigest()


def _fraction(value: object) -> Fraction:
    return Fraction(value.numerator, value.denominator)  # type: ignore[attr-defined]


def living_children() -> set[int]:
    """Processes that this one started and that are still there, zombies among them."""
    children: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            children |= {int(pid) for pid in (task / "children").read_text().split()}
    return children

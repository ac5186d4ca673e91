"""Real films as a source of sequences: the luma of a file, and parts of it without a cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError

SUFFIXES = {".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ogv", ".ts", ".webm"}
LONGEST = 1500  # frames that are read of a film
CUT = 24.0  # mean difference, in codes, of two frames of one shot is smaller
TRIES = 20


def list_clips(folder: Path) -> list[Path]:
    """The films of a folder, sorted by name; there may be none."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def read_luma(path: Path, most: int | None = LONGEST) -> NDArray[np.uint8]:
    """Y' of the first ``most`` frames, (frames, H, W), 8-bit limited range; ``DataError`` if there are none."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} holds no video")
            frames = []
            for frame in container.decode(video=0):
                height = frame.height // 2 * 2
                even = frame.reformat(frame.width // 2 * 2, height, "yuv420p", dst_color_range="MPEG")
                frames.append(even.to_ndarray()[:height])
                if len(frames) == most:
                    break
            return np.stack(frames)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a film: {error}") from error


def draw_part(rng: np.random.Generator, film: NDArray[np.uint8], side: int, frames: int) -> NDArray[np.uint8] | None:
    """(frames, side, side) of somewhere in a film, within one shot; ``None`` where the film is too small or too cut."""
    length, height, width = film.shape
    if length < frames or min(height, width) < side:
        return None
    for _ in range(TRIES):
        first = int(rng.integers(length - frames + 1))
        y, x = (int(rng.integers(whole - side + 1)) // 2 * 2 for whole in (height, width))
        part = film[first : first + frames, y : y + side, x : x + side]
        steps = np.abs(np.diff(part.astype(np.int16), axis=0)).mean((1, 2))
        if steps.max(initial=0) < CUT and part.std() > 8:
            return part
    return None

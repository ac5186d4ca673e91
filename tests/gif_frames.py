"""GIFs written index by index, what is to be seen of them by the standard, and by a reader of others."""

import struct
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.video.ffmpeg_process import find_ffmpeg

PALETTE = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
type GifFrame = tuple[tuple[int, int], list[list[int]], int, int | None]  # place, indices, disposal, transparent index


def by_ffmpeg(path: Path, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """The frames of a GIF by a reader that makes transparent what is disposed, as browsers do and Pillow does not."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo"]
    raw = subprocess.run([*command, "-pix_fmt", "rgba", "-"], check=True, capture_output=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 4))


def gif_of(screen: tuple[int, int], frames: list[GifFrame], background: int = 1) -> bytes:
    """A GIF of black, red, green and blue: for each frame its place, indices, disposal and transparent index."""
    found = b"GIF89a" + struct.pack("<2H3B", *screen, 0x81, background, 0) + PALETTE
    for (left, top), rows, disposal, clear in frames:
        control = struct.pack("<BHB", disposal << 2 | (clear is not None), 5, clear or 0)
        found += b"!\xf9\x04" + control + b"\0," + struct.pack("<4HB", left, top, len(rows[0]), len(rows), 0) + b"\2"
        indices = [index for row in rows for index in row]
        codes = [code for at in range(0, len(indices), 2) for code in (4, *indices[at : at + 2])] + [5]
        bits = sum(code << 3 * number for number, code in enumerate(codes))  # cleared before they grow to 4 bits
        data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
        assert len(data) < 256
        found += bytes([len(data)]) + data + b"\0"
    return found + b";"


def seen_by_the_standard(screen: tuple[int, int], frames: list[GifFrame]) -> list[NDArray[np.uint8]]:
    """What is to be seen, pixel by pixel, as GIF89a (23.c.iv) says it."""
    colours = [tuple(PALETTE[at : at + 3]) for at in range(0, 12, 3)]
    nothing: dict[tuple[int, int], tuple[int, int, int]] = {}
    shown, canvas = [], nothing
    for (left, top), rows, disposal, clear in frames:
        before = dict(canvas)
        places = {(left + x, top + y): index for y, row in enumerate(rows) for x, index in enumerate(row)}
        canvas = before | {place: colours[index] for place, index in places.items() if index != clear}
        picture = np.zeros((screen[1], screen[0], 4), np.uint8)
        for (x, y), colour in canvas.items():
            picture[y, x] = *colour, 255
        shown.append(picture)
        if disposal == 2:
            canvas = {place: colour for place, colour in canvas.items() if place not in places}
        elif disposal == 3:
            canvas = before
    return shown

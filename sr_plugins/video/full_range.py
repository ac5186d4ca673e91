"""Whether a film of full range can be told so: tried, for encoders, containers and their versions differ."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from sr_plugins.errors import PipeError
from sr_plugins.video.source import opened

FULL = 2  # ffmpeg's code of the range
# Encoders that write the range into their stream. Any other takes limited range only, and ffmpeg would squeeze full
# range pixels into it: those get no range from us, only the container does.
_TELL_RANGE = ("264", "265", "hevc", "av1", "vp9", "vvc", "mjpeg")


def writes_range(encoder: str) -> bool:
    """Whether an encoder writes the range into its stream."""
    return any(part in encoder for part in _TELL_RANGE)


@cache
def tells_full_range(
    executable: str, encoder: str, pix_fmt: str, size: tuple[int, int], carrier: str, muxer: str
) -> bool:
    """Whether what this encoder makes is read as full range out of this container, where both are told that it is.
    ``carrier`` is the container between them.

    Of a codec that is limited by definition (MPEG-2, ProRes) it is not, nor where there is no place for the range.
    """
    if writes_range(encoder):
        return True
    quiet = [executable, "-v", "error", "-nostdin", "-y"]
    with tempfile.TemporaryDirectory(prefix="sr-plugins-") as folder:
        coded, film = Path(folder, "coded"), Path(folder, "film")
        gray = f"color=gray:s={size[0]}x{size[1]}:r=25,format={pix_fmt}"
        made = ["-f", "lavfi", "-i", gray, "-frames:v", "2", "-c:v", encoder, "-pix_fmt", pix_fmt, "-strict", "-2"]
        told = ["-i", str(coded), "-c", "copy", "-strict", "-2", "-color_range", str(FULL), "-f", muxer, str(film)]
        for words in ([*made, "-f", carrier, str(coded)], told):
            if subprocess.run([*quiet, *words], capture_output=True).returncode:
                return True  # the rehearsal tells why
        try:
            with opened(film) as container:
                return next(int(frame.color_range) == FULL for frame in container.decode(video=0))
        except (PipeError, StopIteration):
            return True

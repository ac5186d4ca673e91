"""Whether an ffmpeg copies a stream into a container: tried, for their lists of codecs do not tell."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import PROTOCOLS, local_url
from sr_plugins.video.source import StreamInfo, opened


def copies(executable: str, muxer: str, path: Path, stream: StreamInfo, name: str, extra: tuple[str, ...] = ()) -> bool:
    """Whether this ffmpeg copies the beginning of a stream of ``path`` into a container, a file of this name. A film
    has to come back as one: a transport stream takes any codec, and calls what it does not know data."""
    if not stream.is_film:
        return _copied(executable, muxer, path, stream.index, "", name, ("-t", "1", *extra))
    ten = ("-frames:v", "10", *extra)  # however late they begin
    return _copied(executable, muxer, path, stream.index, stream.codec, name, ten)


@cache
def _copied(
    executable: str, muxer: str, path: Path, index: int, film: str, name: str, options: tuple[str, ...]
) -> bool:
    with tempfile.TemporaryDirectory(prefix="sr-plugins-") as folder:
        file = Path(folder, name)
        given = ["-protocol_whitelist", PROTOCOLS, "-i", local_url(path), "-map", f"0:{index}"]
        command = [executable, "-v", "error", "-nostdin", *given, "-c", "copy", *options, "-f", muxer, str(file)]
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            return False
        if not film:
            return True
        try:
            with opened(file) as container:
                there = [stream.codec_context for stream in container.streams.video]
                return film in {context.codec.canonical_name for context in there if context is not None}
        except PipeError:  # too short to be told from noise
            return True

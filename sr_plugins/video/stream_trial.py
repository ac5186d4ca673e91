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
    """Whether this ffmpeg copies the beginning of a stream of ``path`` into a container, a file of this name. Films and
    data have to come back as what they are: a transport stream takes any, and calls what it does not know data."""
    begin = ("-frames:v", "10") if stream.is_film else ("-t", "1")  # films however late they begin
    told = stream.codec if stream.is_film or stream.kind == "data" else ""
    return _copied(executable, muxer, path, stream.index, told, name, (*begin, *extra))


@cache
def _copied(
    executable: str, muxer: str, path: Path, index: int, told: str, name: str, options: tuple[str, ...]
) -> bool:
    """``told``: the codec that has to be found in it, if any."""
    with tempfile.TemporaryDirectory(prefix="sr-plugins-") as folder:
        file = Path(folder, name)
        given = ["-protocol_whitelist", PROTOCOLS, "-i", local_url(path), "-map", f"0:{index}"]
        command = [executable, "-v", "error", "-nostdin", *given, "-c", "copy", *options, "-f", muxer, str(file)]
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            return False
        try:
            with opened(file) as container:
                films = [stream.codec_context for stream in container.streams.video]
                there = {context.codec.canonical_name for context in films if context is not None}
                return not told or told in there | {stream.name for stream in container.streams.data}
        except PipeError:  # too short to be told from noise
            return True

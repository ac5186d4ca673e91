"""What runs on a machine of a cluster: makes chunks and sends them back, whole."""

from __future__ import annotations

import socket
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sr_plugins.errors import PipeError
from sr_plugins.upscaler import Upscaler
from sr_plugins.version import __version__
from sr_plugins.video.chunks import Chunk, Film, FrameReader, process_chunk
from sr_plugins.video.ffmpeg_process import find_ffmpeg, version
from sr_plugins.video.journal_lines import ChunkRecord
from sr_plugins.weights.digest import weights_digest

Entry = tuple[int, str]  # time and hash of a frame


@dataclass(frozen=True)
class Made:
    """What a machine sends back: the record, the encoded chunk, and time and hash of the frame before the chunk where
    its decoder began in the middle."""

    record: ChunkRecord
    encoded: bytes
    entered: Entry | None

    def follows(self, previous: ChunkRecord | None) -> bool:
        """Whether the frame before the chunk is the one that the chunk before ended with."""
        if self.entered is None:
            return True
        return previous is not None and self.entered == (previous.times[-1], previous.last_frame)


class ChunkWorker:
    """A machine's part, or a GPU's: there it lives as an actor of Ray's, a thread for chunks and one for questions."""

    def __init__(self) -> None:
        self._reader: FrameReader | None = None
        self._film: Film | None = None
        self._ended: Entry | None = None  # the frame that the reader gave last
        self._written = (0, 0)

    def open(self, upscaler: dict[str, Any], ffmpeg: str | None) -> dict[str, str]:
        """Get ready, by the arguments of an Upscaler; returns what pixels depend on, and the machine's name."""
        self._upscaler = Upscaler(**upscaler)
        self._executable = find_ffmpeg(ffmpeg)
        return {
            "machine": socket.gethostname(),
            "sr-plugins": __version__,
            "model": self._upscaler.description,
            "weights": weights_digest(self._upscaler.loaded),
            "ffmpeg": version(self._executable),
        }

    def progress(self) -> tuple[int, int]:
        """Frames written of the chunk at work, and how many of them were reused."""
        return self._written

    def make(self, film: Film, chunk: Chunk, before: int | None) -> Made:
        """Make a chunk. ``before`` is the time of the frame before it; ``None``: decode from the beginning."""
        self._written = (0, 0)
        reader = self._reader_of(film)
        entered: Entry | None = None
        if before is not None and reader.stands_before(chunk.first):
            entered = self._ended
        elif before is not None and (seen := reader.enter(before)) is not None:
            entered = before, seen
        if entered is None:
            reader.begin(chunk.first)

        def advance(written: int, reused: int) -> None:
            self._written = (written, reused)

        with tempfile.TemporaryDirectory(prefix="sr-plugins-") as folder:
            path = Path(folder, f"{chunk.index:06d}.{film.encoding.container}")
            mine = replace(film, executable=self._executable)
            record = process_chunk(chunk, mine, reader, self._upscaler, path, advance=advance)
            self._ended = record.times[-1], record.last_frame
            return Made(record, path.read_bytes(), entered)

    def _reader_of(self, film: Film) -> FrameReader:
        if self._reader is not None and self._film == film:
            return self._reader
        if self._reader is not None:
            self._reader.close()
            self._reader = self._film = None
        path, machine = film.source.path, socket.gethostname()
        try:
            same = film.source.digest() == film.digest
        except OSError as error:
            reason = error.strerror or error
            raise PipeError(f"{path} ({machine}): {reason}; all machines must see it under this path") from error
        if not same:
            raise PipeError(f"{path} is another file on {machine}: all machines must see the same one")
        mine = replace(film, executable=self._executable)
        window, cuts = self._upscaler.loaded.spec.window, self._upscaler.settings["cuts"]
        self._film, self._reader = film, FrameReader(mine, window, cuts)
        return self._reader

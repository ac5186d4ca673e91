"""Where a film's chunks are made: here, by an Upscaler, or on the machines of a cluster; both look alike."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from sr_plugins.upscaler import Upscaler
from sr_plugins.video.chunks import Chunk, Film, FrameReader, process_chunk
from sr_plugins.video.journal_lines import ChunkRecord

Advance = Callable[[int, int, int], None]


@runtime_checkable
class Way(Protocol):
    """What a film asks of whoever computes its frames."""

    @property
    def description(self) -> str:
        """Model, backend, device and precision in use."""

    @property
    def upscaler(self) -> Upscaler:
        """Knows the opened model and the sizes that it makes, whether or not it computes."""

    def make(
        self,
        film: Film,
        chunks: Sequence[Chunk],
        before: Sequence[ChunkRecord],
        partial: Callable[[int], Path],
        advance: Advance,
    ) -> Generator[ChunkRecord]:
        """Make the chunks; yields their records in order, each with its file at ``partial(index)``.

        ``before`` ends with the record of the chunk before the first, if there is one. ``advance(index of the first
        unfinished chunk, frames written, frames reused)`` is called as it goes.
        """


class Here:
    """One chunk after another, on this machine."""

    def __init__(self, upscaler: Upscaler) -> None:
        self.upscaler, self.description = upscaler, upscaler.description

    def make(
        self,
        film: Film,
        chunks: Sequence[Chunk],
        before: Sequence[ChunkRecord],
        partial: Callable[[int], Path],
        advance: Advance,
    ) -> Generator[ChunkRecord]:
        reader = FrameReader(film, self.upscaler.loaded.spec.window, self.upscaler.settings["cuts"])
        previous = before[-1] if before else None
        try:
            for chunk in chunks:
                reader.seek(chunk.first, previous)
                tell = functools.partial(advance, chunk.index)
                previous = process_chunk(chunk, film, reader, self.upscaler, partial(chunk.index), advance=tell)
                yield previous
        finally:
            reader.close()


def way_of(upscaler: Upscaler | Way) -> Way:
    """An Upscaler works here; anything that makes chunks itself is a way already."""
    return upscaler if isinstance(upscaler, Way) else Here(upscaler)

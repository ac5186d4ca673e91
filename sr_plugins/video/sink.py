"""Where PyAV writes: an interrupt that comes within a callback of its own would be lost, and what was to be written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Protocol


class Writable(Protocol):
    """A file, as far as it is written."""

    def write(self, data: bytes, /) -> object: ...


class Sink:
    """Keeps what PyAV writes to ``file`` until :meth:`pass_on` hands it to ``target``.

    Python runs handlers of signals between its own instructions and where its files wait. PyAV drops what they raise
    there; within ``list.append`` there is neither.
    """

    def __init__(self, target: Writable) -> None:
        self._target = target
        self._held: list[bytes] = []
        self.file = SimpleNamespace(write=self._held.append)

    def pass_on(self) -> None:
        """Write what is kept, in the pieces in which it came."""
        held = self._held.copy()
        self._held.clear()
        for piece in held:
            self._target.write(piece)

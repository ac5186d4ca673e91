"""One frame under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from sr_plugins.errors import ArgumentError, ClosedError, FrameError
from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.frame import Frame, FrameFormat

Kind = tuple[FrameFormat, int, int, bool, int]


class FrameFuture(Future[Frame]):
    """Gives the enlarged frame; in a forked child, to which no lane came, an error instead of nothing for ever."""

    def inherit(self) -> None:
        """Called in the child. Whom this frame's end was to be told lives in the parent."""
        self._condition = threading.Condition()  # a lane may have held the one before, and nobody lets it go here
        self._done_callbacks: list[Callable[[Future[Frame]], object]] = []
        if not self.done():
            self.set_exception(ClosedError("this frame was under way when the process was forked: submit it again"))


@dataclass(eq=False)
class Job:
    """One submitted frame with its neighbours; where a network runs repeatedly, then what it made so far.

    Attributes:
        frames: in order of time: before, the frame, after; one where the model sees no neighbours.
        target: (width, height) to reach.
        format: of the frame, its matrix resolved once, when it was submitted.
        rounds: how often it went through the network already.
        source: the frame as it came, once ``frames`` is what the network made of it.
        future: gives the enlarged frame.
    """

    frames: tuple[Frame, ...]
    target: tuple[int, int]
    format: FrameFormat
    rounds: int = 0
    source: Frame | None = None
    future: FrameFuture = field(default_factory=FrameFuture)

    @property
    def kind(self) -> Kind:
        """Jobs of one kind may share a batch."""
        first = self.frames[0]
        return self.format, first.width, first.height, first.alpha is not None, len(self.frames)


def window(frame: Frame, before: Sequence[Frame], after: Sequence[Frame], spec: ModelSpec) -> tuple[Frame, ...]:
    """The frames that a model sees, in order of time; ``before`` and ``after`` are nearest first.

    Raises:
        ArgumentError: more neighbours than the model sees.
        FrameError: a neighbour of another format or size.
    """
    seen = []
    for name, neighbours, count in (("before", before, spec.window[0]), ("after", after, spec.window[1])):
        if len(neighbours) > count:
            raise ArgumentError(f"{len(neighbours)} frames {name}: {spec.label} sees {count}")
        for other in neighbours:
            size, alpha = (other.width, other.height), other.alpha is None
            if (other.format, size, alpha) != (frame.format, (frame.width, frame.height), frame.alpha is None):
                raise FrameError(f"a frame {name} has another format or size: {other.format}, {size[0]}x{size[1]}")
        nearest = neighbours[-1] if neighbours else frame
        seen.append((*neighbours, *(nearest,) * (count - len(neighbours))))
    return *reversed(seen[0]), frame, *seen[1]

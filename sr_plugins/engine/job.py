"""One frame under way."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from sr_plugins.pixels.frame import Frame, FrameFormat


@dataclass(eq=False)
class Job:
    """One submitted frame. ``frame`` becomes the intermediate picture where a network runs repeatedly."""

    frame: Frame
    target: tuple[int, int]
    future: Future[Frame] = field(default_factory=Future)

    @property
    def kind(self) -> tuple[FrameFormat, int, int, bool]:
        """Jobs of one kind may share a batch."""
        return self.frame.format, self.frame.width, self.frame.height, self.frame.alpha is not None

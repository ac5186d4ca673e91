"""The neighbours that a model sees beside a frame: of the same shot only, the same however frames are asked for.

At ends and cuts there are fewer than the model's window has; what is missing is the nearest frame that there is,
repeated (:func:`.job.window`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sr_plugins.interface.words import Cuts
from sr_plugins.pixels.cuts import Reduced, is_cut, reduced
from sr_plugins.pixels.frame import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame with its neighbours, nearest first."""

    frame: Frame
    before: tuple[Frame, ...]
    after: tuple[Frame, ...]

    def same_samples(self, other: Seen) -> bool:
        """Whether the frames and all neighbours hold the same: then so do the results."""
        mine, theirs = (self.frame, *self.before, *self.after), (other.frame, *other.before, *other.after)
        counts = (len(self.before), len(self.after)) == (len(other.before), len(other.after))
        return counts and all(a is b or a.same_samples(b) for a, b in zip(mine, theirs, strict=True))


def neighbours(count: int, at: int, window: tuple[int, int], cut: Callable[[int], bool]) -> tuple[range, range]:
    """Places of the frames before and after ``at``, nearest first, of ``count`` in order.

    Args:
        count: of frames, at places 0 to ``count`` - 1.
        at: the place of the frame.
        window: how many before and after the model sees.
        cut: whether a shot begins at a place; asked about no place that is not needed.
    """
    first = at
    while first > max(0, at - window[0]) and not cut(first):
        first -= 1
    last = at
    while last < min(count - 1, at + window[1]) and not cut(last + 1):
        last += 1
    return range(at - 1, first - 1, -1), range(at + 1, last + 1)


@dataclass(slots=True, eq=False)
class _Kept:
    frame: Frame
    small: Reduced | None
    begins: bool


class Windows:
    """Frames in order, with their neighbours as soon as those are there; as many frames are kept as windows need.

    Args:
        window: how many frames before and after the model sees.
        cuts: ``auto``, from the frames; ``none``, nowhere.
        before: frames that come before the first, in order: seen, not given out.
    """

    def __init__(self, window: tuple[int, int], cuts: Cuts = "auto", before: Sequence[Frame] = ()) -> None:
        self._window, self._looks = window, cuts != "none"
        self._kept: deque[_Kept] = deque()
        self._next = 0  # the place of the frame to give out, among those kept
        for frame in before[len(before) - window[0] :] if window[0] else ():
            self._keep(frame)
            self._next += 1

    @property
    def kept(self) -> int:
        """How many frames are held."""
        return len(self._kept)

    def add(self, frame: Frame) -> Seen | None:
        """Take the next frame; gives the one whose neighbours are complete with it, if there is one."""
        self._keep(frame)
        return self._give() if len(self._kept) > self._next + self._window[1] else None

    def rest(self) -> Iterator[Seen]:
        """The frames left, once no more will come."""
        while self._next < len(self._kept):
            yield self._give()

    def _keep(self, frame: Frame) -> None:
        last = self._kept[-1] if self._kept else None
        if self._window == (0, 0) or not self._looks:
            self._kept.append(_Kept(frame, None, last is not None and not _alike(last.frame, frame)))
            return
        if last is not None and frame is last.frame:
            self._kept.append(_Kept(frame, last.small, begins=False))
            return
        small = reduced(frame)
        begins = last is not None and last.small is not None and is_cut(last.small, small)
        self._kept.append(_Kept(frame, small, begins))

    def _give(self) -> Seen:
        kept, at = self._kept, self._next
        before, after = neighbours(len(kept), at, self._window, lambda place: kept[place].begins)
        seen = Seen(kept[at].frame, *(tuple(kept[place].frame for place in places) for places in (before, after)))
        self._next += 1
        while self._next > self._window[0]:
            kept.popleft()
            self._next -= 1
        return seen


def _alike(a: Frame, b: Frame) -> bool:
    return (a.format, a.width, a.height, a.alpha is None) == (b.format, b.width, b.height, b.alpha is None)


def timed_windows[T](frames: Iterable[tuple[T, Frame]], line: Windows) -> Iterator[tuple[T, Seen]]:
    """Frames with their times, in order: each with its neighbours by ``line``, which has seen what came before."""
    times: deque[T] = deque()
    for when, frame in frames:
        times.append(when)
        if (seen := line.add(frame)) is not None:
            yield times.popleft(), seen
    for seen in line.rest():
        yield times.popleft(), seen


def windows(frames: Iterable[Frame], window: tuple[int, int], cuts: Cuts = "auto") -> Iterator[Seen]:
    """Each of ``frames``, which come in order of time, with its neighbours."""
    for _, seen in timed_windows(((None, frame) for frame in frames), Windows(window, cuts)):
        yield seen

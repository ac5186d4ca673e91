"""The film read back: every frame at its time and for as long, every stream where it was beside it, and a picture."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import container_named
from sr_plugins.video.ffmpeg_process import full_disk
from sr_plugins.video.join_plan import UNHEARD, Join
from sr_plugins.video.source import decoded, films_of, opened
from sr_plugins.video.timeline import Span, Timeline, bare_clock, fraction, scan

_COMPARED = {"audio": "sound", "video": "other video"}
_UNREADABLE = "this container cannot hold what the encoder writes: choose another encoder or another container"
_ENDS = Fraction(1, 10)  # seconds by which the last packets may differ: a cut one at the end may be left out


@contextlib.contextmanager
def _read_again(join: Join, target: Path) -> Iterator[InputContainer]:
    try:
        with opened(target) as container:
            yield container
    except PipeError as error:
        if str(target) not in str(error):  # it tells of something else
            raise
        raise full_disk(target) or PipeError(f"{join.target}: it cannot be read again: {_UNREADABLE}") from error


def expected_times(join: Join, times: Iterable[int]) -> list[Fraction]:
    """When, in seconds, the frames of these source times are shown in the result."""
    wanted = [time * join.source.time_base - join.origin for time in times]
    if container_named(join.plan.muxer).counts:  # it begins with a frame, and counts from there
        wanted[0] = min(wanted[0], Fraction(0))
    return wanted


def verify_target(
    join: Join, target: Path, times: Sequence[int], *, whole: bool = True, coming: Sequence[int] = ()
) -> av.VideoFrame:
    """Read the result back: every frame is there, each at its time to the tick of the container; all copied streams
    begin and end where they did beside the picture; the first and the last frame can be decoded.

    Args:
        join: what was made.
        target: the file.
        times: the source's times of the frames that were written.
        whole: ``False``: only the beginning was made, streams end early.
        coming: the source's times of the frames after those, which are yet to be written: that the container's clock
            can tell them.

    Returns:
        The first frame, decoded.

    Raises:
        PipeError: it is not so.
    """
    with _read_again(join, target) as container:
        # Some containers list streams as they come: only the order of the films among them is sure.
        films = films_of(container)
        number = join.place_of_film
        if number >= len(films) or films[number].codec_context is None:
            raise PipeError(f"{join.target}: its video cannot be read again: {_UNREADABLE}")
        stream = films[number]
        alike = {"audio": [s.index for s in container.streams.audio], "video": [film.index for film in films]}
        tick, place = fraction(stream.time_base), stream.index
        found = scan(container, place)
        if container_named(join.plan.muxer).counts and not stream.codec_context.has_b_frames:
            # It tells when frames are decoded; of H.264 libavformat then guesses when they are shown.
            found = replace(found, times=found.decoding)
    bare = container_named(join.plan.muxer).bare
    if bare:  # the order of frames is all there is
        found, tick = bare_clock(found), join.source.time_base
    wanted = [number * tick for number in range(len(times))] if bare else expected_times(join, times)
    if len(found.times) != len(wanted):
        if (full := full_disk(target)) is not None:
            raise full
        raise PipeError(f"{join.target}: {len(wanted)} frames were written, {len(found.times)} are in the file")
    shift = found.times[0] * tick - wanted[0]
    _verify_times(join, found.times, wanted, shift, tick)
    if coming and not container_named(join.plan.muxer).finish:  # else another encoder deals the times out
        wanted = expected_times(join, [*times, *coming])
        _verify_times(join, _on_clock(join, wanted, shift, tick), wanted, shift, tick)
    _verify_distances(join, found, alike, shift, tick, whole)
    return _picture_at_both_ends(join, target, place, found)


def _on_clock(join: Join, wanted: Sequence[Fraction], shift: Fraction, tick: Fraction) -> list[int]:
    """The ticks at which frames of these seconds will be: the nearest; where frames are counted each has its own."""
    places: list[int] = []
    for want in wanted:
        place = math.floor((want + shift) / tick + Fraction(1, 2))
        taken = bool(places) and container_named(join.plan.muxer).counts
        places.append(max(place, places[-1] + 1) if taken else place)
    return places


def _verify_times(
    join: Join, times: Sequence[int], wanted: Sequence[Fraction], shift: Fraction, tick: Fraction
) -> None:
    slack = min(tick, tick / 2 + UNHEARD)  # where frames are counted a tick is a whole frame
    for index, (time, want) in enumerate(zip(times, wanted, strict=True)):
        if abs(time * tick - want - shift) > slack:
            raise PipeError(
                f"{join.target}: frame {index} would be shown at {float(time * tick):.6g} s, not {float(want):.6g} s: "
                "this container does not keep the times of these frames; .mkv does"
            )
    usual = 1 / (2 * join.source.rate)  # frames at the time of another in the source may come closer
    for (before, after), (was, now) in zip(pairwise(times), pairwise(wanted), strict=True):
        if before == after and now - was >= usual and not container_named(join.plan.muxer).bare:
            raise PipeError(
                f"{join.target}: two frames would be shown at {float(after * tick):.3f} s: the clock of this container "
                "is too coarse for so many frames a second; .mov as target keeps every time"
            )


def _verify_distances(
    join: Join,
    found: Timeline,
    alike: Mapping[str, Sequence[int]],
    shift: Fraction,
    tick: Fraction,
    whole: bool,
) -> None:
    """A container may begin its clock elsewhere, where it holds no time below zero, but for all streams alike.

    Cut sound begins at the next packet, which tells nothing, and encoded sound with the encoder's delay, at about its
    time. ``alike`` are the numbers of the target's streams of each kind, in order.
    """
    if join.start is not None:
        return
    for kind, places in alike.items():
        entries = [entry for entry in join.kept if entry.stream.kind == kind and not entry.stream.is_cover]
        for nth, (entry, place) in enumerate(zip(entries, places, strict=False)):
            was, now = join.source.spans.get(entry.stream.index), found.spans.get(place)
            if entry.stream.index == join.source.main or was is None or now is None:
                continue
            if entry.codec == "copy":
                _verify_distance(join, _COMPARED[kind], was, now, shift, tick, whole)
            elif container_named(join.plan.muxer).counts:  # then encoded sound is made to begin at zero
                continue
            elif join.options.sound_filter(nth) is None and "-itsoffset" not in join.options.join:  # which may move it
                drift = min(_begins(was, now, join.origin - shift), key=abs)
                if abs(drift) > _ENDS + tick:
                    raise PipeError(
                        f"{join.target}: its {_COMPARED[kind]} would be {float(drift):.3f} s late: {join.cure}"
                    )


def _verify_distance(join: Join, name: str, was: Span, now: Span, shift: Fraction, tick: Fraction, whole: bool) -> None:
    grain = tick + now.tick + UNHEARD
    if join.drops_early and was.first < 0 and was.positive is not None:
        was = replace(was, first=was.positive, shown=was.positive)
    drift = min(_begins(was, now, join.origin - shift), key=abs)
    ends = now.last - (was.last - join.origin) - shift
    late = drift if abs(drift) > grain else ends
    cut = not whole or join.end is not None
    if abs(drift) > grain or (not cut and abs(ends) > grain + _ENDS):
        raise PipeError(f"{join.target}: its {name} would be {float(late):.3f} s late: {join.cure}")


def _begins(was: Span, now: Span, origin: Fraction) -> list[Fraction]:
    """By how much a stream begins later: what an edit list hides may be hidden, told, or both on either side."""
    pairs = ((was.first, now.first), (was.shown, now.shown), (was.shown, now.first))
    return [after - (before - origin) for before, after in pairs]


def _picture_at_both_ends(join: Join, target: Path, place: int, found: Timeline) -> av.VideoFrame:
    """Decode the first frame and one of the last group; returns the first.

    Raises:
        PipeError: it cannot be decoded.
    """
    first = _picture(target, place, None)
    last = _picture(target, place, found.keyframes[-1]) if found.keyframes else None
    if first is None or last is None:
        raise PipeError(f"{join.target}: its video cannot be decoded again: {_UNREADABLE}")
    return first


def _picture(target: Path, place: int, near: int | None) -> av.VideoFrame | None:
    """A frame from the beginning, or from the key frame before a time."""
    with opened(target) as container:
        stream: Any = container.streams[place]
        if near is not None:
            with contextlib.suppress(av.FFmpegError, OSError):  # no index: then from the beginning
                container.seek(near, stream=stream)
        with contextlib.suppress(av.FFmpegError, ValueError):
            if (picture := next(decoded(container, stream), None)) is not None or near is None:
                return picture
    with opened(target) as container, contextlib.suppress(av.FFmpegError, ValueError):  # seeking led nowhere
        stream = container.streams[place]
        return deque(decoded(container, stream), maxlen=1).pop()
    return None

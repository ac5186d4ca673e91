"""When the frames of a film are shown: its time stamps, read without decoding."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.format import ContainerFormat, Flags

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import DISCONTINUOUS
from sr_plugins.video.pixel_shapes import ShapeWatch

# Seconds: ffmpeg takes a longer leap of such a clock for no time that has passed.
_LEAP = 10
_VP8_SHOWN = 0x10  # in the first byte of a frame
# Closed captions in messages of T.35, and in the user data of MPEG-2 as ATSC, DVDs and SCTE 20 have them.
_CAPTIONS = re.compile(rb"\xb5\x00\x31GA94\x03|\x00\x00\x01\xb2(?:GA94\x03|CC\x01\xf8|\x03[\x01\x81])")
_PAUSE = Fraction(1, 10)  # seconds
_UNUSUAL = 10  # times the usual gap between two frames: a film of a frame in 30 s leaps, but does so always


@dataclass(frozen=True)
class Span:
    """When a stream's packets are presented, in seconds: the ``first`` of all, the first that is ``shown`` (an edit
    list may hide some), the ``last``, and the ``tick`` of its clock. ``cuts`` counts packets hidden after that;
    ``positive`` is the first that does not lie before zero; ``pauses`` are all times together in which none is
    presented, those of a tenth of a second and more."""

    first: Fraction
    shown: Fraction
    last: Fraction
    tick: Fraction
    cuts: int = 0
    positive: Fraction | None = None
    pauses: Fraction = Fraction(0)


@dataclass(frozen=True)
class Timeline:
    """Of the main stream, in its time base: sorted times, times of key frames, number of packets, decoding times as
    they come, and how long the last frame is shown (0: not told); of all streams, in seconds: where they begin and
    end, together and each; ``repeats``: times of frames that are the one before again, without a picture;
    ``untimed``: how many packets of the main stream have no time; ``captions``: some hold closed captions; ``shapes``:
    those of pixels at the times of key frames, where it tells more than once."""

    times: tuple[int, ...]
    keyframes: tuple[int, ...]
    packets: int
    decoding: tuple[int, ...]
    rest: int
    begin: Fraction
    end: Fraction
    spans: dict[int, Span]
    repeats: tuple[int, ...] = ()
    untimed: int = 0
    captions: bool = False
    shapes: tuple[tuple[int, Fraction], ...] = ()


def fraction(value: Any) -> Fraction:
    """PyAV's rational as Python's."""
    return Fraction(value.numerator, value.denominator)


def is_bare(format: ContainerFormat) -> bool:
    """Whether it is a codec's own stream in no container (``.h264``): it tells no times."""
    return Flags.no_timestamps in Flags(format.flags)


def bare_clock(found: Timeline) -> Timeline:
    """Of a bare stream, whose frames are counted: a tick each, beginning at zero. Nothing can be found in it."""
    times = tuple(range(found.packets))
    return replace(found, times=times, keyframes=times[:1], decoding=(), rest=1, spans={}, begin=Fraction(0))


def scan(container: InputContainer, main: int) -> Timeline:
    """Read every packet of a file."""
    bare = is_bare(container.format)
    times, keys, decoding, count, end, rest, still = [], [], [], 0, Fraction(0), (0, 0), 0
    repeats, reordered, latest, untimed = list[int](), False, -math.inf, 0
    decoded: list[tuple[int, int]] = []  # when each frame is decoded, and how long it lasts
    found: dict[int, list[Any]] = {}  # of each stream: see Span
    context: Any = container.streams[main].codec_context
    codec = context.codec.canonical_name if context is not None else ""
    captions, watch = False, ShapeWatch(codec)
    for packet in container.demux():
        time = packet.pts if packet.pts is not None else packet.dts
        if bare and time is None and packet.size:
            time = count
        if time is None or packet.time_base is None:
            if packet.size and packet.stream_index == main:
                untimed += 1
                if decoded:
                    decoded.append((sum(decoded[-1]), packet.duration or 0))
            continue
        # An empty packet is the end, or a chunk of AVI that shows nothing new; Theora's say the frame before again.
        if packet.size == 0 and codec != "theora":
            if packet.stream_index == main:
                still = max(still, time + (packet.duration or 0))
            continue
        span = found.setdefault(packet.stream_index, [time, None, time, packet.time_base, 0, None, 0, time])
        if packet.duration and (time - span[7]) * packet.time_base >= _PAUSE:
            span[6] += time - span[7]
        span[7] = max(span[7], time + packet.duration) if packet.duration else math.inf
        span[0], span[2] = min(span[0], time), max(span[2], time)
        if time >= 0:
            span[5] = time if span[5] is None else min(span[5], time)
        if packet.is_discard:
            span[4] += span[1] is not None
        else:
            span[1] = time if span[1] is None else min(span[1], time)
        end = max(end, (time + (packet.duration or 0)) * fraction(packet.time_base))
        if packet.stream_index != main:
            continue
        count += 1
        watch.see(packet, time)
        captions = captions or _CAPTIONS.search(memoryview(packet)) is not None
        decoded.append((time if packet.dts is None else packet.dts, packet.duration or 0))
        reordered |= time < latest
        latest = max(latest, time)
        if codec == "vp8" and not memoryview(packet)[0] & _VP8_SHOWN:  # an alternate reference frame
            continue
        if packet.dts is not None:
            decoding.append(packet.dts)
        if not packet.is_discard:  # before the edit list's start: decoded, never shown
            times.append(time)
            rest = max(rest, (time, packet.duration or 0))
            if packet.size == 0:
                repeats.append(time)
            elif packet.is_keyframe:
                keys.append(time)
    if times and still > sum(rest):
        rest = rest[0], still - rest[0]
    # Samples of QuickTime say how long they are decoded. Where frames are reordered, that of the frame shown last tells
    # nothing, and the length of the track does.
    length = container.streams[main].duration
    if reordered and length and latest == rest[0] and container.format.name.startswith("mov"):
        rest = rest[0], max(0, min(times) + length - rest[0])
    if untimed and times and container.format.name in DISCONTINUOUS:
        # Not every frame of a program stream is given a time: the others follow at the steps that the codec tells, and
        # all together are shown as long after they are decoded as the first.
        late = min(times) - decoded[0][0]
        times, count = [when + late for when, _ in decoded], len(decoded)
        rest = max(times), decoded[-1][1]
        end = max(end, sum(rest) * fraction(container.streams[main].time_base))
    spans = {index: _span(*parts) for index, parts in found.items()}
    begin = min((span.first for span in spans.values()), default=Fraction(0))
    return Timeline(
        tuple(sorted(times)),
        tuple(sorted(keys)),
        count,
        tuple(decoding),
        rest[1],
        begin,
        end,
        spans,
        tuple(sorted(repeats)),
        untimed,
        captions,
        watch.shapes(),
    )


def times_between(
    timeline: Sequence[int], time_base: Fraction, start: Fraction | None, end: Fraction | None
) -> list[int]:
    """Of these times those in ``start`` <= seconds < ``end``."""
    low = -math.inf if start is None else math.ceil(start / time_base)
    high = math.inf if end is None else math.ceil(end / time_base)
    return [t for t in timeline if low <= t < high]


def apart(times: Sequence[int]) -> list[int]:
    """Sorted times with each frame at a tick of its own: one that has the time of the one before comes a tick later."""
    distinct: list[int] = []
    for time in times:
        distinct.append(max(time, distinct[-1] + 1) if distinct else time)
    return distinct


def new_times(rate: Fraction) -> str:
    """The command that gives each frame the next time at this rate."""
    return f"ffmpeg -i IN -vf setpts=N/{float(rate):g}/TB -c:v ffv1 -c:a copy OUT.mkv"


def equal_times(path: Path, times: Sequence[int], time_base: Fraction, rate: Fraction, start: Fraction) -> str | None:
    """A line about frames at the time of another; ``None``: there are none.

    Raises:
        PipeError: there are so many that frames would be shown half a frame late or more.
    """
    distinct = apart(times)
    moved = [(was, now - was) for was, now in zip(times, distinct, strict=True) if now != was]
    if not moved:
        return None
    first = f"{float(moved[0][0] * time_base - start):.3f}"
    if max(by for _, by in moved) * time_base * 2 * rate > 1:
        raise PipeError(
            f"{path}: {len(moved)} frames lie at the time of another, the first at {first} s, and there is no room "
            f"between the others: give all new times first: {new_times(rate)}"
        )
    return f"{len(moved)} frames lie at the time of another, the first at {first} s: each is shown a tick later"


def _span(
    first: int, shown: int | None, last: int, time_base: Any, cuts: int, positive: int | None, pauses: int, _: int
) -> Span:
    tick = fraction(time_base)
    begins = None if positive is None else positive * tick
    return Span(
        first * tick, (first if shown is None else shown) * tick, last * tick, tick, cuts, begins, pauses * tick
    )


def refuse_jumps(path: Path, decoding: Sequence[int], time_base: Fraction) -> None:
    """Recordings that were put together carry the clocks of their parts.

    Raises:
        PipeError: the clock goes back, or leaps ahead. ffmpeg's own copy puts one part after the other.
    """
    gaps = [b - a for a, b in pairwise(decoding)]
    usual = max(1, _median(gaps))
    leap = max(_LEAP / time_base, Fraction(_UNUSUAL * usual))
    for index, gap in enumerate(gaps):
        if gap < -2 * usual or gap > leap:
            passed = float(sum(gaps[:index], usual) * time_base)
            raise PipeError(
                f"{path}: its clock jumps at {passed:.2f} s; "
                "repair it first: ffmpeg -fflags +genpts -i IN -c copy OUT.mkv"
            )


def nominal_rate(times: Sequence[int], time_base: Fraction, declared: Sequence[Fraction]) -> Fraction:
    """The frame rate: what the file declares if its time stamps agree, else what most of them say."""
    if len(times) < 2 or times[-1] == times[0]:
        return next((r for r in declared if r <= 1000), Fraction(25))
    mean = (len(times) - 1) / ((times[-1] - times[0]) * time_base)
    if told := next((r for r in declared if abs(r / mean - 1) < Fraction(1, 500)), None):
        return told
    gaps = [b - a for a, b in pairwise(times)]
    usual = max(1, _median(gaps)) * time_base
    # Some frames are left out of a steady film (they repeat the one before), all others lie on its grid.
    if 1 / usual in declared and all(gap * time_base % usual == 0 for gap in gaps):
        return 1 / usual
    # The mean counts pauses in, but a coarse clock shows no single gap as it is.
    likely = [mean, *(r for r in declared if r)]
    rate = next((r for r in likely if abs(1 / r - usual) <= time_base), 1 / usual)
    return rate.limit_denominator(1001) or rate


def _median(gaps: Sequence[int]) -> int:
    return sorted(gaps)[len(gaps) // 2] if gaps else 0

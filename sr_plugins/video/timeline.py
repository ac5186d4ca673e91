"""When the frames of a film are shown: its time stamps, read without decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from av.container import InputContainer

from sr_plugins.errors import PipeError

# Containers whose clock starts anywhere and may be set anew at any time (broadcast, DVD).
DISCONTINUOUS = {"mpegts", "mpeg", "mpegtsraw", "dvd", "vob"}
# Seconds: ffmpeg takes a longer leap of such a clock for no time that has passed.
_LEAP = 10
_VP8_SHOWN = 0x10  # in the first byte of a frame
_UNUSUAL = 10  # times the usual gap between two frames: a film of a frame in 30 s leaps, but does so always


@dataclass(frozen=True)
class Timeline:
    """Of the main stream, in its time base: sorted times, times of key frames, number of packets and, as they come,
    decoding times; of all streams, in seconds: where they begin and end."""

    times: tuple[int, ...]
    keyframes: tuple[int, ...]
    packets: int
    decoding: tuple[int, ...]
    begin: Fraction
    end: Fraction


def fraction(value: Any) -> Fraction:
    """PyAV's rational as Python's."""
    return Fraction(value.numerator, value.denominator)


def scan(container: InputContainer, main: int) -> Timeline:
    """Read every packet of a file."""
    times, keys, decoding, count, begin, end = [], [], [], 0, Fraction(1 << 40), Fraction(0)
    context: Any = container.streams[main].codec_context
    vp8 = context is not None and context.codec.canonical_name == "vp8"
    for packet in container.demux():
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or packet.size == 0 or packet.time_base is None:
            continue
        begin = min(begin, time * fraction(packet.time_base))
        end = max(end, (time + (packet.duration or 0)) * fraction(packet.time_base))
        if packet.stream_index != main:
            continue
        count += 1
        if vp8 and not memoryview(packet)[0] & _VP8_SHOWN:  # an alternate reference frame
            continue
        if packet.dts is not None:
            decoding.append(packet.dts)
        if not packet.is_discard:  # before the edit list's start: decoded, never shown
            times.append(time)
            if packet.is_keyframe:
                keys.append(time)
    return Timeline(tuple(sorted(times)), tuple(sorted(keys)), count, tuple(decoding), begin, end)


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
    # The mean counts pauses in, but a coarse clock shows no single gap as it is.
    usual = max(1, _median([b - a for a, b in pairwise(times)])) * time_base
    likely = [mean, *(r for r in declared if r)]
    rate = next((r for r in likely if abs(1 / r - usual) <= time_base), 1 / usual)
    return rate.limit_denominator(1001) or rate


def _median(gaps: Sequence[int]) -> int:
    return sorted(gaps)[len(gaps) // 2] if gaps else 0

"""The finished film read back: every frame at its time, and the sound where it was beside them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av

from sr_plugins.errors import PipeError
from sr_plugins.video.join import Join
from sr_plugins.video.probe import opened
from sr_plugins.video.timeline import fraction

_NO_SPACE = 1 << 16  # bytes free on a disk that is full
_UNHEARD = Fraction(1, 500)  # seconds; edit lists may count in milliseconds


def expected_times(join: Join, times: Iterable[int]) -> list[Fraction]:
    """When, in seconds, the frames of these source times are shown in the result."""
    return [time * join.source.time_base - join.origin for time in times]


def verify_target(join: Join, target: Path, times: Sequence[int]) -> None:
    """Read the result back: every frame is there, each at its time to the tick of the container.

    Raises:
        PipeError: it is not so.
    """
    with opened(target) as container:
        stream = next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        tick = fraction(stream.time_base)
        found = sorted(p.pts for p in container.demux(stream) if p.size and p.pts is not None)
    wanted = expected_times(join, times)
    if len(found) != len(wanted):
        if shutil.disk_usage(target.parent).free < _NO_SPACE:  # ffmpeg 5.1 may end in good order all the same
            raise PipeError(f"{target.name}: No space left on device; the finished chunks are kept")
        raise PipeError(f"{target.name}: {len(wanted)} frames were written, {len(found)} are in the file")
    shift = found[0] * tick - wanted[0]
    if abs(shift) > tick:
        _verify_shift(join, target, shift, tick)
    for index, (time, want) in enumerate(zip(found, wanted, strict=True)):
        if abs(time * tick - want - shift) > tick:
            raise PipeError(f"{target.name}: frame {index} is shown at {float(time * tick)} s, not at {float(want)} s")


def _verify_shift(join: Join, target: Path, shift: Fraction, tick: Fraction) -> None:
    """A container may begin its clock elsewhere, where it holds no time below zero, but for all streams alike.

    Cut sound begins at the next packet, and encoded sound with the encoder's delay: those tell nothing.
    """
    if join.start is not None or join.options.own_maps:
        return
    before, after = _begin(join.source.path), _begin(target)
    for number, entry in enumerate(join.kept):
        index = entry.stream.index
        if index in before and number in after and entry.codec == "copy":
            now, grain = after[number]
            if abs(drift := now - (before[index][0] - join.origin) - shift) > tick + grain + _UNHEARD:
                raise PipeError(
                    f"{target.name}: its sound would be {float(drift):.3f} s late; .mkv as target keeps every time"
                )


def _begin(path: Path) -> dict[int, tuple[Fraction, Fraction]]:
    """When each stream of sound begins, and its tick, in seconds."""
    begun: dict[int, tuple[Fraction, Fraction]] = {}
    with opened(path) as container:
        sounds = container.streams.audio
        for packet in container.demux(*sounds) if sounds else ():
            if packet.size and packet.pts is not None and packet.stream_index not in begun:
                tick = fraction(packet.time_base)
                begun[packet.stream_index] = (packet.pts * tick, tick)
                if len(begun) == len(sounds):
                    break
    return begun

"""Closed captions inside the video (ATSC A/53 part 4, CEA-608 and 708): taken from the source's pictures, which leave
them behind on their way through the upscaler, as messages to be put into the packets of the result.

Sources may have them in the ways of DVDs and cable, too: libavcodec reads all.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData

from sr_plugins.video.source import Source, opened
from sr_plugins.video.t35 import ATSC

_GA94 = b"GA94\x03"
_MOST = 31  # triplets that one message counts


def captions_of(source: Source) -> dict[int, list[bytes]]:
    """The caption data of each frame that has some, by its time on the source's timeline, as messages of T.35."""
    found: dict[int, bytes] = {}
    times = source.timeline
    with opened(source.path, source.given) as container:
        stream: Any = container.streams[source.main]
        context = stream.codec_context
        context.thread_type = "AUTO"
        context.options = {"skip_loop_filter": "all", "skip_idct": "all"}  # nobody looks at the pictures
        for packet in container.demux(stream):
            with contextlib.suppress(av.FFmpegError):  # it is missing in the result, too, which is told
                for picture in packet.decode():
                    data = next((bytes(d) for d in picture.side_data.values() if d.type == SideData.A53_CC), b"")
                    if data and picture.pts is not None:
                        place = min(bisect_left(times, picture.pts), len(times) - 1)
                        found[times[place]] = found.get(times[place], b"") + data
    return {time: list(_messages(data)) for time, data in found.items()}


def _messages(data: bytes) -> Iterator[bytes]:
    """cc_data() of as many triplets as can be counted, each with its marker."""
    for at in range(0, len(data), 3 * _MOST):
        part = data[at : at + 3 * _MOST]
        yield ATSC + _GA94 + bytes([0xC0 | len(part) // 3, 0xFF]) + part + b"\xff"

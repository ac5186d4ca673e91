"""Closed captions inside the video (ATSC A/53 part 4, CEA-608 and 708): taken from the source's pictures, which leave
them behind on their way through the upscaler, and put into the packets of the result.

They lie in an SEI message of H.264 and H.265, in the user data of MPEG-2, in a metadata OBU of AV1 (user data
registered by ITU-T T.35). Sources may have them in the ways of DVDs and cable, too: libavcodec reads all.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData

from sr_plugins.video.source import Source, opened

_T35 = b"\xb5\x00\x31"  # country and provider of ATSC
_GA94 = b"GA94\x03"
_MOST = 31  # triplets that one message counts
_CLASHES = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_START = re.compile(rb"\x00\x00\x01")
_SEI = 4  # payload type of T.35 messages
_OBU_DELIMITER, _OBU_SEQUENCE, _OBU_METADATA, _OBU_T35 = 2, 1, 5, 4


def captions_of(source: Source) -> dict[int, bytes]:
    """The caption data of each frame that has some, by its time on the source's timeline: triplets of cc_data()."""
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
    return found


def inserter(codec: str) -> Callable[[bytes, bytes], bytes] | None:
    """A function that puts caption data into a packet of this codec; ``None``: it has no place for them."""
    return {"h264": _h264, "hevc": _hevc, "mpeg2video": _mpeg2, "av1": _av1}.get(codec)


def _messages(data: bytes) -> Iterator[bytes]:
    """cc_data() of as many triplets as can be counted, each with its marker."""
    for at in range(0, len(data), 3 * _MOST):
        part = data[at : at + 3 * _MOST]
        yield _GA94 + bytes([0xC0 | len(part) // 3, 0xFF]) + part + b"\xff"


def _h264(packet: bytes, data: bytes) -> bytes:
    return _before(packet, lambda head: head & 31 in (1, 2, 5), b"\x06", data)


def _hevc(packet: bytes, data: bytes) -> bytes:
    return _before(packet, lambda head: head >> 1 & 63 < 32, b"\x4e\x01", data)


def _before(packet: bytes, picture: Callable[[int], bool], head: bytes, data: bytes) -> bytes:
    """SEI units before the first one of the picture, in the byte stream format (Annex B)."""
    units = b""
    for message in _messages(data):
        body = _T35 + message
        body = bytes([_SEI, len(body)]) + body + b"\x80"
        units += b"\0\0\0\1" + head + _CLASHES.sub(b"\0\0\3", body)
    for start in _START.finditer(packet):
        if start.end() < len(packet) and picture(packet[start.end()]):
            place = start.start() - (packet[start.start() - 1 : start.start()] == b"\0")
            return packet[:place] + units + packet[place:]
    return packet


def _mpeg2(packet: bytes, data: bytes) -> bytes:
    """User data before the first slice."""
    units = b"".join(b"\0\0\1\xb2" + message for message in _messages(data))
    for start in _START.finditer(packet):
        if start.end() < len(packet) and 1 <= packet[start.end()] <= 0xAF:
            return packet[: start.start()] + units + packet[start.start() :]
    return packet


def _av1(packet: bytes, data: bytes) -> bytes:
    """Metadata behind the temporal delimiter and the sequence header, in the low-overhead format."""
    units = b""
    for message in _messages(data):
        body = bytes([_OBU_T35]) + _T35 + message + b"\x80"
        units += bytes([_OBU_METADATA << 3 | 2, len(body)]) + body  # at most 106 bytes: the length takes one
    place = 0
    while place < len(packet) and packet[place] >> 3 & 15 in (_OBU_DELIMITER, _OBU_SEQUENCE) and packet[place] & 2:
        at, size, shift = place + 1 + (packet[place] >> 2 & 1), 0, 0
        while packet[at] & 128:
            size, shift, at = size | (packet[at] & 127) << shift, shift + 7, at + 1
        place = at + 1 + (size | packet[at] << shift)
    return packet[:place] + units + packet[place:]

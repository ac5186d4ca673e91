"""Closed captions inside the video (ATSC A/53 part 4, CEA-608 and 708): taken from the source's packets, which the
pictures on their way through the upscaler leave behind, and put into those of the result.

They lie in an SEI message of H.264 and H.265 (user data registered by ITU-T T.35), and in the user data of MPEG-2.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sr_plugins.video.source import Source, opened

_GA94 = b"GA94\x03"
_T35 = b"\xb5\x00\x31" + _GA94  # country and provider of ATSC
_STUFFING = re.compile(rb"(?<=\x00\x00)\x03")  # put between zeros, so that nothing looks like the start of a unit
_CLASHES = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_START = re.compile(rb"\x00\x00\x01")
_SEI = 4  # payload type of T.35 messages


def captions_of(source: Source) -> dict[int, bytes]:
    """The caption data of each frame that has some, by the frame's time: cc_data() with its count, and its marker."""
    found: dict[int, bytes] = {}
    with opened(source.path, source.given) as container:
        for packet in container.demux(container.streams[source.main]):
            if packet.pts is not None and (data := _data(bytes(packet))):
                found[packet.pts] = data
    return found


def _data(packet: bytes) -> bytes:
    at = packet.find(_GA94)
    if at < 0:
        return b""
    data = _STUFFING.sub(b"", packet[at + len(_GA94) : at + 200])
    length = 2 + 3 * (data[0] & 31) if data else 0
    return data[:length] + b"\xff" if len(data) >= length else b""


def inserter(codec: str) -> Callable[[bytes, bytes], bytes] | None:
    """A function that puts caption data into a packet of this codec; ``None``: it has no place for them."""
    return {"h264": _h264, "hevc": _hevc, "mpeg2video": _mpeg2}.get(codec)


def _h264(packet: bytes, data: bytes) -> bytes:
    return _before(packet, lambda head: head & 31 in (1, 2, 5), b"\x06", data)


def _hevc(packet: bytes, data: bytes) -> bytes:
    return _before(packet, lambda head: head >> 1 & 63 < 32, b"\x4e\x01", data)


def _before(packet: bytes, picture: Callable[[int], bool], head: bytes, data: bytes) -> bytes:
    """An SEI unit before the first one of the picture, in the byte stream format (Annex B)."""
    message = _T35 + data
    body = bytes([_SEI, len(message)]) + message + b"\x80"
    unit = b"\0\0\0\1" + head + _CLASHES.sub(b"\0\0\3", body)
    for start in _START.finditer(packet):
        if start.end() < len(packet) and picture(packet[start.end()]):
            place = start.start() - (packet[start.start() - 1 : start.start()] == b"\0")
            return packet[:place] + unit + packet[place:]
    return packet


def _mpeg2(packet: bytes, data: bytes) -> bytes:
    """User data before the first slice."""
    for start in _START.finditer(packet):
        if start.end() < len(packet) and 1 <= packet[start.end()] <= 0xAF:
            return packet[: start.start()] + b"\0\0\1\xb2" + _GA94 + data + packet[start.start() :]
    return packet

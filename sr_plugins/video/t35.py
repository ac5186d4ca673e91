"""Messages that travel inside the video, as user data registered by ITU-T T.35: closed captions, dynamic HDR metadata.

They lie in an SEI message of H.264 and H.265, in the user data of MPEG-2, in a metadata OBU of AV1. A message is what
T.35 calls so, from the code of a country on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

ATSC = b"\xb5\x00\x31"  # country and provider; MPEG-2 leaves them out
_CLASHES = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_ESCAPED = re.compile(rb"\x00\x00\x03")
_START = re.compile(rb"\x00\x00\x01")
_SEI = 4  # payload type of T.35 messages
_OBU_DELIMITER, _OBU_SEQUENCE, _OBU_METADATA, _OBU_T35 = 2, 1, 5, 4


def inserter(codec: str) -> Callable[[bytes, Sequence[bytes]], bytes] | None:
    """A function that puts messages into a packet of this codec; ``None``: it has no place for them."""
    return {"h264": _h264, "hevc": _hevc, "mpeg2video": _mpeg2, "av1": _av1}.get(codec)


def messages_in(codec: str, packet: bytes, beginnings: Iterable[bytes]) -> list[bytes]:
    """The messages in a packet that begin with one of these bytes; of H.265 and AV1 alone."""
    if codec == "hevc":
        return [message for beginning in beginnings for message in _in_sei(packet, beginning)]
    if codec != "av1":
        return []
    wanted = tuple(bytes([_OBU_T35]) + beginning for beginning in beginnings)
    bodies = [packet[begin:end] for kind, begin, end in _units(packet) if kind == _OBU_METADATA]
    # Behind the message stand one bit and zeros.
    return [body[1:].rstrip(b"\0")[:-1] for body in bodies if body.startswith(wanted)]


def _in_sei(packet: bytes, beginning: bytes) -> Iterator[bytes]:
    """By their bytes: units may be told apart by start codes or by lengths."""
    for found in re.finditer(rb"\x04(\xff{0,9}[^\xff])(?=%b)" % re.escape(beginning), packet, re.DOTALL):
        size = sum(found[1])
        yield _ESCAPED.sub(b"\0\0", packet[found.end() : found.end() + size * 3 // 2])[:size]


def _h264(packet: bytes, messages: Sequence[bytes]) -> bytes:
    return _before(packet, lambda head: head & 31 in (1, 2, 5), b"\x06", messages)


def _hevc(packet: bytes, messages: Sequence[bytes]) -> bytes:
    return _before(packet, lambda head: head >> 1 & 63 < 32, b"\x4e\x01", messages)


def _before(packet: bytes, picture: Callable[[int], bool], head: bytes, messages: Sequence[bytes]) -> bytes:
    """SEI units before the first one of the picture, in the byte stream format (Annex B)."""
    units = b""
    for message in messages:
        size = b"\xff" * (len(message) // 255) + bytes([len(message) % 255])
        units += b"\0\0\0\1" + head + _CLASHES.sub(b"\0\0\3", bytes([_SEI]) + size + message + b"\x80")
    for start in _START.finditer(packet):
        if start.end() < len(packet) and picture(packet[start.end()]):
            place = start.start() - (packet[start.start() - 1 : start.start()] == b"\0")
            return packet[:place] + units + packet[place:]
    return packet


def _mpeg2(packet: bytes, messages: Sequence[bytes]) -> bytes:
    """User data before the first slice."""
    units = b"".join(b"\0\0\1\xb2" + message.removeprefix(ATSC) for message in messages)
    for start in _START.finditer(packet):
        if start.end() < len(packet) and 1 <= packet[start.end()] <= 0xAF:
            return packet[: start.start()] + units + packet[start.start() :]
    return packet


def _av1(packet: bytes, messages: Sequence[bytes]) -> bytes:
    """Metadata behind the temporal delimiter and the sequence header, in the low-overhead format."""
    units = b""
    for message in messages:
        body = bytes([_OBU_T35]) + message + b"\x80"
        low, high = len(body) & 127, len(body) >> 7
        units += bytes([_OBU_METADATA << 3 | 2, *((low | 128, high) if high else (low,))]) + body
    place = 0
    for kind, _, end in _units(packet):
        if kind not in (_OBU_DELIMITER, _OBU_SEQUENCE):
            break
        place = end
    return packet[:place] + units + packet[place:]


def _units(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """(kind, beginning, end) of the bodies of AV1's OBUs; the last need not tell its size."""
    place = 0
    while place < len(packet):
        kind, at, size, shift = packet[place] >> 3 & 15, place + 1 + (packet[place] >> 2 & 1), 0, 0
        if not packet[place] & 2:
            yield kind, at, len(packet)
            return
        while at < len(packet) and packet[at] & 128:
            size, shift, at = size | (packet[at] & 127) << shift, shift + 7, at + 1
        size |= (packet[at] if at < len(packet) else 0) << shift
        place = at + 1 + size
        yield kind, at + 1, place

"""Which letters an XMP packet is in: UTF-8 in all files (ISO 16684-1, 7.1), and yet not always."""

from __future__ import annotations

import re

_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)""")
_DECLARATION = re.compile(r"""(<\?xml[^>]*?\sencoding\s*=\s*["'])[\w.:-]+""")


def in_utf8(packet: bytes) -> tuple[bytes, str | None]:
    """The packet as files hold it, and what it was in; ISO 16684-1, 7.1 allows UTF-16 as well, which is not named."""
    little, big = "utf-16-le", "utf-16-be"
    code = {b"\xff\xfe": little, b"<\0": little, b"\xfe\xff": big, b"\0<": big}.get(packet[:2])
    named = None
    if code is not None:
        packet = packet[: len(packet) // 2 * 2]
    elif packet.isascii():
        return packet, None
    elif declared := _DECLARED.match(packet):
        code = named = declared[1].decode()
        if code.lower() in ("utf-8", "utf8"):
            return packet, None
    elif packet.decode("utf-8", "replace").count("\ufffd") == sum(byte > 0x7F for byte in packet):  # none is of it
        code = named = "Latin-1"
    else:
        return packet, None
    try:
        text = packet.decode(code, "replace").removeprefix("\ufeff")
    except LookupError:  # is told as no XML
        return packet, None
    return _DECLARATION.sub(r"\1UTF-8", text, count=1).encode(), named

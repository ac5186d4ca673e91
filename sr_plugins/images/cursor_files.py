"""Cursors of Windows, all of whose pictures are read as those of icons are.

Pillow's own reader of them knows no PNG within, and leaves transparency out. A cursor differs from an icon by its type,
and by the point that clicks, which stands in each entry where an icon tells planes and bits of a pixel.
"""

from __future__ import annotations

import io
import struct

from PIL import IcoImagePlugin, Image

_ENTRY = 16  # bytes
_PNG_BITS = 32


class CursorFile(IcoImagePlugin.IcoImageFile):
    """An opened cursor: the largest picture, as of icons."""

    format = "CUR"
    format_description = "Windows Cursor"

    def _open(self) -> None:
        assert self.fp is not None
        data = bytearray(self.fp.read())
        data[2] = 1
        for at in range(6, 6 + _ENTRY * data[4], _ENTRY):
            (place,) = struct.unpack_from("<I", data, at + 12)
            is_png = data[place : place + 4] == b"\x89PNG"
            bits = _PNG_BITS if is_png else struct.unpack_from("<H", data, place + 14)[0]
            struct.pack_into("<HH", data, at + 4, 1, bits)
        self._fp, self.fp = self.fp, io.BytesIO(data)  # Pillow closes both
        super()._open()


def register() -> None:
    """Have Pillow read cursors by this."""
    Image.register_open("CUR", CursorFile, lambda prefix: prefix.startswith(b"\0\0\2\0"))

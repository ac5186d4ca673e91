"""What libtiff prints of a damaged file without naming it, heard instead, so that a line of ours can say it."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import PIL
from PIL import features

from sr_plugins.images.file_parts import in_letters

_LONGEST = 500
_heard = threading.local()
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


@contextmanager
def codec_messages() -> Iterator[list[str]]:
    """A list that fills with what libtiff says in this thread, each once; where that cannot be heard, it prints it."""
    before, found = getattr(_heard, "messages", None), []  # type: ignore[var-annotated]
    if _listening():
        _heard.messages = found
    try:
        yield found
    finally:
        _heard.messages = before


@cache
def _listening() -> bool:
    """Take libtiff's messages from now on; those of threads that do not listen go to stderr as before."""
    library = _libtiff()
    formatted = (
        getattr(ctypes.CDLL(None), "vsnprintf", None) if library is not None and sys.platform != "win32" else None
    )
    if library is None or formatted is None:
        return False
    formatted.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]

    def hear(module: bytes | None, form: bytes, values: int) -> None:
        buffer = ctypes.create_string_buffer(_LONGEST)
        formatted(buffer, _LONGEST, form, values)
        message = ": ".join(in_letters(part) for part in (module, buffer.value) if part)
        messages: list[str] | None = getattr(_heard, "messages", None)
        if messages is None:
            print(f"{message}.", file=sys.stderr)
        elif message not in messages:
            messages.append(message)

    _heard_by.append(_HANDLER(hear))
    library.TIFFSetErrorHandler.argtypes = [_HANDLER]
    library.TIFFSetErrorHandler.restype = ctypes.c_void_p
    library.TIFFSetErrorHandler(_heard_by[0])
    return True


_heard_by: list[object] = []  # C holds no reference of its own


def _libtiff() -> ctypes.CDLL | None:
    """The library that Pillow decodes with: beside it in wheels, the system's otherwise."""
    if not features.check("libtiff"):
        return None
    package = Path(PIL.__file__).parent
    inside = [*package.parent.glob("[pP]illow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")]
    name = str(inside[0]) if inside else ctypes.util.find_library("tiff")
    try:
        library = ctypes.CDLL(name) if name else None
        return library if library is not None and hasattr(library, "TIFFSetErrorHandler") else None
    except OSError:
        return None

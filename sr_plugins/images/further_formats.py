"""Picture files that Pillow alone does not read: what reads them, or what to do about them."""

from __future__ import annotations

import shutil
from functools import cache
from importlib import import_module
from pathlib import Path

from PIL import Image, ImageFile, PngImagePlugin

from sr_plugins.images import cursor_files, light_files
from sr_plugins.version import extra_command

_RAW = ("dng", "cr2", "cr3", "nef", "nrw", "arw", "srf", "sr2", "raf", "rw2", "orf", "pef", "raw", "3fr", "iiq", "x3f")
_DEVELOP = "it is a camera's raw file: develop it first (darktable, RawTherapee), and save a TIFF"
# formats of pictures that nothing here reads
_UNREAD = (
    *("bpg", "cin", "dcm", "djvu", "farbfeld", "ff", "flif", "hdp", "iff", "ilbm", "jng"),
    *("ktx", "ktx2", "lbm", "miff", "mng", "pic", "rla", "rpf", "zfile"),
)
_CURES = {
    **{
        f".{ending}": "save it as PNG or TIFF first"
        for ending in (*_UNREAD, "pct", "pict", "viff", "wbmp", "wdp", "xwd")
    },
    **{f".{ending}": _DEVELOP for ending in _RAW},
    **{f".{ending}": "it is a drawing: save it as PNG in the size that is needed" for ending in ("svg", "svgz", "ai")},
    **{f".{ending}": "save it as a 16-bit or float TIFF first" for ending in ("dpx", "jxr")},
    **{f".{ending}": "export it as PNG or TIFF first" for ending in ("psb", "xcf", "kra", "ora", "afphoto", "clip")},
}
# bytes of one text or profile of a PNG, unpacked: cameras and editors leave more than a megabyte
_PILLOWS_LARGEST_TEXT, _LARGEST_TEXT = ImageFile.SAFEBLOCK, 1 << 24
# modules that are used where they are installed, and what in them makes Pillow read the files
_READERS = {"pillow_heif": "register_heif_opener", "pillow_jxl": ""}


@cache
def register() -> None:
    """Let Pillow read cursors whole, and HEIF and JPEG XL where a reader for them is installed."""
    Image.init()
    if PngImagePlugin.MAX_TEXT_CHUNK == _PILLOWS_LARGEST_TEXT:  # nobody has chosen another
        PngImagePlugin.MAX_TEXT_CHUNK = _LARGEST_TEXT
    cursor_files.register()
    light_files.register()
    for module, function in _READERS.items():
        try:
            found = import_module(module)
        except Exception:  # not there, or broken: its files are then told as unread
            continue
        if function:
            getattr(found, function)()


def cure_for(path: Path) -> str | None:
    """What to do about a file that is a picture by its ending, and that cannot be read; ``None`` for all others."""
    register()
    ending = path.suffix.lower()
    if ending.lstrip(".") in _RAW:
        return _DEVELOP
    if ending in (".eps", ".ps") and not shutil.which("gs"):
        return "install Ghostscript, which draws it, or save it as PNG in the size that is needed"
    if ending in Image.EXTENSION:
        return None
    if ending in (".heic", ".heif", ".hif", ".jxl"):
        return f"what reads and writes it comes by {extra_command('formats')}"
    return _CURES.get(ending)

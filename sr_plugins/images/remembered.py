"""What is asked of a picture while its file is open: Pillow lets go of a file object when the pixels are loaded."""

from __future__ import annotations

from PIL import Image

from sr_plugins.images.file_parts import parts_of
from sr_plugins.images.gain_map import stored_map
from sr_plugins.images.left_behind import left_behind
from sr_plugins.images.losses import is_lossless, jpeg2000_ratio


def remember(source: Image.Image) -> None:
    """Before a picture is loaded: what its metadata and its file's compression are told by later."""
    parts_of(source)
    stored_map(source)
    is_lossless(source, source.format or "")
    jpeg2000_ratio(source)
    left_behind(source, behind=True)

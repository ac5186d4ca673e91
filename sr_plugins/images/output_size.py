"""How large a picture may become, asked before any work."""

from __future__ import annotations

from collections.abc import Callable

from sr_plugins.errors import FrameError, ImageError

OutputSize = Callable[[int, int], tuple[int, int]]  # what a picture of this width and height becomes

# More than this is refused before any work: four bytes each are what an image of it takes.
MAX_OUTPUT_PIXELS = 1 << 30


def check_output_size(output_size: OutputSize, size: tuple[int, int], pictures: int = 1) -> tuple[int, int]:
    """(width, height) that a picture of ``size`` becomes; ``ImageError`` where that many pixels are not sensible."""
    if 0 in size:
        raise FrameError(f"the picture is {size[0]} x {size[1]}: there is nothing to enlarge")
    width, height = output_size(*size)
    if width * height * pictures > MAX_OUTPUT_PIXELS:
        count = f"{pictures} pictures of " if pictures > 1 else ""
        raise ImageError(
            f"the result would be {count}{width} x {height} pixels, more than {MAX_OUTPUT_PIXELS} in all: "
            "choose a smaller scale, or cut the picture into parts"
        )
    return width, height

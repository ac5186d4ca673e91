"""Pictures as they are to be seen: loaded, turned, and saying of themselves what their file says."""

from __future__ import annotations

from PIL import Image

from sr_plugins.errors import ImageError
from sr_plugins.images.apng_canvas import apng_canvas_of, frame_number
from sr_plugins.images.color_signals import colors_of
from sr_plugins.images.exif import orientation_of
from sr_plugins.images.file_parts import bodies, parts_of
from sr_plugins.images.frame_canvas import Canvas
from sr_plugins.images.gif_canvas import gif_canvas_of
from sr_plugins.images.placement import Placement
from sr_plugins.images.tiff_reader import ORIENTATION, Page, page_of
from sr_plugins.images.true_info import load_truly

_SAMPLE_FORMAT = 339
_UPRIGHT = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def placement_of(source: Image.Image, size: tuple[int, int], page: Page | None = None) -> Placement:
    """How the enlargement lies over the picture in the file; TIFF pictures are turned when they are loaded."""
    if page is not None:
        orientation = page.value(ORIENTATION, 1)
        return Placement(page.size, orientation if orientation in _UPRIGHT else 1, size)
    return Placement(source.size, orientation_of(source), size)


def upright_size(source: Image.Image) -> tuple[int, int]:
    """(width, height) as the picture is to be seen, before it is loaded or after."""
    if source.format == "TIFF":  # Pillow turns the size at once
        return source.size
    return Placement(source.size, orientation_of(source), source.size).exchanged(*source.size)


def upright(image: Image.Image) -> Image.Image:
    """The picture as it is to be seen: itself, or a turned copy, whose ``info`` still tells the old orientation."""
    return turned_by(image, orientation_of(image))


def turned_by(image: Image.Image, orientation: int) -> Image.Image:
    """A picture that lies in its file by ``orientation``, upright."""
    method = _UPRIGHT[orientation]
    return image if method is None else image.transpose(method)


def settled_image(image: Image.Image) -> Image.Image:
    """The picture, loaded, with an ``info`` of its own that says of profile and transparency what the file says."""
    parts_of(image)  # asked now: Pillow forgets the file when it loads
    page = page_of(image)
    canvas = gif_canvas_of(image) or apng_canvas_of(image)
    load_truly(image)
    if page is not None and image.mode == "I" and page.value(_SAMPLE_FORMAT, 1) == 1 and image.getextrema()[0] < 0:  # type: ignore[operator]
        raise ImageError("it holds unsigned samples above 2147483647: convert it to float samples first")
    settled = image._new(image.im)  # shares the samples
    if canvas is not None and 0 <= frame_number(image) < len(canvas.layers):
        settled = _composed(canvas, image)
    profile = colors_of(image, page).icc_profile
    if profile:
        settled.info["icc_profile"] = profile
    elif "icc_profile" in settled.info:
        del settled.info["icc_profile"]
    if image.format == "PNG" and image.mode == "L" and isinstance(image.info.get("transparency"), int):
        head, clear = bodies(image, b"IHDR"), bodies(image, b"tRNS")
        if head and clear and head[0][8] in (2, 4) and len(clear[0]) == 2:  # Pillow scales the samples alone
            settled.info["transparency"] = int.from_bytes(clear[0], "big") * 255 // ((1 << head[0][8]) - 1)
    return settled


def _composed(canvas: Canvas, image: Image.Image) -> Image.Image:
    """A frame as browsers show it, gray where Pillow says that all frames so far are."""
    bands = canvas.at(frame_number(image), image.size)
    opaque = bool((bands[..., 3] == 255).all())
    composed = Image.fromarray(bands[..., :3] if opaque else bands)
    if image.mode in ("L", "LA"):
        composed = composed.convert("L" if opaque else "LA")
    composed.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return composed

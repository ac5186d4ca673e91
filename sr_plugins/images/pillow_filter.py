"""Super-resolution for Pillow images.

>>> image = Image.new("RGB", (32, 24))
>>> image.filter(SuperResolution(2, "tiny", device="cpu")).size
(64, 48)
>>> upscale_image(image, 2, "tiny", device="cpu").size
(64, 48)

``Image.filter`` hands a filter the bare samples: it knows no profile, no transparent colour and no orientation.
:func:`upscale_image` sees all of them, and what it returns carries them right.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from PIL import Image, ImageFilter

from sr_plugins.errors import FrameError, ImageError
from sr_plugins.images.metadata import metadata_of
from sr_plugins.images.modes import image_to_frame
from sr_plugins.images.tiff_reader import black_of, no_data_of, page_of
from sr_plugins.images.upright import settled_image, upright
from sr_plugins.interface.model import LoadedModel
from sr_plugins.pixels.frame import Frame
from sr_plugins.settings import OtherSettings, Settings, checked, none_given
from sr_plugins.upscaler import Upscaler

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore

Picture = Image.Image | Frame

# More than this is refused before any work: four bytes each are what an image of it takes.
MAX_OUTPUT_PIXELS = 1 << 30

_FRAME_INFO = ("duration", "disposal", "loop", "default_image")


class SuperResolution(ImageFilter.MultibandFilter):
    """A filter that enlarges: ``image.filter(SuperResolution(2))`` returns an image of the same mode, twice as large.

    Args:
        scale: how many times larger, 1 to 16; 2 where neither scale nor size is given.
        model: a registered name, a weights file or an opened model.
        upscaler: use this one; model, scale and settings are then its own.
        settings: as for :class:`~sr_plugins.Upscaler`, by the same names.

    Filters of equal arguments share one upscaler, so that making a filter for each image costs nothing.
    A palette image is refused, as by Pillow's own filters, because its transparency cannot be seen from a filter;
    :func:`upscale_image` takes it. CMYK is taken without its profile.

    Raises:
        ArgumentError: a setting is unusable.
        SRError: in ``filter``: unknown model, unusable device, an image that is empty or too large.
    """

    name = "SuperResolution"

    def __init__(
        self,
        scale: float | None = None,
        model: str | Path | LoadedModel = "fast",
        *,
        upscaler: Upscaler | None = None,
        **settings: Unpack[OtherSettings],
    ) -> None:
        self._make = _maker(upscaler, model, {"scale": scale, **settings})

    @cached_property
    def upscaler(self) -> Upscaler:
        """What does the work; made when first needed."""
        return self._make()

    def filter(self, image: ImagingCore) -> ImagingCore:
        """Called by ``Image.filter`` with the core image; returns the enlarged one."""
        wrapped = Image.Image()._new(image)  # how Pillow itself makes an image of a core
        if wrapped.mode == "P":
            raise FrameError("a filter cannot see a palette image's transparency: use gimp_bridge.upscale_image(image)")
        check_output_size(self.upscaler, wrapped.size)
        frame, back = image_to_frame(wrapped)
        return back(self.upscaler.upscale(frame)).im


def upscale_image(
    image: Image.Image,
    scale: float | None = None,
    model: str | Path | LoadedModel = "fast",
    *,
    upscaler: Upscaler | None = None,
    **settings: Unpack[OtherSettings],
) -> Image.Image:
    """The image enlarged and upright; arguments as for :class:`SuperResolution`.

    Of a picture with several frames this is the current one. Modes 1, P and PA come back as the L, LA, RGB or RGBA that
    they stand for, all others as they were. ``info`` carries the ICC profile, EXIF without orientation and thumbnail
    and with the new pixel dimensions, XMP, DPI, texts, and the frame's duration and disposal.
    """
    (result,) = upscale_pictures([image], _maker(upscaler, model, {"scale": scale, **settings})())
    assert isinstance(result, Image.Image)
    return result


def upscale_pictures(
    pictures: Iterable[Picture], upscaler: Upscaler, *, with_metadata: bool = True
) -> Iterator[Picture]:
    """Images and frames, enlarged in order; several are in work at once. Images as by :func:`upscale_image`.

    Without metadata an image's ``info`` has the profile, the duration and the disposal alone: for who carries the rest
    from file to file.
    """
    backs: deque[Callable[[Frame], Picture]] = deque()

    def frames() -> Iterator[Frame]:
        for picture in pictures:
            check_output_size(upscaler, (picture.width, picture.height))
            if isinstance(picture, Frame):
                backs.append(_unchanged)
                yield picture
            else:
                frame, back = _prepared(picture, upscaler, with_metadata=with_metadata)
                backs.append(back)
                yield frame

    for result in upscaler.stream(frames()):
        yield backs.popleft()(result)


def check_output_size(upscaler: Upscaler, size: tuple[int, int], pictures: int = 1) -> tuple[int, int]:
    """(width, height) that a picture of ``size`` becomes; ``ImageError`` where that many pixels are not sensible."""
    if 0 in size:
        raise FrameError(f"the picture is {size[0]} x {size[1]}: there is nothing to enlarge")
    width, height = upscaler.output_size(*size)
    if width * height * pictures > MAX_OUTPUT_PIXELS:
        count = f"{pictures} pictures of " if pictures > 1 else ""
        raise ImageError(
            f"the result would be {count}{width} x {height} pixels, more than {MAX_OUTPUT_PIXELS} in all: "
            "choose a smaller scale, or cut the picture into parts"
        )
    return width, height


def _prepared(
    image: Image.Image, upscaler: Upscaler, *, with_metadata: bool
) -> tuple[Frame, Callable[[Frame], Image.Image]]:
    page = page_of(image)  # asked now: Pillow forgets the file when it loads
    settled = settled_image(image)
    turned = upright(settled)
    # now, not when the result is there: the caller may have gone on to the next frame by then
    info: dict[Any, Any] = {}
    if with_metadata:
        info = metadata_of(image, upscaler.output_size(*turned.size), image.tell()).for_info()
    elif profile := settled.info.get("icc_profile"):
        info = {"icc_profile": profile}
    info |= {name: image.info[name] for name in _FRAME_INFO if name in image.info}
    if (disposal := getattr(image, "disposal_method", None)) is not None:  # GIF keeps it outside of info
        info["disposal"] = disposal
    frame, restore = image_to_frame(turned, negative=black_of(page), no_data=no_data_of(page))

    def back(result: Frame) -> Image.Image:
        enlarged = restore(result)
        enlarged.info = info
        return enlarged

    return frame, back


def _unchanged(frame: Frame) -> Frame:
    return frame


def _maker(upscaler: Upscaler | None, model: object, settings: Settings) -> Callable[[], Upscaler]:
    """Gives the ``upscaler``, or one for the model and settings; ``ArgumentError`` at once if they are unusable."""
    if upscaler is not None:
        none_given(settings, "an upscaler")
        return lambda: upscaler
    if settings.get("scale") is None and settings.get("size") is None:
        settings["scale"] = 2
    key = tuple(sorted(checked(settings).items()))
    # an opened model is not kept alive by us, and what is no model at all may not even be hashable
    make = _shared_upscaler if isinstance(model, str | os.PathLike) else _new_upscaler
    return partial(make, model, key)


def _new_upscaler(model: Any, settings: tuple[tuple[str, Any], ...]) -> Upscaler:
    return Upscaler(model, **dict(settings))


@lru_cache(maxsize=8)
def _shared_upscaler(model: Any, settings: tuple[tuple[str, Any], ...]) -> Upscaler:
    return _new_upscaler(model, settings)


if hasattr(os, "register_at_fork"):  # threads of the parent's upscalers do not exist in a child
    os.register_at_fork(after_in_child=_shared_upscaler.cache_clear)

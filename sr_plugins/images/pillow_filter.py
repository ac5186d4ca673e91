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

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sr_plugins.errors import FrameError, ImageError
from sr_plugins.estimation.choice import Choice, choose_model
from sr_plugins.images.choosing import choose_for_image, scale_of
from sr_plugins.images.color_profiles import is_whole
from sr_plugins.images.exif import orientation_of
from sr_plugins.images.left_behind import DAMAGED_PROFILE
from sr_plugins.images.metadata import metadata_of
from sr_plugins.images.modes import image_to_frame
from sr_plugins.images.output_size import check_output_size
from sr_plugins.images.pixel_art import is_nearest, repeated, wrapped
from sr_plugins.images.remembered import remember
from sr_plugins.images.spare_memory import give_back
from sr_plugins.images.tiff_reader import black_of, no_data_shown, page_of
from sr_plugins.images.upright import settled_image, turned_by
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import AUTO
from sr_plugins.pixels.frame import Frame
from sr_plugins.settings import OtherSettings, Settings, checked, none_given
from sr_plugins.upscaler import Upscaler

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore

logger = logging.getLogger("sr_plugins")

Picture = Image.Image | Frame | WideSamples

_FRAME_INFO = ("duration", "disposal", "loop", "default_image")


class SuperResolution(ImageFilter.MultibandFilter):
    """A filter that enlarges: ``image.filter(SuperResolution(2))`` returns an image of the same mode, twice as large.

    Args:
        scale: how many times larger, 1 to 16; 2 where neither scale nor size is given.
        model: a registered name, a weights file or an opened model; ``auto`` looks at each image and chooses.
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
        self._chooses = upscaler is None and isinstance(model, str) and model == AUTO
        self._scale, self._settings = scale, settings
        self._make = _maker(upscaler, "fast" if self._chooses else model, {"scale": scale, **settings})

    @cached_property
    def upscaler(self) -> Upscaler:
        """What does the work; made when first needed. With ``auto``, what does it where nothing speaks against it."""
        return self._make()

    def _upscaler_for(self, frame: Frame) -> Upscaler:
        if not self._chooses:
            return self.upscaler
        return _chosen(choose_model([frame], scale_of(self._scale, self._settings)), self._scale, self._settings)

    def filter(self, image: ImagingCore) -> ImagingCore:
        """Called by ``Image.filter`` with the core image; returns the enlarged one."""
        wrapped = Image.Image()._new(image)  # how Pillow itself makes an image of a core
        if wrapped.mode == "P":
            raise FrameError("a filter cannot see a palette image's transparency: use gimp_bridge.upscale_image(image)")
        frame, back = image_to_frame(wrapped)
        upscaler = self._upscaler_for(frame)
        check_output_size(upscaler.output_size, wrapped.size)
        return back(upscaler.upscale(frame)).im


@overload
def upscale_image(
    image: Image.Image,
    scale: float | None = None,
    model: str | Path | LoadedModel = "fast",
    *,
    upscaler: Upscaler | None = None,
    wrap: bool = False,
    **settings: Unpack[OtherSettings],
) -> Image.Image: ...
@overload
def upscale_image(
    image: NDArray[Any],
    scale: float | None = None,
    model: str | Path | LoadedModel = "fast",
    *,
    upscaler: Upscaler | None = None,
    wrap: bool = False,
    **settings: Unpack[OtherSettings],
) -> NDArray[Any]: ...
def upscale_image(
    image: Image.Image | NDArray[Any],
    scale: float | None = None,
    model: str | Path | LoadedModel = "fast",
    *,
    upscaler: Upscaler | None = None,
    wrap: bool = False,
    **settings: Unpack[OtherSettings],
) -> Image.Image | NDArray[Any]:
    """The image enlarged and upright; further arguments as for :class:`SuperResolution`.

    Of a picture with several frames this is the current one. Modes 1, P, PA and RGBX come back as the L, LA, RGB or
    RGBA that they stand for, all others as they were. ``info`` carries the ICC profile, EXIF without orientation and
    thumbnail and with the new pixel dimensions, XMP, DPI, texts, and the frame's duration and disposal.

    Args:
        image: an image; or, for colours of more than 8 bits, which Pillow has no mode for, an array (height, width) of
            gray or (height, width, bands) with 1 to 4 bands: gray, gray and alpha, RGB, RGBA. Of any type of numbers;
            ``uint8`` and ``uint16`` use their whole range, and so do floats within 0 to 1; of others black and white
            are the array's own extremes. An array of the same type and number of dimensions comes back.
        scale: how many times larger; 2 where neither scale nor size is given.
        model: as for the filter.
        upscaler: use this one.
        wrap: the picture is a tile that repeats: its edges fit together afterwards, too.
        settings: as for the filter.
    """
    chooses = upscaler is None and isinstance(model, str) and model == AUTO
    if chooses and isinstance(image, Image.Image):
        upscaler = _chosen(choose_for_image(image, scale_of(scale, settings)), scale, settings)
    elif not chooses:
        upscaler = _maker(upscaler, model, {"scale": scale, **settings})()
    if isinstance(image, Image.Image):
        assert upscaler is not None
        (result,) = upscale_pictures([image], upscaler, wrap=wrap)
        assert isinstance(result, Image.Image)
        return result
    if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4) or image.dtype.kind not in "uif":
        raise ImageError(f"an array of {image.dtype} and shape {image.shape} is no picture: (height, width[, 1 to 4])")
    values = image if image.ndim == 3 else image[..., np.newaxis]
    samples = WideSamples(values, has_alpha=values.shape[2] in (2, 4))
    frame, back = samples.as_frame()
    if upscaler is None:
        upscaler = _chosen(choose_model([frame], scale_of(scale, settings)), scale, settings)
    (larger,) = upscale_pictures([frame], upscaler, wrap=wrap)
    assert isinstance(larger, Frame)
    return back(larger).values.reshape(larger.height, larger.width, *image.shape[2:])


def upscale_pictures(
    pictures: Iterable[Picture],
    upscaler: Upscaler,
    *,
    with_metadata: bool = True,
    wrap: bool = False,
    film: bool = False,
) -> Iterator[Picture]:
    """Images, frames and samples, enlarged in order; several are in work at once. Images as by :func:`upscale_image`.

    Without metadata an image's ``info`` has the profile, the duration and the disposal alone: for who carries the rest
    from file to file. With ``wrap`` a picture goes on beyond an edge as it begins at the other; ``film``: they are one
    animation.
    """
    backs: deque[Callable[[Frame], Picture]] = deque()

    def frames() -> Iterator[Frame]:
        for picture in pictures:
            check_output_size(upscaler.output_size, (picture.width, picture.height))
            back: Callable[[Frame], Picture]
            if isinstance(picture, Frame):
                frame, back = picture, _unchanged
                if picture.alpha is not None and not picture.alpha.any():
                    frame, back = Frame(picture.planes, picture.format), _fully_transparent
            elif isinstance(picture, WideSamples):
                frame, restore = picture.as_frame()
                back = partial(_simplest, restore)
            else:
                frame, back = _prepared(picture, upscaler, with_metadata=with_metadata, film=film)
            if wrap:
                frame, cut = wrapped(frame, upscaler)
                backs.append(partial(_then, cut, back))
            else:
                backs.append(back)
            yield frame

    for result in repeated(frames(), upscaler) if is_nearest(upscaler) else upscaler.stream(frames(), film=film):
        give_back(result.width * result.height)
        picture = backs.popleft()(result)
        del result  # while the picture is written, its planes take no memory
        yield picture


def _prepared(
    image: Image.Image, upscaler: Upscaler, *, with_metadata: bool, film: bool
) -> tuple[Frame, Callable[[Frame], Image.Image]]:
    page = page_of(image)  # asked now: Pillow forgets the file when it loads
    remember(image)
    settled = settled_image(image)
    turned = turned_by(settled, orientation_of(image))
    # now, not when the result is there: the caller may have gone on to the next frame by then
    info: dict[Any, Any] = {}
    if with_metadata:
        info = metadata_of(image, upscaler.output_size(*turned.size), image.tell()).for_info()
        if turned.mode == "CMYK" and "icc_profile" in info and not is_whole(info["icc_profile"]):
            del info["icc_profile"]  # the inks go by the formulas
            logger.warning("%s: %s", getattr(image, "filename", "") or "the image", DAMAGED_PROFILE)
    elif profile := settled.info.get("icc_profile"):
        info = {"icc_profile": profile}
    info |= {name: image.info[name] for name in _FRAME_INFO if name in image.info}
    if (disposal := getattr(image, "disposal_method", None)) is not None:  # GIF keeps it outside of info
        info["disposal"] = disposal
    frame, restore = image_to_frame(turned, negative=black_of(page), no_data=no_data_shown(page), colored=film)

    def back(result: Frame) -> Image.Image:
        enlarged = restore(result)
        enlarged.info = info
        return enlarged

    return frame, back


def _then(first: Callable[[Frame], Frame], second: Callable[[Frame], Picture], frame: Frame) -> Picture:
    return second(first(frame))


def _simplest(restore: Callable[[Frame], WideSamples], frame: Frame) -> Picture:
    return restore(frame).as_picture()


def _fully_transparent(frame: Frame) -> Frame:
    """A picture without any visible pixel was enlarged as an opaque one, so that its colours stay."""
    return Frame(frame.planes, frame.format, np.zeros_like(frame.planes[0]))


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


def _chosen(choice: Choice, scale: float | None, settings: OtherSettings) -> Upscaler:
    logger.info(choice.line('model="{}"'))
    return _maker(None, choice.model, {"scale": scale, **settings})()


def _new_upscaler(model: Any, settings: tuple[tuple[str, Any], ...]) -> Upscaler:
    return Upscaler(model, **dict(settings))


@lru_cache(maxsize=8)
def _shared_upscaler(model: Any, settings: tuple[tuple[str, Any], ...]) -> Upscaler:
    return _new_upscaler(model, settings)


if hasattr(os, "register_at_fork"):  # threads of the parent's upscalers do not exist in a child
    os.register_at_fork(after_in_child=_shared_upscaler.cache_clear)

"""Files of light: OpenEXR, Radiance HDR and portable float maps with colours, in float from end to end.

Pillow reads none of them. :func:`register` tells it that they are pictures; their samples are those of imagecodecs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.exr_file import MAGIC, ExrFile, in_few, read_exr
from sr_plugins.images.file_parts import in_letters
from sr_plugins.images.wide_samples import WideSamples

LIGHT_FORMATS = ("EXR", "HDR", "PFM")
ENDINGS = {".exr": "EXR", ".hdr": "HDR", ".pic": "HDR", ".pfm": "PFM"}
_RADIANCE, _COLOUR_MAP = (b"#?RADIANCE", b"#?RGBE"), b"PF"
_COLOUR_MAP_HEAD = re.compile(rb"PF\s+(\d+)\s+(\d+)\s+(\S+)\s")
# how the scan lines of a Radiance picture run (ra_pic file format): usually from above, each from the left
_SCAN = re.compile(rb"([-+])([XY]) (\d+) ([-+])([XY]) (\d+)\n")
_LONGEST_HEADER = 1 << 16


class LightFile(ImageFile.ImageFile):
    """A picture whose samples are proportional to light; ``samples`` are (height, width, bands)."""

    format = "EXR"
    format_description = "light in float"
    header: tuple[bytes, ...] = ()  # lines of a Radiance picture: exposure, view, programs
    exr: ExrFile | None = None

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        try:
            if data.startswith(MAGIC):
                samples = self._of_exr(data)
            elif data.startswith(_RADIANCE):
                self.format, (samples, self.header) = "HDR", _radiance(data)
            else:
                self.format, (samples, self.info["scale"]) = "PFM", _colour_map(data)
        except (RuntimeError, ValueError) as error:
            raise OSError(f"its samples cannot be read ({error})") from error
        samples = samples[..., np.newaxis] if samples.ndim == 2 else samples
        if samples.ndim != 3 or samples.dtype.kind != "f" or samples.shape[2] > 4:
            raise OSError(f"samples of {samples.dtype} and shape {samples.shape} are no picture in light")
        self.samples: NDArray[Any] = samples
        self._size, self.tile = (samples.shape[1], samples.shape[0]), []
        self._mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]

    def _of_exr(self, data: bytes) -> NDArray[Any]:
        import imagecodecs

        self.exr = read_exr(data)
        if self.exr.is_deep:
            raise ImageError("it is a deep picture: flatten it first (oiiotool --flatten)")
        bands, self.channels = self.exr.colours()
        samples = imagecodecs.exr_decode(data)
        return samples if samples.ndim == 2 else samples[..., bands]

    def told(self, format: str) -> Iterator[str]:
        """What it holds and a file of ``format`` will not, as ends of lines."""
        names = [] if self.format == format else [line.split(b"=")[0][:20] for line in self.header]
        header = list(dict.fromkeys(in_letters(name) for name in names if not name.startswith(b"#")))
        if self.exr is not None:
            if format != "EXR":
                header += self.exr.left_out()
                if name := self.exr.unlike_gray:
                    yield f"its channel {name} becomes gray"
                if self.exr.is_placed:
                    yield "its place in the frame is left out"
            if self.channels:
                yield f"channels {in_few(self.channels)} are left out: they are not those of its colours"
            if self.exr.parts:
                yield f"further parts {in_few(self.exr.parts)} are left out"
        if header:
            yield f"{', '.join(header)} of its header are left out"

    def load(self) -> Any:
        """What a display of 8 bits shows of it: light above white is cut off."""
        if self._im is None:
            light = np.clip(np.nan_to_num(self.samples.astype(np.float32)), 0, 1)
            colours = self.samples.shape[2] - (self.samples.shape[2] in (2, 4))
            coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
            shown = np.concatenate((coded[..., :colours], light[..., colours:]), axis=2)
            bands = np.rint(shown * 255).astype(np.uint8)
            self.im = Image.fromarray(bands if bands.shape[2] > 1 else bands[..., 0]).im
        return super().load()


def light_of(source: LightFile) -> WideSamples:
    """The samples as the network gets them: straight alpha, where OpenEXR multiplies colours with it."""
    samples = source.samples
    if samples.shape[2] in (1, 3):
        return WideSamples(samples, is_light=True)
    colour, alpha = samples[..., :-1], samples[..., -1:]
    straight = np.divide(colour, alpha, out=colour.copy(), where=_covers(alpha))
    return WideSamples(np.concatenate((straight, alpha), axis=2), has_alpha=True, is_light=True)


def _covers(alpha: NDArray[Any]) -> NDArray[np.bool]:
    """Where colours are multiplied with alpha: not where it is nothing, or no number."""
    covers: NDArray[np.bool] = np.isfinite(alpha) & (alpha > 0)
    return covers


def write_light(file: IO[bytes], format: str, picture: WideSamples, source: Image.Image) -> None:
    """An OpenEXR (the type stays), Radiance or portable float map file.

    Args:
        file: open for writing.
        format: one of ``LIGHT_FORMATS``.
        picture: its samples.
        source: what it was made from; its header goes along where it is of the same format.

    Raises:
        ImageError: the format has no place for alpha.
    """
    import imagecodecs

    values = picture.values
    if picture.has_alpha and format == "EXR":
        colour, alpha = values[..., :-1], values[..., -1:]
        with np.errstate(over="ignore"):  # light and alpha without bounds make light without bounds
            colour = np.multiply(colour, alpha, out=colour.copy(), where=_covers(alpha))
        values = np.concatenate((colour, alpha), axis=2)
    elif picture.has_alpha:
        raise ImageError(f"{format} holds no transparency: write .exr or .tiff")
    if format == "EXR":
        values = values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)
        exr = bytes(imagecodecs.exr_encode(np.ascontiguousarray(values if values.shape[2] > 1 else values[..., 0])))
        file.write(source.exr.described(exr) if isinstance(source, LightFile) and source.exr else exr)
        return
    values = np.ascontiguousarray(values, np.float32)
    if format == "HDR":
        data = bytes(imagecodecs.rgbe_encode(values if values.shape[2] == 3 else values.repeat(3, axis=2)))
        first, rest = data.split(b"\n", 1)
        header = source.header if isinstance(source, LightFile) else ()
        file.write(b"\n".join((first, *header, rest)))
        return
    kind = b"PF" if values.shape[2] == 3 else b"Pf"
    file.write(b"%s\n%d %d\n-1.0\n" % (kind, picture.width, picture.height) + values[::-1].astype("<f4").tobytes())


def register() -> None:
    """Let Pillow open files of light as :class:`LightFile`."""
    Image.register_open("EXR", LightFile, lambda head: head.startswith((MAGIC, *_RADIANCE, _COLOUR_MAP)))
    for ending, format in ENDINGS.items():
        if ending not in Image.EXTENSION:
            Image.register_extension(format, ending)


def _radiance(data: bytes) -> tuple[NDArray[np.float32], tuple[bytes, ...]]:
    """Upright samples, and the header's lines but for the format's."""
    import imagecodecs

    end = data.index(b"\n\n", 0, _LONGEST_HEADER)
    lines = data[:end].split(b"\n")[1:]
    if b"FORMAT=32-bit_rle_xyze" in lines:
        raise ImageError("its colours are CIE XYZ: convert it first (ra_xyze -r of Radiance)")
    scan = _SCAN.match(data, end + 2)
    if scan is None:
        raise ValueError("no size in its header")
    sign, axis, slow, other, across, fast = scan.groups()
    if axis == across:
        raise ValueError("its scan lines run nowhere")
    plain = data[: end + 2] + b"-Y %s +X %s\n" % (slow, fast) + data[scan.end() :]
    samples: NDArray[np.float32] = imagecodecs.rgbe_decode(plain)
    # a first axis X runs from the left by +, Y from above by -
    samples = samples[::-1] if sign == (b"+" if axis == b"Y" else b"-") else samples
    samples = samples[:, ::-1] if other == (b"+" if across == b"Y" else b"-") else samples
    samples = samples.swapaxes(0, 1) if axis == b"X" else samples
    kept = tuple(line for line in lines if line.strip() and not line.startswith(b"FORMAT"))
    return np.ascontiguousarray(samples), kept


def _colour_map(data: bytes) -> tuple[NDArray[np.float32], float]:
    """The samples, top row first, and the factor that the header gives them."""
    if (head := _COLOUR_MAP_HEAD.match(data)) is None:
        raise ValueError("no colours in it")
    shape, scale = (int(head[2]), int(head[1]), 3), float(head[3])
    if scale == 0 or not math.isfinite(scale):
        raise ValueError(f"a scale of {scale:g}")
    samples = np.frombuffer(data, "<f4" if scale < 0 else ">f4", math.prod(shape), head.end()).reshape(shape)
    return samples[::-1].astype(np.float32), abs(scale)

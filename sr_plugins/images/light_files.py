"""Files of light: OpenEXR, Radiance HDR and portable float maps with colours, in float from end to end.

Pillow reads none of them. :func:`register` tells it that they are pictures; their samples are those of imagecodecs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import in_letters
from sr_plugins.images.wide_samples import WideSamples

LIGHT_FORMATS = ("EXR", "HDR", "PFM")
ENDINGS = {".exr": "EXR", ".hdr": "HDR", ".pic": "HDR", ".pfm": "PFM"}
_EXR, _RADIANCE, _COLOUR_MAP = b"v/1\x01", (b"#?RADIANCE", b"#?RGBE"), b"PF"
_USUAL = {
    *("channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio", "type", "version"),
    *("screenWindowCenter", "screenWindowWidth", "tiles", "chunkCount", "name", "dwaCompressionLevel"),
}
_MOST_ATTRIBUTES = 1000
# how the scan lines of a Radiance picture run (ra_pic file format): usually from above, each from the left
_SCAN = re.compile(rb"([-+])([XY]) (\d+) ([-+])([XY]) (\d+)\n")
_LONGEST_HEADER = 1 << 16


class LightFile(ImageFile.ImageFile):
    """A picture whose samples are proportional to light; ``samples`` are (height, width, bands)."""

    format = "EXR"
    format_description = "light in float"
    header: tuple[bytes, ...] = ()  # lines of a Radiance picture: exposure, view, programs

    def _open(self) -> None:
        import imagecodecs

        assert self.fp is not None
        data = self.fp.read()
        try:
            if data.startswith(_EXR):
                samples = imagecodecs.exr_decode(data)
            elif data.startswith(_RADIANCE):
                self.format, (samples, self.header) = "HDR", _radiance(data)
            else:
                self.format, samples = "PFM", _colour_map(data)
        except (RuntimeError, ValueError) as error:
            raise OSError(f"its samples cannot be read ({error})") from error
        samples = samples[..., np.newaxis] if samples.ndim == 2 else samples
        if samples.ndim != 3 or samples.dtype.kind != "f" or samples.shape[2] > 4:
            raise OSError(f"samples of {samples.dtype} and shape {samples.shape} are no picture in light")
        self.samples: NDArray[Any] = samples
        self.left_out = list(_attributes(data)) if self.format == "EXR" else []
        self._size, self.tile = (samples.shape[1], samples.shape[0]), []
        self._mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]

    def told(self, format: str) -> list[str]:
        """Names of what its header says and a file of ``format`` will not."""
        if self.format == format == "HDR":
            return []
        names = [in_letters(line.split(b"=")[0][:20]) for line in self.header if not line.startswith(b"#")]
        return [*self.left_out, *dict.fromkeys(names)]

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
    straight = np.divide(colour, alpha, out=colour.copy(), where=alpha > 0)
    return WideSamples(np.concatenate((straight, alpha), axis=2), has_alpha=True, is_light=True)


def write_light(file: IO[bytes], format: str, picture: WideSamples, header: Sequence[bytes] = ()) -> None:
    """An OpenEXR (the type stays), Radiance or portable float map file.

    Args:
        file: open for writing.
        format: one of ``LIGHT_FORMATS``.
        picture: its samples.
        header: further lines for a Radiance picture.

    Raises:
        ImageError: the format has no place for alpha.
    """
    import imagecodecs

    values = picture.values
    if picture.has_alpha and format == "EXR":
        colour, alpha = values[..., :-1], values[..., -1:]
        values = np.concatenate((np.where(alpha > 0, colour * alpha, colour), alpha), axis=2)
    elif picture.has_alpha:
        raise ImageError(f"{format} holds no transparency: write .exr or .tiff")
    if format == "EXR":
        values = values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)
        file.write(imagecodecs.exr_encode(np.ascontiguousarray(values if values.shape[2] > 1 else values[..., 0])))
        return
    values = np.ascontiguousarray(values, np.float32)
    if format == "HDR":
        data = bytes(imagecodecs.rgbe_encode(values if values.shape[2] == 3 else values.repeat(3, axis=2)))
        first, rest = data.split(b"\n", 1)
        file.write(b"\n".join((first, *header, rest)))
        return
    kind = b"PF" if values.shape[2] == 3 else b"Pf"
    file.write(b"%s\n%d %d\n-1.0\n" % (kind, picture.width, picture.height) + values[::-1].astype("<f4").tobytes())


def register() -> None:
    """Let Pillow open files of light as :class:`LightFile`."""
    Image.register_open("EXR", LightFile, lambda head: head.startswith((_EXR, *_RADIANCE, _COLOUR_MAP)))
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


def _colour_map(data: bytes) -> NDArray[np.float32]:
    kind, width, height, scale = data[:200].split(maxsplit=4)[:4]
    begin = data.index(scale, len(kind) + len(width) + len(height)) + len(scale) + 1
    if kind != _COLOUR_MAP:
        raise ValueError("no colours in it")
    shape = int(height), int(width), 3
    order = "<f4" if float(scale) < 0 else ">f4"
    samples = np.frombuffer(data, order, shape[0] * shape[1] * 3, begin).reshape(shape)
    return samples[::-1].astype(np.float32)


def _attributes(exr: bytes) -> Iterator[str]:
    """Names of what a header tells beyond its pixels (OpenEXR File Layout): they have no place in the new file."""
    at = 8
    for _ in range(_MOST_ATTRIBUTES):
        name, _, rest = exr[at : at + 300].partition(b"\0")
        kind, _, _ = rest.partition(b"\0")
        if not name:
            return
        at += len(name) + len(kind) + 2
        if at + 4 > len(exr):
            return
        (size,) = struct.unpack_from("<I", exr, at)
        at += 4 + size
        if (told := in_letters(name)) not in _USUAL:
            yield told

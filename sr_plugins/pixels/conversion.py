"""Planes <-> model tensor, on the device: matrix, range, siting, subsampling, rounding.

Sources: ITU-R BT.601-7, BT.709-6, BT.2020-2 (non-constant luminance) and BT.2100 for the formulas, ITU-T H.273 for
codes and siting. A luma model touches no matrix on YUV and gray; on RGB its luma is BT.601's, and the differences
R' - G' and B' - G' are interpolated beside it, so that what the network changes in luma changes R', G' and B' alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sr_plugins.errors import FrameError
from sr_plugins.interface.backend import Coding
from sr_plugins.interface.words import Channels
from sr_plugins.pixels.frame import FrameFormat, Matrix
from sr_plugins.pixels.matrix import COEFFICIENTS, LUMA
from sr_plugins.pixels.resampling import (
    Taps,
    chroma_offset,
    enlarge_phases,
    from_luma_grid_taps,
    polyphase,
    to_luma_grid_phases,
)


def check_format(format: FrameFormat, channels: Channels) -> None:
    """Raise ``FrameError`` for a frame that a model of these channels cannot take."""
    if channels == "rgb" and format.family == "yuv" and format.matrix not in (*COEFFICIENTS, Matrix.UNSPECIFIED):
        known = ", ".join(f"{m.value} ({m.name})" for m in Matrix)
        raise FrameError(
            f"matrix {format.matrix} is not supported by an RGB model; convert the picture to one that is ({known}), "
            "or use a luma model"
        )


def output_coding(format: FrameFormat, channels: Channels) -> Coding | None:
    """How the network's output becomes a plane, where it is one and is stored as integers."""
    if channels == "rgb" or format.family == "rgb" or format.is_float:
        return None
    return Coding(*_coding(format, chroma=False), format.bits)


def _coding(format: FrameFormat, *, chroma: bool) -> tuple[float, float]:
    """(code of zero, codes per unit) of integer samples (BT.2100 table 9; H.273 equations 26 to 35)."""
    bits = format.bits
    if format.full_range:
        return (float(1 << (bits - 1)) if chroma else 0.0), float((1 << bits) - 1)
    unit = 1 << (bits - 8)
    return (128.0 * unit, 224.0 * unit) if chroma else (16.0 * unit, 219.0 * unit)


FLOAT16_MAX = 65504.0
INTERPOLATED = float(torch.finfo(torch.float32).max) / 16  # cubic weights add up to less than 2 an axis, in magnitude


class Conversion:
    """Both ways between the planes of one format and the tensor of one kind of model.

    Args:
        format: of the frames, its matrix resolved (:func:`.matrix.resolved`).
        channels: of the model.
        scale: of the model.
    """

    def __init__(self, format: FrameFormat, channels: Channels, scale: int) -> None:
        check_format(format, channels)
        self.format, self.channels, self.scale = format, channels, scale
        self.kr, self.kb = COEFFICIENTS.get(format.matrix, (0.299, 0.114))
        self.offsets = [chroma_offset(format.chroma_location, axis, format.subsampling[1 - axis]) for axis in (0, 1)]
        self.shifts = [format.subsampling[1], format.subsampling[0]]  # vertical, horizontal

    @property
    def kind(self) -> tuple[object, ...]:
        """Conversions of one kind do the same."""
        return self.format, self.channels, self.scale, self.kr, self.kb

    # -- in --------------------------------------------------------------------------------------------------------

    def to_model(self, planes: Sequence[Tensor], alpha: Tensor | None, bleed: int) -> tuple[Tensor, list[Tensor]]:
        """Planes (N, H, W) to the model's (N, C, H, W) float32 in [0, 1], and what :meth:`to_planes` needs.

        With ``alpha``, colour is first bled ``bleed`` pixels into fully transparent areas.
        """
        codes = [p.to(torch.float32) for p in planes]
        if alpha is not None:
            codes = [self._bled(v, alpha, chroma=self._is_chroma(i), reach=bleed) for i, v in enumerate(codes)]
        if self.channels == "luma":
            # What is only interpolated stays in codes: small whole numbers times dyadic weights are exact in float32,
            # so that ties round the same way in every tile.
            luma = self._luma(codes) if self.format.family == "rgb" else codes[0]
            return self._decode(luma, chroma=False).unsqueeze(1), codes
        values = [self._decode(c, chroma=self._is_chroma(i)) for i, c in enumerate(codes)]
        if self.format.family == "gray":
            return values[0].unsqueeze(1).expand(-1, 3, -1, -1), []
        return (torch.stack(values, 1) if self.format.family == "rgb" else self._yuv_to_rgb(values)), []

    @staticmethod
    def _luma(rgb: Sequence[Tensor]) -> Tensor:
        return LUMA[0] * rgb[0] + LUMA[1] * rgb[1] + LUMA[2] * rgb[2]

    def _decode(self, codes: Tensor, *, chroma: bool) -> Tensor:
        """Codes to values: luma and R'G'B' 0..1, chroma -0.5..0.5."""
        if self.format.is_float:
            return codes
        low, span = _coding(self.format, chroma=chroma)
        return (codes - low) / span

    def _encode(self, values: Tensor, *, chroma: bool) -> Tensor:
        if self.format.is_float:
            return values
        low, span = _coding(self.format, chroma=chroma)
        return (values * span).add_(low)

    def _is_chroma(self, plane: int) -> bool:
        return self.format.family == "yuv" and plane > 0

    def _yuv_to_rgb(self, values: Sequence[Tensor]) -> Tensor:
        y, cb, cr = values[0], *(self._to_luma_grid(v, values[0]) for v in values[1:])
        kg = 1 - self.kr - self.kb
        r = y + 2 * (1 - self.kr) * cr
        b = y + 2 * (1 - self.kb) * cb
        g = y - (2 * self.kb * (1 - self.kb) / kg) * cb - (2 * self.kr * (1 - self.kr) / kg) * cr
        return torch.stack((r, g, b), 1)

    def _to_luma_grid(self, chroma: Tensor, luma: Tensor) -> Tensor:
        for axis in (0, 1):
            phases = to_luma_grid_phases(self.shifts[axis], self.offsets[axis])
            chroma = polyphase(chroma, axis + 1, phases, luma.shape[axis + 1])
        return chroma

    def _bled(self, value: Tensor, alpha: Tensor, *, chroma: bool, reach: int) -> Tensor:
        """Colour of visible pixels spread into fully transparent ones, so that no hidden colour fringes an edge."""
        visible = (alpha.to(torch.float32) > 0).to(torch.float32).unsqueeze(1)
        if chroma and max(self.shifts):
            kernel = (1 << self.shifts[0], 1 << self.shifts[1])
            visible = torch.nn.functional.max_pool2d(visible, kernel, ceil_mode=True)
        if bool(visible.all()):
            return value
        x = value.unsqueeze(1) * visible
        for _ in range(reach):
            total = torch.nn.functional.avg_pool2d(torch.cat((x, visible), 1), 3, 1, 1)
            spread = total[:, :1] / total[:, 1:].clamp_min(1e-6)
            x = torch.where(visible > 0, x, spread)
            visible = (total[:, 1:] > 1e-6).to(torch.float32)
        return x.squeeze(1)

    # -- out -------------------------------------------------------------------------------------------------------

    def to_planes(self, y: Tensor, codes: Sequence[Tensor]) -> list[Tensor]:
        """The model's output (N, C, H * scale, W * scale) and what :meth:`to_model` kept, to planes of the format.

        Integers are codes already, made as :func:`output_coding` says.
        """
        family = self.format.family
        if self.channels == "luma":
            luma = self._encode(y[:, 0], chroma=False) if y.is_floating_point() else y[:, 0]
            if family == "gray":
                results = [luma]
            elif family == "yuv":
                # both at once: the filters are small work, and so each call counts
                results = [luma, *self._enlarged(torch.cat(list(codes[1:])), luma, chroma=True).chunk(2)]
            else:
                # R' - G' and B' - G' are interpolated; G' follows from the luma that the network made
                red, green, blue = codes
                differences = self._enlarged(torch.cat((red - green, blue - green)), luma, chroma=False)
                red, blue = differences.chunk(2)
                green = luma.sub(red, alpha=LUMA[0]).sub_(blue, alpha=LUMA[2])
                results = [red + green, green, blue + green]
        elif family == "yuv":
            results = [self._encode(v, chroma=i > 0) for i, v in enumerate(self._rgb_to_yuv(y))]
        else:
            results = [self._encode(v, chroma=False) for v in y.unbind(1)]
            if family == "gray":
                results = [self._luma(results)]
        return [self._stored(r) for r in results]

    def enlarge_alpha(self, alpha: Tensor) -> Tensor:
        """Alpha (N, H, W) by cubic interpolation; areas that are constant stay exactly so."""
        enlarged = self._enlarged(alpha.to(torch.float32), None, chroma=False)
        return self._stored(enlarged.clamp(0, 1) if self.format.is_float else enlarged)

    def _enlarged(self, value: Tensor, like: Tensor | None, *, chroma: bool) -> Tensor:
        if self.format.is_float:  # beyond it the sum of what is interpolated would be infinite, or no number
            value = value.clamp(-INTERPOLATED, INTERPOLATED)
        for axis in (1, 0):  # rows first: while there are few
            log2, offset = (self.shifts[axis], self.offsets[axis]) if chroma else (0, 0.0)
            size = value.shape[axis + 1] * self.scale
            if chroma and like is not None:
                size = -(-like.shape[axis + 1] >> log2)
            value = polyphase(value, axis + 1, enlarge_phases(self.scale, log2, offset), size)
        return value

    def _rgb_to_yuv(self, rgb: Tensor) -> list[Tensor]:
        r, g, b = rgb.unbind(1)
        y = self.kr * r + (1 - self.kr - self.kb) * g + self.kb * b
        results = [y]
        for value in ((b - y) / (2 * (1 - self.kb)), (r - y) / (2 * (1 - self.kr))):
            for axis in (0, 1):
                step = 1 << self.shifts[axis]
                taps: Taps = from_luma_grid_taps(self.shifts[axis], self.offsets[axis])
                size = -(-value.shape[axis + 1] // step)
                value = polyphase(value, axis + 1, [taps], size, step)
            results.append(value)
        return results

    def _stored(self, codes: Tensor) -> Tensor:
        """Rounded half to even and clamped to what the bits hold; float samples are neither."""
        if not codes.is_floating_point():
            return codes
        if self.format.is_float and self.format.bits == 16:  # what is beyond its range would become infinite
            return codes.clamp(-FLOAT16_MAX, FLOAT16_MAX).to(torch.float16)
        if self.format.is_float:
            return codes.to(torch.float32)
        whole = codes.round_().clamp_(0, (1 << self.format.bits) - 1)
        if self.format.bits == 8:  # by way of 16 bits: on a CPU three times as fast
            return whole.to(torch.int16).to(torch.uint8)
        return whole.to(torch.uint16)

"""A scaler for vs-jetpack (``vsscale``, ``vsaa``), which has to be installed: ``SuperResolution("quality")``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vapoursynth as vs
from vskernels import Catrom, KernelLike, ScalerLike
from vsscale import BaseGenericScaler

from sr_plugins.interface.model import LoadedModel
from sr_plugins.upscaler import Upscaler
from vapoursynth_filter.filter import upscale


class SuperResolution(BaseGenericScaler, partial_abstract=True):
    """A model of ours wherever vs-jetpack takes a scaler: ``Rescale(upscaler=)``, ``based_aa(supersampler=)``.

    Args:
        model: as :func:`~vapoursynth_filter.upscale` takes it.
        kernel, scaler, shifter: as vs-jetpack's own generic scalers take them; ``shifter`` moves the result where a
            shift is asked for.
        settings: of :func:`~vapoursynth_filter.upscale`, all but the size.
    """

    def __init__(
        self,
        model: str | Path | LoadedModel | Upscaler = "fast",
        *,
        kernel: KernelLike = Catrom,
        scaler: ScalerLike | None = None,
        shifter: KernelLike | None = None,
        **settings: Any,
    ) -> None:
        self.model, self.settings = model, settings
        super().__init__(kernel=kernel, scaler=scaler, shifter=shifter)

    def scale(
        self,
        clip: vs.VideoNode,
        width: int | None = None,
        height: int | None = None,
        shift: tuple[float, float] = (0, 0),
        **kwargs: Any,
    ) -> vs.VideoNode:
        """The clip at a size; ``shift`` is (down, right) in pixels of the source."""
        width, height = self._wh_norm(clip, width, height)
        scaled = clip
        if (width, height) != (clip.width, clip.height):
            scaled = upscale(clip, self.model, width=width, height=height, **self.settings)
        moved = shift[0] * height / clip.height, shift[1] * width / clip.width
        return self._finish_scale(scaled, clip, width, height, moved)

"""Super-resolution for VapourSynth scripts: ``from vapoursynth_filter import upscale``."""

from vapoursynth_filter.filter import upscale

__all__ = ["upscale"]

"""Super-resolution for VapourSynth scripts: ``from vapoursynth_filter import upscale``."""

from vapoursynth_filter.encoder_options import encoder_options
from vapoursynth_filter.filter import upscale
from vapoursynth_filter.inference import inference

__all__ = ["encoder_options", "inference", "upscale"]

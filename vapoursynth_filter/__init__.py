"""Super-resolution for VapourSynth scripts: ``from vapoursynth_filter import upscale``."""

from sr_plugins.version import extra_command

try:
    import vapoursynth as vapoursynth
except ModuleNotFoundError as error:
    if error.name != "vapoursynth":
        raise
    raise ModuleNotFoundError(
        f"vapoursynth_filter needs VapourSynth: {extra_command('vapoursynth')}", name="vapoursynth"
    ) from None

from vapoursynth_filter.encoder_options import encoder_options
from vapoursynth_filter.filter import upscale
from vapoursynth_filter.inference import inference

__all__ = ["encoder_options", "inference", "upscale"]

"""``python -m vapoursynth_filter > upscale.vpy``: prints a VapourSynth script, ready to run."""

SCRIPT = """\
# Upscale a video. Try it:
#     vspipe -i -a source=input.mkv upscale.vpy
#     vspipe -c y4m -a source=input.mkv upscale.vpy - | x264 --demuxer y4m -o output.mkv -
import vapoursynth as vs

from vapoursynth_filter import upscale

core = vs.core
source = globals().get("source", "input.mkv")
if isinstance(source, bytes):  # vspipe -a gives bytes
    source = source.decode()

if not hasattr(core, "bs"):  # whatever opens films is a plugin of its own; any other will do
    raise ImportError("BestSource is needed to open films: pip install vapoursynth-bestsource")
clip = core.bs.VideoSource(source)

# Any constant format goes in, the same format comes out. `srp models` lists the models.
clip = upscale(clip, model="fast", scale=2)

clip.set_output()
"""

if __name__ == "__main__":
    print(SCRIPT, end="")

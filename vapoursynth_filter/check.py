"""``python -m vapoursynth_filter.check``: whether the filter works beside the plugins that VapourSynth loads here.

Those may bring other builds of the runtimes that backends use, which only shows in a process that has them all.
"""

from __future__ import annotations

import sys

import vapoursynth as vs


def main() -> int:
    """Print one line that says what works and one for each problem; 1 if nothing does."""
    others = sorted({plugin.namespace for plugin in vs.core.plugins()} - {"resize", "std", "text"})

    from sr_plugins.plugins import plugins
    from sr_plugins.upscaler import Upscaler
    from vapoursynth_filter.filter import upscale

    clip = vs.core.std.BlankClip(format=vs.GRAY8, width=16, height=16, length=1, color=90)
    try:
        with Upscaler() as upscaler:
            upscale(clip, upscaler).get_frame(0)
            print(f"{upscaler.description}: works beside {', '.join(others) or 'no other plugin'}")
    except vs.Error as error:
        print(error)
        return 1
    for problem in plugins().problems:
        print(problem)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Every script of docs/vapoursynth.md in an encoder's real environment: beside the filters of others.

Others bring their own builds of the runtimes that our backends use, and VapourSynth loads all plugins before a script
runs; so each script runs twice, in processes of their own: with VapourSynth's plugins loaded first, and with ours.

    python -m venv .venv-environment
    .venv-environment/bin/pip install ".[vapoursynth,openvino,onnxruntime]" vapoursynth-mlrt-ov vapoursynth-mlrt-ort \\
        vapoursynth-mlrt-ncnn vsjetpack[scale,aa] vs-temporalfix vapoursynth-bestsource vapoursynth-akarin \\
        vapoursynth-mvtools vapoursynth-znedi3 vapoursynth-zsmooth
    .venv-environment/bin/python benchmarks/vapoursynth_environment.py

Ends with status 1 if a script fails. A package that is not there is told and the scripts that need it are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import imageio_ffmpeg

DOCS = Path(__file__).parent.parent / "docs" / "vapoursynth.md"
ORDERS = ("core first", "ours first")
NEEDS = {
    "bs": "core.bs.",
    "zsmooth": "my_denoiser",
}  # plugins by their namespaces, and what a script that needs them says


def main() -> int:
    """Both orders, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--order", choices=ORDERS, help="run one, in this process")
    order = parser.parse_args().order
    if order is not None:
        return run(order)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("input.mkv", "episode.mkv"):
            make = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.5", "-pix_fmt", "yuv420p", name]
            subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *make], cwd=folder, check=True)
        for one in ORDERS:
            command = [sys.executable, str(Path(__file__).resolve()), "--order", one]
            failed += subprocess.run(command, cwd=folder, env=os.environ, check=False).returncode != 0
    return min(failed, 1)


def run(order: str) -> int:
    """The scripts in this process, whose folder holds the films they name."""
    if order == "core first":
        import vapoursynth as vs

        vs.core.num_threads  # noqa: B018  # loads every plugin
    from vapoursynth_filter import upscale
    from vapoursynth_filter.__main__ import SCRIPT

    if order == "ours first":
        import vapoursynth as vs
    there = {plugin.namespace for plugin in vs.core.plugins()}
    print(f"{order}, beside {', '.join(sorted(there - {'std', 'resize', 'text'})) or 'nothing'}", flush=True)
    scripts = [*re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S), SCRIPT]
    scope: dict[str, Any] = {"vs": vs, "core": vs.core, "upscale": upscale, "__name__": "__vapoursynth__"}
    failed = 0
    for script in scripts:
        title = next(line for line in reversed(script.strip().splitlines()) if line)
        lacking = [name for name, text in NEEDS.items() if text in script and name not in there]
        lacking += ["vsjetpack"] if "vsscale" in script and importlib.util.find_spec("vsscale") is None else []
        if lacking:
            print(f"  left out, needs {', '.join(lacking)}: {title}", flush=True)
            continue
        clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=96, height=64, length=3).std.SetFrameProps(_Matrix=1)
        scope |= dict.fromkeys(("clip", "left", "right"), clip)
        scope["my_denoiser"] = lambda c: c.zsmooth.RemoveGrain([4])
        try:
            here = script.replace('device="cuda"', 'device="cpu"').replace("Rescale(clip, 720,", "Rescale(clip, 48,")
            exec(compile(here, str(DOCS), "exec"), scope)
            for name in ("clip", "left", "right", "rescaled", "smooth"):
                if isinstance(made := scope.get(name), vs.VideoNode):
                    made.get_frame(0)
            print(f"  works: {title}", flush=True)
        except Exception as error:
            failed += 1
            print(f"  FAILS: {title}: {type(error).__name__}: {error}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())

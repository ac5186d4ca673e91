"""``srp gimp status``: does the worker answer, and does the real GIMP get its picture?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gimp_bridge.install import FIRST, version_of
from gimp_bridge.plug_in.sr_upscale.worker_client import Worker, WorkerError
from sr_plugins.errors import PluginError

CONSOLES = ("gimp-console-3.2", "gimp-console-3.0", "gimp-console-3", "gimp-console")
PLACES = {
    "win32": (r"C:\Program Files\GIMP 3\bin", os.path.expandvars(r"%LOCALAPPDATA%\Programs\GIMP 3\bin")),
    "darwin": ("/Applications/GIMP.app/Contents/MacOS",),
}
SIDE = 8
TIMEOUT = 300

SCRIPT = f"""
from gi.repository import Gimp
image = Gimp.Image.new({SIDE}, {SIDE}, Gimp.ImageBaseType.RGB)
layer = Gimp.Layer.new(image, "check", {SIDE}, {SIDE}, Gimp.ImageType.RGB_IMAGE, 100, Gimp.LayerMode.NORMAL)
image.insert_layer(layer, None, 0)
procedure = Gimp.get_pdb().lookup_procedure("plug-in-sr-upscale")
if procedure is None:
    print("srp-status: GIMP", Gimp.version(), "does not know the plug-in", flush=True)
else:
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    procedure.run(config)
    if (layer.get_width(), layer.get_height()) == ({2 * SIDE}, {2 * SIDE}):
        print("srp-status: ok, GIMP", Gimp.version(), flush=True)
    else:
        print("srp-status:", Gimp.get_pdb().get_last_error(), flush=True)
image.delete()
"""


def check_worker(bridge: Mapping[str, Any]) -> str:
    """Have the recorded worker upscale a few pixels, as GIMP would; returns what it said and took.

    Raises:
        PluginError: it does not work.
    """
    started = time.monotonic()
    model = "fast" if any(m["name"] == "fast" for m in bridge["models"]) else bridge["models"][0]["name"]
    request = {"width": SIDE, "height": SIDE, "channels": 3, "depth": "u8"}
    request |= {"model": model, "scale": 2, "self_ensemble": False}
    try:
        with Worker(bridge) as worker:
            width, height = worker.upscale(request, [bytes(SIDE * SIDE * 3)])
            worker.read(width * height * 3)
            version = worker.hello["version"]
    except WorkerError as error:
        raise PluginError(str(error)) from error
    return f"sr-plugins {version}, model {model}, {time.monotonic() - started:.1f} s"


def find_console(platform: str = sys.platform) -> Path | None:
    """GIMP's program without a window, if it is where it usually is; of which version, running it tells."""
    for folder in (None, *PLACES.get(platform, ())):
        for name in CONSOLES:
            if found := shutil.which(name, path=folder):
                return Path(found)
    return None


def check_gimp(console: Path) -> str:
    """Run the plug-in in the real GIMP, without a window, on a new image; returns GIMP's version.

    Raises:
        PluginError: it is no GIMP, is too old, does not know the plug-in, or the plug-in failed.
    """
    said = _run([str(console), "--version"], 60).strip().rpartition("\n")[2]
    told = re.search(r"((\d+\.\d+)\S*)", said)  # in the user's language: "Version 3.0.4"
    if told is None:
        raise PluginError(
            f"{console} is no GIMP: asked for its version it says {' '.join(said.split()[:12]) or 'nothing'}"
        )
    version = told[1]
    if (version_of(told[2]) or FIRST) < FIRST:
        raise PluginError(f"{console} is GIMP {version}: the plug-in needs GIMP 3.0 or later")
    batch = ["-i", "-d", "-f", "--batch-interpreter=python-fu-eval", "-b", SCRIPT, "--quit"]
    output = _run([str(console), *batch], TIMEOUT)
    answers = [line.partition("srp-status: ")[2] for line in output.splitlines() if line.startswith("srp-status: ")]
    if not answers:
        raise PluginError(f"{console} did not run the check; its last words: {' '.join(output.split()[-20:])}")
    if not answers[0].startswith("ok"):
        raise PluginError(f"GIMP {version}: {answers[0]}")
    return version


def _run(command: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PluginError(f"{command[0]} cannot be run: {error}") from error
    return done.stdout.decode("utf-8", "replace") or done.stderr.decode("utf-8", "replace")

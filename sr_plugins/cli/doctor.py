"""``srp doctor``: what is installed, what is missing, what is broken."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from sr_plugins.errors import PluginError, SRError, one_line
from sr_plugins.interface.words import Broken
from sr_plugins.version import __version__, extra_command

if TYPE_CHECKING:
    from sr_plugins.interface.backend import BackendSpec

# Packages of each part, and what their absence costs.
PARTS = {
    "torch": "everything",
    "av": "srp video",
    "ffmpeg-python": "srp video",
    "imageio-ffmpeg": "srp video where the system has no ffmpeg",
    "pillow": "srp image",
    "vapoursynth": f"the VapourSynth filter: {extra_command('vapoursynth')}",
    "openvino": "backend openvino",
    "onnxruntime": "backend onnxruntime",
    "ray": f"srp video --jobs ray: {extra_command('cluster')}",
}


@click.command("doctor")
def command() -> None:
    """Say what is installed, what is missing and what is broken; status 1 if something is broken."""
    from sr_plugins.cli.models import described
    from sr_plugins.plugins import plugins

    broken: list[str] = []
    click.echo(f"sr-plugins {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name, use in PARTS.items():
        version = _version(name)
        click.echo(f"  {name} {version}" if version else f"  {name} is not installed; needed for {use}")
    with _told("ffmpeg", broken):
        click.echo(f"  ffmpeg: {ffmpeg_line()}")
    with _told("devices", broken):
        for line in device_lines():
            click.echo(f"  {line}")

    found = plugins()
    usable = [spec.label for spec in found.models() if spec.usable]
    click.echo(f"models: {', '.join(usable) or 'none'}")
    for spec in found.models():
        described(spec, broken)  # reads every weights file
    for backend in found.backends():
        state = f"broken, {backend.name} is left out"
        with _told(f"backend {backend.name}", broken):
            state = backend_state(backend)
        click.echo(f"backend {backend.name}: {state}")
    with _told("the check upscale", broken):
        click.echo(f"check: {self_check()}")
    if _version("vapoursynth"):
        with _told("VapourSynth", broken):
            for line in vapoursynth_lines():
                click.echo(f"VapourSynth: {line}")
    for problem in dict.fromkeys((*found.problems, *broken)):
        click.echo(f"problem: {problem}", err=True)
    raise SystemExit(1 if found.problems or broken else 0)


@contextmanager
def _told(what: str, broken: list[str]) -> Iterator[None]:
    """Whatever is raised becomes a line in ``broken``: a doctor examines the rest as well."""
    try:
        yield
    except SRError as error:
        broken.append(f"{what}: {one_line(error)}")
    except Exception as error:  # broken packages raise what they like
        broken.append(f"{what}: {type(error).__name__}: {one_line(error)}")


def ffmpeg_line() -> str:
    """The ffmpeg that films are made with, its version, and why it is another than that on the PATH."""
    from sr_plugins.video.ffmpeg_process import find_ffmpeg, version

    used, system = find_ffmpeg(), shutil.which("ffmpeg")
    line = f"{version(used)} at {used}"
    if os.environ.get("SR_PLUGINS_FFMPEG"):
        return f"{line}, named by $SR_PLUGINS_FFMPEG"
    if system is None:
        return f"{line}, as there is none on the PATH"
    return line if used == system else f"{line}, as {system} is {version(system)}, too old"


def backend_state(backend: BackendSpec) -> str:
    """What a person has to know of a backend; whatever it raises when it runs a small network here."""
    if missing := backend.missing():
        if isinstance(missing, Broken):  # what is not there is a choice, what is there and broken is a problem
            raise PluginError(missing)
        return f"not installed: {missing}"
    if not backend.precisions("cpu"):
        return "does not run on cpu"
    if backend.auto_rank("cpu") is None:
        return "ready when it is named (not tried: its start takes long)"
    import numpy as np

    from sr_plugins.pixels.frame import Frame, FrameFormat
    from sr_plugins.upscaler import Upscaler

    with Upscaler("tiny", 2, device="cpu", backend=backend.name) as upscaler:
        upscaler.upscale(Frame([np.full((16, 16), 90, np.uint8)], FrameFormat(family="gray")))
    return "ready"


def device_lines() -> list[str]:
    """What the machine can compute on."""
    from sr_plugins.devices import describe_devices, processors, unused_gpus

    return [f"{processors()} processors", *describe_devices(), *unused_gpus()]


def self_check() -> str:
    """Upscale a small flat picture with the default model and see that it stays flat."""
    import numpy as np

    from sr_plugins.pixels.frame import Frame, FrameFormat
    from sr_plugins.upscaler import Upscaler

    with Upscaler() as upscaler:
        result = upscaler.upscale(Frame([np.full((16, 16), 90, np.uint8)], FrameFormat(family="gray")))
        spread = int(np.abs(result.planes[0][8:-8, 8:-8].astype(int) - 90).max())
        if result.planes[0].shape != (32, 32) or spread > 1:
            raise SRError(f"a flat picture came out wrong by {spread} codes")
        return f"{upscaler.description}: works"


def vapoursynth_lines() -> list[str]:
    """What the filter says of itself beside VapourSynth's plugins, in a process of its own that loads them."""
    command = [sys.executable, "-m", "vapoursynth_filter.check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode:
        raise SRError((lines or done.stderr.splitlines() or ["no message"])[-1])
    return lines


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

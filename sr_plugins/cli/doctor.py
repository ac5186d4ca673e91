"""``srp doctor``: what is installed, what is missing, what is broken."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil

import click

from sr_plugins.errors import SRError

# Packages of each part, and what their absence costs.
PARTS = {
    "torch": "everything",
    "av": "srp video",
    "ffmpeg-python": "srp video",
    "imageio-ffmpeg": "srp video where the system has no ffmpeg",
    "pillow": "srp image",
    "vapoursynth": "the VapourSynth filter: pip install 'sr-plugins[vapoursynth]'",
    "openvino": "backend openvino",
    "onnxruntime": "backend onnxruntime",
    "ray": "srp video --jobs ray: pip install 'sr-plugins[cluster]'",
}


@click.command("doctor")
def command() -> None:
    """Say what is installed, what is missing and what is broken; status 1 if something is broken."""
    from sr_plugins.cli.models import described
    from sr_plugins.plugins import plugins

    click.echo(f"sr-plugins {_version('sr-plugins')}, Python {platform.python_version()}, {platform.platform()}")
    for name, use in PARTS.items():
        version = _version(name)
        click.echo(f"  {name} {version}" if version else f"  {name} is not installed; needed for {use}")
    click.echo(f"  ffmpeg: {shutil.which('ffmpeg') or 'none on the PATH; the bundled one is used'}")
    for line in device_lines():
        click.echo(f"  {line}")

    found = plugins()
    usable = [spec.label for spec in found.models() if spec.usable]
    click.echo(f"models: {', '.join(usable) or 'none'}")
    for backend in found.backends():
        missing = backend.missing()
        click.echo(f"backend {backend.name}: {'not installed: ' + missing if missing else 'ready'}")
    broken = list(found.problems)
    for spec in found.models():
        described(spec, broken)  # reads every weights file
    try:
        click.echo(f"check: {self_check()}")
    except SRError as error:
        broken.append(f"the check upscale failed: {error}")
    for problem in broken:
        click.echo(f"problem: {problem}", err=True)
    raise SystemExit(1 if broken else 0)


def device_lines() -> list[str]:
    """What the machine can compute on."""
    from sr_plugins.devices import describe_devices

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [f"{processors} processors", *describe_devices()]


def self_check() -> str:
    """Upscale a small flat picture with the default model and see that it stays flat."""
    import numpy as np

    from sr_plugins import Frame, FrameFormat, Upscaler

    with Upscaler() as upscaler:
        result = upscaler.upscale(Frame([np.full((16, 16), 90, np.uint8)], FrameFormat(family="gray")))
        spread = int(np.abs(result.planes[0][8:-8, 8:-8].astype(int) - 90).max())
        if result.planes[0].shape != (32, 32) or spread > 1:
            raise SRError(f"a flat picture came out wrong by {spread} codes")
        return f"{upscaler.description}: works"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

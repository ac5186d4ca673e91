"""What every host makes of fixed input, as digests: hosts x formats x models x tiles, by public names alone.

    OMP_NUM_THREADS=1 python tests/same_bytes.py > tests/same_bytes.json

writes them for this machine; tests/test_same_bytes.py compares. Backend torch, float32, one thread: nothing is chosen
by a measurement. ``probe`` says where the digests hold.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
import warm_python
from PIL import Image
from torch.nn import functional as F

from gimp_bridge import SuperResolution, save_like, upscale_image
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.settings import OtherSettings
from vapoursynth_filter import upscale

FIXED: OtherSettings = {"device": "cpu", "backend": "torch", "precision": "float32"}
FORMATS = {
    "gray8": FrameFormat(family="gray"),
    "rgb10": FrameFormat(family="rgb", bits=10),
    "yuv420p8": FrameFormat(family="yuv", subsampling=(1, 1)),
    "yuv422p10": FrameFormat(family="yuv", subsampling=(1, 0), bits=10, matrix=9),
    "yuv444f": FrameFormat(family="yuv", bits=32, is_float=True, matrix=1),
}
# what writes the files whose bytes are compared, and what the arithmetic comes from
LIBRARIES = ("torch", "numpy", "pillow", "tifffile", "imagecodecs", "vapoursynth")


def digest_of(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:24]


def probe() -> dict[str, str]:
    """What decides the last bit: versions, the instruction set torch uses, and a digest of its own arithmetic here.

    The arithmetic is that of our networks (3x3 convolutions of 1, 3, 16, 48 and 64 channels, activations, matrix
    products), computed by torch alone. Where any of it differs, results may differ by rounding and prove nothing.
    """
    generator = torch.Generator().manual_seed(1)
    results = []
    with torch.inference_mode():
        for channels in (1, 3, 16, 48, 64):
            x = torch.rand(2, channels, 47, 61, generator=generator)
            for features in (4, 48, 64):
                y = F.conv2d(x, torch.randn(features, channels, 3, 3, generator=generator), padding=1)
                results += [y, F.leaky_relu(y, 0.1), F.pixel_shuffle(y, 2), torch.tanh(y)]
            results.append(torch.randn(128, 47, generator=generator) @ x[0])
    arithmetic = digest_of(*(np.ascontiguousarray(r.numpy()).tobytes() for r in results))
    capability = torch.backends.cpu.get_cpu_capability()
    return {**{name: version(name) for name in LIBRARIES}, "instructions": capability, "arithmetic": arithmetic}


def frame(random: np.random.Generator, format: FrameFormat, width: int, height: int, alpha: bool = False) -> Frame:
    sizes = [format.plane_size(i, width, height)[::-1] for i in range(format.planes)] + [(height, width)] * alpha
    if format.is_float:
        planes = [random.random(s).astype(format.dtype) - (0.5 if i in (1, 2) else 0) for i, s in enumerate(sizes)]
    else:
        planes = [random.integers(0, 1 << format.bits, s).astype(format.dtype) for s in sizes]
    planes = [p.astype(format.dtype) for p in planes]
    return Frame(planes[: format.planes], format, planes[-1] if alpha else None)


def digests() -> Iterator[tuple[str, str]]:
    """(case, digest), in a fixed order: the random input of a case depends on those before."""
    random = np.random.default_rng(7)
    for model, scale in (("tiny", 2), ("fast", 3), ("lapsrn", 4), ("realtime", 1.5), ("quality", 2)):
        for tile in ("auto", 48):
            frames = {n: frame(random, f, 94, 70, alpha=n == "rgb10") for n, f in FORMATS.items()}
            if model == "quality" or (model, tile) == ("lapsrn", 48):
                continue  # their input is drawn for the sake of those after; they take as long as all the others
            with Upscaler(model, scale, tile=tile, **FIXED) as upscaler:
                for name, one in frames.items():
                    result = upscaler.upscale(one)
                    planes = (*result.planes, *(() if result.alpha is None else (result.alpha,)))
                    yield f"core {model} {scale} tile {tile} {name}", digest_of(*(p.tobytes() for p in planes))
    for model in ("tiny", "fast"):
        for name in ("GRAY8", "YUV420P10", "RGB24", "YUV444PS"):
            color = [0.3] * (1 if name == "GRAY8" else 3) if name.endswith("S") else None
            blank = vs.core.std.BlankClip(format=getattr(vs, name), width=96, height=64, length=3, color=color)
            clip = upscale(blank, model, scale=2, **FIXED)
            for n in range(2):
                made = clip.get_frame(n)
                planes = tuple(np.asarray(made[i]) for i in range(made.format.num_planes))
                yield f"vapoursynth {model} {name} {n}", digest_of(*(p.tobytes() for p in planes))
    with tempfile.TemporaryDirectory() as folder:
        yield from _pictures(random, Path(folder))


def _pictures(random: np.random.Generator, folder: Path) -> Iterator[tuple[str, str]]:
    for mode in ("L", "RGB", "RGBA", "CMYK"):
        bands = random.integers(0, 256, (40, 56, len(mode)), dtype=np.uint8)
        image = Image.merge(mode, [Image.fromarray(bands[..., i]) for i in range(len(mode))])
        larger = upscale_image(image, 2, "tiny", **FIXED)
        yield f"pillow upscale_image {mode}", digest_of(larger.tobytes())
        path = folder / ("p.png" if mode != "CMYK" else "p.tiff")
        save_like(larger, path, image)
        yield f"pillow save_like {mode}", digest_of(path.read_bytes())
    filtered = image.convert("RGB").filter(SuperResolution(2, "tiny", **FIXED))
    yield "pillow filter RGB", digest_of(filtered.tobytes())
    samples = random.integers(0, 256, 64 * 48 * 3 // 2, dtype=np.uint8).tobytes()
    y4m = b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + samples
    yield "srp pipe", digest_of(_srp("pipe", "--model", "tiny", given=y4m))
    source, target = folder / "s.png", folder / "t.png"
    Image.fromarray(random.integers(0, 256, (30, 50, 3), dtype=np.uint8)).save(source)
    _srp("image", str(source), "-o", str(target), "--model", "fast")
    yield "srp image", digest_of(target.read_bytes())


def _srp(*arguments: str, given: bytes = b"") -> bytes:
    command = ["-m", "sr_plugins.cli", *arguments, *(f"--{key}={value}" for key, value in FIXED.items())]
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout:
        stdin.write(given)
        stdin.seek(0)
        streams = {"stdin": stdin.fileno(), "stdout": stdout.fileno()}
        assert warm_python.start(*command, **streams, env={**os.environ, "OMP_NUM_THREADS": "1"}).wait() == 0
        stdout.seek(0)
        return stdout.read()


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump({"probe": probe(), "digests": dict(digests())}, sys.stdout, indent=1)
    print()

"""Shaders side by side on one Vulkan device: PSNR on test sets, and milliseconds a frame.

python benchmarks/shaders.py DATA a.glsl b.glsl ... [--sets Set5,BSD100] [--models tiny] [--scale 2] [--rounds 3]
    [--size 640x360] [--frames 20] [--software]

DATA holds the test sets. Each shader is run by ffmpeg's libplacebo filter (that of imageio-ffmpeg) on the luma of the
published low-resolution pictures, 8 bits, limited range; --models adds what the core makes of it. Measured as
`srp evaluate` does: luma, without a border of ``scale`` pixels. "none" is libplacebo's own. Times are those of
a clip of noise less those of one of its frames, the best of the rounds, the shaders in turn; 0 rounds measure none.
--software takes Mesa's software device (lavapipe), and processor time, for there the processor is the device: good for
comparing shaders of one kind with each other, no more.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.evaluation.quality import picture_pairs
from sr_plugins.pixels.matlab import to_luma

Planes = NDArray[np.uint8]
NEUTRAL = 128


def play(shader: Path | None, frames: Planes, scale: int, cache: Path) -> Planes:
    """``frames`` (N, H, W), 8-bit luma of limited range, through libplacebo; (N, H * scale, W * scale)."""
    count, height, width = frames.shape
    hook = "" if shader is None else f":custom_shader_path={shader}"
    filters = (
        "setparams=range=tv:colorspace=bt709,"
        f"libplacebo=w=iw*{scale}:h=ih*{scale}:dithering=none:shader_cache={cache}{hook},format=yuv444p"
    )
    command = [get_ffmpeg_exe(), "-v", "error", "-init_hw_device", "vulkan", "-f", "rawvideo", "-pix_fmt", "yuv444p"]
    command += ["-s", f"{width}x{height}", "-i", "-", "-vf", filters, "-f", "rawvideo", "-"]
    chroma = bytes([NEUTRAL]) * (2 * height * width)
    done = subprocess.run(
        command, input=b"".join(f.tobytes() + chroma for f in frames), capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"ffmpeg failed on {shader}: {done.stderr.decode().strip()[-500:]}")
    values = np.frombuffer(done.stdout, np.uint8).reshape(count, -1)[:, : height * width * scale**2]
    return values.reshape(count, height * scale, width * scale)


def by_core(name: str, frames: Planes, scale: int) -> Planes:
    """The same by the core, in float32."""
    gray = FrameFormat(family="gray", full_range=False)
    with Upscaler(name, scale, device="cpu", backend="torch", precision="float32") as upscaler:
        return np.stack([upscaler.upscale(Frame([f], gray)).planes[0] for f in frames])


def spent(software: bool) -> float:
    """Seconds until now: by the clock, or those of the processor in programs that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime if software else time.perf_counter()


def quality(folder: Path, scale: int, ways) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Mean PSNR on the pictures of ``folder`` by way; pictures of one size are one clip."""
    sizes: dict[tuple[int, int], list[tuple[Planes, Planes]]] = defaultdict(list)
    for _, low, high in picture_pairs(folder, scale):
        sizes[low.shape[:2]].append((to_luma(low), to_luma(high)))
    values: dict[str, list[float]] = defaultdict(list)
    for pairs in sizes.values():
        clip = np.stack([low for low, _ in pairs])
        for way, enlarge in ways.items():
            for made, (_, truth) in zip(enlarge(clip), pairs, strict=True):
                values[way].append(psnr(*(p[scale:-scale, scale:-scale] for p in (made, truth))))
    return {way: float(np.mean(v)) for way, v in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("shaders", type=Path, nargs="*")
    parser.add_argument("--sets", default="Set5")
    parser.add_argument("--models", default="")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--software", action="store_true")
    given = parser.parse_args()
    if given.software:
        (device, *_) = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
        os.environ["VK_ICD_FILENAMES"] = str(device)
    width, height = map(int, given.size.split("x"))
    noise = np.random.default_rng(0).integers(16, 236, (given.frames + 1, height, width), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "shaders"
        players = {s.name: s.resolve() for s in given.shaders}
        ways = {n: lambda clip, s=s: play(s, clip, given.scale, cache) for n, s in {"none": None, **players}.items()}
        cores = {f"core: {m}": lambda clip, m=m: by_core(m, clip, given.scale) for m in given.models.split(",") if m}
        best: dict[str, float] = defaultdict(lambda: float("inf"))
        for _ in range(given.rounds):
            for way, enlarge in ways.items():
                times = [spent(given.software)]
                for count in (1, given.frames + 1):
                    enlarge(noise[:count])
                    times.append(spent(given.software))
                start, one, all_ = times
                best[way] = min(best[way], 1000 * (all_ - one - (one - start)) / given.frames)
        tables = {name: quality(given.data / name, given.scale, ways | cores) for name in given.sets.split(",")}
    kind = "ms of the processor" if given.software else "ms"
    print(f"| shader | {' | '.join(f'{n}, dB' for n in tables)} | {kind} a frame, {given.size} |")
    print(f"|---|{'---|' * (len(tables) + 1)}")
    for way in (*ways, *cores):
        told = " | ".join(f"{table[way]:.3f}" for table in tables.values())
        print(f"| {way} | {told} | {f'{best[way]:.0f}' if way in best else ''} |")


if __name__ == "__main__":
    main()

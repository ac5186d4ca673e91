"""The filter beside vs-mlrt's: the same network, clip, machine and run; frames per second and largest pixel difference.

python -m venv peers
peers/bin/pip install "vapoursynth>=74" vapoursynth-mlrt-ov vapoursynth-mlrt-ort
python benchmarks/vapoursynth_peers.py --peers peers [--size 640x360] [--frames 20] [--rounds 5]

Only the peers' plugins are taken from that environment. The exporter needs the packages onnx and onnxscript beside
torch. A luma network runs on Y'; around the peers stand the conversions that a script needs: luma to float and back,
chroma by resize.Bicubic, all to the source's own format; around an RGB network (``--model FILE``) RGBS and back. ONNX
Runtime computes in float32, so differences are measured from it; OpenVINO by itself takes bfloat16 where the processor
has it, as our "auto" does. The rows take turns, round by round, and the medians count; run it under `taskset -c 0` to
give every row the same core. Processor time is disturbed less by whatever else runs on the machine.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np
import torch
import vapoursynth as vs

from sr_plugins import Upscaler
from vapoursynth_filter import upscale

FORMATS = ("YUV420P8", "YUV420P10")
WARM = 8  # frames before the first round: whatever is compiled is compiled then
EXACT = "vs-mlrt ONNX Runtime"
PEERS = {"vs-mlrt OpenVINO": "ov", EXACT: "ort"}
Filter = Callable[[vs.VideoNode], vs.VideoNode]


def export(upscaler: Upscaler, path: Path) -> None:
    """Write the network as ONNX with free batch, height and width."""
    x = torch.rand(1, upscaler.loaded.spec.planes_in, 64, 96)
    dynamic = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        upscaler.loaded.torch().runnable(),
        (x,),
        path,
        input_names=["x"],
        dynamic_shapes=(dynamic,),
        dynamo=True,
        verbose=False,
        external_data=False,
    )


def by_peer(model: Callable[..., vs.VideoNode], network: Path, scale: int, luma: bool) -> Filter:
    """What a script around vs-mlrt does for a luma or RGB network and a YUV clip."""

    def of_colours(clip: vs.VideoNode) -> vs.VideoNode:
        larger = model([clip.resize.Bicubic(format=vs.RGBS, matrix_in=1)], str(network))
        return larger.resize.Bicubic(format=clip.format.id, matrix=1)

    def of_luma(clip: vs.VideoNode) -> vs.VideoNode:
        depth = clip.format.replace(color_family=vs.GRAY, subsampling_w=0, subsampling_h=0)
        luma = clip.std.ShufflePlanes(0, vs.GRAY).resize.Point(format=vs.GRAYS)
        larger = model([luma], str(network)).resize.Point(format=depth.id)
        chroma = clip.resize.Bicubic(clip.width * scale, clip.height * scale)
        return vs.core.std.ShufflePlanes([larger, chroma, chroma], [0, 1, 2], vs.YUV)

    return of_luma if luma else of_colours


def source_clip(format: int, width: int, height: int, length: int) -> vs.VideoNode:
    """Moving edges and gradients: a few pictures handed out in turn at no cost, none after itself."""
    clip = vs.core.std.BlankClip(format=vs.RGBS, width=width, height=height, length=4)
    y, x = np.mgrid[:height, :width]

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        picture = f.copy()
        for i in range(3):
            wave = 0.25 * np.sin((x + 3 * n) / (5 + 2 * i)) + 0.2 * np.sign(np.sin((x + 2 * y + n) / 23 + i))
            np.asarray(picture[i])[:] = 0.5 + wave
        return picture

    drawn = clip.std.ModifyFrame(clip, draw).resize.Bicubic(format=format, matrix=1)
    pictures = [drawn.get_frame(n) for n in range(4)]
    blank = vs.core.std.BlankClip(format=format, width=width, height=height, length=length, keep=True)
    return blank.std.ModifyFrame(blank, lambda n, f: pictures[n % 4])


def speed_of(clip: vs.VideoNode) -> tuple[float, float]:
    """(frames per second, processor milliseconds per frame) after the first frame."""
    frames = clip.frames(close=True)
    next(frames)
    start, used = time.perf_counter(), time.process_time()
    for frame in frames:
        del frame
    count = len(clip) - 1
    return count / (time.perf_counter() - start), 1000 * (time.process_time() - used) / count


def serve(
    pipe: Connection, name: str, peers: Path, network: Path, size: tuple[int, int], model: str, scale: int, luma: bool
) -> None:
    """One filter in a process of its own (two OpenVINO runtimes in one process refuse each other).

    Answers (format, frames) with what :func:`speed_of` says and the first frame's planes.
    """
    if name in PEERS:
        os.environ["VAPOURSYNTH_EXTRA_PLUGIN_PATH"] = str(peers)  # read when the core is first used
        run = by_peer(getattr(vs.core, PEERS[name]).Model, network, scale, luma)
    else:
        backend, precision = name.split(":")
        run = partial(upscale, model=model, device="cpu", backend=backend, precision=precision)
    clips: dict[str, vs.VideoNode] = {}
    begin: Counter[str] = Counter()
    while (job := pipe.recv()) is not None:
        format, frames = job
        if format not in clips:
            clips[format] = run(source_clip(getattr(vs, format), *size, 1 << 20))
            begin[format] = WARM
            for _ in clips[format][:WARM].frames(close=True):
                pass
            gc.freeze()  # VapourSynth collects garbage whenever a clip ends; what the imports made is none
        start = begin[format]
        begin[format] += frames + 1
        speed = speed_of(clips[format][start : begin[format]])  # frames that nobody has cached
        first = clips[format].get_frame(0)
        pipe.send((speed, [np.array(first[i]).astype(np.int32) for i in range(3)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="virtual environment with the vs-mlrt wheels")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="realtime", help="a name or a weights file")
    parser.add_argument(
        "--ours", default="auto:auto,torch:auto,torch:float32", help="backend:precision, separated by commas"
    )
    arguments = parser.parse_args()
    plugins = next(arguments.peers.resolve().glob("lib/python*/site-packages/vapoursynth/plugins"), None)
    if plugins is None:
        raise SystemExit(f"no VapourSynth plugins in {arguments.peers}: see --help")
    width, height = (int(side) for side in arguments.size.split("x"))
    names = [*PEERS, *arguments.ours.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.onnx"
        with Upscaler(arguments.model, device="cpu") as upscaler:
            export(upscaler, network)
            scale, luma = upscaler.native_scale, upscaler.loaded.spec.channels == "luma"
        pipes = {}
        spawn = get_context("spawn")
        for name in names:
            pipes[name], theirs = spawn.Pipe()
            job = (theirs, name, plugins, network, (width, height), arguments.model, scale, luma)
            spawn.Process(target=serve, args=job, daemon=True).start()
        print(f"{width}x{height} x{scale}, {arguments.frames} frames, {arguments.rounds} rounds\n")
        print("| format | filter | fps | processor ms a frame | luma differs by | chroma differs by |")
        print("|---|---|---|---|---|---|")
        for format in FORMATS:
            speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
            planes = {}
            for _ in range(arguments.rounds):
                for name, pipe in pipes.items():
                    pipe.send((format, arguments.frames))
                    speed, planes[name] = pipe.recv()
                    speeds[name].append(speed)
            for name in names:
                fps, milliseconds = (median(speed[i] for speed in speeds[name]) for i in (0, 1))
                luma, chroma = (int(np.abs(planes[name][i] - planes[EXACT][i]).max()) for i in (0, 1))
                row = f"{fps:.2f} | {milliseconds:.1f} | {luma} | {chroma}"
                print(f"| {format} | {name} | {row} |", flush=True)
        for pipe in pipes.values():
            pipe.send(None)


if __name__ == "__main__":
    main()

"""Every way to the core beside the core itself: frames a second of the same clip, in turns, through one upscaler.

python benchmarks/adapters.py [--size 640x360] [--frames 120] [--rounds 3] [--model NAME] [--backend B] [--precision P]

"core" is Upscaler.stream() from planes in memory to planes in memory; "VapourSynth" the filter on a source that hands
out the same planes; "srp pipe" y4m in and out in memory; "srp video" decodes, upscales and encodes a file (x264
ultrafast) with its own ffmpeg processes; "Pillow" RGB images, one at a time, as programs do. The clip is ffmpeg's test
source under noise that changes, so that nothing rests. "/ core" is the median over the rounds of that row against the
core in the same round. The exit status is 1 if srp video reaches less than 0.9 or VapourSynth less than 0.95.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median

import av

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.evaluation.speed import through_core, through_pipe
from sr_plugins.images.speed import through_pillow
from sr_plugins.video.ffmpeg_process import find_ffmpeg
from sr_plugins.video.transcode import upscale_video
from vapoursynth_filter import upscale
from vapoursynth_filter.speed import source

FORMAT = FrameFormat(family="yuv", subsampling=(1, 1))
ENOUGH = {"srp video": 0.9, "VapourSynth": 0.95}
WARM = 8  # frames: whatever is compiled is compiled then
Rate = tuple[float, float]  # frames a second; processor milliseconds a frame, child processes included
Ways = dict[str, Callable[[], Rate]]


def clip(path: Path, size: str, frames: int) -> None:
    source = f"testsrc2=s={size}:r=24,noise=alls=4:allf=t+u,format=yuv420p"
    ends = ["-frames:v", str(frames), "-preset", "ultrafast", "-crf", "18", str(path)]
    subprocess.run([find_ffmpeg(), "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, *ends], check=True)


def decoded(path: Path) -> list[Frame]:
    with av.open(str(path)) as container:
        frames = []
        for picture in container.decode(video=0):
            stacked = picture.to_ndarray(format="yuv420p")
            height, width = picture.height, picture.width
            chroma = stacked[height:].reshape(2, height // 2, width // 2)
            frames.append(Frame([stacked[:height], chroma[0], chroma[1]], FORMAT))
        return frames


def ways(upscaler: Upscaler, path: Path, frames: list[Frame]) -> Ways:
    """What is measured: each call works on the whole clip."""

    def timed(work: Callable[[], object], done: int) -> Rate:
        start, used = time.perf_counter(), sum(os.times()[:4])
        work()
        return done / (time.perf_counter() - start), 1000 * (sum(os.times()[:4]) - used) / done

    def drain(results: Iterator[object]) -> None:
        for result in results:
            del result

    larger = upscale(source(frames, 1 << 20), upscaler)
    begins = count(0, len(frames))

    def filtered() -> Rate:
        begin = next(begins)  # frames that VapourSynth has not cached
        return timed(lambda: drain(larger[begin : begin + len(frames)].frames(close=True)), len(frames))

    def video() -> Rate:
        target = path.with_name("out.mkv")
        options = ["-preset", "ultrafast"]
        return timed(lambda: upscale_video(path, target, upscaler, options=options, overwrite=True), len(frames))

    half = frames[: len(frames) // 2]
    return {
        "core": lambda: timed(lambda: through_core(upscaler, frames, len(frames)), len(frames)),
        "VapourSynth": filtered,
        "srp pipe": lambda: timed(lambda: through_pipe(upscaler, frames, len(frames)), len(frames)),
        "srp video": video,
        "Pillow": lambda: timed(lambda: through_pillow(upscaler, half, len(half)), len(half)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="realtime")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Upscaler(asked.model, backend=asked.backend, precision=asked.precision) as upscaler,
    ):
        path = Path(folder) / "in.mkv"
        clip(path, asked.size, asked.frames)
        frames = decoded(path)
        for result in upscaler.stream(frames[:WARM]):
            del result
        rows = ways(upscaler, path, frames)
        rounds = [{row: rate() for row, rate in rows.items()} for _ in range(asked.rounds)]
        print(f"{upscaler.description}, {asked.size}, {len(frames)} frames, {asked.rounds} rounds\n")
    print("| | fps | / core | processor ms a frame |\n|---|---:|---:|---:|")
    shares = {row: median(r[row][0] / r["core"][0] for r in rounds) for row in rows}
    for row, share in shares.items():
        fps, used = (median(r[row][i] for r in rounds) for i in (0, 1))
        print(f"| {row} | {fps:.2f} | {share:.2f} | {used:.1f} |")
    return int(any(shares[row] < enough for row, enough in ENOUGH.items()))


if __name__ == "__main__":
    sys.exit(main())

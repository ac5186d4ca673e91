"""``srp video`` beside framelift-video, which runs the same weights: seconds for each frame of a film.

    python -m venv peers
    peers/bin/pip install framelift-video
    python benchmarks/video_peers.py --peer peers/bin/framelift [--size 720x480] [--frames 3 9]

The weights are those of a realesr-animevideov3 (Compact, 64 features, 16 layers, x4) with random numbers: what they
make does not change how long it takes. Both commands run from a cold process on a short film and on a longer one, by
turns; what the longer one takes more, for each frame that it has more, is the steady speed. Both compute in float32 on
the CPU and encode with x264.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from sr_plugins.video.ffmpeg_process import find_ffmpeg

NAME = "realesr-animevideov3"


def weights(folder: Path) -> Path:
    """A checkpoint of that network with random numbers, small enough that pictures stay pictures."""
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    network = SRVGGNetCompact(num_feat=64, num_conv=16, upscale=4, act_type="prelu")
    state = {
        key: value.detach() * (0.5 if key.endswith("weight") else 1) for key, value in network.state_dict().items()
    }
    folder.mkdir()
    torch.save({"params": state}, folder / f"{NAME}.pth")
    return folder / f"{NAME}.pth"


def film(path: Path, size: str, frames: int) -> Path:
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=24", "-frames:v", str(frames), "-pix_fmt", "yuv420p"]
    subprocess.run([find_ffmpeg(), "-v", "error", *picture, "-c:v", "libx264", path], check=True)
    return path


def seconds(command: list[str | Path]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip()[-800:]}")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="the command framelift of a virtual environment")
    parser.add_argument("--size", default="720x480")
    parser.add_argument(
        "--frames", type=int, nargs=2, default=(3, 9), metavar="N", help="of the short and the long film"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ours", default="auto,openvino,torch", help="backends, separated by commas")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        file = weights(folder / "weights")
        films = [film(folder / f"{frames}.mp4", asked.size, frames) for frames in asked.frames]
        srp: list[str | Path] = [sys.executable, "-m", "sr_plugins.cli", "video"]
        common: list[str | Path] = ["--model", file, "--scale", "4", "--overwrite", "--precision", "float32"]
        encoder: list[str | Path] = ["--", "-c:v", "libx264", "-crf", "18"]
        rows: dict[str, list[list[float]]] = {}
        for _ in range(asked.rounds):
            for backend in asked.ours.split(","):
                ours = [
                    seconds([*srp, one, "-o", folder / "ours.mp4", *common, "--backend", backend, *encoder])
                    for one in films
                ]
                rows.setdefault(f"srp video, {backend}", []).append(ours)
            for backend in ("openvino", "torch"):
                peer: list[str | Path] = [asked.peer, "--weights-dir", file.parent, "--model", NAME, "--scale", "4"]
                peer += ["--ai-strength", "1", "--backend", backend, "--device", "cpu", "--crf", "18", "--no-audio"]
                theirs = [seconds([*peer, "-i", one, "-o", folder / "theirs.mp4"]) for one in films]
                rows.setdefault(f"framelift, {backend}", []).append(theirs)
        print(f"{asked.size} x4, films of {asked.frames[0]} and {asked.frames[1]} frames, the best of {asked.rounds}\n")
        print("| command | seconds for a frame more | whole, long film |\n|---|---:|---:|")
        for name, times in rows.items():
            short, long = (min(pair[i] for pair in times) for i in (0, 1))
            print(f"| {name} | {(long - short) / (asked.frames[1] - asked.frames[0]):.2f} | {long:.1f} |")


if __name__ == "__main__":
    main()

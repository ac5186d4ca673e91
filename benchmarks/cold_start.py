"""Seconds from the start of a cold process to its end: `srp image` on a small picture beside `import torch` alone.

python benchmarks/cold_start.py [--rounds 5]

The rows take turns and the medians count. "first time ever" has an empty cache: it measures the backends and exports
the network, once for a machine and model, and is run once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

LIMIT = 1.2  # times import torch


def seconds(command: list[str], cache: Path) -> float:
    environment = {**os.environ, "SR_PLUGINS_CACHE": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode, as torch has
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        y, x = np.mgrid[:64, :64]
        waves = np.sin(x / 5 + np.sin(y / 9)) * np.cos(y / 7)  # a picture for 'fast', not noise for 'bicubic'
        picture = np.stack([waves * 90 + 128] * 3, -1).astype(np.uint8)
        Image.fromarray(picture).save(folder / "in.png")
        image = ["-m", "sr_plugins.cli", "image", str(folder / "in.png"), "-o", str(folder / "out.png"), "--overwrite"]
        commands = {
            "import torch": ["-c", "import torch"],
            "srp image": image,
            "srp image --backend torch": [*image, "--backend", "torch"],
        }
        first = seconds(image, folder / "cache")
        rounds = [{row: seconds(c, folder / "cache") for row, c in commands.items()} for _ in range(asked.rounds)]
    torch = median(r["import torch"] for r in rounds)
    print("| | seconds | / import torch |\n|---|---:|---:|")
    ratios = {row: median(r[row] / r["import torch"] for r in rounds) for row in commands}
    for row, ratio in ratios.items():
        print(f"| {row} | {median(r[row] for r in rounds):.2f} | {ratio:.2f} |")
    print(f"| srp image, first time ever | {first:.2f} | {first / torch:.2f} |")
    return 0 if ratios["srp image"] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())

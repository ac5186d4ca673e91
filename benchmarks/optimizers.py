"""Adam and Muon on the same network, batches and schedule, from the same first weights.

python benchmarks/optimizers.py PICTURES [--model realtime --scale 2 --iterations 1500 --precision float32]

Prints the validation PSNR on the way and the seconds it took.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from sr_plugins.training.run.recipe import OPTIMIZERS, read_recipe
from sr_plugins.training.run.run_folder import Progress
from sr_plugins.training.run.trainer import train

RECIPE = """
optimizer = "{optimizer}"
clip_gradient = 0.5
validate_every = {every}
[model]
name = "{model}"
scale = {scale}
[[stage]]
iterations = {iterations}
patch = 48
batch = 8
learning_rate = [1e-3, 1e-5]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="realtime")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--precision", default="auto")
    asked = parser.parse_args()
    every = asked.iterations // 3
    columns = {optimizer: run(optimizer, asked, every) for optimizer in OPTIMIZERS}
    print(f"| iteration | {' | '.join(f'{name}, dB | {name}, s' for name in columns)} |")
    print("|---:|" + "---:|" * 2 * len(columns))
    for lines in zip(*columns.values(), strict=True):
        cells = " | ".join(f"{line.psnr:.3f} | {line.seconds:.0f}" for line in lines)
        print(f"| {lines[0].iteration} | {cells} |")


def run(optimizer: str, asked: argparse.Namespace, every: int) -> list[Progress]:
    """The progress of one training."""
    told: list[Progress] = []
    with TemporaryDirectory() as folder:
        recipe = Path(folder, f"{optimizer}.toml")
        recipe.write_text(RECIPE.format(optimizer=optimizer, every=every, **vars(asked)))
        train(read_recipe(recipe), asked.data, Path(folder, "run"), precision=asked.precision, report=told.append)
    return told


if __name__ == "__main__":
    main()

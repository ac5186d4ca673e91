"""A family of networks, trained side by side on one GPU within minutes.

::

    python benchmarks/train_family.py pack PICTURES PACK [--megabytes 45]
    python benchmarks/train_family.py train PACK OUT --minutes 9 realtime-x2 fast-x2 mine.toml ...

``pack`` makes gray pictures of what a luma network learns from, lossless, as many as fit: small enough to be sent to a
machine that is there for minutes. ``train`` starts one process for each recipe. They share the device and end at one
time: the rates of a recipe's stages follow the clock, each stage taking the share of the time that it has of the
recipe's work. OUT receives ``family.tar``: of each recipe its weights, its log, and the recipe with as many iterations
as there were, which is the run that anyone can repeat. ``flat_borders`` is left out of both, for it is a minute of the
processor's after the time is over; a recipe that starts from the weights can ask for it later.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import dataclass, field, fields
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image

from sr_plugins.training.picture_files import list_pictures, read_rgb, to_channels
from sr_plugins.training.run.recipe import Recipe, find_recipe, read_recipe
from sr_plugins.training.run.trainer import train

NEVER = 1 << 40
STEP = 257  # between 8-bit codes in 16 bits


def pack(pictures: Path, target: Path, megabytes: float) -> None:
    """Gray pictures of ``pictures`` in ``target``, evenly chosen over the folder, until they are so many megabytes."""
    target.mkdir(parents=True)
    paths, size, count = list_pictures(pictures), 0, 0
    order = sorted(range(len(paths)), key=lambda i: (i * 0.6180339887) % 1)  # any number of them is spread evenly
    for path in (paths[i] for i in order):
        luma = np.rint(to_channels(read_rgb(path), "luma")[0] / STEP).astype(np.uint8)
        file = target / f"{path.stem}.webp"
        Image.fromarray(luma).convert("RGB").save(file, lossless=True, quality=100, method=4)
        if size + file.stat().st_size > megabytes * 1e6:
            file.unlink()
            break
        size, count = size + file.stat().st_size, count + 1
    print(f"{count} of {len(paths)} pictures, {size / 1e6:.1f} MB")


@dataclass(frozen=True)
class ByTheClock(Recipe):
    """A recipe whose stages take their shares of a time, however many iterations that makes.

    Attributes:
        ends: ``time.time()`` at which it is done.
        clock: when it began, and the last iteration begun.
        begun: of each stage, its first iteration.
    """

    ends: float = 0.0
    clock: dict[str, float] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)

    def stage_at(self, iteration: int) -> tuple[int, int]:
        """The stage of this moment, and how far it is, in iterations of the recipe's own."""
        now = time.time()
        if iteration == 0:
            self.clock["began"] = now
        if threading.current_thread() is threading.main_thread():
            self.clock["last"] = iteration
        work = list(accumulate(stage.iterations * stage.batch * stage.patch**2 for stage in self.stages))
        done = work[-1] * min(0.999999, (now - self.clock["began"]) / (self.ends - self.clock["began"]))
        index = next(i for i, until in enumerate(work) if done < until)
        self.begun.setdefault(index, iteration)
        before = work[index - 1] if index else 0
        stage = self.stages[index]
        return index, max(1, int(stage.iterations * (done - before) / (work[index] - before)))

    @property
    def iterations(self) -> int:
        """Without end, until the time is over."""
        return NEVER if time.time() < self.ends else int(self.clock.get("last", 0)) + 1

    def as_it_ran(self) -> str:
        """The recipe's text with the iterations that there were."""
        starts = [self.begun.get(i, self.iterations) for i in range(len(self.stages))]
        counts = iter(np.diff([*starts, self.iterations]).tolist())
        text = re.sub(r"(?m)^flat_borders = .*\n", "", self.path.read_text())
        return re.sub(r"(?m)^iterations = \d+", lambda _: f"iterations = {next(counts)}", text)


def one(name: str, data: Path, out: Path, ends: float) -> None:
    """Run one recipe until ``ends``."""
    recipe = read_recipe(find_recipe(Path(name)))
    given = {f.name: getattr(recipe, f.name) for f in fields(Recipe)}
    clocked = ByTheClock(**given | {"flat_borders": 0}, ends=ends)
    folder = out / recipe.path.stem
    weights = train(clocked, data, folder, report=lambda progress: print(recipe.path.stem, progress, flush=True))
    (folder / recipe.path.name).write_text(clocked.as_it_ran())
    print(weights, flush=True)


def family(names: list[str], data: Path, out: Path, minutes: float) -> None:
    """All recipes at once, then everything in one file."""
    out.mkdir(parents=True)
    ends = time.time() + 60 * minutes
    command = [sys.executable, __file__, "one", str(data), str(out), "--ends", str(ends)]
    running = [subprocess.Popen([*command, name]) for name in names]
    failed = [name for name, process in zip(names, running, strict=True) if process.wait() != 0]
    with tarfile.open(out / "family.tar", "w") as archive:
        for path in sorted(out.glob("*/*")):
            if path.suffix in (".safetensors", ".toml", ".jsonl"):
                archive.add(path, path.relative_to(out))
    if failed:
        raise SystemExit(f"not finished: {', '.join(failed)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pack", "train", "one"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--megabytes", type=float, default=45)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--ends", type=float, help=argparse.SUPPRESS)
    given = parser.parse_intermixed_args()
    if given.what == "pack":
        pack(given.source, given.target, given.megabytes)
    elif given.what == "one":
        one(given.recipes[0], given.source, given.target, given.ends)
    else:
        family(given.recipes, given.source, given.target, given.minutes)


if __name__ == "__main__":
    main()

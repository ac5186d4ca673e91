"""``--model auto`` judged: is it ever worse than bicubic, and how often is it the best there is?

    python benchmarks/auto_model.py DATA [--scale 4] [--csv rows.csv] [--soft]

DATA holds ``BSD100`` (high resolution). Twenty of its pictures are shrunk by two (or four) with the field's exact
bicubic and each goes through three states of twelve in turn, which makes sixty: clean, JPEG, noise, frames of H.264
films, and pictures that were enlarged before. With ``--soft`` the states are
others: blurred before they were shrunk, and enlarged from something smaller before; does another model suit them? PSNR
of luma (0..255, without a border of four) of what ``auto`` chose, of every
candidate and of bicubic, all computed as the commands do. None of these pictures was trained on, nor fitted to.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sr_plugins.estimation.choice import choose_model
from sr_plugins.estimation.sight import luma_of
from sr_plugins.images.choosing import choose_for_image
from sr_plugins.images.modes import image_to_frame
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.training.degradations.compression import pan, transcode
from sr_plugins.training.picture_files import read_rgb
from sr_plugins.upscaler import Upscaler

Rgb = NDArray[np.uint8]
CANDIDATES = ("bicubic", "fast", "restore", "photo", "film")
STATES = ("clean", "JPEG 30", "JPEG 50", "JPEG 70", "JPEG 80", "JPEG 90", "JPEG 95", "noise 2", "noise 8", "H.264 18",
          "H.264 23", "H.264 30")  # fmt: skip
SOFT = ("clean", "blurred 1", "blurred 2", "blurred 3", "enlarged 1.5", "enlarged 2", "blurred JPEG 80",
        "enlarged JPEG 80")  # fmt: skip
FILM = FrameFormat(family="yuv", subsampling=(1, 1))


def state_of(picture: Rgb, state: str, number: int) -> Image.Image | Frame:
    """The small picture in this state: an opened file, or a frame of a film."""
    kind, _, value = state.partition(" ")
    file = io.BytesIO()
    if kind == "JPEG":
        Image.fromarray(picture).save(file, "JPEG", quality=int(value), subsampling=2 * (number % 2))
        return Image.open(file)
    if kind == "noise":
        noise = np.random.default_rng(number).normal(0, int(value), picture.shape)
        picture = np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
    if kind == "H.264":
        rgb = transcode(pan(picture, 1 + number % 4, 2, 1), "h264", int(value))[-1]
        codes = np.rint(rgb @ np.array([0.299, 0.587, 0.114]) * 219 / 255 + 16).astype(np.uint8)
        chroma = np.full((-(-codes.shape[0] // 2), -(-codes.shape[1] // 2)), 128, np.uint8)
        return Frame([codes, chroma, chroma], FILM)
    Image.fromarray(picture).save(file, "PNG")
    return Image.open(file)


def softened(high: Rgb, state: str, scale: int) -> Image.Image:
    """``high`` shrunk by ``scale``, by way of a blur (sigma in its own pixels) or of a smaller picture."""
    kind, *rest = state.split()
    picture = Image.fromarray(high)
    low = picture.width // scale, picture.height // scale
    if kind == "blurred":
        sigma = 2.0 if rest[0] == "JPEG" else float(rest[0])
        small = Image.fromarray(downscale_bicubic(np.asarray(picture.filter(ImageFilter.GaussianBlur(sigma))), scale))
    else:
        factor = 1.5 if rest[0] == "JPEG" else float(rest[0])
        smaller = picture.resize((round(low[0] / factor), round(low[1] / factor)), Image.Resampling.BICUBIC)
        small = smaller.resize(low, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=int(rest[1])) if rest[0] == "JPEG" else small.save(file, "PNG")
    return Image.open(file)


def psnr(result: Frame, truth: Frame) -> float:
    error = (luma_of(result) - luma_of(truth))[4:-4, 4:-4]
    return float(10 * np.log10(255**2 / np.square(error).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--scale", type=int, choices=(2, 4), default=2)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--soft", action="store_true", help="Blurred and enlarged pictures, each in every state.")
    options = parser.parse_args()
    scale = options.scale
    paths = sorted((options.data / "BSD100").glob("*.png"))[2 :: 100 // options.pictures][: options.pictures]
    rows: list[dict[str, str | float]] = []
    upscalers = {name: Upscaler(name, scale) for name in CANDIDATES}
    for number, path in enumerate(paths):
        picture = read_rgb(path)
        high = picture[: picture.shape[0] // scale * scale, : picture.shape[1] // scale * scale]
        truth, small = image_to_frame(Image.fromarray(high))[0], downscale_bicubic(high, scale)
        for state in SOFT if options.soft else (STATES[(3 * number + i) % len(STATES)] for i in range(3)):
            soft = options.soft and state != "clean"
            given = softened(high, state, scale) if soft else state_of(small, state, number)
            if isinstance(given, Frame):
                frame, choice = given, choose_model([given], scale, film=True)
            else:
                choice, frame = choose_for_image(given, scale), image_to_frame(given)[0]
            values = {name: psnr(upscaler.upscale(frame), truth) for name, upscaler in upscalers.items()}
            rows.append({"picture": path.name, "state": state, "auto": choice.model, **values})
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    table(rows)


def table(rows: list[dict[str, str | float]]) -> None:
    """Means by state, and the two promises."""
    groups: dict[str, list[dict[str, str | float]]] = defaultdict(list)
    for row in rows:
        groups[str(row["state"])].append(row)
    print(f"| state | {' | '.join(CANDIDATES)} | auto | chosen |\n|---|{'---:|' * len(CANDIDATES)}---:|---|")
    lacks, below = [], []
    for state, members in groups.items():
        names = [str(row["auto"]) for row in members]
        chosen = [float(row[name]) for row, name in zip(members, names, strict=True)]
        lacks += [max(float(row[n]) for n in CANDIDATES) - c for row, c in zip(members, chosen, strict=True)]
        below += [float(row["bicubic"]) - c for row, c in zip(members, chosen, strict=True)]
        means = [f"{np.mean([float(row[n]) for row in members]):.2f}" for n in CANDIDATES]
        counts = ", ".join(f"{n} {names.count(n)}" for n in CANDIDATES if n in names)
        print(f"| {state} | {' | '.join(means)} | **{np.mean(chosen):.2f}** | {counts} |")
    print(f"\nBest, or within 0.1 dB of the best: {sum(x <= 0.1 for x in lacks)} of {len(lacks)}.", end=" ")
    worse = [x for x in below if x > 0.005]
    print(f"Below bicubic: {len(worse)}, by {max(worse):.2f} dB at most." if worse else "Below bicubic: none.")


if __name__ == "__main__":
    main()

"""A recipe small enough for tests, and pictures to learn from."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

RECIPE = """
seed = 3
validate_every = 10
[model]
name = "tiny"
scale = 2
[data]
validation = 1
description = "drawings made by the test"
[[stage]]
iterations = 20
patch = 8
batch = 4
learning_rate = [1e-3, 1e-4]
losses = { l1 = 1.0 }
[[stage]]
iterations = 10
patch = 12
batch = 2
learning_rate = [1e-4, 1e-5]
losses = { l2 = 1.0 }
"""
NOISY = '[[degradation]]\nname = "bicubic"\n[[degradation]]\nname = "gaussian_noise"\nsigma = [0, 20]\n'


def drawing(seed: int, side: int = 64) -> Image.Image:
    """Hard-edged discs and bars: what bicubic interpolation blurs and a network can learn."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    picture = np.full((side, side, 3), rng.integers(30, 220, 3), np.uint8)
    for _ in range(10):
        cy, cx, r = rng.integers(0, side), rng.integers(0, side), rng.integers(3, side // 5)
        picture[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = rng.integers(0, 256, 3)
        picture[(abs(x - cx) < 2) & (abs(y - cy) < 2 * r)] = rng.integers(0, 256, 3)
    return Image.fromarray(picture)


def drawings(folder: Path) -> Path:
    """The folder, made, with five of them."""
    folder.mkdir()
    for i in range(5):
        drawing(i).save(folder / f"{i}.png")
    return folder


def recipe_file(folder: Path, text: str = RECIPE) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def log_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def same_weights(first: Path, second: Path) -> bool:
    a, b = load_file(first), load_file(second)
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)

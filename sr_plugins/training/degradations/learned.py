"""The recipe step ``learned``: a degradation that a small generator has learnt from unpaired pictures.

``srp degradation learn`` trains the generator (:mod:`.degradation_learning`); this is the step that runs it. It imports
torch when it is built, so that listing degradations stays cheap.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sr_plugins.errors import RecipeError
from sr_plugins.interface.degradation import Degradation, Picture
from sr_plugins.weights.fitting import load_into
from sr_plugins.weights.pretrained import PRETRAINED
from sr_plugins.weights.safetensors_files import read_card
from sr_plugins.weights.tensors import read_tensors

if TYPE_CHECKING:
    from sr_plugins.training.degradations.generator import DegradationGenerator

CARD_KEY = "learned_degradation"


def learned(scale: int, weights: str) -> Degradation:
    """Shrink as the material was that a generator was trained on.

    ``weights`` is a ``.safetensors`` file of ``srp degradation learn``: a path, or the name of a file in
    ``$SR_PLUGINS_WEIGHTS`` or among those we ship. ``RecipeError`` where there is none or it is for another scale.
    """
    if not isinstance(weights, str):
        raise RecipeError(f"weights = {weights!r} is not a text")
    path = _found(weights)
    generator = _read(path, scale, path.stat().st_mtime_ns)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        return degrade(generator, picture, rng)

    return step


def degrade(generator: DegradationGenerator, picture: Picture, rng: np.random.Generator) -> Picture:
    """Run the generator on one picture; sides that the scale does not divide are continued."""
    import torch

    scale = generator.scale
    height, width = (-(-side // scale) * scale for side in picture.shape[:2])
    below, right = height - picture.shape[0], width - picture.shape[1]
    padded = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
    noise = rng.standard_normal((1, generator.noises, height // scale, width // scale), np.float32)
    x = np.ascontiguousarray(padded.transpose(2, 0, 1))[None] / np.float32(255)
    with torch.no_grad():
        small = generator(torch.from_numpy(x), torch.from_numpy(noise))[0].numpy()
    return np.ascontiguousarray(small.transpose(1, 2, 0) * np.float32(255), np.float32)


def _found(weights: str) -> Path:
    places = [Path(weights), PRETRAINED / weights]
    if folder := os.environ.get("SR_PLUGINS_WEIGHTS"):
        places.insert(1, Path(folder) / weights)
    for path in places:
        if path.is_file():
            return path
    raise RecipeError(f"no learned degradation {weights}: looked in {', '.join(str(p.parent) for p in places)}")


@lru_cache(maxsize=4)
def _read(path: Path, scale: int, changed: int) -> DegradationGenerator:
    """``changed`` is the file's time: one that was written anew is read anew."""
    from sr_plugins.training.degradations.generator import DegradationGenerator

    card = read_card(path).get(CARD_KEY)
    if not isinstance(card, dict) or not all(isinstance(card.get(key), int) for key in ("scale", "features")):
        raise RecipeError(f"{path} holds no learned degradation: srp degradation learn makes one")
    if card["scale"] != scale:
        raise RecipeError(f"{path} has learnt to shrink by {card['scale']}, not by {scale}")
    generator = DegradationGenerator(scale, card["features"])
    load_into(generator, read_tensors(path), path)
    return generator

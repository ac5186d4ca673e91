"""Learn a degradation from clean large pictures and small pictures of the target kind that show something else.

Unpaired, after the idea of Bulat, Yang and Tzimiropoulos ("To learn image super-resolution, use a GAN to learn how to
do image degradation first", ECCV 2018): a generator shrinks clean pictures so that a discriminator of small patches
takes the result for target material. What keeps the content is a constraint: averaged over a few pixels, the result
must equal the clean picture shrunk by bicubic. An adversarial run goes up and down, so the generator that is kept is
the one whose pictures were most alike the target's in spectrum and grain (:mod:`.degradation_likeness`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sr_plugins.errors import DataError
from sr_plugins.pixels.matlab import to_8bit
from sr_plugins.training.average import Average
from sr_plugins.training.degradations.generator import DegradationGenerator, PatchDiscriminator, shrunk
from sr_plugins.training.degradations.learned import CARD_KEY, degrade
from sr_plugins.training.degradations.likeness import Traces, traces
from sr_plugins.weights.safetensors_files import write_weights

Rgb = NDArray[np.uint8]
FEATURES = 16
DISCRIMINATOR_FEATURES = 16
PATCH = 32  # pixels, of the small picture
BATCH = 16
LEARNING_RATE = 4e-4, 1e-3  # of the generator and of the discriminator, falling to zero over the second half
CONTENT = 30.0  # weight of the constraint
MEAN = 8  # pixels a side it averages over
CHECKS = 15  # looks at the likeness during a run
JUDGED = 32  # pictures of each kind that are looked at
JUDGED_SIDE = 320  # pixels at most, of the small picture


@dataclass(frozen=True)
class Learning:
    """Progress: iterations done; the discriminator's share of right answers lately (1/2: it cannot tell); how far, in
    dB, the made pictures' traces are from the target's now and were at best."""

    iteration: int
    iterations: int
    told_apart: float
    distance: float
    best: float


def learn_degradation(
    clean: Sequence[Rgb],
    target: Sequence[Rgb],
    scale: int,
    *,
    iterations: int = 1500,
    seed: int = 1,
    device: str = "cpu",
    report: Callable[[Learning], None] = lambda learning: None,
) -> DegradationGenerator:
    """Train a generator; the same seed gives the same one on the same machine.

    Args:
        clean: large pictures (H, W, 3), 8-bit R'G'B'.
        target: small pictures of the kind to imitate, of other things of the same kind.
        report: called at every look at the likeness.

    Raises:
        DataError: no picture is large enough.
    """
    large, small = _usable(clean, PATCH * scale, "clean"), _usable(target, PATCH, "target")
    judged, wanted = _middles(large, JUDGED_SIDE * scale), traces(_middles(small, JUDGED_SIDE))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = DegradationGenerator(scale, FEATURES).to(device)
        discriminator = PatchDiscriminator(DISCRIMINATOR_FEATURES).to(device)
    average = Average(generator, 0.99)
    makers, judges = (
        torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.99))
        for network, rate in zip((generator, discriminator), LEARNING_RATE, strict=True)
    )
    kept = _copy(average, scale)
    best = _judged(kept, judged, wanted)
    right: list[Tensor] = []
    for iteration in range(iterations):
        for optimizer, rate in zip((makers, judges), LEARNING_RATE, strict=True):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - iteration / iterations))
        rng = np.random.default_rng([seed, iteration])
        x, real = _patches(large, PATCH * scale, rng).to(device), _patches(small, PATCH, rng).to(device)
        noise = torch.from_numpy(rng.standard_normal((BATCH, generator.noises, PATCH, PATCH), np.float32)).to(device)
        fake = generator(x, noise)

        discriminator.requires_grad_(True)
        on_real, on_fake = discriminator(real), discriminator(fake.detach())
        hinge = F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
        judges.zero_grad(set_to_none=True)
        hinge.backward()  # type: ignore[no-untyped-call]
        judges.step()
        right.append(((on_real > 0).float().mean() + (on_fake < 0).float().mean()).detach() / 2)

        discriminator.requires_grad_(False)
        content = F.l1_loss(F.avg_pool2d(fake, MEAN), F.avg_pool2d(shrunk(x, scale), MEAN))
        loss = CONTENT * content - discriminator(fake).mean()
        makers.zero_grad(set_to_none=True)
        loss.backward()
        makers.step()
        average.update(generator, iteration)

        done = iteration + 1
        if done * CHECKS // iterations > iteration * CHECKS // iterations:
            candidate = _copy(average, scale)
            distance = _judged(candidate, judged, wanted)
            if distance < best:
                best, kept = distance, candidate
            report(Learning(done, iterations, torch.stack(right).mean().item(), distance, best))
            right = []
    return kept


def write_generator(generator: DegradationGenerator, path: Path, card: Mapping[str, Any]) -> None:
    """Write it as ``.safetensors`` for the step ``learned``; ``card``: what it has learnt from, its licence."""
    shape = {"scale": generator.scale, "features": generator.features}
    write_weights(path, generator, {CARD_KEY: shape, **card})


def _usable(pictures: Sequence[Rgb], side: int, what: str) -> list[Rgb]:
    usable = [picture for picture in pictures if min(picture.shape[:2]) >= side]
    if not usable:
        raise DataError(f"none of the {what} pictures has {side} x {side} pixels or more")
    return usable


def _middles(pictures: Sequence[Rgb], side: int) -> list[Rgb]:
    """The middle, at most ``side`` pixels square, of some of the pictures, evenly spread."""
    chosen = [pictures[round(i)] for i in np.linspace(0, len(pictures) - 1, min(JUDGED, len(pictures)))]
    starts = [[max(0, (length - side) // 2) for length in picture.shape[:2]] for picture in chosen]
    return [p[top : top + side, left : left + side] for p, (top, left) in zip(chosen, starts, strict=True)]


def _judged(generator: DegradationGenerator, judged: Sequence[Rgb], wanted: Traces) -> float:
    made = [
        to_8bit(degrade(generator, picture.astype(np.float32), np.random.default_rng(i)))
        for i, picture in enumerate(judged)
    ]
    return traces(made).distance(wanted)


def _copy(average: Average, scale: int) -> DegradationGenerator:
    network = average.network(lambda: DegradationGenerator(scale, FEATURES))
    if not isinstance(network, DegradationGenerator):
        raise TypeError(type(network).__name__)
    return network


def _patches(pictures: Sequence[Rgb], side: int, rng: np.random.Generator) -> Tensor:
    """Random patches, mirrored at random: (BATCH, 3, side, side) in [0, 1]."""
    found = []
    for _ in range(BATCH):
        picture = pictures[int(rng.integers(len(pictures)))]
        y, x = (int(rng.integers(s - side + 1)) for s in picture.shape[:2])
        patch = picture[y : y + side, x : x + side]
        found.append(patch[:, ::-1] if rng.random() < 0.5 else patch)
    return torch.from_numpy(np.stack(found).transpose(0, 3, 1, 2).astype(np.float32) / 255)

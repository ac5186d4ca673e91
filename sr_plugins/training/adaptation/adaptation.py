"""Adapt a trained network to one source, from its own frames alone.

The idea is ZSSR's (Shocher, Cohen and Irani, "Zero-shot super-resolution using deep internal learning", CVPR 2018):
the source's frames are the large pictures, their children, made by the source's degradation, the small ones. Unlike
ZSSR the network starts from trained weights, behind a filter in closed form (:mod:`.correction_filter`), and what
comes out is judged on frames that were held out: it never does worse there than what it began with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.devices import bfloat16_is_faster
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models.corrected import corrected_spec
from sr_plugins.models.corrected_network import CorrectedNetwork
from sr_plugins.training.adaptation.children import Children, Rgb, split, with_compression_as_noise
from sr_plugins.training.adaptation.correction_filter import correction_filter
from sr_plugins.training.average import Average
from sr_plugins.training.degradations.chain import build_chain

RADIUS = 7  # of the correction filter
BATCH = 8
PATCH = 40  # pixels at low resolution
LEARNING_RATE = (2e-4, 1e-5)
ITERATIONS = 1000  # more of them fit the children better, and the source itself no more
CHECKS = 20  # looks at the held-out frames during a run
RENEW = 20  # iterations until one frame gets a fresh child
LEAST_GAIN = 0.02  # dB: less does not count
# The network sharpens what noise the filter leaves, so that the filter counts it more than once.
NOISE_WEIGHT = 2.5
LEAST_NOISE = 5e-4  # of the picture's variance: rounding, and what the kernel is wrong by


@dataclass(frozen=True)
class Adaptation:
    """What adapting found, measured on held-out frames in dB; ``way``: ``unchanged``, ``filter`` or ``trained``."""

    loaded: LoadedModel
    way: str
    before: float
    after: float
    reason: str = ""

    @property
    def gain(self) -> float:
        """dB on held-out frames."""
        return self.after - self.before if self.way != "unchanged" else 0.0


@dataclass(frozen=True)
class Step:
    """How far a run is: 0 to 1, iterations done, best PSNR on held-out frames so far."""

    progress: float
    iteration: int
    best: float


def adapt(
    loaded: LoadedModel,
    frames: Sequence[Rgb],
    tables: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    minutes: float = 10,
    iterations: int = ITERATIONS,
    seed: int = 1,
    device: str = "cpu",
    report: Callable[[Step], None] = lambda step: None,
) -> Adaptation:
    """Fine-tune ``loaded`` on ``frames`` (H, W, 3) under the degradation ``tables`` (from the file ``path``).

    The run ends after ``iterations``, and then the same seed gives the same weights on the same machine; or after
    ``minutes``, if that is sooner.

    Raises:
        RecipeError: the tables are wrong, or for another scale.
    """
    spec = loaded.spec
    build_chain(tables, spec.scale, path)  # as given, it must be sound
    tables = with_compression_as_noise(tables, frames, path)
    chain = build_chain(tables, spec.scale, path)
    training, held_out = split(frames, spec.scale)
    if not training:
        reason = "the pictures are too small to learn from" if len(frames) else "there are no pictures"
        return Adaptation(loaded, "unchanged", math.nan, math.nan, reason)
    children = Children(training, chain, spec.scale, spec.channels, seed)
    judge = Children(held_out, chain, spec.scale, spec.channels, seed + 1)
    if judge.plain:
        return Adaptation(loaded, "unchanged", math.nan, math.nan, "the pictures hold nothing to learn from")

    place = torch.device(device)
    before = _measure(loaded.torch().module.to(device), judge, device)
    model = _start(loaded, tables, path, children).to(device)
    best, after, way = _folded(model), -math.inf, "filter"
    after = _measure(best.to(device), judge, device)
    report(Step(0, 0, max(before, after)))
    if after < before:  # the filter does harm: begin without it
        model = _start(loaded, [], path, children).to(device)
        best, after = _folded(model), before

    average = Average(model, 0.998)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE[0], betas=(0.9, 0.99))
    started, iteration, checked = time.monotonic(), 0, 0
    while True:
        if iterations == 0:
            break
        spent = max(iteration / iterations, (time.monotonic() - started) / (60 * minutes))
        if int(spent * CHECKS) > checked or spent >= 1:
            checked = int(spent * CHECKS)
            candidate = average.network(corrected_spec(spec, 2 * RADIUS + 1).build_for_training or spec.build)
            value = _measure(candidate.to(device), judge, device)
            if value > after:
                best, after, way = candidate, value, "trained"
            report(Step(min(spent, 1), iteration, max(before, after)))
        if spent >= 1:
            break
        low, high = children.batch(np.random.default_rng([seed, iteration]), BATCH, PATCH)
        if chain.random and iteration % RENEW == 0:
            children.renew(iteration // RENEW)
        for group in optimizer.param_groups:
            first, last = LEARNING_RATE
            group["lr"] = last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(spent, 1)))
        with torch.autocast(place.type, torch.bfloat16, enabled=bfloat16_is_faster(place.type)):
            output = model(low.to(device))
        loss = _loss(output, high.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        average.update(model, iteration + 1000)  # trained weights do not linger: no ramp
        iteration += 1
    if after < before + LEAST_GAIN:
        reason = "nothing did better on the frames held out"
        return Adaptation(loaded, "unchanged", before, before, reason)
    card = _card(loaded, tables, len(frames), iteration, before, after, way)
    adapted = corrected_spec(spec, 2 * RADIUS + 1)
    return Adaptation(LoadedModel(adapted, TorchNetwork(best.cpu().eval()), card=card), way, before, after)


def _start(
    loaded: LoadedModel, tables: Sequence[Mapping[str, Any]], path: Path, children: Children
) -> CorrectedNetwork:
    """The network to train: the trained one behind the filter that ``tables`` call for (none: the identity)."""
    build = corrected_spec(loaded.spec, 2 * RADIUS + 1).build_for_training
    assert build is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(children.seed)  # branches that fold away have random weights
        model = build()
    assert isinstance(model, CorrectedNetwork)
    model.load_network(loaded.torch().module.state_dict())
    kernel = next((table["values"] for table in tables if table["name"] == "kernel"), None)
    if kernel is not None and any(table["name"] == "subsample" for table in tables):
        fixed = build_chain([t for t in tables if t["name"] in ("kernel", "subsample")], loaded.spec.scale, path)
        noise, power = children.noise_and_power(fixed)
        values = np.asarray(kernel, np.float64)
        level = max(NOISE_WEIGHT * noise, LEAST_NOISE * power)
        taps = correction_filter(values / values.sum(), loaded.spec.scale, level, power, RADIUS)
        with torch.no_grad():
            model.kernel.copy_(torch.from_numpy(taps)[None, None])
    return model


def _folded(model: CorrectedNetwork) -> nn.Module:
    return model.fold()


def _loss(output: Tensor | list[Tensor], target: Tensor) -> Tensor:
    picture = output[-1] if isinstance(output, list) else output
    return F.l1_loss(picture.float(), target)


@torch.no_grad()
def _measure(model: nn.Module, judge: Children, device: str) -> float:
    """Mean PSNR in dB on the held-out frames, without a border of ``scale`` pixels."""
    model.eval()
    values, s = [], judge.scale
    for low, high in judge.pairs:
        small = torch.from_numpy(low.astype(np.float32) / 65535)
        output = model(small[None].to(device))[0].float().cpu().clamp(0, 1).double().numpy()
        error = float(np.square(output - high / 65535.0)[:, s:-s, s:-s].mean())
        values.append(-10 * math.log10(max(error, 1e-10)))
    return math.fsum(values) / len(values)


def _card(
    loaded: LoadedModel,
    tables: Sequence[Mapping[str, Any]],
    frames: int,
    iterations: int,
    before: float,
    after: float,
    way: str,
) -> dict[str, Any]:
    return {
        "model": loaded.spec.name,
        "scale": loaded.spec.scale,
        "correction": 2 * RADIUS + 1,
        "license": loaded.spec.license,
        "architecture": loaded.spec.architecture,
        "adapted": {
            "frames": frames,
            "iterations": iterations if way == "trained" else 0,
            "held_out_psnr_before": round(before, 3),
            "held_out_psnr_after": round(after, 3),
            "degradation": [table["name"] for table in tables],
        },
    }

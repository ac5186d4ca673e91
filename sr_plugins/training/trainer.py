"""The training loop: data -> network -> loss -> step, and everything a run must survive.

Every random choice of iteration i comes from the seed (recipe.seed, i), so a resumed run is the uninterrupted run.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sr_plugins.errors import DataError, RecipeError
from sr_plugins.plugins import plugins
from sr_plugins.training.bicubic import downscale_bicubic
from sr_plugins.training.pictures import Pictures, list_pictures
from sr_plugins.training.recipe import Recipe, Stage
from sr_plugins.weights import write_weights

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """What is told after every report interval."""

    iteration: int
    iterations: int
    loss: float
    psnr: float | None
    seconds: float


def train(
    recipe: Recipe,
    data: Path,
    run: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    device: str = "cpu",
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Run a recipe on the pictures in ``data``; returns the weights file written into the folder ``run``.

    ``run`` receives ``checkpoint.pt`` (every two minutes and on SIGTERM or SIGINT), ``log.jsonl`` and the weights.
    ``minutes`` stops early, after which ``resume`` goes on. Raises ``DataError`` and ``RecipeError``.
    """
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise RecipeError(f"{run} already holds a run: add --resume to go on, or name another folder with --out")
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"

    spec = plugins().model(recipe.model, recipe.scale)
    model = (spec.build_for_training or spec.build)().to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = _Average(model, recipe.ema)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.99))
    iteration, seconds = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average.tensors = state["average"]
        optimizer.load_state_dict(state["optimizer"])
        iteration, seconds = state["iteration"], state["seconds"]

    train_set, validation_set = _load_pictures(recipe, data, spec.channels)
    started, saved, reported, losses = time.monotonic(), time.monotonic(), iteration, []

    def save() -> None:
        state = {
            "model": model.state_dict(),
            "average": average.tensors,
            "optimizer": optimizer.state_dict(),
            "iteration": iteration,
            "seconds": seconds + time.monotonic() - started,
        }
        temporary = checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(checkpoint)

    with _stop_requested() as stop, (run / "log.jsonl").open("a") as log:
        while iteration < recipe.iterations and not stop():
            stage, within = _stage_at(recipe, iteration)
            for group in optimizer.param_groups:
                group["lr"] = _cosine(*stage.learning_rate, within / stage.iterations)
            rng = np.random.default_rng([recipe.seed, iteration])
            low, high = (torch.from_numpy(a).to(device) for a in train_set.batch(rng, stage.batch, stage.patch))
            with torch.autocast(device.split(":")[0], torch.bfloat16):
                output = model(low.contiguous(memory_format=torch.channels_last))
            loss = _loss(stage, output.float(), high)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_gradient)
            optimizer.step()
            average.update(model, iteration)
            iteration += 1
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise DataError(f"the loss is not finite at iteration {iteration}: lower the learning rate; {checkpoint} is the last good state")

            now = time.monotonic()
            done = minutes is not None and now - started > minutes * 60
            if iteration % 1000 == 0 or iteration == recipe.iterations or done:
                psnr = _validate(average.into(spec.build_for_training or spec.build), validation_set, device)
                entry = Progress(iteration, recipe.iterations, float(np.mean(losses)), psnr, seconds + now - started)
                log.write(json.dumps(vars(entry)) + "\n")
                log.flush()
                report(entry)
                losses, reported = [], iteration
            if now - saved > 120:
                save()
                saved = now
            if done:
                break
        save()

    final = average.into(spec.build_for_training or spec.build)
    card = {
        "model": recipe.model,
        "scale": recipe.scale,
        "architecture": spec.architecture,
        "license": spec.license,
        "recipe": recipe.path.name,
        "degradation": list(recipe.degradation),
        "losses": [dict(stage.losses) for stage in recipe.stages],
        "iterations": iteration,
        "of_iterations": recipe.iterations,
        "seed": recipe.seed,
        "pictures": len(train_set.pairs),
        "validation_psnr": _validate(final, validation_set, device),
        "seconds": round(seconds + time.monotonic() - started),
    }
    target = run / recipe.weights_name
    write_weights(target, final, card)
    return target


def _stage_at(recipe: Recipe, iteration: int) -> tuple[Stage, int]:
    for stage in recipe.stages:
        if iteration < stage.iterations:
            return stage, iteration
        iteration -= stage.iterations
    raise IndexError(iteration)


def _cosine(first: float, last: float, t: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * t))


def _loss(stage: Stage, output: Tensor, target: Tensor) -> Tensor:
    total = output.new_zeros(())
    for name, weight in stage.losses.items():
        if not isinstance(weight, (int, float)):
            raise RecipeError(f"loss {name} needs a weight")
        if name == "l1":
            total = total + weight * nn.functional.l1_loss(output, target)
        elif name == "l2":
            total = total + weight * nn.functional.mse_loss(output, target)
        else:
            raise RecipeError(f"no loss called {name!r}")
    return total


def _load_pictures(recipe: Recipe, data: Path, channels: str) -> tuple[Pictures, Pictures]:
    paths = list_pictures(data)
    held_out = {int(i) for i in np.linspace(0, len(paths) - 1, recipe.validation)}
    least = max(stage.patch for stage in recipe.stages) * recipe.scale

    def degrade(picture: Any, rng: np.random.Generator) -> Any:
        return downscale_bicubic(picture, recipe.scale)

    parts = [[p for i, p in enumerate(paths) if (i in held_out) is held] for held in (False, True)]
    train_set, validation_set = (
        Pictures(part, recipe.scale, channels, degrade, recipe.seed + n, least) for n, part in enumerate(parts)
    )
    return train_set, validation_set


@torch.no_grad()
def _validate(model: nn.Module, pictures: Pictures, device: str) -> float:
    """Mean PSNR in dB over the held-out pictures, border of ``scale`` left out."""
    model = model.to(device)
    total = 0.0
    for low, high in pictures.pairs:
        x = torch.from_numpy(low.astype(np.float32) / 65535)[None].to(device)
        target = torch.from_numpy(high.astype(np.float32) / 65535)[None].to(device)
        with torch.autocast(device.split(":")[0], torch.bfloat16):
            y = model(x.contiguous(memory_format=torch.channels_last)).float().clamp(0, 1)
        s = pictures.scale
        total += -10 * math.log10((y - target)[..., s:-s, s:-s].square().mean().item())
    return total / len(pictures.pairs)


class _Average:
    """Exponential moving average of the weights; ramps up so that early weights do not linger."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.tensors[key].lerp_(value, 1 - decay)

    def into(self, build: Callable[[], nn.Module]) -> nn.Module:
        """The inference network with the averaged weights."""
        model = build()
        model.load_state_dict({k: v.cpu() for k, v in self.tensors.items()})
        fold = getattr(model, "fold", None)
        return (fold() if callable(fold) and hasattr(model, "fold") else model).eval()


@contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Turns SIGTERM and SIGINT into a request to stop after the current iteration."""
    asked: list[int] = []
    old = {s: signal.signal(s, lambda number, frame: asked.append(number)) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

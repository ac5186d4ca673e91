"""The training loop: data -> network -> loss -> step, and everything a run must survive.

Every random choice of iteration i comes from the seed (recipe.seed, i), so a resumed run is the uninterrupted run, and
several processes that share the batches do the run of one.
"""

from __future__ import annotations

import inspect
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr_plugins.devices import bfloat16_is_faster
from sr_plugins.errors import DataError, RecipeError
from sr_plugins.interface.model import ModelSpec
from sr_plugins.models.fake_quantization import rounding
from sr_plugins.plugins import plugins
from sr_plugins.training.average import Average
from sr_plugins.training.lettering import lettering
from sr_plugins.training.losses.weighted_sum import WeightedSum
from sr_plugins.training.material import on_device
from sr_plugins.training.run.batches import Batches, load_material
from sr_plugins.training.run.flat_borders import flatten_borders
from sr_plugins.training.run.optimizers import load_states, make_optimizers, set_rates
from sr_plugins.training.run.processes import Processes, processes
from sr_plugins.training.run.recipe import Recipe
from sr_plugins.training.run.run_folder import Progress, RunFolder, identity
from sr_plugins.training.run.step import Step
from sr_plugins.training.run.validation import mean_psnr
from sr_plugins.weights.safetensors_files import write_weights
from sr_plugins.weights.tensors import read_tensors

logger = logging.getLogger(__name__)

SAVE_EVERY = 120  # seconds
CHECK_EVERY = 10  # iterations between looks at the clock, at signals and at the loss
LETTERED = (48, 96)  # pictures of letters, and their sides, that tell the ranges of 8-bit integers
LARGEST = 1e6  # of weights: beyond it a network's output is no picture any more
DIVERGED = "lower the learning rate, then --resume"


def train(
    recipe: Recipe,
    data: Path,
    folder: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    report: Callable[[Progress], None] = lambda progress: None,
    stopped: Callable[[int], object] = lambda number: None,
) -> Path:
    """Run a recipe on the pictures in ``data``; returns the weights file written into ``folder``.

    ``folder`` receives ``checkpoint.pt`` (every two minutes and on SIGINT, SIGTERM or SIGHUP, whose number ``stopped``
    is told), ``log.jsonl``, ``curve.png`` and the weights. ``minutes`` stops early, after which ``resume`` goes on.
    ``precision`` is that of the forward pass: ``float32``, ``bfloat16``, or ``auto``: as in the checkpoint, else the
    faster one. Under ``torchrun`` every process calls this.

    Raises:
        RecipeError, DataError, DeviceError, UnknownModelError: told in one line each.
    """
    with processes(device) as place:
        run = RunFolder(folder, resume=resume)
        try:
            return _train(recipe, data, run, minutes, place, precision, report, stopped)
        except BaseException:
            run.remove_if_empty()
            raise


def _train(
    recipe: Recipe,
    data: Path,
    run: RunFolder,
    minutes: float | None,
    place: Processes,
    precision: str,
    report: Callable[[Progress], None],
    stopped: Callable[[int], object],
) -> Path:
    spec = plugins().model(recipe.model, recipe.scale)
    build = spec.build_for_training or spec.build
    torch.manual_seed(recipe.seed)
    model = build()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise RecipeError(f"{recipe.path}: {spec.label} has nothing to train")
    if recipe.also and len(inspect.signature(model.forward).parameters) < 2:
        raise RecipeError(f"{recipe.path}: {spec.label} has no smaller scales inside: leave out model.also")
    if recipe.start is not None:
        _start_from(model, recipe)
    model = model.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(model, recipe.ema)
    optimizers = make_optimizers(recipe.optimizer, model, place.device)
    losses = [_losses(recipe, i, spec, place.device) for i in range(len(recipe.stages))]
    if recipe.stages[-1].int8 and not callable(getattr(model, "prepare_int8", None)):
        raise RecipeError(f"{recipe.path}: {spec.label} cannot be trained for 8-bit integers: leave out int8")
    iteration, seconds = 0, 0.0
    recent: list[Tensor] = []  # losses since the last line of the log
    bfloat16 = precision == "bfloat16" or (precision == "auto" and place.any(bfloat16_is_faster(place.device.type)))
    if state := run.load(place.device):
        with run.explained(state, recipe):
            if precision == "auto":
                bfloat16 = state["bfloat16"]
            model.load_state_dict(state["model"])
            average.tensors, average.before = state["average"], state.get("before")
            load_states(optimizers, state["optimizers"])
            iteration, seconds = state["iteration"], state["seconds"]
            recent += state["recent"].unbind() if "recent" in state else []
            if "random" in state:  # what networks draw, for dropout and the like
                torch.set_rng_state(state["random"].cpu())
            if "losses" in state and iteration < recipe.iterations:
                losses[recipe.stage_at(iteration)[0]].load_state_dict(state["losses"])
        run.forget_after(iteration)

    for stage in recipe.stages:
        if stage.int8 and place.world > 1:
            raise RecipeError(f"{recipe.path}: a stage with int8 = true is for one process, not {place.world}")
        if stage.batch % place.world:
            raise RecipeError(f"{recipe.path}: batch = {stage.batch} cannot be shared by {place.world} processes")
    sets, validation = load_material(recipe, data, spec, run.folder, iteration, str(place.device))
    network = place.wrapped(model)

    def steps() -> Step:
        clip = recipe.clip_gradient
        return Step(model, network, optimizers, scale=recipe.scale, clip=clip, bfloat16=bfloat16)

    step = steps()
    started = saved = time.monotonic()

    def elapsed() -> float:
        return seconds + time.monotonic() - started

    def save() -> None:
        # a loss tells of the weights before its step only
        if not all(bool((t.abs() < LARGEST).all()) for t in (*model.state_dict().values(), *average.tensors.values())):
            raise DataError(f"the weights have left all bounds at iteration {iteration}: {DIVERGED}")
        if place.first:
            states: dict[str, Any] = {"run": identity(recipe), "model": model.state_dict(), "average": average.tensors}
            states["optimizers"] = [optimizer.state_dict() for optimizer in optimizers]
            if average.before is not None:
                states["before"] = average.before
            index = recipe.stage_at(min(iteration, recipe.iterations - 1))[0]
            states |= {"losses": losses[index].state_dict(), "bfloat16": bfloat16}
            states |= {"recent": torch.stack(recent) if recent else torch.zeros(0), "random": torch.get_rng_state()}
            run.save(states | {"iteration": iteration, "seconds": elapsed()})

    with (
        closing(Batches(recipe, sets, iteration, place.rank, place.world, device=place.device)) as batches,
        _stop_requested(stopped) as stop,
    ):
        stopping = False
        while iteration < recipe.iterations and not stopping:
            index, within = recipe.stage_at(iteration)
            stage = recipe.stages[index]
            scale, low, target = batches.get()
            x = on_device(low, place.device)
            if stage.int8:
                if getattr(model, "int8_ranges", None) is None:  # go on from the averaged weights
                    model.load_state_dict(average.tensors)
                    # stronger than all that photographs have, and nothing of chance
                    model.prepare_int8(on_device(lettering(*LETTERED, scale), place.device))
                    average = Average(model, recipe.ema)
                    optimizers = make_optimizers(recipe.optimizer, model, place.device)
                    step = steps()
                model.int8 = True
            if stage.keep and within == 0:
                average.mark()
            set_rates(optimizers, _cosine(*stage.learning_rate, within / (stage.schedule or stage.iterations)))
            loss = step(losses[index], scale, x, target, (index, stage.int8))
            average.update(model, iteration)
            iteration += 1
            recent.append(loss)

            ends = iteration == recipe.iterations or recipe.stage_at(iteration)[1] == 0
            due = iteration % recipe.validate_every == 0
            if iteration % CHECK_EVERY and not ends and not due:
                continue
            now = time.monotonic()
            stopping = place.any(stop() or (minutes is not None and now - started > minutes * 60))
            if not torch.stack(recent).isfinite().all():
                raise DataError(f"the loss is not finite near iteration {iteration}: {DIVERGED}")
            if due or ends or stopping:
                if place.first:
                    psnr = mean_psnr(average.network(build), validation, place.device, bfloat16, stage.int8)
                    line = Progress(iteration, recipe.iterations, torch.stack(recent).mean().item(), psnr, elapsed())
                    run.add(line)
                    report(line)
                recent = []
            if now - saved > SAVE_EVERY:
                save()
                saved = now
        save()
    seconds = elapsed()

    target_path = run.folder / recipe.weights_name
    if place.first:
        run.plot()
        final = average.network(build, recipe.stages[-1].keep)
        if callable(keep_flat_colours := getattr(final, "keep_flat_colours", None)):
            keep_flat_colours()
        if recipe.flat_borders and iteration == recipe.iterations:
            pictures = [torch.from_numpy(low) for low, _ in validation.whole()]
            with rounding(final, recipe.stages[-1].int8):  # then they stay in floating point, too
                flatten_borders(final, pictures, iterations=recipe.flat_borders, seed=recipe.seed)
        card = _card(recipe, spec, len({path for _, path, _ in sets[recipe.scale].sources}), iteration, seconds)
        card |= {
            "precision": "bfloat16" if bfloat16 else "float32",
            "validation_psnr": mean_psnr(final, validation, place.device, bfloat16, recipe.stages[-1].int8),
        }
        write_weights(target_path, final, card)
    return target_path


def _start_from(model: nn.Module, recipe: Recipe) -> None:
    """Take over the tensors of the recipe's ``model.start``, wherever their shapes fit."""
    assert recipe.start is not None
    path = recipe.weights_file(recipe.start)
    tensors = read_tensors(path)
    load_folded = getattr(model, "load_folded", None)
    if callable(load_folded):
        taken = load_folded(tensors)
    else:
        own = model.state_dict()
        taken = [key for key, value in tensors.items() if key in own and own[key].shape == value.shape]
        model.load_state_dict({key: tensors[key] for key in taken}, strict=False)
    if not taken:
        raise RecipeError(f"{recipe.path}: nothing in {path} fits {recipe.model} x{recipe.scale}")
    logger.info("started from %s: %s", path, ", ".join(taken))


def _losses(recipe: Recipe, index: int, spec: ModelSpec, device: torch.device) -> WeightedSum:
    with torch.random.fork_rng(devices=[]):  # a discriminator's first weights are the same after --resume
        torch.manual_seed(recipe.seed + index)
        losses = WeightedSum(recipe.stages[index].losses, 1 if spec.channels == "luma" else 3, recipe.path)
    return losses.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _cosine(first: float, last: float, t: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * t))


def _card(recipe: Recipe, spec: ModelSpec, pictures: int, iteration: int, seconds: float) -> dict[str, Any]:
    return {
        "model": recipe.model,
        "scale": recipe.scale,
        "architecture": spec.architecture,
        "license": spec.license,
        "data": recipe.description,
        "pictures": pictures,
        **({"sequences": asdict(recipe.sequences)} if recipe.sequences else {"degradation": list(recipe.degradation)}),
        "losses": [dict(stage.losses) for stage in recipe.stages],
        "optimizer": recipe.optimizer,
        **({"keep": recipe.stages[-1].keep} if recipe.stages[-1].keep else {}),
        **({"teacher": recipe.teacher, "teacher_shares": [s.teacher for s in recipe.stages]} if recipe.teacher else {}),
        "iterations": iteration,
        "of_iterations": recipe.iterations,
        **({"flat_borders": recipe.flat_borders} if recipe.flat_borders else {}),
        "seed": recipe.seed,
        "recipe": recipe.path.name,
        "seconds": round(seconds),
        "metrics": {},
    }


@contextmanager
def _stop_requested(stopped: Callable[[int], object]) -> Iterator[Callable[[], bool]]:
    """Turns a signal that ends programs into a request to stop soon; does nothing outside the main thread."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    known = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    heard = [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]  # nohup stays nohup
    old = {number: signal.signal(number, lambda number, frame: asked.append(number)) for number in heard}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    if asked:
        stopped(asked[0])

"""Batches ahead of the training loop, so that the device never waits for them.

Every random choice of iteration i comes from (seed, i): a resumed run sees the batches of the uninterrupted one, and
processes that share a batch cut it from the same draw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sr_plugins.devices import processors
from sr_plugins.errors import DataError, RecipeError
from sr_plugins.interface.model import ModelSpec
from sr_plugins.training.degradations.chain import build_chain
from sr_plugins.training.material import DeviceCopy, Material
from sr_plugins.training.picture_files import list_pictures
from sr_plugins.training.run.distillation import teach
from sr_plugins.training.run.pictures import Pictures
from sr_plugins.training.run.recipe import Recipe
from sr_plugins.training.sequences.clips import list_clips
from sr_plugins.training.sequences.sequences import Sequences
from sr_plugins.training.sequences.settings import SequenceSettings

LOOKAHEAD = 8  # batches
CPU = torch.device("cpu")
Batch = tuple[int, Tensor, Tensor]  # scale, low, high


def load_pictures(
    recipe: Recipe, data: Path, channels: str, iteration: int, device: str = "auto"
) -> tuple[dict[int, Pictures], Pictures]:
    """The training pictures of each scale, as they are at ``iteration``, and the held-out ones of the main scale.

    A teacher looks at them on ``device``, if a stage that is still to come listens to it.
    """
    paths = list_pictures(data)
    if len(paths) <= recipe.validation:
        raise DataError(f"{data} holds {len(paths)} pictures, and {recipe.validation} are for validation: add more")
    held_out = {int(i) for i in np.linspace(0, len(paths) - 1, recipe.validation)}
    least = max(stage.patch for stage in recipe.stages) * recipe.scale
    training = [path for i, path in enumerate(paths) if i not in held_out]
    sets = {}
    for scale in (recipe.scale, *recipe.also):
        chain = build_chain(recipe.degradation, scale, recipe.path)
        renewed = iteration // recipe.renew if chain.random else 0
        if recipe.teacher and chain.random:
            raise RecipeError(f"{recipe.path}: model.teacher needs a degradation that draws nothing at random")
        sets[scale] = Pictures(training, scale, channels, chain, recipe.seed, least, renewed, recipe.sizes)
    begun = recipe.stage_at(min(iteration, recipe.iterations - 1))[0]
    if recipe.teacher and any(stage.teacher for stage in recipe.stages[begun:]):
        teach(sets[recipe.scale], recipe.weights_file(recipe.teacher), device)
    chain = build_chain(recipe.degradation, recipe.scale, recipe.path)
    kept = [path for i, path in enumerate(paths) if i in held_out]
    return sets, Pictures(kept, recipe.scale, channels, chain, recipe.seed + 1, least)


def load_material(
    recipe: Recipe, data: Path, spec: ModelSpec, folder: Path, iteration: int, device: str = "auto"
) -> tuple[Mapping[int, Material], Material]:
    """What a run of ``spec``'s network learns from and is validated with: pictures, or sequences kept in ``folder``.

    Raises:
        RecipeError: the recipe asks for sequences and the network sees no other frames, or the other way round.
    """
    if (recipe.sequences is None) == any(spec.window):
        needs, has = ("[sequences]", "none") if any(spec.window) else ("no [sequences]", "them")
        raise RecipeError(
            f"{recipe.path}: {spec.label} sees {1 + sum(spec.window)} frames and needs {needs}: it has {has}"
        )
    if recipe.sequences is None:
        return load_pictures(recipe, data, spec.channels, iteration, device)
    return load_sequences(recipe, recipe.sequences, data, spec, folder)


def load_sequences(
    recipe: Recipe, settings: SequenceSettings, data: Path, spec: ModelSpec, folder: Path
) -> tuple[dict[int, Material], Material]:
    """The training sequences and those for validation, of pictures of their own; made where ``folder`` lacks them."""
    if spec.channels != "luma" or recipe.teacher or recipe.also:
        raise RecipeError(f"{recipe.path}: [sequences] are luma, of one scale, and no teacher sees them")
    if (least := max(stage.patch for stage in recipe.stages)) > settings.side:
        raise RecipeError(f"{recipe.path}: patch = {least} is larger than sequences.side = {settings.side}")
    paths = list_pictures(data)
    if len(paths) <= recipe.validation:
        raise DataError(f"{data} holds {len(paths)} pictures, and {recipe.validation} are for validation: add more")
    held_out = {int(i) for i in np.linspace(0, len(paths) - 1, recipe.validation)}

    def made(paths: list[Path], films: list[Path], settings: SequenceSettings, seed: int, name: str) -> Sequences:
        return Sequences(settings, paths, films, recipe.scale, spec.window, seed, folder / "sequences" / name)

    training = made(
        [p for i, p in enumerate(paths) if i not in held_out], list_clips(data), settings, recipe.seed, "train"
    )
    few = replace(settings, scenes=recipe.validation, flat=0.0)  # a flat picture that is right has no PSNR
    kept = made([p for i, p in enumerate(paths) if i in held_out], [], few, recipe.seed + 1, "validation")
    return {recipe.scale: training}, kept


class Batches:
    """Makes batch after batch in background threads, from ``iteration`` on.

    A GPU holds all samples itself: the threads only draw where patches lie, and it cuts them.

    Args:
        recipe: what to draw.
        sets: what to learn from by scale, as :func:`load_material` gives it for ``iteration``.
        iteration: the first iteration asked for.
        rank, world: this process and how many share each batch.
        device: where batches come out.
    """

    def __init__(
        self,
        recipe: Recipe,
        sets: Mapping[int, Material],
        iteration: int,
        rank: int = 0,
        world: int = 1,
        *,
        device: torch.device = CPU,
    ) -> None:
        self.recipe, self.sets, self.rank, self.world = recipe, sets, rank, world
        self.copies: dict[int, DeviceCopy] = {}
        if device.type == "cuda":
            self.copies = {scale: material.copied_to(device) for scale, material in sets.items()}
        self.renewed_sets = [pictures for pictures in sets.values() if isinstance(pictures, Pictures)]
        self.random = bool(self.renewed_sets) and build_chain(recipe.degradation, recipe.scale, recipe.path).random
        self.next = iteration
        self.scales = (recipe.scale, *recipe.also)
        self.cutter = ThreadPoolExecutor(1, "batches")  # one thread: renewals and cuts stay in order
        self.degraders = ThreadPoolExecutor(max(1, processors() - 1), "degradations")
        self.renewals: deque[Callable[[], None]] = deque()
        self.renewed = self.queued = iteration // recipe.renew
        self.waiting: deque[Future[Callable[[], Batch]]] = deque()

    def get(self) -> Batch:
        """The next batch: its scale, low- and high-resolution patches (N, C, H, W) float32 in [0, 1]."""
        while len(self.waiting) < LOOKAHEAD and self.next < self.recipe.iterations:
            self.waiting.append(self.cutter.submit(self._prepared, self.next))
            self.next += 1
        return self.waiting.popleft().result()()

    def _prepared(self, iteration: int) -> Callable[[], Batch]:
        """The batch, up to what the device does itself."""
        due = self._due(iteration) if self.random else []
        stage = self.recipe.stages[self.recipe.stage_at(iteration)[0]]
        scale = self.scales[iteration % len(self.scales)]
        rng = np.random.default_rng([self.recipe.seed, iteration])
        patch = stage.patch * self.recipe.scale // scale  # the same size at high resolution
        drawn = self.sets[scale].draw(rng, stage.batch, patch)[self.rank :: self.world]
        if copy := self.copies.get(scale):

            def on_device() -> Batch:
                for put in due:
                    put()
                return scale, *copy.cut(drawn, patch, stage.teacher)

            return on_device
        for put in due:
            put()
        low, high = (torch.from_numpy(a) for a in self.sets[scale].cut(drawn, patch, stage.teacher))
        return lambda: (scale, low, high)

    def _due(self, iteration: int) -> list[Callable[[], None]]:
        """Queue the fresh copies that come next; returns what puts those due at ``iteration`` in their places."""
        due = iteration // self.recipe.renew
        while self.queued < due + 2 * LOOKAHEAD:
            for pictures in self.renewed_sets:
                made = self.degraders.submit(pictures.renewal, self.queued)
                self.renewals.append(lambda p=pictures, n=self.queued, m=made: p.put(n, m.result()))  # type: ignore[misc]
            self.queued += 1
        count = max(0, due - self.renewed) * len(self.renewed_sets)
        self.renewed = max(due, self.renewed)
        return [self.renewals.popleft() for _ in range(count)]

    def close(self) -> None:
        """Stop the threads; what is in progress ends first."""
        for pool in (self.cutter, self.degraders):
            pool.shutdown(cancel_futures=True)

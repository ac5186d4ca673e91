"""Sequences to learn from: made once, kept as files, held in memory while a network trains.

A scene is rendered once at high resolution, shrunk frame by frame as the literature does, and coded several times, each
time by another codec and at another quality. What is kept of it lies in its middle, where an encoder has settled.
Scene i is drawn from (seed, i), so a folder that is only half full is filled with the files that it would have had.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_plugins.errors import DataError, RecipeError
from sr_plugins.pixels.matlab import LUMA_SPAN, downscale_bicubic, to_8bit, to_luma
from sr_plugins.training.material import Draw
from sr_plugins.training.picture_files import read_rgb, turned
from sr_plugins.training.planes_on_device import PlanesOnDevice
from sr_plugins.training.sequences.clips import draw_part, read_luma
from sr_plugins.training.sequences.coding import CLEAN, code, draw_coding
from sr_plugins.training.sequences.scenes import Layer, draw_layer, render
from sr_plugins.training.sequences.settings import SequenceSettings
from sr_plugins.training.tables import draw

logger = logging.getLogger(__name__)

Luma = NDArray[np.uint8]
Floats = NDArray[np.float32]
BLACK = 16.0
FORMAT = 2  # of the files: other ones are made again


class Sequences:
    """Windows of low-resolution frames and the high-resolution frames in their middles, luma.

    Args:
        settings: what to make.
        paths: photographs; films: films.
        scale: how much smaller the low-resolution frames are.
        window: frames before and after the one to enlarge.
        seed: scene i comes from (seed, i).
        folder: where scenes are kept; those that are there already are read.
    """

    def __init__(
        self,
        settings: SequenceSettings,
        paths: Sequence[Path],
        films: Sequence[Path],
        scale: int,
        window: tuple[int, int],
        seed: int,
        folder: Path,
    ) -> None:
        self.settings, self.scale, self.window, self.seed, self.folder = settings, scale, window, seed, folder
        self.sources = [(i, path, 1.0) for i, path in enumerate((*paths, *films))]
        self._paths, self._films = paths, films if settings.films else ()
        self.kept = settings.targets + sum(window)
        if settings.frames < self.kept:
            raise RecipeError(
                f"sequences.frames = {settings.frames}: {settings.targets} targets with {sum(window)} neighbours are"
                f" {self.kept} frames"
            )
        self._claim_folder()
        done = 0
        self.scenes: list[tuple[Luma, Luma]] = []  # (codings, kept, h, w) and (targets, H, W)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for scene in pool.map(self._scene, range(settings.scenes)):
                self.scenes.append(scene)
                done += 1
                if done % 100 == 0:
                    logger.info("%d of %d scenes in %s", done, settings.scenes, folder)
        self.scenes = [scene for scene in self.scenes if len(scene[0])]
        if not self.scenes:
            raise DataError(f"none of {len(paths)} pictures and {len(films)} films gives a sequence")

    def _claim_folder(self) -> None:
        """Make the folder; what lies there must be of these settings and these sources."""
        names = [path.name for path in (*self._paths, *self._films)]
        own = {"format": FORMAT, "scale": self.scale, "window": list(self.window), "seed": self.seed}
        own |= {"settings": asdict(self.settings), "sources": names}
        text = json.dumps(own, indent=1)
        note = self.folder / "sequences.json"
        try:
            if note.exists():
                if note.read_text() != text:
                    raise RecipeError(
                        f"{self.folder} holds sequences of other settings or pictures: remove it, or name another"
                        " folder with --out"
                    )
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            note.write_text(text)
        except OSError as error:
            raise RecipeError(f"cannot keep sequences in {self.folder}: {error.strerror or error}") from error

    def _scene(self, number: int) -> tuple[Luma, Luma]:
        """Scene ``number``: from its file, or made and written."""
        path = self.folder / f"{number:06}.npz"
        if path.exists():
            try:
                with path.open("rb") as file, np.load(file) as arrays:
                    return arrays["low"], arrays["high"]
            except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
                logger.warning("%s is made again: %s", path, error)
        low, high = self._made(number)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as target:
            np.savez(target, low=low, high=high)
        temporary.replace(path)
        return low, high

    def _made(self, number: int) -> tuple[Luma, Luma]:
        rng = np.random.default_rng([self.seed, number])
        frames = self._frames(rng)
        settings, before = self.settings, self.window[0]
        if frames is None:
            return np.zeros((0, 0, 0, 0), np.uint8), np.zeros((0, 0, 0), np.uint8)
        small = np.stack([downscale_bicubic(frame, self.scale) for frame in frames])
        first = int(rng.integers((settings.frames - self.kept) // 2, settings.frames - self.kept + 1))
        lows = []
        for _ in range(settings.codings):
            name = settings.codec[int(rng.integers(len(settings.codec)))]
            options = {} if name == CLEAN else draw_coding(rng, name, draw(rng, settings.quality))
            lows.append((small if name == CLEAN else code(small, name, options))[first : first + self.kept])
        return np.stack(lows), frames[first + before : first + before + settings.targets]

    def _frames(self, rng: np.random.Generator) -> Luma | None:
        """(frames, H, W) at high resolution; ``None`` where the sources drawn are of no use."""
        settings, side = self.settings, self.settings.side * self.scale
        if self._films and rng.random() < settings.films:
            film = _film(self._films[int(rng.integers(len(self._films)))])
            return draw_part(rng, film, side, settings.frames)
        if settings.flat and rng.random() < settings.flat:
            code = BLACK if rng.random() < 0.5 else rng.uniform(BLACK, BLACK + LUMA_SPAN)
            return np.full((settings.frames, side, side), round(code), np.uint8)
        layers: list[Layer] = []
        for nearer in (False, True)[: 2 if rng.random() < settings.layers else 1]:
            path = self._paths[int(rng.integers(len(self._paths)))]
            try:
                picture = to_luma(read_rgb(path)).astype(np.float32)
            except DataError as error:
                logger.warning("skipped: %s", error)
                return None
            if min(picture.shape) < side:
                logger.warning("skipped: %s has a side below %d", path, side)
                return None
            layers.append(draw_layer(rng, picture, side, settings.motion * self.scale, nearer=nearer))
        return to_8bit(render(layers, side, settings.frames))

    def draw(self, rng: np.random.Generator, size: int, patch: int) -> Draw:
        """``size`` random patches: number of the scene, its coding, target, y, x, and which flip and transposition."""
        rows = []
        for _ in range(size):
            number = int(rng.integers(len(self.scenes)))
            low, high = self.scenes[number]
            coding, target = int(rng.integers(len(low))), int(rng.integers(len(high)))
            y, x = (int(rng.integers(side - patch + 1)) for side in low.shape[2:])
            rows.append((number, coding, target, y, x, int(rng.integers(8))))
        return np.array(rows, np.int64)

    def cut(self, drawn: Draw, patch: int, teacher: float = 0.0) -> tuple[Floats, Floats]:
        """Patches, low (N, T, 1, h, w) and high (N, 1, H, W): luma, 0 black and 1 white."""
        lows, highs = [], []
        s, count = self.scale, sum(self.window) + 1
        for number, coding, target, y, x, turn in drawn.tolist():
            low, high = self.scenes[number]
            lows.append(turned(low[coding, target : target + count, y : y + patch, x : x + patch], turn)[:, None])
            highs.append(turned(high[target, None, y * s : (y + patch) * s, x * s : (x + patch) * s], turn))
        return _luma(np.stack(lows)), _luma(np.stack(highs))

    def copied_to(self, device: torch.device) -> SequencesOnDevice:
        """Everything in a device's memory."""
        return SequencesOnDevice(self, device)

    def whole(self) -> Iterator[tuple[Floats, Floats]]:
        """For validation: of each scene and coding one window (T, 1, h, w), and its high-resolution frame (1, H, W)."""
        count = sum(self.window) + 1
        for low, high in self.scenes:
            for number, coding in enumerate(low):
                target = number % len(high)
                yield _luma(coding[target : target + count, None]), _luma(high[target, None])


def _luma(codes: Luma) -> Floats:
    """8-bit limited-range codes to 0 (black) .. 1 (white); what lies beyond stays so."""
    return (codes.astype(np.float32) - np.float32(BLACK)) / np.float32(LUMA_SPAN)


class SequencesOnDevice:
    """The samples of :class:`Sequences` in a device's memory, as the 8-bit codes that they are."""

    def __init__(self, sequences: Sequences, device: torch.device) -> None:
        self.scale, self.frames = sequences.scale, sum(sequences.window) + 1
        self.codings = sequences.settings.codings
        self.low = PlanesOnDevice([coding for low, _ in sequences.scenes for coding in low], device)
        self.high = PlanesOnDevice([high for _, high in sequences.scenes], device)

    def cut(self, drawn: Draw, patch: int, teacher: float = 0.0) -> tuple[Tensor, Tensor]:
        """What :meth:`Sequences.cut` gives for the same draw."""
        scene, coding, target, y, x, turn = self.low.columns(drawn)
        s = self.scale
        low = self.low.cut(scene * self.codings + coding, y, x, turn, patch, target, self.frames)
        high = self.high.cut(scene, y * s, x * s, turn, patch * s, target, 1)
        return (low[:, :, None].float() - BLACK) / LUMA_SPAN, (high.float() - BLACK) / LUMA_SPAN


@lru_cache(maxsize=4)
def _film(path: Path) -> Luma:
    return read_luma(path)

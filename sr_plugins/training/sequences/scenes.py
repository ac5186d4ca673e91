"""Scenes that move, made of still photographs: what a camera and things before it do, in sub-pixel steps.

A scene has one layer or two. Each is a photograph that pans, shakes, turns and is zoomed along a smooth path of its
own; the nearer one has an outline and hides what it passes over. Photographs are sampled at twice the resolution of the
frames and shrunk with an antialiasing filter, so that every frame is equally sharp wherever its pixels fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from sr_plugins.pixels.antialiased import resize

Plane = NDArray[np.float32]

FINER = 2  # samples for each pixel of a frame, along each axis
STILL = 0.15  # share of layers that do not move
LOOKS = 8  # parts of a photograph that are looked at; the one with most detail is shown


@dataclass(frozen=True)
class Path:
    """Where a layer is at frame ``t``.

    Attributes:
        velocity: (x, y) in pixels of the frame per frame.
        shake: (x, y) amplitudes in pixels, of a swing of ``period`` frames that begins at ``phase`` (radians).
        turn: radians per frame.
        zoom: the natural logarithm of the enlargement per frame.
    """

    velocity: tuple[float, float] = (0.0, 0.0)
    shake: tuple[float, float] = (0.0, 0.0)
    period: float = 1.0
    phase: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    zoom: float = 0.0

    def offset(self, t: float) -> tuple[float, float]:
        """(x, y) by which what was in the middle at 0 has moved, in pixels."""
        angle = 2 * np.pi * t / self.period
        x, y = (
            v * t + s * (np.sin(angle + p) - np.sin(p))
            for v, s, p in zip(self.velocity, self.shake, self.phase, strict=True)
        )
        return float(x), float(y)


def draw_path(rng: np.random.Generator, motion: float) -> Path:
    """A path: at rest, or with a speed up to ``motion`` pixels a frame, slow ones as likely as fast ones."""
    if rng.random() < STILL:
        return Path()
    speed, heading = float(np.exp(rng.uniform(np.log(0.1), np.log(max(motion, 0.11))))), rng.uniform(0, 2 * np.pi)
    shaking, turning, zooming = rng.random(3) < (0.5, 0.4, 0.4)
    return Path(
        velocity=(speed * float(np.cos(heading)), speed * float(np.sin(heading))),
        shake=_pair(rng.uniform(0, min(1.0, motion), 2) * shaking),
        period=float(rng.uniform(6, 40)),
        phase=_pair(rng.uniform(0, 2 * np.pi, 2)),
        turn=float(rng.normal(0, 0.006) * turning),
        zoom=float(rng.normal(0, 0.004) * zooming),
    )


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    x, y = values.tolist()
    return x, y


@dataclass(frozen=True)
class Outline:
    """Of a layer: a radius, in pixels of the frame, that waves with the angle around (x, y), pixels from the middle."""

    center: tuple[float, float]
    radius: float
    waves: tuple[tuple[float, float], ...]  # amplitude as a share of the radius, and phase, of 1, 2, ... waves around

    def inside(self, x: Plane, y: Plane, edge: float) -> Plane:
        """1 inside, 0 outside, from the one to the other over ``edge`` pixels."""
        dx, dy = x - self.center[0], y - self.center[1]
        angle = np.arctan2(dy, dx)
        limit = np.ones_like(angle)
        for count, (amplitude, phase) in enumerate(self.waves, 1):
            limit += amplitude * np.cos(count * angle + phase)
        return np.asarray(np.clip((self.radius * limit - np.hypot(dx, dy)) / edge + 0.5, 0, 1), np.float32)


def draw_outline(rng: np.random.Generator, side: int) -> Outline:
    """An outline somewhere in a frame of ``side`` pixels, a tenth to a third of it large."""
    waves = [(float(rng.uniform(0, 0.35) / count), float(rng.uniform(0, 2 * np.pi))) for count in range(1, 6)]
    return Outline(_pair(rng.uniform(-0.35, 0.35, 2) * side), float(rng.uniform(0.1, 0.35)) * side, tuple(waves))


@dataclass(frozen=True)
class Layer:
    """A photograph that moves.

    Attributes:
        picture: luma (H, W), any range.
        middle: (x, y) of the sample of ``picture`` that is in the middle of frame 0.
        step: samples of ``picture`` for one pixel of a frame.
        path: how it moves.
        outline: what it covers, as seen in frame 0; ``None``: everything.
    """

    picture: Plane
    middle: tuple[float, float]
    step: float
    path: Path
    outline: Outline | None = None

    def at(self, t: float, side: int) -> tuple[Plane, Plane | None]:
        """Samples (FINER * side, FINER * side) of frame ``t`` and how far each covers what is behind (0 to 1)."""
        count = FINER * side
        place = ((np.arange(count, dtype=np.float32) + 0.5) / FINER - side / 2).astype(np.float32)
        dx, dy = self.path.offset(t)
        x, y = np.meshgrid(place - np.float32(dx), place - np.float32(dy))
        shrink, angle = np.exp(-self.path.zoom * t), -self.path.turn * t
        c, s = np.float32(shrink * np.cos(angle)), np.float32(shrink * np.sin(angle))
        x, y = c * x - s * y, s * x + c * y  # in frame 0
        height, width = self.picture.shape
        across = (self.middle[0] + self.step * x + 0.5) * (2 / width) - 1
        down = (self.middle[1] + self.step * y + 0.5) * (2 / height) - 1
        grid = torch.from_numpy(np.stack((across, down), -1).astype(np.float32))[None]
        picture = torch.from_numpy(self.picture)[None, None]
        sampled = F.grid_sample(picture, grid, "bicubic", "reflection", align_corners=False)[0, 0].numpy()
        return sampled, None if self.outline is None else self.outline.inside(x, y, 1 / FINER)


def draw_layer(rng: np.random.Generator, picture: Plane, side: int, motion: float, *, nearer: bool) -> Layer:
    """A layer of a photograph: which part of it, how large, its path and, if it is the ``nearer`` one, its outline."""
    step = min(float(rng.uniform(1.2, 2.2)), 0.95 * min(picture.shape) / side)
    half = step * side / 2
    places = [tuple(float(rng.uniform(half, length - half)) for length in picture.shape) for _ in range(LOOKS)]

    def detail(place: tuple[float, ...]) -> float:
        y, x = (round(middle - half) for middle in place)
        part = picture[y : y + round(2 * half), x : x + round(2 * half)]
        return float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())

    y, x = max(places, key=detail)
    outline = draw_outline(rng, side) if nearer else None
    return Layer(picture, (x, y), step, draw_path(rng, motion), outline)


def render(layers: Sequence[Layer], side: int, frames: int) -> Plane:
    """(frames, side, side) of layers, the farthest first; its middle frame is the layers' frame 0."""
    made = []
    for t in range(frames):
        samples, _ = layers[0].at(t - frames // 2, side)
        for layer in layers[1:]:
            nearer, cover = layer.at(t - frames // 2, side)
            samples = nearer if cover is None else samples + cover * (nearer - samples)
        made.append(resize(samples[..., None], side, side, "bicubic")[..., 0])
    return np.stack(made)

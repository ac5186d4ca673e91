"""Films of known shots: pictures that move a little each frame, and another picture where a shot begins."""

import numpy as np

from sr_plugins import Frame, FrameFormat

GRAY = FrameFormat(family="gray")
LIMITED = FrameFormat(family="gray", full_range=False)  # as VapourSynth and y4m mean gray


def shot(seed: int, count: int, size: tuple[int, int] = (72, 40)) -> list[Frame]:
    """Gray frames of (width, height): a picture that moves by a pixel each, so that no two are equal."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (size[1] // 4 + 3, size[0] // 4 + 16), np.uint8)
    picture = np.kron(small, np.ones((4, 4), np.uint8))
    return [Frame([picture[i % 8 : i % 8 + size[1], i % 50 : i % 50 + size[0]]], GRAY) for i in range(count)]


def film(lengths: list[int], size: tuple[int, int] = (72, 40), format: FrameFormat = GRAY) -> list[Frame]:
    """Shots of so many frames each."""
    frames = [frame for seed, length in enumerate(lengths) for frame in shot(seed, length, size)]
    return [Frame(frame.planes, format) for frame in frames]


def shots_of(lengths: list[int]) -> list[int]:
    """Of every frame of :func:`film` the number of its shot."""
    return [seed for seed, length in enumerate(lengths) for _ in range(length)]

"""Tiles joined to a frame, on the host."""

from __future__ import annotations

import numpy as np

from sr_plugins.engine.tiling import Tile
from sr_plugins.pixels.frame import Plane


def paste(target: Plane, part: Plane, tile: Tile, scale: int, shift: tuple[int, int], *, blend: bool) -> None:
    """Write a tile's inner part into ``target``; ``blend`` fades the whole outer part in over what was written."""
    places, cuts, ramps = [], [], []
    for span, log2 in zip((tile.y, tile.x), shift, strict=True):
        outer = span.outer_start * scale >> log2
        start, stop = (span.outer_start, span.outer_stop) if blend else (span.start, span.stop)
        begin, end = start * scale >> log2, -(-stop * scale >> log2)
        places.append(slice(begin, end))
        cuts.append(slice(begin - outer, end - outer))
        fade = 2 * (span.start - span.outer_start) * scale >> log2
        ramps.append(np.minimum((np.arange(end - begin) + 0.5) / max(fade, 0.5), 1.0))
    inside = part[cuts[0], cuts[1]]
    place = (places[0], places[1])
    if blend and (tile.y.outer_start or tile.x.outer_start):
        weight = ramps[0][:, None] * ramps[1][None, :]
        faded = weight < 1  # elsewhere the target was never written, and may hold anything
        mixed = target[place][faded] * (1 - weight[faded]) + inside[faded] * weight[faded]
        inside = inside.copy()
        inside[faded] = mixed if part.dtype.kind == "f" else np.rint(mixed)
    target[place] = inside

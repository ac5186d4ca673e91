"""What happens to samples after the network: tiles joined to a frame, and a frame brought to any size; on the host."""

from __future__ import annotations

import numpy as np

from sr_plugins.engine.tiling import Tile
from sr_plugins.pixels.frame import Frame, Plane
from sr_plugins.pixels.resampling import chroma_offset, resize_plane


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


def resized_frame(frame: Frame, width: int, height: int) -> Frame:
    """A frame resized to any size with an antialiasing cubic filter, siting kept."""
    format = frame.format
    top = None if format.is_float else float((1 << format.bits) - 1)
    shift = (format.subsampling[1], format.subsampling[0])
    sited = tuple(chroma_offset(format.chroma_location, axis, shift[axis]) for axis in (0, 1))

    def resized(plane: Plane, index: int) -> Plane:
        chroma = format.family == "yuv" and index > 0
        w, h = format.plane_size(index, width, height)
        log2, offset = (shift, (sited[0], sited[1])) if chroma else ((0, 0), (0.0, 0.0))
        return resize_plane(plane, h, w, log2=log2, offset=offset, top=top)

    planes = [resized(plane, i) for i, plane in enumerate(frame.planes)]
    return Frame(planes, format, None if frame.alpha is None else resized(frame.alpha, 0))

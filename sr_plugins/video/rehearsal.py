"""The film in small, before the work: what cannot be made fails now, not after a night."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import empty_frame
from sr_plugins.video.chunks import verify_chunk
from sr_plugins.video.encode import ChunkEncoder
from sr_plugins.video.join import join_chunks
from sr_plugins.video.pixel_formats import PixelLayout, frame_format, pipe_format
from sr_plugins.video.plan import FilmPlan
from sr_plugins.video.source import opened
from sr_plugins.video.verify import verify_target

_FRAMES = 10  # enough for an encoder to reorder, and for a container's clock to drift


def rehearse(plan: FilmPlan, trial: Path, joined: Path) -> None:
    """Encode some gray frames, join them with the real streams at the real times, and read the result back.

    ``trial`` and ``joined`` are files to be made and removed again.

    Raises:
        PipeError: this film cannot be made so.
    """
    source = plan.film.source
    format = frame_format(source.pix_fmt, source.colors)
    frame = empty_frame(format, *plan.size, alpha=PixelLayout.of(pipe_format(source.pix_fmt)).alpha)
    for plane in frame.samples():
        plane[:] = np.asarray(1 << (format.bits - 1), format.dtype)
    first, last = plan.chunks[0].first, plan.chunks[-1].end
    times = tuple(t for t in source.timeline if t >= first and (last is None or t < last))[:_FRAMES]
    encoder = ChunkEncoder(plan.film.executable, plan.film.encoding, trial)
    try:
        for _ in times:
            encoder.write(frame)
        encoder.finish()
    except BaseException:
        encoder.close()
        raise
    verify_chunk(trial, len(times))
    limit = str(float(times[-1] * source.time_base - plan.join.origin) + 0.1)
    join_chunks(plan.join, [(trial, times)], joined, extra=("-t", limit))
    shown = verify_target(plan.join, joined, times, whole=False)
    with opened(trial) as container:
        encoded = next(container.decode(video=0))
    was, now = ((p.width, p.height, p.format.name.replace("yuvj", "yuv")) for p in (encoded, shown))
    if was != now:
        raise PipeError(
            f"{joined.name}: {'x'.join(map(str, was))} would come out as {'x'.join(map(str, now))}: this container "
            f"cannot hold what {plan.film.encoding.encoder} writes: choose another encoder or another container"
        )
    trial.unlink()
    joined.unlink()

"""Frames of a clip through an upscaler: as many at once as keep its devices busy, each with its own properties."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import logging
import weakref
from collections.abc import Callable

import numpy as np
import vapoursynth as vs

from sr_plugins.errors import ClosedError, FrameError, SRError, one_line
from sr_plugins.pixels.conversion import check_format
from sr_plugins.pixels.frame import FrameFormat, Matrix
from sr_plugins.pixels.matrix import matrix_in_use
from sr_plugins.upscaler import Upscaler
from vapoursynth_filter.frames import NOT_FINITE, all_finite, first_frame, first_value, to_frame, to_video_frame
from vapoursynth_filter.instead import Instead
from vapoursynth_filter.neighbouring import Neighbouring

logger = logging.getLogger("sr_plugins")

TRIM_BYTES = 512 << 20


def enlarged(
    clip: vs.VideoNode,
    upscaler: Upscaler,
    size: tuple[int, int],
    *,
    copies: bool,
    release: Callable[[], None] | None,
    beside: vs.VideoNode | None = None,
) -> vs.VideoNode:
    """The clip with every frame brought to ``size`` by the upscaler.

    Args:
        clip: checked.
        upscaler: what computes.
        size: (width, height).
        copies: whether a frame that cannot be done is enlarged by bicubic instead of failing.
        beside: a clip of as many frames that must be numbers in every sample, too.
        release: called once, when the last clip that needs the upscaler is gone, or at the latest when the script ends.

    Raises:
        FrameError: the first frame shows that this clip cannot be done.
    """
    trim, instead, matrix = _HeapTrim(), Instead() if copies else None, _UnnamedMatrix(upscaler, size)

    around = Neighbouring(clip, upscaler.loaded.spec.window, upscaler.settings["cuts"])

    def enlarge(n: int, f: vs.VideoFrame | list[vs.VideoFrame]) -> vs.VideoFrame:
        other = None
        if beside is not None and isinstance(f, list):
            *f, other = f
        if isinstance(f, list) and len(f) == 1:
            (f,) = f
        now = around.now(f)
        try:
            if other is not None and not all(all_finite(np.asarray(other[i])) for i in range(other.format.num_planes)):
                raise FrameError(NOT_FINITE)
            seen = around.seen(n, f)
            larger = to_video_frame(upscaler.submit(seen.frame, seen.before, seen.after, size=size).result(), now)
            larger.props.update(matrix.named(now))
            trim(larger)
            return larger
        except SRError as error:
            reason = one_line(error)
            error.__traceback__ = None  # which would hold the frame, and that memory of a core that may end before it
            ended = isinstance(error, ClosedError)
        except Exception as error:  # a bug in a model or in us: keep the traceback
            reason, ended = f"{type(error).__name__}: {one_line(error)}", False
            if instead is None:
                raise vs.Error(f"sr_plugins: frame {n}: {reason}") from error
        if instead is None or ended:
            raise vs.Error(f"sr_plugins: frame {n}: {reason}")  # here, so that it does not remember the other
        copied = instead(n, now, size, reason)
        copied.props.update(matrix.named(now))
        return copied

    if instead is None:
        _try_first(clip, upscaler, matrix)

    def end() -> None:
        if instead is not None:
            instead.tell()
        if release is not None:
            release()

    vs.register_on_destroy(weakref.finalize(enlarge, end))
    # A ModifyFrame runs its function one frame at a time, so a pool of them keeps enough frames in flight to fill
    # batches; each waiting frame occupies a thread, and one more is left to fetch sources.
    in_flight = upscaler.lookahead
    vs.core.num_threads = max(vs.core.num_threads, in_flight + 1)
    blank = clip.std.BlankClip(width=size[0], height=size[1], keep=True)
    clips = around.clips if beside is None else [*around.clips, beside]
    pool = [blank.std.ModifyFrame(clips, enlarge) for _ in range(in_flight)]
    for node in pool:
        node.std.SetVideoCache(0)  # the clip below caches; twice would hold large frames for nothing
    # Nobody asks it for a frame: it stands in the graph that vspipe prints (-g) and says what the pool does.
    label = blank.std.SetFrameProps(sr_plugins=f"upscale by {upscaler.description}")
    # by turns and not by the frame's number, or a request for every fifth frame may come to one of them always
    turns = itertools.count()
    # with all that it may ask named, so that --filter-time and -g see the pool and what comes before it
    return blank.std.FrameEval(lambda n: pool[next(turns) % in_flight], clip_src=[*pool, label])


def _try_first(clip: vs.VideoNode, upscaler: Upscaler, matrix: _UnnamedMatrix) -> None:
    """Look at what the first frame says of itself; ``FrameError`` if it cannot be done."""
    first = first_frame(clip)
    if first is None:
        return
    try:
        frame = to_frame(first)
        check_format(frame.format, upscaler.loaded.spec.channels)
    except FrameError as error:
        raise FrameError(f"frame 0: {one_line(error)}") from None
    matrix.named(first)


class _UnnamedMatrix:
    """Names the matrix that frames of YUV do not name, and says so once, where the model asks for one or players would
    take another at the new size."""

    def __init__(self, upscaler: Upscaler, size: tuple[int, int]) -> None:
        self._asked, self._size, self._said = upscaler.loaded.spec.channels == "rgb", size, False

    def named(self, source: vs.VideoFrame) -> dict[str, int]:
        """The property that the larger frame gets beside those of this one, if any."""
        unnamed = first_value(source.props, "_Matrix") in (None, vs.MATRIX_UNSPECIFIED)
        if source.format.color_family != vs.YUV or not unnamed:
            return {}
        yuv = FrameFormat(family="yuv")
        guess, at_new_size = matrix_in_use(yuv, source.width, source.height), matrix_in_use(yuv, *self._size)
        if not self._asked and guess == at_new_size:
            return {}
        if not self._said:
            self._said = True
            logger.warning(
                f"frames do not name their matrix (_Matrix): taken for {Matrix(guess).name}, as players do for "
                f"{source.width}x{source.height}, and named so; if that is wrong, name it with "
                "clip.std.SetFrameProps(_Matrix=...)"
            )
        return {"_Matrix": guess}


class _HeapTrim:
    """Called with each frame that was made: gives freed memory back to the system, now and then.

    VapourSynth's aligned allocations beside numpy's and torch's leave glibc's heap in pieces that fit nobody, so that a
    process grows with every frame although nothing is kept (by a third of what the frame holds).
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._trim: Callable[[int], object] = lambda keep: None
        with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
            self._trim = ctypes.CDLL(None).malloc_trim

    def __call__(self, frame: vs.VideoFrame) -> None:
        self._bytes += sum(frame.get_stride(i) * frame[i].shape[0] for i in range(frame.format.num_planes))
        if self._bytes > TRIM_BYTES:
            self._bytes = 0
            self._trim(0)

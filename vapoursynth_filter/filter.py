"""The filter: clip in, larger clip of the same format out."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import operator
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import SupportsIndex, Unpack

import vapoursynth as vs

from sr_plugins.errors import ArgumentError, FrameError, SRError, one_line
from sr_plugins.interface.model import LoadedModel
from sr_plugins.settings import Settings, none_given, whole_pixels
from sr_plugins.upscaler import Upscaler
from vapoursynth_filter.frames import frame_format, to_frame, to_video_frame

TRIM_BYTES = 512 << 20


def upscale(
    clip: vs.VideoNode,
    model: str | Path | LoadedModel | Upscaler = "fast",
    *,
    width: int | None = None,
    height: int | None = None,
    planes: int | Sequence[int] | None = None,
    **settings: Unpack[Settings],
) -> vs.VideoNode:
    """Upscale a clip with a super-resolution model.

    Args:
        clip: any constant format: GRAY, YUV with subsampling up to 4, RGB; 8 to 16 bit integer, half or float. The
            result has the same format, frame rate, length and frame properties. Matrix, range and chroma location are
            read from each frame's properties.
        model: a registered name (``srp models`` lists them), the path of a weights file, an opened
            :class:`~sr_plugins.LoadedModel`, or an :class:`~sr_plugins.Upscaler` that several clips are to share; its
            own settings then apply, and who made it closes it.
        width, height: the size to reach instead of a scale; one alone keeps the aspect ratio, rounded to what the
            clip's subsampling allows.
        planes: the planes the model works on; the others are resized bicubically. ``None``: all. Luma alone
            (``planes=0``) runs the model on luma as on a gray clip.
        settings: as :class:`~sr_plugins.Upscaler` takes them, by the same names: scale, size, device, backend,
            precision, tile, batch, self_ensemble, reuse, strength, overlap.

    Raises:
        vs.Error: ``sr_plugins:`` and what is wrong with the clip or the arguments; on a frame, with its number.
    """
    with _as_vapoursynth_errors():
        _check(clip)
        if getattr(clip, "gpu_resident", False):  # since R80; its frames have no memory that a host can read
            clip = clip.std.GPUDownload()
        subset = _planes(planes, clip.format.num_planes)
        wide, high = whole_pixels("width", width), whole_pixels("height", height)
        if (wide, high) != (None, None):
            if settings.get("size") is not None:
                raise ArgumentError("size and width or height exclude each other: give one of them")
            settings["size"] = wide, high
        if isinstance(model, Upscaler):
            none_given(settings, "an Upscaler")
            return _on_planes(clip, subset, model, owned=False)
        # Whatever a plugin prints while it loads must not reach stdout: under vspipe, stdout is the video.
        with contextlib.redirect_stdout(sys.stderr):
            upscaler = Upscaler(model, **settings)
        return _on_planes(clip, subset, upscaler, owned=True)


def _on_planes(clip: vs.VideoNode, subset: list[int], upscaler: Upscaler, *, owned: bool) -> vs.VideoNode:
    """The upscaler for the planes of ``subset``, a bicubic resize for the others."""
    size = _output_size(clip, upscaler)
    if len(subset) == clip.format.num_planes:
        return _run(clip, upscaler, size, owned=owned)
    luma_alone = clip.format.color_family == vs.YUV and subset == [0]
    upscaled = _run(clip.std.ShufflePlanes(0, vs.GRAY) if luma_alone else clip, upscaler, size, owned=owned)
    resized = clip.resize.Bicubic(*size)
    whole = vs.core.std.ShufflePlanes(
        [upscaled if i in subset else resized for i in range(3)], [0, 1, 2], clip.format.color_family
    )
    return whole.std.CopyFrameProps(upscaled)  # also where the first plane, whose properties count, was resized


def _run(clip: vs.VideoNode, upscaler: Upscaler, size: tuple[int, int], *, owned: bool) -> vs.VideoNode:
    """The clip with every frame brought to ``size`` by the upscaler, which goes with the clip if it is ``owned``."""
    trim = _HeapTrim()

    def enlarge(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        try:
            larger = to_video_frame(upscaler.submit(to_frame(f), size=size).result(), f)
            trim(larger)
            return larger
        except SRError as error:
            told = vs.Error(f"sr_plugins: frame {n}: {one_line(error)}")
            error.__traceback__ = None  # which would hold the frame, and that memory of a core that may end before it
        except Exception as error:  # a bug in a model or in us: keep the traceback
            raise vs.Error(f"sr_plugins: frame {n}: {type(error).__name__}: {one_line(error)}") from error
        raise told  # here, so that it does not remember the other

    if owned:  # the device is free again when the last clip is gone, or at the latest when the script ends
        vs.register_on_destroy(weakref.finalize(enlarge, upscaler.close))
    # A ModifyFrame runs its function one frame at a time, so a pool of them keeps enough frames in flight to fill
    # batches; each waiting frame occupies a thread, and one more is left to fetch sources.
    in_flight = upscaler.lookahead
    vs.core.num_threads = max(vs.core.num_threads, in_flight + 1)
    blank = clip.std.BlankClip(width=size[0], height=size[1], keep=True)
    pool = [blank.std.ModifyFrame(clip, enlarge) for _ in range(in_flight)]
    for node in pool:
        node.std.SetVideoCache(0)  # the clip below caches; twice would hold large frames for nothing
    # by turns and not by the frame's number, or a request for every fifth frame may come to one of them always
    turns = itertools.count()
    return blank.std.FrameEval(lambda n: pool[next(turns) % in_flight], clip_src=clip)


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


def _check(clip: object) -> None:
    if not isinstance(clip, vs.VideoNode):
        raise ArgumentError(f"upscale() takes a clip, got {type(clip).__name__}")
    if not (clip.width and clip.height):
        raise FrameError("the clip's size varies: split it by size, or resize it to one size first")
    frame_format(clip.format)


def _planes(planes: object, count: int) -> list[int]:
    if planes is None:
        return list(range(count))
    asked = planes if isinstance(planes, Iterable) and not isinstance(planes, str | bytes) else [planes]
    subset: set[int] = set()
    for plane in asked:
        if isinstance(plane, bool) or not isinstance(plane, SupportsIndex):
            raise ArgumentError(f"planes={planes!r}: {plane!r} is no plane's number: give 0 to {count - 1}, or a list")
        subset.add(operator.index(plane))
    if not subset or not all(0 <= p < count for p in subset):
        raise ArgumentError(f"planes={planes!r}: the clip's planes are 0 to {count - 1}, give at least one")
    return sorted(subset)


def _output_size(clip: vs.VideoNode, upscaler: Upscaler) -> tuple[int, int]:
    """(width, height) of the result; ``ArgumentError`` where the clip's subsampling does not allow it."""
    size = upscaler.output_size(clip.width, clip.height, frame_format(clip.format))
    for name, side, shift in zip(
        ("width", "height"), size, (clip.format.subsampling_w, clip.format.subsampling_h), strict=True
    ):
        step = 1 << shift
        if side % step:
            raise ArgumentError(
                f"a {clip.format.name} clip cannot be {size[0]}x{size[1]}: its {name} must be a multiple of {step}, "
                f"for example {name}={max(step, side // step * step)}"
            )
    return size


@contextlib.contextmanager
def _as_vapoursynth_errors() -> Iterator[None]:
    try:
        yield
    except SRError as error:
        raise vs.Error(f"sr_plugins: {one_line(error)}") from None
    except vs.Error as error:
        raise vs.Error(f"sr_plugins: {one_line(error)}") from error
    except Exception as error:  # a bug in a plugin or in us: keep the traceback
        raise vs.Error(f"sr_plugins: {type(error).__name__}: {one_line(error)}") from error

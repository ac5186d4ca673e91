"""The filter: clip in, larger clip of the same format out."""

from __future__ import annotations

import contextlib
import inspect
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, SupportsIndex, Unpack, cast, get_args

import vapoursynth as vs

from sr_plugins.errors import ArgumentError, FrameError, SRError, one_line
from sr_plugins.estimation.choice import choose_model
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import AUTO
from sr_plugins.pixels.frame import Frame
from sr_plugins.settings import OtherSettings, Settings, checked, none_given, whole_pixels
from sr_plugins.upscaler import Upscaler, check_memory
from vapoursynth_filter.frames import frame_format, to_frame, to_resize
from vapoursynth_filter.gpu_frames import alpha_in_memory, in_memory
from vapoursynth_filter.logs import keep_chatter_out
from vapoursynth_filter.pool import enlarged
from vapoursynth_filter.prints import keep_prints_out
from vapoursynth_filter.shared_upscalers import shared_upscaler

LONGEST = (1 << 31) - 1  # pixels of a side
LOOKED_AT = 5  # frames, for the model that suits a clip

OnError = Literal["raise", "copy"]

BESIDE = ("model", "scale", "width", "height", "planes", "on_error")  # what upscale() takes beside the settings

# what vs-mlrt and vs-realesrgan call it, and what it is here
ELSEWHERE = {
    "fp16": 'precision="float16"',
    "bf16": 'precision="bfloat16"',
    "num_streams": "batch, or nothing: enough frames are in flight by themselves",
    "batch_size": "batch",
    "tilesize": "tile",
    "tile_pad": "overlap, or nothing: tiles are exact",
    "device_id": 'device="cuda:0"',
    "device_index": 'device="cuda:0"',
    "model_path": "model",
    "network_path": "model",
}


def upscale(
    clip: vs.VideoNode,
    model: str | Path | LoadedModel | Upscaler = "fast",
    scale: float | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
    planes: int | Sequence[int] | None = None,
    on_error: OnError = "raise",
    **settings: Unpack[OtherSettings],
) -> vs.VideoNode:
    """Upscale a clip with a super-resolution model.

    Args:
        clip: any constant format: GRAY, YUV with subsampling up to 4, RGB; 8 to 16 bit integer, half or float. The
            result has the same format, frame rate, length and frame properties. Matrix, range and chroma location are
            read from each frame's properties. What ``vs.get_output()`` gives is taken too, with its alpha.
        model: a registered name (``srp models`` lists them), the path of a weights file, an opened
            :class:`~sr_plugins.LoadedModel`, or an :class:`~sr_plugins.Upscaler` that several clips are to share; its
            own settings then apply, and who made it closes it. Calls with equal settings share one by themselves.
            ``auto`` looks at a few frames, once, and chooses.
        scale: how many times larger, any number from 1 to 16; ``None`` is the model's own.
        width, height: the size to reach instead of a scale; one alone keeps the aspect ratio, rounded to what the
            clip's subsampling allows.
        planes: the planes the model works on; the others are resized bicubically. ``None``: all. Luma alone
            (``planes=0``) runs the model on luma as on a gray clip.
        on_error: ``"raise"``: a frame that cannot be done fails, and with it the job. ``"copy"``: it is enlarged by
            bicubic instead, which is said, counted, and marked by the property ``sr_plugins_error``.
        settings: as :class:`~sr_plugins.Upscaler` takes them, by the same names: size, device, backend, precision,
            tile, batch, self_ensemble, reuse, strength, overlap, cuts.

    Raises:
        vs.Error: ``sr_plugins:`` and what is wrong with the clip, its first frame or the arguments; on a frame, with
            its number.
    """
    keep_prints_out(inspect.currentframe())
    keep_chatter_out()
    with as_vapoursynth_errors():
        for name in settings:
            if name in ELSEWHERE:
                raise ArgumentError(f"no setting called {name!r}: here it is {ELSEWHERE[name]}")
        checked(settings, BESIDE)
        clip = checked_clip(clip, "upscale")
        subset = _planes(planes, clip.format.num_planes)
        if on_error not in get_args(OnError):
            raise ArgumentError(f"on_error {on_error!r} is neither 'raise' nor 'copy'")
        wanted = cast(Settings, dict(settings))
        if scale is not None:
            wanted["scale"] = scale
        wide, high = whole_pixels("width", width), whole_pixels("height", height)
        if (wide, high) != (None, None):
            if wanted.get("size") is not None:
                raise ArgumentError("size and width or height exclude each other: give one of them")
            wanted["size"] = wide, high
        if isinstance(model, Upscaler):
            none_given(wanted, "an Upscaler")
            return _on_planes(clip, subset, model, on_error, None)
        if isinstance(model, str) and model == AUTO:
            seen = _some_frames(clip, skip=on_error == "copy")
            choice = choose_model(seen, checked(wanted)["scale"], film=True)
            vs.core.log_message(vs.MESSAGE_TYPE_INFORMATION, f"sr_plugins: {choice.line('model={!r}')}")
            model = choice.model
        upscaler, release = shared_upscaler(model, wanted)
        try:
            return _on_planes(clip, subset, upscaler, on_error, release)
        except BaseException:
            release()
            raise


def _some_frames(clip: vs.VideoNode, *, skip: bool) -> list[Frame]:
    """Copies of frames spread over the clip.

    Args:
        clip: checked.
        skip: whether those that cannot be upscaled count for nothing, unless all of them are so.

    Raises:
        FrameError: one cannot be, or none can; with its number.
    """
    numbers = sorted({int(len(clip) * (n + 0.5) / LOOKED_AT) for n in range(LOOKED_AT)})
    frames, wrong = [], None
    for number in numbers:
        with clip.get_frame(number) as frame:
            try:
                frames.append(to_frame(frame).copied())
            except FrameError as error:
                wrong = FrameError(f"frame {number}: {one_line(error)}")
                if not skip:
                    raise wrong from None
    if wrong is not None and not frames:
        raise wrong
    return frames


def _on_planes(
    clip: vs.VideoNode, subset: list[int], upscaler: Upscaler, on_error: OnError, release: Callable[[], None] | None
) -> vs.VideoNode:
    """The upscaler for the planes of ``subset``, a bicubic resize for the others."""
    size = _output_size(clip, upscaler)
    copies = on_error == "copy"
    if len(subset) == clip.format.num_planes:
        return enlarged(clip, upscaler, size, copies=copies, release=release)
    luma_alone = clip.format.color_family == vs.YUV and subset == [0]
    source = clip.std.ShufflePlanes(0, vs.GRAY) if luma_alone else clip
    beside = clip if luma_alone and clip.format.sample_type == vs.FLOAT else None
    upscaled = enlarged(source, upscaler, size, copies=copies, release=release, beside=beside)
    resized = clip.std.ModifyFrame(clip, lambda n, f: to_resize(f)).resize.Bicubic(*size)
    whole = vs.core.std.ShufflePlanes(
        [upscaled if i in subset else resized for i in range(3)], [0, 1, 2], clip.format.color_family
    )
    return whole.std.CopyFrameProps(upscaled)  # also where the first plane, whose properties count, was resized


def checked_clip(clip: Any, function: str) -> vs.VideoNode:
    """The clip in memory that a host can read, with the alpha of an output as its frames' property.

    Raises:
        ArgumentError: it is no clip; ``function`` is who was given it.
        FrameError: a format or size that varies or that no model takes.
    """
    if isinstance(clip, vs.VideoOutputTuple):
        clip, alpha = clip.clip, clip.alpha
        if alpha is not None:
            clip = clip.std.ClipToProp(in_memory(alpha), prop="_Alpha")
    if not isinstance(clip, vs.VideoNode):
        raise ArgumentError(f"{function}() takes a clip, got {type(clip).__name__}")
    if not (clip.width and clip.height):
        raise FrameError("the clip's size varies: split it by size, or resize it to one size first")
    frame_format(clip.format)
    return alpha_in_memory(in_memory(clip))


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
    """(width, height) of the result.

    Raises:
        ArgumentError: the clip's subsampling does not allow it.
        FrameError: no such frame fits into memory.
    """
    size = upscaler.output_size(clip.width, clip.height, frame_format(clip.format))
    steps = 1 << clip.format.subsampling_w, 1 << clip.format.subsampling_h
    if max(size) > LONGEST:
        raise ArgumentError(f"a clip cannot be {size[0]}x{size[1]}: VapourSynth counts sides up to {LONGEST}")
    wrong = [i for i in (0, 1) if size[i] % steps[i]]
    if wrong:
        names = "width", "height"
        rules = " and ".join(f"its {names[i]} must be a multiple of {steps[i]}" for i in wrong)
        example = ", ".join(f"{names[i]}={max(steps[i], size[i] // steps[i] * steps[i])}" for i in wrong)
        raise ArgumentError(f"a {clip.format.name} clip cannot be {size[0]}x{size[1]}: {rules}, for example {example}")
    check_memory(size, frame_format(clip.format))
    return size


@contextlib.contextmanager
def as_vapoursynth_errors() -> Iterator[None]:
    try:
        yield
    except SRError as error:
        raise vs.Error(f"sr_plugins: {one_line(error)}") from None
    except vs.Error as error:
        raise vs.Error(f"sr_plugins: {one_line(error)}") from error
    except Exception as error:  # a bug in a plugin or in us: keep the traceback
        raise vs.Error(f"sr_plugins: {type(error).__name__}: {one_line(error)}") from error

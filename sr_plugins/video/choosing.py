"""``auto`` for films: a few frames are looked at, once, and one model makes the whole film."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer

from sr_plugins.errors import PipeError
from sr_plugins.estimation.choice import Choice, choose_model
from sr_plugins.pixels.frame import Frame
from sr_plugins.video.journal import list_path
from sr_plugins.video.journal_lines import Lines
from sr_plugins.video.pixel_formats import Colors, frame_format, pipe_format, to_frame
from sr_plugins.video.sequence import DEFAULT_RATE, Numbered, is_sequence
from sr_plugins.video.source import decoded, main_film, opened

if TYPE_CHECKING:
    from sr_plugins.plugins import Plugins

LOOKED_AT = 5  # frames, spread over the film
BEHIND = 4  # frames behind a key frame, which is better than most
APART = 25  # frames, where a film is read from its beginning


def choose_for_film(path: Path, scale: float | None = None, plugins: Plugins | None = None) -> Choice:
    """The model for a film; the same file gives the same one, whatever part of it is asked for.

    Raises:
        PipeError: it cannot be read, or none of its frames be decoded.
    """
    frames = _spread(path) or _first(path)
    if not frames:
        raise PipeError(f"{path}: not one frame of its video can be decoded")
    return choose_model(frames, scale, film=True, plugins=plugins)


def model_before(target: Path) -> str | None:
    """The registered model of the job whose finished chunks wait for ``target``; ``None``: there is none.

    The list of chunks tells it as ``Upscaler.description`` does: ``fast x2 on torch, cpu, float32``.
    """
    try:
        lines = Lines.parse(list_path(target).read_bytes())
    except OSError:
        return None
    told = None if lines is None or lines.identity is None or not lines.records else lines.identity.get("model")
    named = re.match(r"(.+) x\d+ on ", told) if isinstance(told, str) else None
    return named[1] if named else None


@contextmanager
def _film(path: Path) -> Iterator[tuple[InputContainer, Any]]:
    given = Numbered.found(path, DEFAULT_RATE).given if is_sequence(path) else {}
    with opened(path, given) as container:
        stream: Any = main_film(container)
        if stream is None:
            raise PipeError(f"{path} holds no video")
        if stream.codec_context is None:
            raise PipeError(f"{path}: no decoder for the codec of its video")
        yield container, stream


def _spread(path: Path) -> list[Frame]:
    """Frames from all over the film; none where nobody can seek in it, as in a codec's own stream."""
    found: dict[int | None, Frame] = {}
    with _film(path) as (container, stream):
        length = stream.duration or int((container.duration or 0) / av.time_base / stream.time_base)
        first = stream.start_time or 0
        for number in range(LOOKED_AT):
            with suppress(av.FFmpegError):  # what cannot be decoded is told when its turn comes
                container.seek(first + int(length * (number + 0.5) / LOOKED_AT), stream=stream)
                pictures = list(islice(decoded(container, stream), BEHIND + 1))
                if pictures and pictures[-1].pts not in found:
                    found[pictures[-1].pts] = _frame(pictures[-1])
    return list(found.values())


def _first(path: Path) -> list[Frame]:
    """Frames from its first seconds."""
    found, latest = list[Frame](), None
    with _film(path) as (container, stream), suppress(av.FFmpegError):
        for number, picture in enumerate(islice(decoded(container, stream), LOOKED_AT * APART)):
            latest = picture
            if number % APART == BEHIND:
                found.append(_frame(picture))
    return found or ([_frame(latest)] if latest else [])


def _frame(picture: av.VideoFrame) -> Frame:
    name = picture.format.name
    wanted = pipe_format(name)
    if wanted != name:
        picture = picture.reformat(format=wanted)
    return to_frame(picture, frame_format(wanted, Colors.of(picture)))

"""The worker: the process that GIMP's plug-in starts to have pictures upscaled. Messages on stdin and stdout.

``python -m gimp_bridge.worker [--device DEVICE]``. It ends when its stdin does, also in the middle of a picture,
so that a cancelled or crashed plug-in leaves nothing running. See :mod:`gimp_bridge.plug_in.sr_upscale.worker_client`
for the messages.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from gimp_bridge.plug_in.sr_upscale.worker_client import (
    PROTOCOL,
    ProtocolError,
    payload_size,
    read_header,
    write_message,
)
from sr_plugins.errors import SRError, is_lack_of_memory, one_line
from sr_plugins.interface.model import ModelSpec
from sr_plugins.interface.words import AUTO, PLAIN
from sr_plugins.pixels.frame import Frame, FrameFormat, frame_of
from sr_plugins.plugins import plugins
from sr_plugins.version import __version__

if TYPE_CHECKING:
    from sr_plugins.estimation.choice import Choice
    from sr_plugins.upscaler import Upscaler

DTYPES = {"u8": np.uint8, "u16": np.uint16, "float": np.float32}
HEARTBEAT = 0.5  # seconds

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Hello:
    """GIMP's greeting."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A request to upscale ``pixels``, (height, width, channels) of uint8, uint16 or float32."""

    pixels: Pixels
    model: str
    scale: int
    self_ensemble: bool


@dataclass(frozen=True, eq=False)
class Look:
    """A request to say which model suits ``pixels``, as in :class:`Picture`, for this scale."""

    pixels: Pixels
    scale: int


Request = Hello | Picture | Look
Answer = tuple[dict[str, Any], Pixels | None]


def read_request(source: BinaryIO) -> Request:
    """The next request.

    Raises:
        EOFError: the plug-in is gone.
        ProtocolError: what came is no request; nothing that follows it can be trusted.
    """
    header, size = read_header(source)
    if header["type"] == "hello":
        if header.get("protocol") != PROTOCOL or size:
            raise ProtocolError("the plug-in in GIMP is of another version: run 'srp gimp install' and restart GIMP")
        return Hello()
    if header["type"] not in ("upscale", "look"):
        raise ProtocolError(f"unknown request {header['type']!r:.60}")
    looks = header["type"] == "look"
    channels, depth, scale = (header.get(key) for key in ("channels", "depth", "scale"))
    model, ensemble = (AUTO, False) if looks else (header.get("model"), header.get("self_ensemble"))
    if type(channels) is not int or not 1 <= channels <= 4:
        raise ProtocolError(f"{channels!r:.60} channels: 1 to 4 are possible")
    if not isinstance(depth, str) or depth not in DTYPES:
        raise ProtocolError(f"depth {depth!r:.60} is none of {', '.join(DTYPES)}")
    if not isinstance(model, str) or type(scale) is not int or not 1 <= scale <= 16:
        raise ProtocolError(f"model {model!r:.60} at scale {scale!r:.60}: a name and 1 to 16 are possible")
    if not isinstance(ensemble, bool):
        raise ProtocolError(f"self_ensemble {ensemble!r:.60} is neither true nor false")
    if size != payload_size(header, channels, depth):
        raise ProtocolError(
            f"{size} bytes of pixels are not {header['width']} x {header['height']} x {channels} {depth}"
        )
    try:
        pixels = np.empty((header["height"], header["width"], channels), DTYPES[depth])
    except MemoryError:
        raise ProtocolError(f"not enough memory for a picture of {header['width']} x {header['height']}") from None
    _read_into(source, pixels)
    return Look(pixels, scale) if looks else Picture(pixels, model, scale, ensemble)


def _read_into(source: BinaryIO, pixels: Pixels) -> None:
    view = memoryview(pixels).cast("B")
    filled = 0
    while filled < len(view):
        count = source.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"the picture ended {len(view) - filled} bytes early")
        filled += count


class Answerer:
    """Answers requests with the shared core; keeps the upscaler of the last choice."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.doing = "starting"
        self.share: float | None = None  # of the picture that is done
        self._upscaler: Upscaler | None = None
        self._made_for: tuple[str, int, bool] | None = None

    def __call__(self, request: Request) -> Answer:
        """Raises ``SRError`` for what cannot be done."""
        if isinstance(request, Hello):
            return self._hello(), None
        frame = _frame_of(request.pixels)
        if isinstance(request, Look):
            choice = self._choice(frame, request.scale)
            return {"type": "choice", "model": choice.model, "line": choice.line("model {}")}, None
        model = self._choice(frame, request.scale).model if request.model == AUTO else request.model
        upscaler = self._upscaler_for(model, request.scale, request.self_ensemble)
        self.doing = upscaler.description
        upscaler.watch_tiles(self._tile_done)
        try:
            frame = upscaler.upscale(frame)
        finally:
            self.share = None
        return {"type": "result", "width": frame.width, "height": frame.height}, np.stack(frame.samples(), axis=-1)

    def _tile_done(self, done: int, count: int) -> None:
        self.share = done / count

    def _choice(self, frame: Frame, scale: int) -> Choice:
        from sr_plugins.estimation.choice import choose_model

        self.doing = "looking at the picture"
        return choose_model([frame], scale)

    def _hello(self) -> dict[str, Any]:
        models = list(model_choices(plugins().models()))
        return {"type": "hello", "protocol": PROTOCOL, "version": __version__, "models": models}

    def _upscaler_for(self, model: str, scale: int, self_ensemble: bool) -> Upscaler:
        if self._upscaler is None or self._made_for != (model, scale, self_ensemble):
            self.doing = f"loading {model} {scale}x"
            from sr_plugins.upscaler import Upscaler

            # made before the last one is closed: where it cannot be made, the last choice still works
            other = Upscaler(model, scale, device=self.device, self_ensemble=self_ensemble)
            if self._upscaler is not None:
                self._upscaler.close()
            self._upscaler, self._made_for = other, (model, scale, self_ensemble)
        return self._upscaler


def _frame_of(pixels: Pixels) -> Frame:
    channels, is_float = pixels.shape[2], pixels.dtype == np.float32
    family: Literal["gray", "rgb"] = "gray" if channels < 3 else "rgb"
    format = FrameFormat(family=family, bits=8 * pixels.dtype.itemsize, is_float=is_float)
    return frame_of(format, [pixels[:, :, c] for c in range(channels)])


def model_choices(models: Iterable[ModelSpec]) -> Iterable[dict[str, Any]]:
    """Models with weights as {name, label, help, scales}, one for all trained scales of a name."""
    usable = [spec for spec in models if spec.weights is not None]
    if plain := [spec.scale for spec in usable if spec.name == PLAIN]:
        told = "Restores JPEGs and other compressed pictures, enlarges clean ones plainly"
        yield {"name": AUTO, "label": "auto (looks at the picture)", "help": told, "scales": plain}
    for name in dict.fromkeys(spec.name for spec in usable):
        specs = [spec for spec in usable if spec.name == name]
        scales = [spec.scale for spec in specs]
        label = f"{name} (trained for {', '.join(f'{scale}x' for scale in scales)})"
        yield {"name": name, "label": label, "help": specs[0].architecture, "scales": scales}


def serve(source: BinaryIO, sink: BinaryIO, answer: Answerer, hang_up: Callable[[], object]) -> int:
    """Answer requests until the first that is none; returns the exit status.

    ``hang_up`` is called, from the reading thread, when the source ends, also while an answer is being computed.
    """
    requests: queue.Queue[Request | ProtocolError] = queue.Queue(1)
    threading.Thread(target=_receive, args=(source, requests, hang_up), daemon=True).start()
    pool = ThreadPoolExecutor(1)
    while True:
        request = requests.get()
        if isinstance(request, ProtocolError):
            write_message(sink, {"type": "error", "message": str(request)})
            return 2
        future = pool.submit(answer, request)
        started = time.monotonic()
        while not wait([future], HEARTBEAT).done:
            text = f"{time.monotonic() - started:.0f} s, {answer.doing}"
            write_message(sink, {"type": "progress", "text": text, "share": answer.share})
        header, pixels = _outcome(future)
        if pixels is None:
            write_message(sink, header)
        else:
            write_message(sink, header, pixels.nbytes, [memoryview(pixels).cast("B")])


def _receive(source: BinaryIO, requests: queue.Queue[Request | ProtocolError], hang_up: Callable[[], object]) -> None:
    try:
        while True:
            requests.put(read_request(source))
    except ProtocolError as error:
        requests.put(error)
    except (EOFError, OSError):
        hang_up()


def _outcome(future: Future[Answer]) -> Answer:
    """The answer, or what went wrong as an answer."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, SRError):
        return {"type": "error", "message": one_line(error)}, None
    if is_lack_of_memory(error):
        return {"type": "error", "message": "not enough memory for the result: choose a smaller scale"}, None
    traceback.print_exception(error)
    return {"type": "error", "message": f"a bug, please report it: {type(error).__name__}: {one_line(error)}"}, None


def reserve_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The real stdin and stdout for messages alone.

    Whatever a plugin or library prints goes to stderr from now on. And sys.stdin is nobody's any more: a forked child
    of a library closes it, and would wait forever for the lock that our reading thread holds.
    """
    sys.stdout.flush()
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for stream in (source, sink):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)
    return source, sink


def leave(status: int = 0) -> NoReturn:
    """End at once, with any children; threads of the core may still compute for a plug-in that is gone."""
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gimp_bridge.worker")
    parser.add_argument("--device", default="auto", help="as for srp image")
    options = parser.parse_args()
    source, sink = reserve_pipes()
    try:
        leave(serve(source, sink, Answerer(options.device), leave))
    except BrokenPipeError:
        leave()


if __name__ == "__main__":
    main()

"""Messages between GIMP and the worker, and the worker as seen from GIMP.

Standard library only, Python 3.10 or later: GIMP's own Python runs this file beside ``sr_upscale.py``; the worker
and ``srp gimp`` import the same file. A message is::

    b"SRP1" | header length, uint32 | payload length, uint64 | header: a JSON object | payload

with little-endian lengths. ``header["type"]`` is one of

==========  =========  =========================================================================  ===========
type        from       fields                                                                     payload
==========  =========  =========================================================================  ===========
hello       GIMP       protocol
hello       worker     protocol, version, models: list of {name, label, help, scales}
upscale     GIMP       width, height, channels (1 gray, 2 + alpha, 3 RGB, 4 + alpha),             the pixels
                       depth (u8, u16 or float), model, scale
look        GIMP       width, height, channels, depth, scale                                      the pixels
choice      worker     model: what ``auto`` is for a picture that looks so; line: why
progress    worker     text; sent at least once a second while an answer is under way;
                       share: of the picture that is done, 0 to 1, or null
result      worker     width, height; channels and depth as asked                                 the pixels
error       worker     message: one sentence with the cure
==========  =========  =========================================================================  ===========

Pixels are rows from top to bottom, channels interleaved, no padding, in the byte order of the machine; alpha is
straight. The values are the picture's own encoded ones (R'G'B' or Y' of its profile), nominally 0..1 in float.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

PROTOCOL = 3
AUTO = "auto"  # as a model: look at what comes, and choose
LOOKED_AT, BLOCK = 768, 8  # pixels of the middle that are looked at; what they are cut off by
Progress = Callable[[str, float | None], None]  # a text, and the share of the picture that is done where it is known

MAGIC = b"SRP1"
LENGTHS = struct.Struct("<4sIQ")
LARGEST_HEADER = 1 << 20
LARGEST_SIDE = 1 << 19  # GIMP's own limit
LARGEST_PAYLOAD = 1 << 36
DEPTHS = {"u8": 1, "u16": 2, "float": 4}  # bytes per sample

# A worker that computes says so every second; PyTorch's first start from a cold disk is the longest silence.
LONGEST_SILENCE = 300.0

# GIMP's builds set these for themselves; another Python that inherits them dies on import or loads the wrong libraries.
GIMPS_OWN = ("PYTHON", "LD_", "DYLD_", "GI_", "GIO_", "GTK_", "GDK_", "BABL_", "GEGL_", "GIMP", "FONTCONFIG_")


class ProtocolError(Exception):
    """What came is no message, or not the one that belongs here."""


class WorkerError(Exception):
    """The worker cannot do what was asked; ``str`` is fit to be shown to a person and says the cure."""


def write_message(stream: BinaryIO, header: Mapping[str, Any], size: int = 0, payload: Iterable[Any] = ()) -> None:
    """Write a message whose payload of ``size`` bytes comes in pieces (bytes-like)."""
    text = json.dumps(header).encode()
    stream.write(LENGTHS.pack(MAGIC, len(text), size) + text)
    left = size
    for piece in payload:
        left -= memoryview(piece).nbytes
        stream.write(piece)
    if left:
        raise ProtocolError(f"the payload was announced as {size} bytes and is {size - left}")
    stream.flush()


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """``size`` bytes, or ``EOFError``."""
    data = stream.read(size)
    if len(data) != size:
        raise EOFError(f"the stream ended {size - len(data)} bytes early")
    return data


def read_header(stream: BinaryIO) -> tuple[dict[str, Any], int]:
    """The next message's header and the size of the payload that follows it.

    Raises:
        EOFError: the stream ended, before or inside the header.
        ProtocolError: what came is no message.
    """
    magic, header_size, payload_size = LENGTHS.unpack(read_exactly(stream, LENGTHS.size))
    if magic != MAGIC:
        raise ProtocolError(f"expected a message, got {magic!r}")
    if header_size > LARGEST_HEADER or payload_size > LARGEST_PAYLOAD:
        raise ProtocolError(f"a message of {header_size} + {payload_size} bytes is over the limit")
    try:
        header = json.loads(read_exactly(stream, header_size).decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise ProtocolError("the header is not an object with a type")
    return header, payload_size


def payload_size(header: Mapping[str, Any], channels: int, depth: str) -> int:
    """Bytes of the picture a header describes; ``ProtocolError`` for sides that are none."""
    size = channels * DEPTHS[depth]
    for side in (header.get("width"), header.get("height")):
        if type(side) is not int or not 1 <= side <= LARGEST_SIDE:
            raise ProtocolError(f"{side!r:.60} is not the side of a picture")
        size *= side
    return size


def middle(length: int) -> tuple[int, int]:
    """(first, count) of the pixels of a side that are looked at; whole blocks of a compression are cut off."""
    kept = min(length, LOOKED_AT + length % BLOCK)
    return (length - kept) // 2 // BLOCK * BLOCK, kept


def worker_environment(recorded: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what GIMP set for itself, with what the installation ``recorded``."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(GIMPS_OWN)}
    return {**kept, **recorded}


class Worker:
    """A running worker process; use as a context manager.

    Args:
        bridge: what the installer recorded: ``argv``, the command, and ``environment``, added to the cleaned one.

    Raises:
        WorkerError: at any call, when the worker cannot be started, dies, stays silent or reports an error.
    """

    def __init__(self, bridge: Mapping[str, Any], silence: float = LONGEST_SILENCE) -> None:
        self._silence = silence
        self._silent = False
        self._said: list[str] = []
        try:
            self.process = subprocess.Popen(
                bridge["argv"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=worker_environment(bridge.get("environment", {})),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise WorkerError(
                f"{bridge['argv'][0]} cannot be started ({error.strerror}): run 'srp gimp install' again"
            ) from None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._input: BinaryIO = self.process.stdin  # type: ignore[assignment]
        self._output: BinaryIO = self.process.stdout  # type: ignore[assignment]
        self._listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self._listener.start()
        try:
            self.hello = self._ask({"type": "hello", "protocol": PROTOCOL}, "hello")
            if self.hello.get("protocol") != PROTOCOL:
                raise WorkerError("the worker is of another version: run 'srp gimp install' and restart GIMP")
        except BaseException:
            self.close()
            raise

    def choose(self, request: Mapping[str, Any], pixels: Iterable[Any]) -> tuple[str, str]:
        """(model, why) that suits a picture; send its :func:`middle`."""
        size = payload_size(request, request["channels"], request["depth"])
        answer = self._ask({**request, "type": "look"}, "choice", size, pixels)
        return str(answer.get("model")), str(answer.get("line"))

    def upscale(
        self,
        request: Mapping[str, Any],
        pixels: Iterable[Any],
        on_progress: Progress = lambda text, share: None,
    ) -> tuple[int, int]:
        """Send a picture; returns the result's (width, height), whose pixels :meth:`read` then gives."""
        channels, depth = request["channels"], request["depth"]
        size = payload_size(request, channels, depth)
        header = self._ask({**request, "type": "upscale"}, "result", size, pixels, on_progress)
        expected = payload_size(request, channels, depth) * request["scale"] ** 2
        if payload_size(header, channels, depth) != expected or header["width"] != request["width"] * request["scale"]:
            raise self._failed(f"it returned {header['width']} x {header['height']} pixels")
        return header["width"], header["height"]

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes of the result."""
        try:
            return read_exactly(self._output, size)
        except EOFError:
            raise self._failed() from None

    def close(self) -> None:
        """Let the worker go. A result that arrived whole counts, however the worker ends."""
        try:
            self._input.close()
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self._listener.join(5)
        self._output.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self.process.kill()
        self.close()

    def _ask(
        self,
        header: Mapping[str, Any],
        wanted: str,
        size: int = 0,
        payload: Iterable[Any] = (),
        on_progress: Progress = lambda text, share: None,
    ) -> dict[str, Any]:
        with self._alarm(), contextlib.suppress(OSError):  # it hung up: what it said before is still in the pipe
            write_message(self._input, header, size, payload)
        try:
            while True:
                with self._alarm():
                    answer, answer_size = read_header(self._output)
                if answer["type"] == "error":
                    raise WorkerError(str(answer.get("message")))
                if answer["type"] == "progress" and answer_size == 0:
                    share = answer.get("share")
                    on_progress(str(answer.get("text")), float(share) if isinstance(share, int | float) else None)
                    continue
                fits = answer["type"] == wanted
                if fits and wanted == "result":
                    fits = answer_size == payload_size(answer, header["channels"], header["depth"])
                if not fits:
                    raise ProtocolError(f"expected {wanted}, got {answer['type']} with {answer_size} bytes")
                return answer
        except EOFError:
            raise self._failed() from None
        except ProtocolError as error:
            raise self._failed(str(error)) from None

    @contextlib.contextmanager
    def _alarm(self) -> Iterator[None]:
        alarm = threading.Timer(self._silence, self._give_up)
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()

    def _give_up(self) -> None:
        self._silent = True
        self.process.kill()

    def _failed(self, reason: str = "") -> WorkerError:
        """What to tell when the worker died or spoke nonsense."""
        if reason:
            self.process.kill()
        try:
            code: object = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._listener.join(5)
        if self._silent:
            reason = f"it was silent for {self._silence:.0f} seconds"
        last = f": {self._said[-1]}" if self._said else ""
        return WorkerError(f"the worker failed ({reason or f'exit status {code}'}){last} - see 'srp gimp status'")

    def _listen(self, stream: BinaryIO) -> None:
        """Keep the last lines of stderr; an undrained pipe would block the worker."""
        with stream:
            for line in stream:
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self._said = [*self._said[-39:], text]
                    print(f"sr_upscale worker: {text}", file=sys.stderr)

"""The encoding ffmpeg at work: upscaled frames of one chunk to one file."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import av
import ffmpeg

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import Frame
from sr_plugins.video.encode import Encoding
from sr_plugins.video.ffmpeg_process import Child, compiled, file_url
from sr_plugins.video.frame_writer import FrameWriter

_AHEAD = 4  # finished frames that may wait for the encoder


class ChunkEncoder:
    """Encodes frames of the film ``source`` to ``path`` (a NUT file). Frames are handed over on a thread, a few
    ahead of the encoder.

    Within a chunk time runs at the nominal rate; the exact times of the source are put on when chunks are joined.
    ``hear`` is called with every line of ffmpeg's that is no error.
    """

    def __init__(
        self,
        executable: str,
        encoding: Encoding,
        path: Path,
        source: Path,
        *,
        hear: Callable[[str], None] | None = None,
    ) -> None:
        self._encoding = encoding
        frames = ffmpeg.input(
            "pipe:0",
            format="nut",
            r=f"{encoding.rate.numerator}/{encoding.rate.denominator}",
            **encoding.given,
        )
        output: dict[str, object] = {
            "format": encoding.container,
            "c:v": encoding.encoder,
            "fps_mode": "passthrough",
            "sws_flags": "accurate_rnd+full_chroma_int",
        }
        command = compiled(ffmpeg.output(frames["v:0"], file_url(path), **output), executable)
        command = [*command[:-1], "-y", command[-1]]
        self._child = Child(command, f"encoding {source}", extra=encoding.options, stdin=True, hear=hear)
        self._queue: queue.Queue[Frame | None] = queue.Queue(maxsize=_AHEAD)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def write(self, frame: Frame | None) -> None:
        """Queue a frame; raises what went wrong with an earlier one."""
        while True:
            if self._failure is not None:
                raise self._failure
            if not self._thread.is_alive():
                raise PipeError(f"{self._child.what}: the encoder is gone")
            with contextlib.suppress(queue.Full):
                self._queue.put(frame, timeout=0.2)
                return

    def finish(self) -> None:
        """Wait until everything is in the file; ``PipeError`` if the encoder failed."""
        self.write(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Give up: end the process and the thread, wherever they are."""
        self._child.stop()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._feed()
            self._child.finish()
        except (BrokenPipeError, av.FFmpegError):
            self._failure = self._child.error()
        except BaseException as error:
            self._child.stop()
            self._failure = error

    def _feed(self) -> None:
        first = self._queue.get()
        if first is None:
            return
        rate = self._encoding.rate
        with FrameWriter(self._child.stdin, first, 1 / rate, rate) as writer:
            frame: Frame | None = first
            count = 0
            while frame is not None:
                writer.write(frame, count)
                count += 1
                frame = self._queue.get()

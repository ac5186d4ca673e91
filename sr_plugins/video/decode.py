"""The decoding ffmpeg: frames of the main video stream with their exact times, through a NUT pipe."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import av
import ffmpeg

from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import PROTOCOLS, Child, compiled, file_url, version
from sr_plugins.video.frame_watch import FrameWatch, Told
from sr_plugins.video.pixel_formats import PixelLayout, pipe_format
from sr_plugins.video.source import Source
from sr_plugins.video.timeline import fraction

_BUFFER = 1 << 20


@dataclass(frozen=True)
class DecodeOptions:
    """How a source is read: ``deinterlace`` with bwdif, one frame for each; ``progressive``: marks of fields are
    mistakes; ``hwaccel`` as ffmpeg names it; ``turn`` the pixels as the display matrix says (otherwise they stay, and
    so does the matrix)."""

    deinterlace: bool = False
    progressive: bool = False
    hwaccel: str | None = None
    turn: bool = False

    def combs(self, source: Source) -> str | None:
        """A line where the fields of a film would become combs in the result."""
        if not source.interlaced or self.deinterlace or self.progressive:
            return None
        cure = "add --deinterlace, or --progressive where it is only marked so"
        return f"{source.path} is interlaced, which upscaling would bake in: {cure}"


class Decoder:
    """Iterates over (time, picture), times in the source's ``time_base``, in order.

    Frames are decoded ahead on a thread of its own, at most ``ahead`` of them.

    Args:
        since: begin so that the frame of this time and the one before it come out as a decoder that ran from the
            start gives them; frames before may come first. ``None``: the start.
    """

    def __init__(
        self, executable: str, source: Source, options: DecodeOptions, *, since: int | None = None, ahead: int = 4
    ) -> None:
        self._source = source
        # NUT holds no negative times: seconds are added on the way, as many as are whole ticks (1001 at 1001/24000).
        whole = source.time_base.numerator
        self._lift = whole * max(0, math.ceil(-source.timeline[0] * source.time_base / whole))
        command = compiled(self._stream(options, since), executable)
        left, right, top, bottom = source.crop
        size = f"{source.width + left + right}x{source.height + top + bottom}"
        fields = options.deinterlace or options.progressive
        self._watch = FrameWatch(size, PixelLayout.of(source.pix_fmt), fields)
        self._told: deque[tuple[int, Told]] = deque()
        self._first: Told | None = None
        self._child = Child(
            command, f"decoding {source.path}", stdout=True, hear=self._watch.hear, silent=self._watch.end
        )
        self._queue: queue.Queue[tuple[int, av.VideoFrame] | BaseException | None] = queue.Queue(maxsize=max(1, ahead))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"decoder of {source.path.name}", daemon=True)
        self._thread.start()

    def _stream(self, options: DecodeOptions, since: int | None) -> ffmpeg.nodes.OutputStream:
        source = self._source
        asked: dict[str, object] = {"protocol_whitelist": PROTOCOLS, "itsoffset": self._lift, "copyts": None}
        asked |= source.given
        if not options.turn:
            asked["noautorotate"] = None
        if source.decoder:
            asked["c:v"] = source.decoder
        if options.hwaccel:
            asked["hwaccel"] = options.hwaccel
        if since is not None and (key := self._entry(since)) is not None:
            asked |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{float(key * source.time_base):.6f}"}
        stream = ffmpeg.input(file_url(source.path), **asked)[str(source.main)]
        stream = stream.filter("showinfo", checksum=0)
        if any(source.crop):
            x, _, y, _ = source.crop
            stream = stream.filter("crop", source.width, source.height, x, y, exact=1)
        if options.deinterlace:
            if source.fields:
                stream = stream.filter("setfield", source.fields)
            deint = "interlaced" if source.interlaced else "all"
            stream = stream.filter("bwdif", mode="send_frame", parity="auto", deint=deint)
        output: dict[str, object] = {
            "format": "nut",
            "c:v": "rawvideo",
            "fps_mode": "passthrough",
            "enc_time_base": f"{source.time_base.numerator}/{source.time_base.denominator}",
            "sws_flags": "accurate_rnd+full_chroma_int+bitexact",
        }
        wanted = pipe_format(source.pix_fmt)
        if wanted != source.pix_fmt or options.hwaccel or options.turn:
            output["pix_fmt"] = wanted
        return ffmpeg.output(stream, "pipe:1", **output)

    def _entry(self, since: int) -> int | None:
        """Two key frames before: the frames that follow an open group's key frame may need the group before it."""
        before = [key for key in self._source.keyframes if key < since]
        return before[-2] if len(before) >= 2 else None

    def _read(self) -> None:
        try:
            for item in self._repeated(self._pictures()):
                if not self._put(item):
                    return
            self._child.finish()
            self._put(None)
        except av.FFmpegError as error:  # half a frame: the decoder ended in the middle
            failed = self._child.error()
            self._put(failed if failed.exit_code else PipeError(f"{self._child.what}: {error.strerror}"))
        except BaseException as error:
            self._put(error)

    def _pictures(self) -> Iterator[tuple[int, av.VideoFrame]]:
        try:
            container = av.open(self._child.stdout, "r", format="nut", buffer_size=_BUFFER)
        except (av.FFmpegError, ValueError):
            cure = f"a newer ffmpeg than {version(self._child.command[0])} (--ffmpeg) may read it"
            if "-hwaccel" in self._child.command:
                cure = "without --hwaccel the processor decodes it"
            try:
                self._child.finish()
            except PipeError as error:  # it said why
                raise PipeError(f"{error}; {cure}", error.exit_code, error.last_lines) from None
            said = f" ({self._child.last_line})" if self._child.last_line else ""
            raise PipeError(f"{self._child.what}: no frame came out of it{said}; {cure}") from None
        with container:
            stream = container.streams.video[0]
            ticks = int(self._lift / self._source.time_base)
            for picture in container.decode(stream):
                if picture.pts is None:
                    raise PipeError(f"{self._child.what}: a frame without a time stamp")
                when = round(picture.pts * fraction(stream.time_base) / self._source.time_base) - ticks
                if told := self._watch.next():
                    self._told.append((when, told))
                yield when, picture

    def _repeated(self, pictures: Iterator[tuple[int, av.VideoFrame]]) -> Iterator[tuple[int, av.VideoFrame]]:
        """The pictures, and each once more wherever the source says so: ffmpeg leaves that out."""
        repeats = deque(self._source.repeats)
        last: av.VideoFrame | None = None
        for when, picture in pictures:
            while repeats and repeats[0] <= when:
                again = repeats.popleft()
                if last is not None and again < when:
                    yield again, last
            yield when, picture
            last = picture
        if last is not None:
            yield from ((again, last) for again in repeats)

    def _put(self, item: tuple[int, av.VideoFrame] | BaseException | None) -> bool:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.2)
                return True
        return False

    def __iter__(self) -> Generator[tuple[int, av.VideoFrame]]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def refuse_unlike(self, when: int) -> None:
        """Raises ``PipeError`` where the frame at this time is not like the first that was asked about, nor as planned;
        to be asked in order."""
        while self._told and self._told[0][0] < when:
            self._told.popleft()
        if not self._told or self._told[0][0] != when:
            return
        _, told = self._told.popleft()
        self._first = self._first or told
        at = when * self._source.time_base - self._source.start
        if wrong := self._watch.unlike(told, self._first, at):
            raise PipeError(f"{self._source.path}: {wrong}")

    @property
    def last_line(self) -> str:
        """What ffmpeg said last."""
        return self._child.last_line

    def close(self) -> None:
        """End the process and the thread, wherever they are."""
        self._stopped.set()
        self._child.stop()
        self._thread.join()

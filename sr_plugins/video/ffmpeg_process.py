"""Which ffmpeg runs, and how: as a child whose stderr is always drained, whose exit code is always looked at."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

import ffmpeg

from sr_plugins.errors import PipeError
from sr_plugins.version import package_command
from sr_plugins.video.sequence import is_sequence

MINIMUM = (5, 1)
# Nothing but local files and pipes is ever opened, whatever a playlist or a name asks for.
PROTOCOLS = "file,pipe"
_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")
# Every line with its level, and none folded into "last message repeated": what tells of frames is told apart by it.
_TELLING = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+info")
# What ffmpeg 8 and 9 say behind the reason, which is no reason.
_CONSEQUENCE = re.compile(
    r"Error sending frames to consumers|Task finished with error code|Terminating thread with return code|"
    r"Nothing was written into output file|Last message repeated|Conversion failed"
)
_LEVEL = re.compile(r"\[(panic|fatal|error|warning|info|verbose|debug|trace)\] ?")
_LONG = 240  # letters of a line in a message: ffmpeg lists all pixel formats in one
_NO_SPACE = 1 << 16  # bytes free on a disk that is full


def _install() -> str:
    return f"install ffmpeg 5.1 or newer, or: {package_command('imageio-ffmpeg')}"


@cache
def version(ffmpeg: str) -> str:
    """The version ffmpeg reports of itself, such as ``5.1.9``; ``PipeError`` if it does not run."""
    try:
        shown = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise PipeError(f"{ffmpeg} does not run as ffmpeg ({error}): {_install()}") from error
    if not shown.startswith("ffmpeg version "):
        raise PipeError(f"{ffmpeg} is another program than ffmpeg: {_install()}")
    return shown.split()[2]


def version_number(ffmpeg: str) -> tuple[int, int]:
    """(major, minor); a build from source without a number counts as new."""
    found = re.match(r"[nN]?(\d+)\.(\d+)", version(ffmpeg))
    return (int(found[1]), int(found[2])) if found else (99, 0)


def bundled_ffmpeg() -> str | None:
    """The ffmpeg that imageio-ffmpeg brings, if there is one for this system."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def find_ffmpeg(chosen: str | Path | None = None) -> str:
    """``chosen``, else ``$SR_PLUGINS_FFMPEG``, else the system's if it is 5.1 or newer, else the bundled one.

    Raises:
        PipeError: there is none; the message says how to get one.
    """
    if asked := chosen or os.environ.get("SR_PLUGINS_FFMPEG"):
        if shutil.which(asked) is None and Path(asked).is_file():  # a name alone is looked for on the PATH
            asked = Path(asked).absolute()
        if version_number(str(asked)) < MINIMUM:
            raise PipeError(f"{asked} is ffmpeg {version(str(asked))}, too old: {_install()}")
        return str(asked)
    system = shutil.which("ffmpeg")
    if system and version_number(system) >= MINIMUM:
        return system
    if bundled := bundled_ffmpeg():
        return bundled
    raise PipeError(f"no ffmpeg found: {_install()}")


@cache
def encoder_formats(ffmpeg: str, encoder: str) -> tuple[str, ...]:
    """Pixel formats that an encoder takes; empty if it names none. ``PipeError`` if there is no such encoder."""
    shown = subprocess.run([ffmpeg, *_QUIET, "-h", f"encoder={encoder}"], capture_output=True, text=True).stdout
    if "Encoder " not in shown:
        raise PipeError(f"{ffmpeg} has no encoder {encoder!r}: see {Path(ffmpeg).name} -encoders")
    found = re.search(r"Supported pixel formats: (.*)", shown)
    return tuple(found[1].split()) if found else ()


def check_hwaccel(ffmpeg: str, name: str | None) -> None:
    """Refuse a hardware interface that this ffmpeg was built without; ``None``, ``auto`` and ``none`` any has.

    Raises:
        PipeError: it is so.
    """
    if name in (None, "auto", "none"):
        return
    shown = subprocess.run([ffmpeg, *_QUIET, "-hwaccels"], capture_output=True, text=True).stdout
    known = shown.split("methods:")[-1].split()
    if name not in known:
        raise PipeError(f"--hwaccel {name}: this ffmpeg ({version(ffmpeg)}) knows auto, {', '.join(known)}")


@cache
def has_encoder(ffmpeg: str, encoder: str) -> bool:
    """Whether this ffmpeg was built with an encoder."""
    shown = subprocess.run([ffmpeg, *_QUIET, "-h", f"encoder={encoder}"], capture_output=True, text=True).stdout
    return "Encoder " in shown


@cache
def has_decoder(ffmpeg: str, decoder: str) -> bool:
    """Whether this ffmpeg was built with a decoder."""
    shown = subprocess.run([ffmpeg, *_QUIET, "-h", f"decoder={decoder}"], capture_output=True, text=True).stdout
    return "Decoder " in shown


def local_url(path: Path) -> str:
    """A file, or the pattern of numbered pictures, as ffmpeg takes it, whatever its name looks like."""
    whole = path.absolute()
    if is_sequence(path):  # ffmpeg looks for the place of the number in the names of folders, too
        return f"file:{whole.parent.as_posix().rstrip('/').replace('%', '%%')}/{whole.name}"
    return f"file:{whole}"


def file_url(path: Path) -> str:
    """The same for ffmpeg-python, which hashes text and therefore takes no name that is not UTF-8; see `compiled`."""
    return os.fsencode(local_url(path)).decode("latin-1")


def as_words(options: Mapping[str, str | None]) -> list[str]:
    """Options by name as a command line has them; ``None``: one without a value."""
    return [word for name, value in options.items() for word in (f"-{name}", value) if word is not None]


def compiled(stream: ffmpeg.nodes.OutputStream, executable: str) -> list[str]:
    """The command of ffmpeg-python's, with the names of files as they are."""
    words: list[str] = ffmpeg.compile(stream, cmd="ffmpeg")
    return [executable, *(os.fsdecode(word.encode("latin-1")) for word in words[1:])]


def full_disk(file: Path) -> PipeError | None:
    """Where there is no room for more of a file, which ffmpeg 5.1 may end in good order all the same."""
    if shutil.disk_usage(file.parent).free >= _NO_SPACE:
        return None
    return PipeError(f"{file.parent}: No space left on device: make room there; what is finished is kept")


def plain(line: str) -> str:
    """What ffmpeg said, without its own names for its parts."""
    return re.sub(r"^(\[[^]]*\] *)+", "", line)


@cache
def decodes(ffmpeg: str, codec: str) -> bool:
    """Whether this ffmpeg has any decoder for a codec, by libavcodec's name."""
    shown = subprocess.run([ffmpeg, *_QUIET, "-codecs"], capture_output=True, text=True).stdout
    return re.search(rf"^ D\S+ +{re.escape(codec)} ", shown, re.MULTILINE) is not None


class Child:
    """One running ffmpeg.

    Args:
        command: as ffmpeg-python compiled it, the executable first.
        what: what it does, for messages: ``decoding film.mkv``.
        extra: further output options, put last so that they win.
        stdin, stdout: open a pipe there.
        hear: called, on a thread of its own, with every line that is no error; without it only errors are said.
        silent: called, on that thread, after the last line.
    """

    def __init__(
        self,
        command: Sequence[str],
        what: str,
        *,
        extra: Sequence[str] = (),
        stdin: bool = False,
        stdout: bool = False,
        hear: Callable[[str], None] | None = None,
        silent: Callable[[], None] | None = None,
    ) -> None:
        self.what = what
        self._hear, self._silent = hear, silent
        self.command = [command[0], *(_TELLING if hear else _QUIET), *command[1:-1], *extra, command[-1]]
        self._tail: deque[str] = deque(maxlen=24)
        self._drain = threading.Thread(target=self._read_stderr, name=f"stderr of {what}", daemon=True)
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # A group of its own: Ctrl-C in the terminal reaches us alone, and we decide how the child ends.
                process_group=0 if os.name == "posix" else None,
            )
        except OSError as error:
            raise PipeError(f"{what}: {command[0]} does not run: {error.strerror}") from error
        _running.add(self)
        self._drain.start()

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode(errors="replace").strip()
            if self._hear is not None:
                level = _LEVEL.search(text)
                text = _LEVEL.sub("", text, count=1)
                if level is not None and level[1] not in ("panic", "fatal", "error"):
                    self._hear(text)
                    continue
            if text:
                self._tail.append(text)
        if self._silent is not None:
            self._silent()

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def last_line(self) -> str:
        """What it said last, without its own names for its parts; empty if it said nothing."""
        return plain(self._tail[-1]) if self._tail else ""

    def finish(self) -> None:
        """Close its input, wait for its end; ``PipeError`` with its last lines if it failed."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        code = self._process.wait()
        self._drain.join()
        self._close()
        if code != 0:
            raise self.error(code)

    def error(self, code: int | None = None) -> PipeError:
        """What went wrong, with the exit code and the last lines."""
        if code is None:
            code = self.stop()
        telling = [line for line in dict.fromkeys(self._tail) if not _CONSEQUENCE.search(line)]
        last = (line if len(line) <= _LONG else f"{line[:_LONG]}..." for line in (telling or list(self._tail))[-4:])
        said = "; ".join(last) or "it said nothing"
        ended = f"failed with status {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                ended = f"{version(self.command[0])} was ended by {signal.Signals(-code).name}"
        return PipeError(f"{self.what}: ffmpeg {ended}: {said}", code, self._tail)

    def stop(self) -> int:
        """End it now if it still runs, and reap it."""
        try:
            # A child that just failed is about to leave by itself: its own exit code says more than our signal.
            code = self._process.wait(timeout=0.5 if self._tail else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._drain.ident is not None:  # Ctrl-C may come before it is started
            self._drain.join()
        self._close()
        return code

    def _close(self) -> None:
        _running.discard(self)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


_running: set[Child] = set()


@atexit.register
def _stop_running() -> None:
    """Ctrl-C may come while a child is being made, before its owner could stop it: leave none behind."""
    for child in list(_running):
        child.stop()

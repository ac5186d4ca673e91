"""Every error this project raises on purpose. Anything else that escapes is a bug and keeps its traceback.

::

    SRError                      one line that says what is wrong and what to do about it
    |-- PluginError              a plugin is broken, collides with another, or is asked for something it cannot do
    |-- UnknownModelError        no model of that name and scale (also a LookupError); offers close names
    |-- UnknownNameError         no backend, loss, degradation or metric of that name (also a LookupError)
    |-- WeightsError             a weights file is missing, unsafe, damaged or does not fit its network
    |-- ArgumentError            what a caller asked for is unusable (also a ValueError)
    |-- ClosedError              closed, or inherited by a forked process that cannot use it (also a RuntimeError)
    |-- FrameError               a frame or format that cannot be processed (also a ValueError)
    |-- DeviceError              the device is missing, or too small even for the smallest tile (also a RuntimeError)
    |-- ModelOutputError         the network returned something that is not the promised picture
    |-- ImageError               an image file cannot be read or written
    |-- PipeError                ffmpeg failed: carries its exit code and last lines
    |-- RecipeError              a recipe or degradation file is wrong (also a ValueError)
    `-- DataError                training or evaluation pictures are missing or unusable
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

TYPE_CHECKING = False  # as typing's, see interface.late_names
if TYPE_CHECKING:
    from pathlib import Path


class SRError(Exception):
    """Root of the tree. ``str(error)`` is one line fit to be shown to a person."""


class PluginError(SRError):
    """A plugin is broken or collides with another; the message names the distribution."""


class UnknownNameError(SRError, LookupError):
    """Nothing is registered under this name.

    ``kind`` is what was looked for ("backend"), ``name`` what was asked, ``known`` what there is; ``cure`` is said
    in place of names that look alike, where more is known of what was asked.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], note: str = "", cure: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(set(known))
        super().__init__(f"no {kind} called {name!r}: {cure or offered(name, self.known)}{note}")


class UnknownModelError(UnknownNameError):
    """No model of this name, or it has no weights at a usable scale."""

    def __init__(self, name: str, known: Iterable[str], note: str = "") -> None:
        names = list(known)
        others = "; srp models says what for, and other people's weights are named by their file"
        super().__init__("model", name, names, (others if names and not _close(name, names) else "") + note)


class WeightsError(SRError):
    """A weights file is missing, unsafe, damaged, or does not fit its network."""


class ArgumentError(SRError, ValueError):
    """An argument is unusable: says which, what came and what is expected."""


class ClosedError(SRError, RuntimeError):
    """An upscaler that was closed, or was inherited by a forked process that cannot use it; says what to do."""


class FrameError(SRError, ValueError):
    """A frame that cannot be processed: says what came and what is expected."""


class DeviceError(SRError, RuntimeError):
    """The device is missing, or out of memory even at the smallest tile."""


class ModelOutputError(SRError, RuntimeError):
    """The network returned a wrong shape, or values that are not finite even in float32."""


class ImageError(SRError):
    """An image file cannot be read or written; the message names the file and the cure."""


class PipeError(SRError):
    """A child process such as ffmpeg failed.

    ``exit_code`` is its status (``None`` if it never ran) and ``last_lines`` the tail of its stderr.
    """

    def __init__(self, message: str, exit_code: int | None = None, last_lines: Iterable[str] = ()) -> None:
        self.exit_code = exit_code
        self.last_lines = tuple(last_lines)
        super().__init__(message)


class RecipeError(SRError, ValueError):
    """A recipe or degradation file is wrong; the message names the file and the key."""


class DataError(SRError):
    """Training or evaluation pictures are missing, too small or damaged."""


_SHOWN = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}
# bytes of a name that is no UTF-8, as PEP 383 has them: what is so old, or from a zip, is Latin-1 more than anything
_SHOWN |= {0xDC00 + byte: repr(chr(byte))[1:-1] for byte in range(128, 256)}


def one_line(error: BaseException) -> str:
    """What ``error`` says, in one line: all of ours, of others the first line with something on it."""
    try:
        text = str(error)
    except Exception:  # an error of somebody else's, whose own text fails
        text = "its message cannot be read"
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    return printable(" ".join(lines) if isinstance(error, SRError) else lines[0])


def described(error: BaseException) -> str:
    """Type and first line of an exception."""
    return one_line(error) if isinstance(error, Escape) else f"{type(error).__name__}: {one_line(error)}"


def printable(line: str) -> str:
    """The same without what moves a terminal's cursor or breaks the line, or is no text: names may hold any bytes."""
    return line.translate(_SHOWN)


class Escape(Exception):
    """What somebody else's code raised past ``Exception``, such as ``SystemExit``; its cause is that."""


@contextmanager
def others_code() -> Iterator[None]:
    """Within it, whatever somebody else's code raises is an ``Exception``: what is none becomes an :class:`Escape`.

    Only a person's interrupt passes, who meant the program and not what it was doing. Signals come to the main
    thread: in any other a ``KeyboardInterrupt`` is the work of who raised it there.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        raise Escape(f"{type(error).__name__}: {one_line(error)}") from error


def offered(name: str, known: Iterable[str]) -> str:
    """What to say to someone who asked for a ``name`` that is not among the ``known``: close ones, or all."""
    names = sorted(set(known))
    if close := _close(name, names):
        return f"did you mean {' or '.join(repr(c) for c in close)}?"
    return f"there is {', '.join(names)}" if names else "none is installed"


def _close(name: str, known: Collection[str]) -> list[str]:
    """Those that someone may have meant: the same letters in another order; of short names a letter is a third."""
    from difflib import get_close_matches  # brings the most of what this module needs, which every start pays

    same = [one for one in known if sorted(one) == sorted(name.lower())]
    return same or get_close_matches(name.lower(), known, n=3, cutoff=0.65 if len(name) > 3 else 0.5)


def too_long(path: Path) -> str:
    """What to add for a file that is not there; asked of the system: how long names may be depends on it."""
    try:
        path.lstat()
    except (OSError, ValueError) as error:  # a zero in a name is a ValueError
        return ": the name is too long" if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG else ""
    return ""


def is_lack_of_memory(error: BaseException) -> bool:
    """Python's own error, CUDA's by its name, and that of PyTorch's CPU allocator, which has but a text."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )

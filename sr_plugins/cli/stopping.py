"""Ctrl-C, SIGTERM and a closed terminal: each ends a command at its next tile, and nothing stays half written."""

from __future__ import annotations

import signal
import sys
import threading
import time
from _thread import start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # the status that shells expect: 128 and the signal's number
_asked = 0  # the signal that has asked this process to end
_ASKING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those the system has
_RUNTIMES = ("torch", "openvino", "onnxruntime", "ncnn")  # C++ calls Python while they load, and aborts if that raises
_AGAIN = 0.02  # seconds


@contextmanager
def stoppable() -> Iterator[None]:
    """The first such signal raises ``KeyboardInterrupt`` where the main thread stands; the block ends with its status.

    More of them change nothing while the work is being ended: an interrupt while threads are being waited for would
    let Python end under them, which aborts the process; one that comes while a runtime loads waits for that. One that
    came into code that cannot raise (of a weak reference, of an object's end) is raised again, and where a library
    swallowed the first, the next is. A signal that somebody ignores (``nohup``, a shell's background job) or handles is
    left to them.

    Raises:
        SystemExit: 128 and the signal's number, in place of ``KeyboardInterrupt``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _asked
    first, ending = 0, False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        global _asked
        if ending or (first and _being_ended()):
            return
        if _runtime_loads(frame):  # not by threading.Timer, whose lock this very thread may hold
            start_new_thread(_ask_again, (number,))
            return
        first = _asked = first or number
        raise KeyboardInterrupt

    def lost(error: sys.UnraisableHookArgs) -> None:
        if not issubclass(error.exc_type, KeyboardInterrupt):
            told(error)
        elif not ending:
            start_new_thread(_ask_again, (first or signal.SIGINT,))

    told, sys.unraisablehook = sys.unraisablehook, lost
    usual = (signal.SIG_DFL, signal.default_int_handler)
    asking = [getattr(signal, name) for name in _ASKING if hasattr(signal, name)]
    before = {number: signal.signal(number, stop) for number in asking if signal.getsignal(number) in usual}
    try:
        yield
    except KeyboardInterrupt:
        ending = True  # and the process stays deaf until it is gone: Python sets handlers back before it takes modules
        for number in before:  # and libraries down, but leaves what is ignored
            signal.signal(number, signal.SIG_IGN)
        exec("")  # one that came into such code (a dataclass is made by it): "python -m" would kill itself in the end
        sys.exit(128 + first if first else INTERRUPTED)
    finally:
        _asked = 0
        if not ending:
            sys.unraisablehook = told
            for number, handler in before.items():
                signal.signal(number, handler)


def refuse_lost() -> None:
    """To be asked before an error is told: libraries make errors of their own of an interrupt.

    Raises:
        KeyboardInterrupt: this process was asked to end, and goes on.
    """
    if _asked:
        raise KeyboardInterrupt


def _runtime_loads(frame: FrameType | None) -> bool:
    """Whether the code that a signal came into was called by the import of a runtime."""
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load" and frame.f_locals["name"].partition(".")[0] in _RUNTIMES:
            return True
        frame = frame.f_back
    return False


def _ask_again(number: int) -> None:
    time.sleep(_AGAIN)
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _being_ended() -> bool:
    """Whether the code that a signal came into cleans up after an interrupt."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False

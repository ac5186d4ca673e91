"""``print()`` while frames are made goes to stderr: under vspipe, stdout is the video."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from sr_plugins.engine.lane import Lane

SCRIPT = "__vapoursynth__"  # what VSScript calls the module of a script


class _ByThread:
    """``sys.stdout`` for who may write to it, ``sys.stderr`` for threads that make frames.

    Those are lanes; and in a host of scripts (vspipe, editors) every thread but those that evaluate scripts, for there
    nothing else runs: callbacks of the script's own filters, and threads that a model started.
    """

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout
        self._evaluating: set[int] = set()

    def evaluates(self, thread: int) -> None:
        """From now on only such threads write to stdout."""
        self._evaluating.add(thread)

    def __getattr__(self, name: str) -> Any:
        if name in ("_stdout", "_evaluating"):  # of a copy that is not filled yet
            raise AttributeError(name)
        makes_frames = isinstance(threading.current_thread(), Lane) or (
            bool(self._evaluating) and threading.get_ident() not in self._evaluating
        )
        return getattr(sys.stderr if makes_frames else self._stdout, name)


_installing = threading.Lock()


def keep_prints_out(caller: FrameType | None) -> None:
    """Stand before ``sys.stdout``, once; ``caller`` is the frame of who asks, to tell whether a script does."""
    if sys.stdout is None or sys.stderr is None:  # a program without a console
        return
    with _installing:
        if not isinstance(sys.stdout, _ByThread):
            sys.stdout = _ByThread(sys.stdout)
        guard: Any = sys.stdout
        while caller is not None:
            if caller.f_globals.get("__name__") == SCRIPT:
                guard.evaluates(threading.get_ident())
                return
            caller = caller.f_back

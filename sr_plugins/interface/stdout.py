"""stdout belongs to data: what plugins print goes to stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

# Two threads that redirect in turn would put each other's stdout back. The same thread may come again.
_redirecting = threading.RLock()


@contextmanager
def prints_to_stderr() -> Iterator[None]:
    """What Python code prints in this block goes to stderr, also what its libraries and children print."""
    with _redirecting:
        _flush(sys.stdout, sys.__stdout__)
        try:
            kept = os.dup(1)
            os.dup2(2, 1)
        except OSError:  # a program without stdout or stderr
            kept = None
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            _flush(sys.__stdout__)
            if kept is not None:
                os.dup2(kept, 1)
                os.close(kept)


def _flush(*streams: object) -> None:
    for stream in streams:
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[attr-defined]

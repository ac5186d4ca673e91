"""How many threads torch's operations use in which of ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_setting_threads = threading.Lock()
_inherited: int | None = None  # the thread that a forked child began with


def compute_in_this_thread_alone() -> None:
    """Make torch's operations in this thread use no other: its lane has one core, and the others have theirs.

    torch keeps the number per thread but also makes it the default of threads to come; another thread sets that back.
    """
    with _setting_threads:  # a lane that asked while another is here would be told one
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        restore = threading.Thread(target=torch.set_num_threads, args=(before,))
        restore.start()
        restore.join()


@contextmanager
def fit_after_fork() -> Iterator[None]:
    """For torch's operations in the thread of whoever calls: in a forked child they use no other in this block.

    The threads that OpenMP had for the thread that forked did not come along, and it would wait for them for ever.
    Threads that are made in the child get new ones.
    """
    if threading.get_ident() != _inherited:
        yield
        return
    before = torch.get_num_threads()
    compute_in_this_thread_alone()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_child() -> None:
    global _inherited, _setting_threads
    _inherited, _setting_threads = threading.get_ident(), threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)

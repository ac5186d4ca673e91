"""Items made ahead, on a thread of their own."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self


class Ahead[T]:
    """Iterates over ``items`` on a thread, at most ``count`` ahead; what it raises is raised where it is awaited.

    PyAV's reading from a file of Python's belongs here: no signal comes to such a thread, and one that came to a read
    would be lost, and taken for the end of the stream. Leaving the block does not wait for a read that waits.
    """

    def __init__(self, items: Iterable[T], count: int = 2) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(maxsize=count)
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="reader", daemon=True).start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, item: tuple[T] | BaseException | None) -> bool:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.2)
                return True
        return False

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()

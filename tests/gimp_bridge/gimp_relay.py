"""Joins a plug-in inside a chroot, which has no PyTorch, to a worker outside it.

In the chroot it is the command that the plug-in starts as its worker (``gimp_relay.py SOCKET``; standard library only);
outside, :class:`WorkerHost` listens on that socket and starts a real worker for each connection.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path


class WorkerHost:
    """Listens on ``path``; every connection becomes stdin and stdout of a new process of ``argv``."""

    def __init__(self, path: Path, argv: Sequence[str], environment: dict[str, str]) -> None:
        self.workers: list[subprocess.Popen[bytes]] = []
        self.started = threading.Event()
        self._argv, self._environment = argv, environment
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.workers.append(
                    subprocess.Popen(self._argv, stdin=connection, stdout=connection, env=self._environment)
                )
            self.started.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for worker in self.workers:
            worker.kill()
            worker.wait()


def relay(path: str) -> None:
    """Copy stdin to the socket and the socket to stdout until the worker hangs up."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)

    def forward() -> None:
        while data := os.read(0, 1 << 20):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    threading.Thread(target=forward, daemon=True).start()
    while data := connection.recv(1 << 20):
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    relay(sys.argv[1])
    os._exit(0)

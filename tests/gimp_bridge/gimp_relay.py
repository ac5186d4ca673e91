"""Joins a plug-in inside a chroot, which has no PyTorch, to a worker outside it.

In the chroot it is the command that the plug-in starts as its worker (``gimp_relay.py SOCKET``; standard library only);
outside, ``gimp_chroot.WorkerHost`` listens on that socket and starts a real worker for each connection.
"""

import os
import socket
import sys
import threading


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

"""A line where Ray ends this process: it does when its own processes are gone, at once, and nothing is cleaned up."""

from __future__ import annotations

import atexit
import subprocess
import sys
from functools import cache
from typing import Any

KEPT = "finished chunks are kept, and the same command goes on once Ray is there again, or without --jobs ray"
_GONE = f"srp: Ray on this machine, or the cluster's head, was ended, and Ray ended this command: {KEPT}"
# Reads until this process has a word for it, or is gone without one; then Ray is to blame where it does not answer.
_WATCH = """
import socket, sys
if not sys.stdin.buffer.read(1):
    for address in sys.argv[2:]:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except OSError:
            print(sys.argv[1], file=sys.stderr)
            break
"""


def watch_ray(ray: Any) -> None:
    """Have a process of its own look after this one, which is connected to Ray."""
    context = ray.get_runtime_context()
    here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    _watch(context.gcs_address, f"{here['NodeManagerAddress']}:{here['NodeManagerPort']}")


@cache
def _watch(*addresses: str) -> None:
    command = [sys.executable, "-I", "-S", "-c", _WATCH, _GONE, *addresses]
    # Out of the reach of a terminal's Ctrl-C: it ends when this process does.
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    atexit.register(watcher.communicate, b".")

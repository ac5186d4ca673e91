"""Runtimes that report to their makers when they are imported, imported so that they do not.

OpenVINO (2026.4) looks up an analytics host and writes ``~/intel`` as soon as its package ``openvino_telemetry`` can be
imported; ONNX Runtime (1.32) keeps a database with an id of the device and looks up another host. Both must be told
before the import, and a process that imported them by itself has made its own choice.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from typing import Any

_TELEMETRY = "openvino_telemetry"
_lock = threading.Lock()


def import_openvino() -> Any:
    """The module ``openvino``; it falls back to its own stub where its telemetry package seems absent."""
    with _lock:
        if "openvino" in sys.modules or _TELEMETRY in sys.modules:
            return importlib.import_module("openvino")
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's word for "cannot be imported"
        try:
            return importlib.import_module("openvino")
        finally:
            del sys.modules[_TELEMETRY]


def import_onnxruntime() -> Any:
    """The module ``onnxruntime``; calling its ``disable_telemetry_events`` afterwards would be too late."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")

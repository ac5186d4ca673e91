#!/usr/bin/env bash
# Ctrl-C while PyAV reads or writes through a Python file object is lost. The KeyboardInterrupt that a signal handler raises
# inside of the file's read() or write() is dropped by the callback, which answers libav with no bytes: a write loses its
# bytes and the program goes on, a read is taken for the end of the stream. Other exceptions are kept, and raised as PyAV's own.
#
# Seen with PyAV 19.0.2: the signal comes once, in the third write; nothing is raised, the file lacks what that call was
# given, and mux() and close() end as if all was well. Expected: the KeyboardInterrupt, or PyAV's error as for an OSError there. (What the
# interpreter prints of an ignored exception below comes from that.)
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install av==19.0.2 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import io
import signal
import sys

import av
import numpy as np


class Sink(io.RawIOBase):
    """Counts what it is given; something happens in the third call."""

    def __init__(self, happens):
        self.happens, self.calls, self.taken, self.given = happens, 0, 0, 0

    def writable(self):
        return True

    def write(self, data):
        self.calls += 1
        self.given += len(data)
        if self.calls == 3:
            self.happens()
        self.taken += len(data)
        return len(data)


def interrupted():
    signal.raise_signal(signal.SIGINT)  # as Ctrl-C does at any moment


def full():
    raise OSError(28, "no space")


def outcome(happens):
    sink = Sink(happens)
    try:
        with av.open(sink, "w", format="nut") as film:
            stream = film.add_stream("rawvideo", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
            for i in range(50):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64), i, np.uint8), format="gray")
                film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
    except BaseException as error:
        return type(error).__name__, sink.given - sink.taken
    return "nothing", sink.given - sink.taken


print("PyAV", av.__version__)
by_error, by_signal = outcome(full), outcome(interrupted)
print("OSError in write():", by_error[0], "is raised")
print("SIGINT in write():", by_signal[0], "is raised;", by_signal[1], "bytes were lost")
sys.exit(not (by_error[0] != "nothing" and by_signal[0] == "nothing" and by_signal[1] > 0))
PYTHON

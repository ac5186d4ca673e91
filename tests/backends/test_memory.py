"""Memory that runs out: the right picture by smaller tiles, or one clear error, and never another's picture."""

import os
import sys

import numpy as np
import pytest
from warm_python import python

from sr_plugins.backends.openvino_requests import Output
from sr_plugins.plugins import plugins

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit is set by RLIMIT_AS, as Linux means it")

# Seed 2 is another picture of the size that was computed before: what lies in old memory is that of seed 1.
CODE = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(int(sys.argv[3]))
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import DeviceError

def picture(seed, height, width):
    return Frame([np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)], FrameFormat(family="gray"))

def in_use():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmSize"))
    return int(line.split()[1]) << 10

backend, extra = sys.argv[1], int(sys.argv[2])
pictures = {size: picture(2, *size) for size in ((900, 850), (420, 400))}
settings = {"backend": backend, "precision": "float32", "device": "cpu", "reuse": False}
with Upscaler("tiny", 2, **settings) as free:
    right = free.upscale(picture(2, 420, 400)).planes[0].astype(int)
with Upscaler("tiny", 2, **settings) as upscaler:
    upscaler.upscale(picture(1, 420, 400))
    resource.setrlimit(resource.RLIMIT_AS, (in_use() + (extra << 20), resource.RLIM_INFINITY))
    def tried(*size):
        try:
            return upscaler.upscale(pictures[size]).planes[0]
        except DeviceError as error:
            return str(error)

    def say(result):
        print("told" if isinstance(result, str) else np.abs(result - right).max(), flush=True)

    tried(900, 850)
    limited = tried(420, 400)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    say(limited)
    say(tried(420, 400))
"""


# openvino is the one that does not say itself that memory was short
WAYS = [
    ("torch", 1, 15),
    ("onnxruntime", 1, 15),
    *(("openvino", 1, extra) for extra in (5, 15, 50)),
    ("openvino", 2, 15),
]


@pytest.mark.parametrize(("backend", "threads", "extra"), WAYS)
def test_never_anothers_picture(backend: str, threads: int, extra: int) -> None:
    if plugins().backend(backend).missing():
        pytest.skip("not installed")
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = python("-c", CODE, backend, extra, threads, env=environment, timeout=200, whole_end=True)
    assert done.returncode == 0, done
    limited, afterwards = done.stdout.split()
    assert limited in ("told", "0", "1"), done
    # oneDNN, which computes convolutions for torch and OpenVINO, remembers what it could not make
    assert afterwards in (("0", "1") if backend == "onnxruntime" else ("told", "0", "1")), done


LARGE = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from sr_plugins import Frame, FrameFormat, Upscaler

def in_use():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmSize"))
    return int(line.split()[1]) << 10

def picture(height, width):
    return Frame([np.random.default_rng(1).integers(0, 256, (height, width), np.uint8)], FrameFormat(family="gray"))

large = picture(1000, 1300)
common = {"precision": "float32", "device": "cpu", "reuse": False}
with Upscaler("tiny", 2, backend=sys.argv[1], tile=4096, **common) as upscaler:
    upscaler.upscale(picture(64, 64))
    resource.setrlimit(resource.RLIMIT_AS, (in_use() + (int(sys.argv[2]) << 20), resource.RLIM_INFINITY))
    result = upscaler.upscale(large).planes[0]
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    side = upscaler.devices[0].side
with Upscaler("tiny", 2, backend="torch", **common) as upscaler:
    print(side, np.abs(result.astype(int) - upscaler.upscale(large).planes[0]).max())
"""


@pytest.mark.parametrize("backend", ["torch", "openvino", "onnxruntime"])
def test_a_large_picture_is_made_in_smaller_tiles_where_memory_is_short(backend: str) -> None:
    """At once it would take 220 (onnxruntime) to 330 MB beyond what the runtime has mapped before the first picture."""
    if plugins().backend(backend).missing():
        pytest.skip("not installed")
    done = python("-c", LARGE, backend, 160, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=200, whole_end=True)
    assert done.returncode == 0, done
    side, apart = map(int, done.stdout.split())
    assert side < 1000
    assert apart <= 1


@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (1, 1, 7, 9), (1, 1, 64, 80)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_output_counts_only_where_all_of_it_was_written(shape: tuple[int, ...], dtype: type) -> None:
    output = Output(shape, np.dtype(dtype), 0x1234567890ABCDEF)
    assert output.array.shape == shape
    assert not output.written
    flat = output.array.reshape(-1)
    part = len(flat) // 2
    flat[:part] = 0
    if output.size >= 16:  # what is smaller is marked once, and tried again where the mark is there
        assert not output.written  # the end is missing
    flat[:] = 0
    assert output.written
    left = Output(shape, np.dtype(dtype), 0x1234567890ABCDEF)
    flat = left.array.reshape(-1)
    marked = flat.copy()
    for start in range(0, len(flat), 64 // flat.itemsize):  # a cache line that was left out, wherever it is
        line = marked[start : start + 64 // flat.itemsize]
        if line.nbytes < 64:
            continue
        flat[:] = 0
        flat[start : start + len(line)] = line
        assert not left.written

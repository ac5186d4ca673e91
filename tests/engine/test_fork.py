"""Forked processes: lanes made anew where the backend can, one clear error at once where it cannot, never a hang."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import warm_python
from fakes import blur

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import ClosedError

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python warns of fork with threads, which is what this is about
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning"),
]
SECONDS = 60  # after which a child counts as hung


def gray(seed: int = 0, height: int = 40, width: int = 50) -> Frame:
    return Frame(
        [np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)], FrameFormat(family="gray")
    )


def in_child(work: Callable[[], bytes]) -> bytes:
    """What ``work`` returns in a forked child; the test fails if the child hangs or dies."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # one in Python would wait for the library that hangs
        signal.alarm(SECONDS)
        try:
            answer = work()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}".encode()
        os.write(writing, answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {status}"
    return answer


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
def test_an_inherited_upscaler_works_in_the_child(backend: str, used: bool) -> None:
    frame = gray()
    with Upscaler(blur(), backend=backend, precision="float32") as upscaler:
        if used:
            upscaler.upscale(gray(1))
        answer = in_child(lambda: upscaler.upscale(frame).planes[0].tobytes())
        assert answer == upscaler.upscale(frame).planes[0].tobytes()
        # and again, of another size, with a second fork
        larger = gray(2, 90, 120)
        assert (
            in_child(lambda: upscaler.upscale(larger).planes[0].tobytes())
            == upscaler.upscale(larger).planes[0].tobytes()
        )


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_frames_in_flight_fail_in_the_child_and_come_out_in_the_parent(backend: str) -> None:
    """No lane comes along: who waits there for what the parent submitted is told so, in whatever state it was."""
    pytest.importorskip(backend)
    frames = [gray(seed, 60 + seed, 50) for seed in range(12)]
    called: list[int] = []
    with Upscaler(blur(), backend=backend, precision="float32", reuse=False) as upscaler:
        right = [upscaler.upscale(frame) for frame in frames]
        done = upscaler.submit(frames[0])
        done.result()
        gate = threading.Event()
        busy = upscaler.submit(frames[1])
        busy.add_done_callback(lambda future: gate.wait(SECONDS))  # one lane is held
        futures = [upscaler.submit(frame) for frame in frames]
        for future in futures:
            future.add_done_callback(lambda future: called.append(os.getpid()))

        def in_the_child() -> bytes:
            told = []
            for future in futures:
                error = future.exception()
                told.append("right" if error is None else f"{type(error).__name__}: {error}")
            assert done.result().same_samples(right[0])
            return "\n".join([*sorted(set(told)), str(called.count(os.getpid()))]).encode()

        *told, own_calls = in_child(in_the_child).decode().splitlines()
        assert told[0] == "ClosedError: this frame was under way when the process was forked: submit it again"
        assert told[1:] in ([], ["right"])
        assert own_calls == "0"
        gate.set()
        assert all(future.result(SECONDS).same_samples(r) for future, r in zip(futures, right, strict=True))
    assert set(called) == {os.getpid()}


def test_closing_in_the_child_ends_and_a_closed_one_stays_closed() -> None:
    with Upscaler(blur(), backend="torch") as upscaler:
        upscaler.upscale(gray())

        def close() -> bytes:
            upscaler.close()
            try:
                upscaler.submit(gray())
            except ClosedError:
                return b"closed"
            return b"open"

        assert in_child(close) == b"closed"
    assert in_child(lambda: str(upscaler.submit(gray())).encode()).startswith(b"ClosedError")


def test_openvino_in_a_child_is_one_error_with_the_cure() -> None:
    pytest.importorskip("openvino")
    with Upscaler(blur(), backend="openvino", precision="float32") as upscaler:
        upscaler.upscale(gray())
        told = in_child(lambda: upscaler.upscale(gray(1)).planes[0].tobytes()).decode()
        assert told.startswith("ClosedError: backend openvino ran before this process was forked")
        assert "'spawn'" in told

        def anew() -> bytes:
            with Upscaler(blur(), backend="openvino") as other:
                return other.upscale(gray()).planes[0].tobytes()

        assert in_child(anew).decode().startswith("ClosedError: backend openvino")


def test_a_backend_that_ran_in_the_parent_is_not_auto_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.delenv("SR_PLUGINS_BACKEND", raising=False)
    with Upscaler(blur(), backend="openvino") as upscaler:
        upscaler.upscale(gray())

    def automatic() -> bytes:
        with Upscaler(blur(), precision="float32") as other:
            other.upscale(gray())
            return other.description.encode()

    assert b"openvino" not in in_child(automatic)


def test_auto_chooses_in_the_child_of_a_thread_that_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenMP's threads of that thread did not come along: torch in the child's own would wait for them for ever."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            torch.nn.functional.conv2d(torch.rand(1, 8, 256, 256), torch.rand(8, 8, 3, 3))
        monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))  # nothing is decided yet

        def work() -> bytes:
            with Upscaler("fast", device="cpu") as upscaler:
                return b"%d %d" % (upscaler.upscale(gray()).width, torch.get_num_threads())

        assert in_child(work) == b"100 2"
    finally:
        torch.set_num_threads(before)


def test_a_pool_of_forked_processes_with_the_pillow_filter() -> None:
    """In a process of its own: fork is only tried where nothing else runs."""
    code = """
import multiprocessing as mp, warnings
from PIL import Image
from sr_plugins.images.pillow_filter import SuperResolution
warnings.simplefilter("ignore")
image = Image.new("RGB", (40, 30), "red")
def one(i):
    return image.filter(SuperResolution(2, model="tiny")).size
if __name__ == "__main__":
    print(one(0))
    with mp.get_context("fork").Pool(2) as pool:
        print(pool.map(one, range(4)))
"""
    environment = {k: v for k, v in os.environ.items() if k != "SR_PLUGINS_BACKEND"}
    done = warm_python.python("-c", code, env=environment, timeout=240, whole_end=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(80, 60)", str([(80, 60)] * 4)]


def one_size(seed: int) -> tuple[int, ...]:
    with Upscaler(blur(), backend="torch") as upscaler:
        return upscaler.upscale(gray(seed)).planes[0].shape


def test_spawned_processes_need_no_care() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(one_size, [1]) == [(80, 100)]

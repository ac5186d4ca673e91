"""The worker and its client: pixels, and whatever else may come over a pipe."""

import contextlib
import io
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import warm_python
from hypothesis import given, settings
from hypothesis import strategies as st

from gimp_bridge import worker as worker_module
from gimp_bridge.plug_in.sr_upscale.worker_client import (
    LARGEST_HEADER,
    LARGEST_PAYLOAD,
    LENGTHS,
    MAGIC,
    PROTOCOL,
    ProtocolError,
    Worker,
    WorkerError,
    middle,
    read_header,
    worker_environment,
    write_message,
)
from gimp_bridge.worker import Answerer, Hello, Look, Picture, model_choices, read_request, serve
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins import settings as settings_module
from sr_plugins.errors import SRError
from sr_plugins.estimation.sight import middle as looked_at
from sr_plugins.weights.safetensors_files import write_weights

HELLO = {"type": "hello", "protocol": PROTOCOL}
CHOICE = {"model": "blur", "scale": 2, "self_ensemble": False}
UPSCALE = {"type": "upscale", "width": 5, "height": 3, "channels": 4, "depth": "u8", **CHOICE}
PIXELS = bytes(range(5 * 3 * 4))
COMMAND = [sys.executable, "-P", "-m", "gimp_bridge.worker", "--device", "cpu"]


def message(header: dict[str, Any], payload: bytes = b"") -> bytes:
    stream = io.BytesIO()
    write_message(stream, header, len(payload), [payload])
    return stream.getvalue()


def raw(header: bytes, header_size: int | None = None, payload_size: int = 0) -> bytes:
    return LENGTHS.pack(MAGIC, len(header) if header_size is None else header_size, payload_size) + header


# -- what the worker reads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "dtype", "channels"), [("u8", np.uint8, 4), ("u16", np.uint16, 3), ("float", np.float32, 1)]
)
def test_a_request_carries_its_pixels(depth: str, dtype: type, channels: int) -> None:
    pixels = np.arange(5 * 3 * channels, dtype=dtype).reshape(3, 5, channels)
    header = {**UPSCALE, "channels": channels, "depth": depth}
    request = read_request(io.BytesIO(message(header, pixels.tobytes())))
    assert isinstance(request, Picture)
    np.testing.assert_array_equal(request.pixels, pixels)
    assert (request.pixels.dtype, request.model, request.scale) == (dtype, "blur", 2)
    assert request.self_ensemble is False


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="not ours"),
        pytest.param(raw(b"{}"), id="no type"),
        pytest.param(raw(b"[1]"), id="no object"),
        pytest.param(raw(b"\xff\xfe"), id="no text"),
        pytest.param(raw(b"[" * 100_000), id="deep nesting"),
        pytest.param(raw(b"", LARGEST_HEADER + 1), id="header over the limit"),
        pytest.param(raw(b"", 0, LARGEST_PAYLOAD + 1), id="payload over the limit"),
        pytest.param(message({"type": "format the disk"}), id="unknown type"),
        pytest.param(message({**HELLO, "protocol": PROTOCOL + 1}), id="other version"),
        pytest.param(message(UPSCALE, PIXELS + b"x"), id="a byte too many"),
        pytest.param(message(UPSCALE, PIXELS[1:]), id="a byte too few"),
        pytest.param(message({**UPSCALE, "width": 0}), id="no width"),
        pytest.param(message({**UPSCALE, "width": 5.0}, PIXELS), id="width no integer"),
        pytest.param(message({**UPSCALE, "width": True}, PIXELS), id="width a truth value"),
        pytest.param(message({**UPSCALE, "height": 1 << 20, "width": 1 << 20}), id="sides over the limit"),
        pytest.param(message({**UPSCALE, "channels": 5}, PIXELS), id="channels"),
        pytest.param(message({**UPSCALE, "depth": "u12"}, PIXELS), id="depth"),
        pytest.param(message({**UPSCALE, "depth": []}, PIXELS), id="depth no name"),
        pytest.param(message({**UPSCALE, "scale": 1e9}, PIXELS), id="scale"),
        pytest.param(message({**UPSCALE, "model": None}, PIXELS), id="model"),
        pytest.param(message({**UPSCALE, "self_ensemble": 1}, PIXELS), id="self-ensemble"),
    ],
)
def test_what_is_no_request_is_refused(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_request(io.BytesIO(stream))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(raw))
def test_garbage_is_an_error_or_the_end(stream: bytes) -> None:
    with pytest.raises((ProtocolError, EOFError)):
        read_request(io.BytesIO(stream))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(sorted(UPSCALE)), json_values, st.binary(max_size=80))
def test_a_wrong_field_is_an_error_or_the_end(field: str, value: Any, payload: bytes) -> None:
    with contextlib.suppress(ProtocolError, EOFError):
        request = read_request(io.BytesIO(message({**UPSCALE, field: value}, payload)))
        assert isinstance(request, Hello) or request.pixels.nbytes == len(payload)


@given(st.integers(0, len(message(UPSCALE, PIXELS)) - 1))
def test_a_request_cut_short_is_the_end(length: int) -> None:
    with pytest.raises(EOFError):
        read_request(io.BytesIO(message(UPSCALE, PIXELS)[:length]))


# -- the serving loop ------------------------------------------------------------------------------------------------


class Busy(Answerer):
    """Answers like the real one, once it is let go; a hang of the loop is ended by the test's own limit."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.let_go = threading.Event()

    def __call__(self, request: Hello | Picture) -> tuple[dict[str, Any], Any]:
        self.let_go.wait()
        return {"type": "hello"}, None


class Counting(io.BytesIO):
    """A sink that lets an answerer go when it was given so many messages."""

    def __init__(self, answerer: Busy, messages: int) -> None:
        super().__init__()
        self.answerer, self.messages = answerer, messages

    def flush(self) -> None:  # once a message
        self.messages -= 1
        if self.messages == 0:
            self.answerer.let_go.set()


def served(
    stream: bytes, answerer: Answerer, sink: io.BytesIO | None = None
) -> tuple[int | None, list[dict[str, Any]]]:
    """What the loop returns and says when fed this stream; status None if it hung up instead."""
    end: queue.Queue[int | None] = queue.Queue()
    sink = sink or io.BytesIO()
    source = io.BytesIO(stream)
    thread = threading.Thread(target=lambda: end.put(serve(source, sink, answerer, lambda: end.put(None))), daemon=True)
    thread.start()
    status = end.get()
    sink.seek(0)
    said = []
    with contextlib.suppress(EOFError):
        while True:
            header, size = read_header(sink)
            sink.read(size)
            said.append(header)
    return status, said


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=100))
def test_the_loop_ends_on_any_input(stream: bytes) -> None:
    answerer = Busy()
    answerer.let_go.set()
    status, said = served(stream, answerer)
    assert (status, [header["type"] for header in said]) in ((None, []), (2, ["error"]))


def test_the_loop_ends_while_busy() -> None:
    answerer = Busy()
    status, _ = served(message(HELLO), answerer)
    assert status is None
    assert not answerer.let_go.is_set()  # the answer is still under way
    answerer.let_go.set()


def test_progress_is_told_while_an_answer_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT", 0.001)
    answerer = Busy()
    status, said = served(message(HELLO) + b"end" * 10, answerer, Counting(answerer, 3))  # answers after three
    assert status == 2
    kinds = [header["type"] for header in said]
    assert kinds == ["progress"] * (len(kinds) - 2) + ["hello", "error"]
    assert len(kinds) >= 5
    assert said[0]["text"].endswith(" s, starting")


class Tiled(Answerer):
    """Shares of a picture as they come from an upscaler whose tiles are small."""

    shares: list[float | None]

    def _tile_done(self, done: int, count: int) -> None:
        super()._tile_done(done, count)
        self.shares.append(self.share)


def test_how_much_of_a_picture_is_done_is_known_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answerer = Tiled("cpu")
    answerer.shares = []
    picture = Picture(np.zeros((90, 120, 1), np.uint8), "tiny", 2, False)
    monkeypatch.setitem(settings_module.DEFAULTS, "tile", 48)
    answerer(picture)
    count = len(answerer.shares)
    assert count > 2
    assert sorted(filter(None, answerer.shares)) == [(n + 1) / count for n in range(count)]
    assert answerer.share is None  # of the next one nothing is known yet


def test_the_middle_shows_what_the_whole_does() -> None:
    for length in (*range(1, 40), *range(760, 800), 1251, 4000):
        first, kept = middle(length)
        assert slice(first, first + kept) == looked_at(length)
        assert middle(kept) == (0, kept)


def test_the_worker_says_which_model_suits_a_picture() -> None:
    header = {"type": "look", "width": 5, "height": 3, "channels": 4, "depth": "u8", "scale": 2}
    request = read_request(io.BytesIO(message(header, PIXELS)))
    assert isinstance(request, Look)
    answer, pixels = Answerer("cpu")(request)
    assert pixels is None
    line = "no trace of compression, no noise: fast x2; model quality for the best and slowest"
    assert answer == {"type": "choice", "model": "fast", "line": line}


def test_after_a_failed_switch_the_last_network_still_answers(fast_weights: Path) -> None:
    answerer = Answerer("cpu")
    good = Picture(np.full((4, 4, 3), 77, np.uint8), str(fast_weights / "fast-x2.safetensors"), 2, False)
    header, pixels = answerer(good)
    with pytest.raises(SRError, match="no model called"):
        answerer(replace(good, model="nosuch"))
    again, same = answerer(good)
    assert again == header == {"type": "result", "width": 8, "height": 8}
    assert pixels is not None
    np.testing.assert_array_equal(pixels, same)


def torch_allocates_too_much() -> None:
    import torch

    torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize("fails", [lambda: np.empty(1 << 60, np.uint8), torch_allocates_too_much])
def test_lack_of_memory_is_told_as_such(fails: Callable[[], object]) -> None:
    class Large(Answerer):
        def __call__(self, request: Hello | Picture) -> tuple[dict[str, Any], Any]:
            fails()
            raise AssertionError("that much memory is nowhere")

    _, said = served(message(HELLO) + b"end" * 10, Large("cpu"))
    assert said[0] == {"type": "error", "message": "not enough memory for the result: choose a smaller scale"}


def test_models_without_weights_are_not_offered() -> None:
    from sr_plugins.plugins import plugins

    first, *others = model_choices(plugins().models())
    assert (first["name"], first["scales"]) == ("auto", [2, 3, 4])
    for choice in others:
        assert choice["scales"]
        assert all(plugins().model(choice["name"], scale).weights for scale in choice["scales"])


# -- the real worker process -----------------------------------------------------------------------------------------


@pytest.fixture
def fast_weights(tmp_path: Path) -> Path:
    """A folder with weights for the registered model ``fast`` at scale 2: untrained, but a real network."""
    import torch

    from sr_plugins.plugins import plugins

    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = plugins().model("fast", 2).build()
    write_weights(tmp_path / "fast-x2.safetensors", network, {"model": "fast", "scale": 2})
    return tmp_path


def ended(stream: bytes) -> subprocess.CompletedProcess[bytes]:
    """The worker that was given no more than this."""
    return warm_python.called(*COMMAND[1:], given=stream, timeout=60)


def process(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def test_the_process_gives_the_cores_pixels(fast_weights: Path) -> None:
    environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "SR_PLUGINS_WEIGHTS": str(fast_weights)}
    rng = np.random.default_rng(5)
    said: list[str] = []
    with Worker({"argv": COMMAND, "environment": environment}) as worker:
        for channels, depth, dtype in ((4, "u8", np.uint8), (1, "u16", np.uint16), (2, "float", np.float32)):
            top = 1 if depth == "float" else np.iinfo(dtype).max
            pixels = (rng.random((9, 14, channels)) * top).astype(dtype)
            request = {"width": 14, "height": 9, "channels": channels, "depth": depth, **CHOICE, "model": "fast"}
            request["self_ensemble"] = channels == 1
            assert worker.upscale(request, [pixels.tobytes()], lambda text, share: said.append(text)) == (28, 18)
            answer = np.frombuffer(worker.read(28 * 18 * channels * pixels.itemsize), dtype).reshape(18, 28, channels)
            planes = [pixels[:, :, c] for c in range(channels)]
            alpha = planes.pop() if channels in (2, 4) else None
            format = FrameFormat(
                family="rgb" if channels > 2 else "gray", bits=8 * pixels.itemsize, is_float=depth == "float"
            )
            path, ensemble = fast_weights / "fast-x2.safetensors", channels == 1
            with Upscaler(path, 2, device="cpu", self_ensemble=ensemble) as upscaler:
                frame = upscaler.upscale(Frame(planes, format, alpha))
            expected = [*frame.planes, *(() if frame.alpha is None else (frame.alpha,))]
            np.testing.assert_array_equal(answer, np.stack(expected, axis=-1))
        look = {"width": 14, "height": 9, "channels": 2, "depth": "float", "scale": 2}
        assert worker.choose(look, [pixels.tobytes()])[0] == "fast"
        request["model"] = "fats"
        with pytest.raises(WorkerError, match="did you mean 'fast'"):
            worker.upscale(request, [pixels.tobytes()])
    assert worker.process.returncode == 0


def test_the_process_refuses_garbage_and_ends() -> None:
    header, _ = read_header(io.BytesIO(ended(b"garbage, long enough for a header").stdout))
    assert header["type"] == "error"
    assert "expected a message" in header["message"]


@pytest.mark.parametrize("stream", [b"", message(HELLO)[:7], message(UPSCALE, PIXELS)[:-1]])
def test_the_process_ends_quietly_with_its_input(stream: bytes) -> None:
    worker = ended(stream)
    assert (worker.returncode, worker.stdout, worker.stderr) == (0, b"", b"")


FORKING = """
import multiprocessing, os, time
from sr_plugins import hookimpl

def linger(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

@hookimpl
def sr_models():
    path = os.environ["CHILD"]
    child = multiprocessing.get_context("fork").Process(target=linger, args=(path + ".part",))
    child.start()
    while not (os.path.exists(path + ".part") and os.path.getsize(path + ".part")):
        time.sleep(0.01)
    os.rename(path + ".part", path)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_the_process_leaves_no_child_behind(tmp_path: Path) -> None:
    """A plugin forks while the worker listens: the child must run, and must go when GIMP does."""
    info = tmp_path / "sr_plugins_forking-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sr-plugins-forking\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sr_plugins]\nforking = sr_plugins_forking\n")
    (tmp_path / "sr_plugins_forking.py").write_text(FORKING)
    path = os.pathsep.join((os.environ.get("PYTHONPATH", ""), str(tmp_path)))
    worker = process(PYTHONPATH=path, CHILD=str(tmp_path / "child"))
    assert worker.stdin is not None
    worker.stdin.write(message(HELLO))
    worker.stdin.flush()
    deadline = time.monotonic() + 60
    while not (tmp_path / "child").exists():
        assert worker.poll() is None
        assert time.monotonic() < deadline, "the child never ran"
        time.sleep(0.02)
    child = int((tmp_path / "child").read_text())
    os.kill(child, 0)
    worker.communicate(timeout=60)  # closes its stdin; returns only when the child has let go of stdout, too
    assert worker.returncode == 0


# -- what the client makes of a bad worker ----------------------------------------------------------------------------

GOOD_HELLO = message({**HELLO, "version": "1", "models": []})


@contextlib.contextmanager
def client(tmp_path: Path, says: bytes, then: str = "cat >/dev/null", silence: float = 30) -> Iterator[Worker]:
    """A client of a shell script that says these bytes, whatever it hears."""
    (tmp_path / "says").write_bytes(says)
    with Worker({"argv": ["/bin/sh", "-c", f"cat '{tmp_path}/says'; {then}"]}, silence) as worker:
        yield worker


def ask(worker: Worker) -> bytes:
    width, height = worker.upscale(UPSCALE, [PIXELS])
    return worker.read(width * height * 4)


RESULT = {"type": "result", "width": 10, "height": 6}


@pytest.mark.parametrize(
    ("says", "then", "expected"),
    [
        (b"Traceback, but on stdout", "", "expected a message"),
        (b"", "echo no module named torch >&2; exit 3", "exit status 3.*no module named torch.*srp gimp status"),
        (message({"type": "error", "message": "cure it"}), "", "^cure it$"),
        (message({**HELLO, "protocol": 99}), "cat", "another version"),
        (GOOD_HELLO + message({"type": "error", "message": "no such model"}), "", "^no such model$"),
        (GOOD_HELLO + message(RESULT, bytes(3)), "", "expected result, got result with 3 bytes"),
        (GOOD_HELLO + message({**RESULT, "width": 6, "height": 10}, bytes(240)), "", "returned 6 x 10"),
        (GOOD_HELLO + message({**RESULT, "width": -1}), "", "not the side"),
        (GOOD_HELLO + message({"type": "progress", "text": "x"}, b"payload"), "", "got progress with 7 bytes"),
        (GOOD_HELLO + message(RESULT, bytes(240))[:-1], "", "exit status 0"),
        (GOOD_HELLO, "kill -9 $$", "exit status -9"),
    ],
)
def test_a_bad_worker_is_a_clear_error(tmp_path: Path, says: bytes, then: str, expected: str) -> None:
    with pytest.raises(WorkerError, match=expected), client(tmp_path, says, then) as worker:
        ask(worker)


@settings(deadline=None, max_examples=40)
@given(st.booleans(), st.binary(max_size=60) | st.binary(max_size=40).map(raw))
def test_no_worker_makes_the_client_hang(tmp_path_factory: pytest.TempPathFactory, hello: bool, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("worker")
    with (
        pytest.raises(WorkerError),
        client(folder, (GOOD_HELLO if hello else b"") + noise, "") as worker,
    ):
        ask(worker)


@pytest.mark.parametrize("says", [b"", GOOD_HELLO])
def test_a_silent_worker_is_ended(tmp_path: Path, says: bytes) -> None:
    with (
        pytest.raises(WorkerError, match="silent for 1 seconds"),
        client(tmp_path, says, "exec sleep 60", silence=1) as worker,
    ):
        ask(worker)


def test_a_worker_that_does_not_read_is_ended(tmp_path: Path) -> None:
    large = {**UPSCALE, "width": 2000, "height": 1000}
    with (
        pytest.raises(WorkerError, match="silent"),
        client(tmp_path, GOOD_HELLO, "exec sleep 60", silence=1) as worker,
    ):
        worker.upscale(large, [bytes(2000 * 1000 * 4)])


def test_a_result_that_arrived_whole_counts(tmp_path: Path) -> None:
    result = bytes(range(240))
    with client(tmp_path, GOOD_HELLO + message(RESULT, result), "exit 1") as worker:
        assert ask(worker) == result


def test_a_worker_that_is_not_there() -> None:
    with pytest.raises(WorkerError, match=r"/no/python cannot be started .* 'srp gimp install'"):
        Worker({"argv": ["/no/python"]})


def test_an_announced_size_is_kept() -> None:
    with pytest.raises(ProtocolError, match="announced as 4 bytes and is 3"):
        write_message(io.BytesIO(), HELLO, 4, [b"abc"])


def test_the_worker_does_not_inherit_what_gimp_set_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "PYTHONHOME",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "GI_TYPELIB_PATH",
        "GIO_MODULE_DIR",
        "DYLD_LIBRARY_PATH",
    ):
        monkeypatch.setenv(name, "/Applications/GIMP.app")
    monkeypatch.setenv("HOME", "/home/someone")
    environment = worker_environment({"SR_PLUGINS_WEIGHTS": "/weights"})
    assert "/Applications/GIMP.app" not in environment.values()
    assert (environment["HOME"], environment["SR_PLUGINS_WEIGHTS"]) == ("/home/someone", "/weights")

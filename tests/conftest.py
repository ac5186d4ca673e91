"""Fixtures every test may use."""

import copy
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from sr_plugins.plugins import plugins
from sr_plugins.video.ffmpeg_process import bundled_ffmpeg
from sr_plugins.weights.without_telemetry import import_onnxruntime, import_openvino

REPOSITORY = Path(__file__).parent.parent

# By file: what takes longest begins first, so that at the end no worker is alone with it. (xdist keeps this order, see
# Makefile.)
LONGEST = (
    "backends/test_backends.py",
    "video/test_cluster.py",
    "gimp_bridge/test_gimp3.py",
    "training/test_trainer.py",
    "cli/test_cli.py",
    "cli/test_nothing_leaves.py",
    "backends/test_memory.py",
    "vapoursynth_filter/test_vspipe.py",
    "video/test_resume.py",
    "training/test_adaptation.py",
    "backends/test_selection.py",
    "evaluation/test_speed.py",
    "training/test_queue.py",
    "estimation/test_choice.py",
    "exporters/test_onnx.py",
    "engine/test_reuse.py",
    "training/test_degradation_learning.py",
    "test_docs.py",
    "test_examples.py",
    "test_same_bytes.py",
)

# Tests import the runtimes as they come, to judge by: neither is to report to its makers from here either.
import_onnxruntime()
import_openvino()

# Which backend is fastest depends on what else the machine does; tests of that choice unset it.
os.environ.setdefault("SR_PLUGINS_BACKEND", "torch")

# A run says something of the change that is tried, so that it draws the same examples as the run before; for new ones:
# pytest --hypothesis-profile=default. How long an example takes decides nothing.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# A system's ffmpeg loads hundreds of libraries each time it starts, 0.15 s of a processor, and there are thousands of
# starts. Where they may differ both are tried (video_clips.both_ffmpegs); which one is found is a test of its own.
if bundled := bundled_ffmpeg():
    os.environ.setdefault("SR_PLUGINS_FFMPEG", bundled)


def pytest_collection_finish() -> None:
    """What was imported stays: tests that count what is collected need not look through it each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_collect_directory() -> Generator[None, pytest.Collector | None, pytest.Collector | None]:
    """Every other worker begins at the last file: in a fresh clone each then compiles half of them, not all."""
    found = yield
    if found is not None and int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2:
        collect = found.collect
        found.collect = lambda: reversed([*collect()])  # type: ignore[method-assign]
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {REPOSITORY / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (places.get(item.path, len(places)), item.path))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with training pictures, test sets and clips; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("SR_PLUGINS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no test data: set SR_PLUGINS_TEST_DATA to a folder with benchmark/, train/ and video/")
    return folder


@pytest.fixture(scope="session")
def operators_read_once() -> Iterator[None]:
    """``torch.onnx.export`` reads the source of all its operators each time, nearly two seconds; here they stay."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    read = cache(ONNXRegistry.from_torchlib)

    def copied(opset_version: int | None = None) -> ONNXRegistry:
        made = copy.copy(read() if opset_version is None else read(opset_version))
        made.functions = {name: [*found] for name, found in made.functions.items()}
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(copied))
        yield


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution on the import path as pip would: its module, its metadata and its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def do(name: str, source: str, version: str = "1.0") -> None:
        module = name.replace("-", "_")
        # a module of the same name imported for an earlier test must not answer for this one
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[sr_plugins]\n{module} = {module}\n")

    return do


@pytest.fixture
def fresh_plugins() -> Iterator[None]:
    """The plugins of this process are found anew, now and after the test."""
    plugins.cache_clear()
    yield
    plugins.cache_clear()

"""What decides which backend is the fastest: frames through the core, on a machine that nobody else uses."""

import threading
import time

import pytest
import torch
from fakes import blur, on_cpu, with_lanes
from torch import Tensor, nn

from sr_plugins.backends.selection import Candidate
from sr_plugins.engine import measuring
from sr_plugins.engine.engine import Engine
from sr_plugins.engine.measuring import speeds
from sr_plugins.interface.model import LoadedModel
from sr_plugins.plugins import Plugins


def candidates(loaded: LoadedModel, plugins: Plugins, *names: str) -> list[Candidate]:
    built = [(name, plugins.backend(name).build(loaded.network, on_cpu())) for name in names]
    return [Candidate(name, "float32", runner) for name, runner in built]


def engines(loaded: LoadedModel, plugins: Plugins, made: list[Engine]):  # type: ignore[no-untyped-def]
    def make(candidate: Candidate, device: str) -> Engine:
        settings = {
            "tile": "auto",
            "batch": "auto",
            "self_ensemble": False,
            "reuse": False,
            "strength": 1.0,
            "overlap": "auto",
        }
        engine = Engine(
            loaded,
            plugins,
            device=device,
            backend=candidate.name,
            precision=candidate.precision,
            **settings,  # type: ignore[arg-type]
        )
        made.append(engine)
        return engine

    return make


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short, and without the rule about other programs, which there are."""
    monkeypatch.setattr(measuring, "ALONE", 0.0)
    monkeypatch.setattr(measuring, "SECONDS", 0.02)
    monkeypatch.setattr(measuring, "PROBE_SECONDS", 0.02)


@pytest.mark.parametrize("channels", ["luma", "rgb"])
def test_frames_go_through_lanes_and_every_engine_ends(channels: str) -> None:
    threads: set[int] = set()

    def run(module: nn.Module, x: Tensor) -> Tensor:
        threads.add(threading.get_ident())
        y: Tensor = module(x)
        return y

    loaded, plugins, made = blur(channels=channels), with_lanes(run, 2), []  # type: ignore[arg-type,var-annotated]
    found = speeds(engines(loaded, plugins, made), loaded.spec, "cpu", candidates(loaded, plugins, "torch", "laned"))
    assert found is not None
    assert set(found) == {"torch", "laned"}
    assert min(found.values()) > 0
    assert len(threads) == 2  # both lanes, and never this thread
    assert [engine.queue.put for engine in made]  # they were real ones
    for engine in made:
        with pytest.raises(Exception, match="closed"):
            engine.queue.put(None)  # type: ignore[arg-type]


def test_nothing_is_said_of_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "ALONE", 1e9)
    loaded, plugins, made = blur(), Plugins(installed=False), []  # type: ignore[var-annotated]
    assert speeds(engines(loaded, plugins, made), loaded.spec, "cpu", candidates(loaded, plugins, "torch")) is None
    assert made == []  # and nobody waited for it


def test_frames_are_as_large_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network a thousand times slower is measured on smaller frames, not for a thousand times as long."""
    sizes: list[tuple[int, ...]] = []

    def run(module: nn.Module, x: Tensor) -> Tensor:
        sizes.append(tuple(x.shape[-2:]))
        return torch.zeros(x.shape[0], 1, 2 * x.shape[2], 2 * x.shape[3])

    loaded, plugins = blur(), with_lanes(run, 1)
    monkeypatch.setattr(measuring, "SECONDS", 0.5)
    taken = []
    for seconds in (0.0, 0.4):
        sizes.clear()
        laned = Candidate("laned", "float32", lambda x, seconds=seconds: time.sleep(seconds))  # type: ignore[misc]
        assert speeds(engines(loaded, plugins, []), loaded.spec, "cpu", [laned]) is not None
        assert len(set(sizes)) == 1
        taken.append(sizes[0])
    assert taken[1] == measuring.SIZES[-1]
    assert taken[0] in measuring.SIZES[:-1]  # which, depends on what else runs here

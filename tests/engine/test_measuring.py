"""What decides which backend is the fastest: frames through the core, on a machine that nobody else uses."""

import threading

import pytest
import torch
from fakes import blur, on_cpu, with_lanes
from torch import Tensor, nn

from sr_plugins.backends.selection import Candidate
from sr_plugins.engine import measuring
from sr_plugins.engine.engine import Engine
from sr_plugins.engine.measuring import BUSY, SLOW, speeds
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


class Clock:
    """A time that passes by computing, and a little whenever it is asked: nothing else on this machine counts."""

    def __init__(self) -> None:
        self.now, self._lock = 0.0, threading.Lock()

    def spend(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def perf_counter(self) -> float:
        self.spend(0.004)
        return self.now

    process_time = perf_counter


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Without the rule about other programs, which there are."""
    monkeypatch.setattr(measuring, "ALONE", 0.0)
    found = Clock()
    monkeypatch.setattr(measuring, "time", found)
    return found


@pytest.mark.parametrize("channels", ["luma", "rgb"])
def test_frames_go_through_lanes_and_every_engine_ends(channels: str) -> None:
    threads: set[int] = set()

    def run(module: nn.Module, x: Tensor) -> Tensor:
        if x.shape[-1] > 17:  # a frame, and no picture that foretells
            threads.add(threading.get_ident())
        y: Tensor = module(x)
        return y

    loaded, plugins, made = blur(channels=channels), with_lanes(run, 2), []  # type: ignore[arg-type,var-annotated]
    found = speeds(engines(loaded, plugins, made), loaded.spec, "cpu", candidates(loaded, plugins, "torch", "laned"))
    assert isinstance(found, dict)
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
    assert speeds(engines(loaded, plugins, made), loaded.spec, "cpu", candidates(loaded, plugins, "torch")) == BUSY
    assert made == []  # and nobody waited for it


SMALL = 17 * 17  # pixels of the picture that a trial computes, and foretells by


@pytest.mark.parametrize("others", [0.1, 30.0, 10_000.0], ids=lambda factor: f"x{factor:g}")
@pytest.mark.parametrize("count", [1, 6])
def test_three_seconds_are_all_it_takes_whatever_a_pixel_costs(others: float, count: int, clock: Clock) -> None:
    """A plain backend of any speed, beside others that are slower or faster by any factor: a second of lag at most."""
    results = set()
    for exponent in range(-8, -2, 2):
        costs = {"plain": 10.0**exponent, "laned": others * 10.0**exponent}  # of a pixel
        in_use = ["plain"]

        def run(module: nn.Module, x: Tensor) -> Tensor:
            clock.spend(costs[in_use[0]] * x[0, 0].numel())  # noqa: B023
            return torch.zeros(x.shape[0], 1, 2 * x.shape[2], 2 * x.shape[3])

        loaded, plugins = blur(), with_lanes(run, 2)
        real = engines(loaded, plugins, [])

        def make(candidate: Candidate, device: str) -> Engine:
            in_use[0] = candidate.precision  # noqa: B023
            return real(Candidate("laned", "float32", candidate.runner), device)  # type: ignore[no-any-return] # noqa: B023

        def candidate(name: str) -> Candidate:
            return Candidate(name, name, lambda x: clock.spend(costs[name] * x[0, 0].numel()))  # type: ignore[arg-type,misc] # noqa: B023

        clock.now = 0.0
        found = speeds(make, loaded.spec, "cpu", [candidate("plain"), *[candidate("laned")] * count])
        small = SMALL * (costs["plain"] + costs["laned"] * count)  # by which nothing is foretold but itself
        assert clock.now <= measuring.IN_ALL + small + 1.0, (costs, found)
        assert isinstance(found, dict) or found == SLOW
        results.add(type(found))
    assert results == {dict, str}  # a hundred millionth of a second a pixel is measured, a ten thousandth is not


def test_frames_are_as_large_as_there_is_time_for(clock: Clock) -> None:
    """A network a thousand times slower is measured on smaller frames, not for a thousand times as long."""
    sizes: list[tuple[int, ...]] = []

    def run(module: nn.Module, x: Tensor) -> Tensor:
        sizes.append(tuple(x.shape[-2:]))
        return torch.zeros(x.shape[0], 1, 2 * x.shape[2], 2 * x.shape[3])

    loaded, plugins = blur(), with_lanes(run, 1)
    taken = []
    for seconds in (0.0, 5e-6):  # a pixel
        sizes.clear()
        laned = Candidate("laned", "float32", lambda x, seconds=seconds: clock.spend(seconds * x[0, 0].numel()))  # type: ignore[misc]
        assert isinstance(speeds(engines(loaded, plugins, []), loaded.spec, "cpu", [laned]), dict)
        taken.append(max(sizes))
    assert taken[0] in measuring.SIZES[:-1]
    assert taken[1] == measuring.SIZES[-1]

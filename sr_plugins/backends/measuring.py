"""How fast backends run a network here, and whether anything else ran meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

from sr_plugins.interface.backend import Runner
from sr_plugins.interface.model import ModelSpec

SIZE = (180, 320)  # height and width of the picture that is measured
SECONDS = 0.7  # for each backend, two of them three seconds with what is measured twice
MOST_CALLS = 24
ALONE = 0.85  # of the processor time that there was, to believe a measurement

Measured = dict[str, float] | None  # pictures a second by backend; None: the machine was busy


def speeds(spec: ModelSpec, device: str, runners: Sequence[tuple[str, Runner, int]]) -> Measured:
    """Pictures of 320x180 a second by backend, with as many calls at once as the engine makes.

    The first of ``runners`` (name, runner, lanes) computes in this process, on all its threads: it is measured before
    the others and after them, and tells by its processor time whether it was alone. Where it was not, what was measured
    says more about the other programs: ``None``.
    """
    import torch

    x = torch.rand(1, spec.planes_in, *SIZE, device=device)
    results: dict[str, float] = {}
    share = 1.0
    for name, runner, lanes in (*runners, runners[0]):
        runner(x)  # compiles
        processor, start = time.process_time(), time.perf_counter()
        pictures = _calls(lanes, lambda runner=runner: runner(x))  # type: ignore[misc]
        seconds = time.perf_counter() - start
        if name == runners[0][0]:
            threads = min(torch.get_num_threads(), os.cpu_count() or 1)
            share = min(share, (time.process_time() - processor) / (seconds * threads))
        results[name] = max(results.get(name, 0.0), pictures / seconds)
    return results if share >= ALONE else None


def _calls(lanes: int, call: Callable[[], object]) -> int:
    """Calls made by ``lanes`` threads at once for a while, at least one each."""
    failures: list[Exception] = []
    made: list[int] = []
    end = time.perf_counter() + SECONDS

    def work() -> None:
        count = 0
        try:
            while count == 0 or (time.perf_counter() < end and count < MOST_CALLS):
                call()
                count += 1
        except Exception as error:
            failures.append(error)
        made.append(count)

    threads = [threading.Thread(target=work) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(made)

"""Everything at once, for minutes: no leak, no hang, and every picture the right one.

    python benchmarks/soak.py --minutes 20

Eight threads enlarge frames of four formats by two models, over and over, while backends fail at random, models are
switched, upscalers are closed under those who use them, the process forks, and (on Linux) memory is short now and then.
A frame gives the right samples or one error of ours; afterwards memory and threads are where they were.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from sr_plugins import BackendSpec, Frame, FrameFormat, Upscaler, hookimpl
from sr_plugins.errors import SRError
from sr_plugins.interface.backend import Placement, Runner
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.plugins import Plugins

FORMATS = (
    FrameFormat(family="gray"),
    FrameFormat(family="yuv", subsampling=(1, 1)),
    FrameFormat(family="yuv", subsampling=(1, 0), bits=10),
    FrameFormat(family="rgb", bits=16),
)
MODELS = (("tiny", 2), ("realtime", 3))
THREADS = 8
WAIT = 120  # seconds for one frame, after which it counts as a hang
FAILURES = (MemoryError, torch.OutOfMemoryError, KeyError, ValueError)


def frame(seed: int, format: FrameFormat) -> Frame:
    rng = np.random.default_rng(seed)
    width, height = 40 + 8 * (seed % 7), 32 + 4 * (seed % 5)
    sizes = [format.plane_size(i, width, height)[::-1] for i in range(format.planes)]
    return Frame([rng.integers(0, 1 << format.bits, size).astype(format.dtype) for size in sizes], format)


def failing(rate: float) -> Plugins:
    """Plugins with a backend ``unreliable``: torch's, but for what it raises at random."""
    chance = random.Random(0)

    def build(network: TorchNetwork, placement: Placement) -> Runner:
        module = network.runnable()

        def run(x: Tensor) -> Tensor:
            if chance.random() < rate:
                raise chance.choice(FAILURES)("soak")
            with torch.inference_mode():
                y: Tensor = module(x)
            return y

        return run

    class Plugin:
        @hookimpl
        def sr_backends(self) -> list[BackendSpec]:
            return [
                BackendSpec(
                    name="unreliable",
                    build=build,  # type: ignore[arg-type]
                    precisions=lambda device: ("float32",),
                    lanes=lambda device: 2,
                    forks=True,
                )
            ]

    found = Plugins(installed=False)
    found.register(Plugin(), "sr-plugins-soak")
    return found


class Soak:
    """The upscalers in use, what came out, and the threads that use them."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.plugins = failing(0.02)
        self.right = {key: self._reference(*key) for key in range_of_keys()}
        self.changing = threading.Lock()
        self.upscalers = [self._new() for _ in MODELS]

    @staticmethod
    def _reference(model: int, seed: int, format: int) -> Frame:
        with Upscaler(*MODELS[model], backend="torch", precision="float32", device="cpu") as upscaler:
            return upscaler.upscale(frame(seed, FORMATS[format]))

    def _new(self) -> list[Upscaler]:
        common = {"precision": "float32", "device": "cpu"}
        backend = random.choice(("torch", "unreliable", "unreliable"))
        return [
            Upscaler(name, scale, backend=backend, tile=random.choice(("auto", 96)), plugins=self.plugins, **common)
            for name, scale in MODELS
        ]

    def enlarge(self, number: int) -> None:
        """One thread's work."""
        chance = random.Random(number)
        while time.monotonic() < self.until and not self.wrong:
            model, seed, format = chance.choice(range_of_keys())
            with self.changing:
                upscaler = self.upscalers[number % len(self.upscalers)][model]
            try:
                result = upscaler.submit(frame(seed, FORMATS[format])).result(WAIT)
            except SRError as error:
                self.counts[type(error).__name__] += 1
                if "\n" in str(error):
                    self.wrong.append(f"an error of several lines: {error}")
            except TimeoutError:
                self.wrong.append(f"no answer in {WAIT} s: {upscaler.description}")
            else:
                self.counts["frames"] += 1
                if not near(result, self.right[model, seed, format]):
                    self.wrong.append(f"other pixels: model {model}, seed {seed}, format {format}")

    def disturb(self) -> None:
        """Close and switch upscalers, fork, and take memory away, until the time is up."""
        chance = random.Random(1)
        while time.monotonic() < self.until and not self.wrong:
            time.sleep(1)
            kind = chance.choice(("switch", "fork", "memory"))
            self.counts[kind] += 1
            if kind == "switch":
                place, fresh = chance.randrange(len(self.upscalers)), self._new()
                with self.changing:
                    old, self.upscalers[place] = self.upscalers[place], fresh
                for upscaler in old:
                    upscaler.close()
            elif kind == "fork" and hasattr(os, "fork"):
                self._fork()
            elif kind == "memory" and sys.platform == "linux":
                used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), resource.RLIM_INFINITY))
                time.sleep(0.5)
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def _fork(self) -> None:
        with self.changing:
            upscaler = next((u for pair in self.upscalers for u in pair if "torch" in u.description), None)
        if upscaler is None:
            return
        model = [name for name, _ in MODELS].index(upscaler.loaded.spec.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which is what this is about
            child = os.fork()
        if child == 0:
            signal.alarm(WAIT)
            try:
                same = near(upscaler.upscale(frame(1, FORMATS[0])), self.right[model, 1, 0])
            except SRError:
                same = True  # closed meanwhile
            os._exit(0 if same else 1)
        _, status = os.waitpid(child, 0)
        if status:
            self.wrong.append(f"a forked child ended with {status}")


def range_of_keys() -> list[tuple[int, int, int]]:
    """(model, seed, format) of all frames."""
    return [(m, s, f) for m in range(len(MODELS)) for s in range(6) for f in range(len(FORMATS))]


def near(a: Frame, b: Frame) -> bool:
    """Whether two frames are the same to one code in 8 bits, which is what tiles may differ by in torch's float32."""
    most = 1 << max(0, a.format.bits - 8)
    pairs = zip(a.samples(), b.samples(), strict=True)
    return all(p.shape == q.shape and int(np.abs(p.astype(int) - q).max()) <= most for p, q in pairs)


def memory() -> float:
    """MiB of this process that are resident."""
    if sys.platform != "linux":
        return 0.0
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    asked = parser.parse_args()
    soak = Soak(asked.minutes * 60)
    threads = [threading.Thread(target=soak.enlarge, args=(i,)) for i in range(THREADS)]
    threads.append(threading.Thread(target=soak.disturb))
    for thread in threads:
        thread.start()
    seen: list[float] = []
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(5.0, asked.minutes * 6))
        seen.append(memory())
    for pair in soak.upscalers:
        for upscaler in pair:
            upscaler.close()
    gc.collect()
    lanes = [thread.name for thread in threading.enumerate() if thread.name.startswith("sr_plugins-")]
    if lanes:
        soak.wrong.append(f"threads that did not end: {lanes}")
    print("| what | times |\n|---|---:|")
    for what, times in sorted(soak.counts.items()):
        print(f"| {what} | {times} |")
    quarters = [median(part) for part in np.array_split(seen, 4) if len(part)]
    print("\nmemory, MiB, median of each quarter:", *(f"{quarter:.0f}" for quarter in quarters))
    print(*soak.wrong, sep="\n")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""What adapting to one film gains, where the truth is known: ``python benchmarks/adapt_film.py FILM``.

The film is made small by a chain that no recipe holds and compressed as H.264; ``srp adapt`` gets that small film and
nothing else. Then twenty of its frames are enlarged by bicubic, by ``realtime`` and ``restore`` as shipped, and by the
adapted weights, and compared with the film: luma PSNR, a border of two pixels left out.

Chains: ``camera`` (a tilted anisotropic blur, the mean over blocks, shot noise, CRF 23), ``soft`` (a wide blur,
Lanczos, CRF 18), ``web`` (bicubic, CRF 30) and ``clean`` (bicubic without any loss: here adapting must not harm).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from side_by_side import draw

from sr_plugins import Upscaler
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.evaluation.quality import Image, Upscale, bicubic, upscale_with
from sr_plugins.pixels.matlab import to_luma
from sr_plugins.plugins import plugins
from sr_plugins.training.adaptation.adapt_source import adapt_source
from sr_plugins.training.degradations.chain import build_chain
from sr_plugins.training.estimation.estimation import estimate, write_estimate
from sr_plugins.training.estimation.source import read_source

CHAINS: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {
    "camera": (
        [
            {"name": "gaussian_blur", "sigma": 1.5, "aspect": 0.7, "angle": 35},
            {"name": "area"},
            {"name": "poisson_noise", "photons": 4000, "gray": 1.0},
        ],
        {"crf": "23", "preset": "medium"},
    ),
    "soft": (
        [{"name": "gaussian_blur", "sigma": 2.0}, {"name": "lanczos"}],
        {"crf": "18", "preset": "medium"},
    ),
    "web": ([{"name": "bicubic"}], {"crf": "30", "preset": "medium"}),
    "clean": ([{"name": "bicubic"}], {"qp": "0", "preset": "fast"}),
}
MEASURED = 20  # frames
SHOWN = 420  # the frame in the picture, and its detail
DETAIL = np.s_[36:166, 385:535]


def frames_of(path: Path) -> Iterator[Image]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def cropped(frame: Image) -> Image:
    """Both sides a multiple of four, so that half of them can be 4:2:0."""
    return frame[: frame.shape[0] // 4 * 4, : frame.shape[1] // 4 * 4]


def make_small(film: Path, target: Path, chain: str) -> None:
    steps, options = CHAINS[chain]
    degrade = build_chain(steps, 2, Path(chain))
    with av.open(str(target), "w") as container:
        stream = None
        for i, frame in enumerate(frames_of(film)):
            small = degrade(cropped(frame), np.random.default_rng(i))
            if stream is None:
                stream = container.add_stream("libx264", 24, options=options)
                stream.height, stream.width = small.shape[:2]
                stream.pix_fmt = "yuv444p" if chain == "clean" else "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, "rgb24")))
        assert stream is not None
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--chain", choices=CHAINS, default="camera")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="folder for the small film, the estimate and the weights")
    parser.add_argument("--picture", type=Path, help="draw a detail of one frame into this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        small, recipe, weights = (folder / f"{arguments.chain}{end}" for end in (".mkv", ".toml", ".safetensors"))
        make_small(arguments.film, small, arguments.chain)
        started = time.monotonic()
        found = estimate([read_source(small)])
        write_estimate(found, recipe)
        print(f"estimated in {time.monotonic() - started:.0f} s", *found.lines(), sep="\n  ", flush=True)
        started = time.monotonic()
        adapted = adapt_source(
            [small], weights, degradation=recipe, minutes=arguments.minutes, iterations=arguments.iterations
        )
        print(f"adapted in {time.monotonic() - started:.0f} s: {adapted.way}, held-out frames {adapted.gain:+.2f} dB")

        for name, value in compared(arguments.film, small, weights).items():
            print(f"{name:8} {value:6.2f} dB")
        if arguments.picture is not None:
            draw(details(arguments.film, small, weights), arguments.picture, zoom=2)


def compared(film: Path, small: Path, weights: Path) -> dict[str, float]:
    """Mean luma PSNR of ways to enlarge some frames of ``small``; black ones do not count."""
    lows = list(frames_of(small))
    wanted = {int((i + 0.5) * len(lows) / MEASURED) for i in range(MEASURED)}
    wanted = {i for i in wanted if np.ptp(to_luma(lows[i])) > 32}
    highs = {i: to_luma(cropped(frame)) for i, frame in enumerate(frames_of(film)) if i in wanted}
    shipped = [name for name in ("realtime", "restore") if any(s.name == name and s.usable for s in plugins().models())]
    means = {"bicubic": mean_psnr(bicubic(2)[0], lows, highs)}
    for name, model in (*zip(shipped, shipped, strict=True), ("adapted", weights)):
        with Upscaler(model, 2, device="cpu", backend="torch") as upscaler:
            means[name] = mean_psnr(upscale_with(upscaler)[0], lows, highs)
    return means


def mean_psnr(enlarge: Upscale, lows: list[Image], highs: dict[int, Image]) -> float:
    return float(np.mean([psnr(enlarge(lows[i])[2:-2, 2:-2], high[2:-2, 2:-2]) for i, high in highs.items()]))


def details(film: Path, small: Path, weights: Path) -> dict[str, Image]:
    """The same detail of one frame, in R'G'B': the small film, ways to enlarge it, the film itself."""
    low = next(islice(frames_of(small), SHOWN, None))
    high = cropped(next(islice(frames_of(film), SHOWN, None)))
    pictures = {"small film": low.repeat(2, 0).repeat(2, 1)}
    for name, model in (("realtime", "realtime"), ("adapted", weights)):
        with Upscaler(model, 2, device="cpu", backend="torch") as upscaler:
            pictures[name] = upscale_with(upscaler)[1](low)
    return {name: picture[DETAIL] for name, picture in (pictures | {"film": high}).items()}


if __name__ == "__main__":
    main()

"""A quicker model for a film that will take long, and how much quicker it is here, measured."""

from __future__ import annotations

from sr_plugins.engine.windows import Seen
from sr_plugins.estimation.choice import BEST_FIRST
from sr_plugins.interface.words import PLAIN
from sr_plugins.pixels.frame import FrameFormat
from sr_plugins.upscaler import Upscaler
from sr_plugins.video.pace import SMALL, noise, pace

QUICKER = BEST_FIRST[PLAIN][BEST_FIRST[PLAIN].index(PLAIN) + 1 :]
WORTHWHILE = 0.6  # of the time: less is not worth another model


def cheaper_model(upscaler: Upscaler) -> tuple[str, float] | None:
    """A quicker model's name, and its share of the time that ``upscaler`` takes for a frame; ``None``: there is none.

    Both are measured alike, by turns, so that what else runs here counts for both.
    """
    spec = upscaler.loaded.spec
    settings = {name: value for name, value in upscaler.settings.items() if name not in ("scale", "reuse")}
    # not the film's own: frames of the film wait in its queue
    with Upscaler(upscaler.loaded, upscaler.scale, reuse=False, **settings) as same:  # type: ignore[arg-type]
        for name in QUICKER[QUICKER.index(spec.name) + 1 :] if spec.name in QUICKER else QUICKER:
            with Upscaler(name, upscaler.scale, reuse=False, **settings) as other:  # type: ignore[arg-type]
                if other.loaded.spec.scale < spec.scale:  # it would have to run twice
                    continue
                share = _seconds(other) / _seconds(same)
            if share < WORTHWHILE:
                return name, share
    return None


def _seconds(upscaler: Upscaler) -> float:
    return pace(upscaler, [Seen(noise(FrameFormat(family="gray"), *SMALL), (), ())])[1]

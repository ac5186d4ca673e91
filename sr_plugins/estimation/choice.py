"""``auto``: which model suits a picture or a film, by what shows in it; the same in every host.

The constants were fitted on 17 pictures of the training set, each in 18 states, those of errors on 12, each under seven
noises; benchmarks/auto_model.py judges them on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sr_plugins.errors import ArgumentError
from sr_plugins.estimation.sight import Sight, look_at
from sr_plugins.interface.words import PLAIN
from sr_plugins.pixels.frame import Frame
from sr_plugins.plugins import plugins as installed

if TYPE_CHECKING:
    from sr_plugins.plugins import Plugins

RESTORING, COLOURED, MOVING, HARMLESS, BEST = "restore", "photo", "film", "bicubic", "quality"
# Our models from the best to the cheapest, by what is chosen for a film that may take its time: on clean pictures by
# PSNR (docs/models.md), on what codecs left by docs/temporal.md.
BEST_FIRST = {
    PLAIN: (BEST, PLAIN, "realtime", "tiny"),
    **dict.fromkeys((MOVING, RESTORING, COLOURED), (MOVING, RESTORING, "tiny")),
    HARMLESS: (HARMLESS,),
}

# The largest scale up to which a model's network, run a second time, was better than the plain one's own weights.
AGAIN = {RESTORING: 4}

SURE = 3  # steps of quality by which what the pixels show may be off: further below, the picture was a JPEG before
COARSE = 88  # quality of JPEG up to which taking its traces away gains more than it costs in detail
COARSE_PLAIN = 83  # the same for pictures with little detail, of which JPEG takes less
PLAIN_DETAIL = 12.0  # mean square of fine detail below which a picture has little
BLURRED_AWAY = 0.5  # code values: a film whose finest frequencies are below lost them to a codec
FITTED = 2  # the scale of those enlargements whose errors are below
# The mean square error of an enlargement by two: so much for each unit of fine detail in the picture, so much for each
# unit of the noise's variance, and what there is in any case.
ERRORS = {
    PLAIN: (0.16, 2.2, 0.0),
    RESTORING: (0.21, 1.5, 0.0),
    COLOURED: (0.23, 1.0, 0.6),
    HARMLESS: (0.57, 0.72, 0.0),
}


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        model: a registered name.
        scale: of its network.
        seen: what showed in the picture, for people.
        wanted: the model that suits it; another than ``model`` where it has no weights for the scale.
        twice: whether the scale takes the network a second time.
    """

    model: str
    scale: int
    seen: str
    wanted: str
    twice: bool = False

    def line(self, option: str = "--model {}") -> str:
        """One line: what was seen, what was chosen, and how to get another by the host's own word for it."""
        chosen = f"{self.seen}: {self.model} x{self.scale}{', twice' if self.twice else ''}"
        if self.model != self.wanted:
            return f"{chosen}, as {self.wanted} has no weights for this scale"
        other, what = (BEST, "the best and slowest") if self.model == PLAIN else (PLAIN, "the plain one")
        return f"{chosen}; {option.format(other)} for {what}"


def choose_model(
    frames: Sequence[Frame],
    scale: float | None = None,
    *,
    film: bool = False,
    quality: float | None = None,
    plugins: Plugins | None = None,
) -> Choice:
    """The model for what ``frames`` show; it depends on nothing but the arguments and the models there are.

    Args:
        frames: one picture, or a few frames of a film, as they go to the upscaler.
        scale: that will be asked of the model; ``None``: its own.
        film: whether they are of a film: subsampled chroma then means that a codec was at work.
        quality: of JPEG, where the file says it.
        plugins: whose models count; those of this process by default.

    Raises:
        ArgumentError: there is no frame.
    """
    if not frames:
        raise ArgumentError("there is no picture to choose a model for")
    sight = look_at(frames)
    if quality is not None:
        earlier = sight.quality is not None and sight.quality < quality - SURE
        sight = sight if earlier else replace(sight, quality=round(quality))
    coded = film and frames[0].format.subsampling != (0, 0)
    seen, wanted = _suited(sight, coded=coded, coloured=frames[0].format.family == "rgb", far=(scale or 1) > FITTED)
    found = plugins or installed()
    scales = {
        name: sorted(spec.scale for spec in found.models() if spec.name == name and spec.usable)
        for name in (PLAIN, RESTORING, COLOURED, MOVING, HARMLESS)
    }
    fitting = (wanted, RESTORING) if wanted in (MOVING, COLOURED) else (wanted,)
    asked = scale or 1
    reach = {name: max(scales[name][-1], AGAIN.get(name, 1)) if scales[name] else 0 for name in fitting}
    model = next((name for name in fitting if reach[name] >= asked), PLAIN)
    own = next((s for s in scales[model] if s >= asked), max(scales[model], default=1))
    return Choice(model, own, seen, wanted, twice=own < asked <= own**2)


def _suited(sight: Sight, *, coded: bool, coloured: bool, far: bool) -> tuple[str, str]:
    """What was seen, in words, and the model for it; ``coded``: in frames of a film; ``coloured``: in R'G'B'.

    ``far``: by more than two. The weights of ``photo`` for that were trained to draw what JPEG took; of noise they
    make detail up, by 0.7 dB below ``restore`` run twice.
    """
    still = COLOURED if coloured else RESTORING
    restoring = MOVING if coded else still  # of what codecs leave; not of noise, of which `film` saw none
    variance = sight.noise**2

    def expected(model: str) -> float:
        detail, noise, always = ERRORS[model]
        return detail * sight.detail + noise * variance + always

    calm = RESTORING if far else still
    best = min((PLAIN, calm, HARMLESS), key=expected)
    noisy = f"noise of sigma {sight.noise:.1f}"
    little = sight.detail < PLAIN_DETAIL
    if sight.quality is not None and sight.quality <= (COARSE_PLAIN if little else COARSE):
        return f"JPEG of quality {sight.quality}", restoring
    if best == HARMLESS:
        return f"{noisy}, more than models can tell from detail", best
    if best == calm:
        return noisy, best
    if coded and (little or sight.floor < BLURRED_AWAY):
        return "a film without its finest detail, as codecs leave it", restoring
    if sight.quality is not None:
        return f"JPEG of quality {sight.quality}", PLAIN
    return "no trace of compression" + (f", {noisy}" if sight.noise >= 1 else ", no noise"), PLAIN

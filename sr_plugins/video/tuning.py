"""Which of some models keeps up with a film, here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sr_plugins.plugins import plugins as installed_plugins
from sr_plugins.settings import Settings, output_size
from sr_plugins.weights.open_model import trained_scale

if TYPE_CHECKING:
    from sr_plugins.plugins import Plugins


@dataclass(frozen=True)
class Measured:
    """A model as it was measured: ``fps`` frames a second; ``whole``: of whole frames, not of a small picture."""

    model: str
    description: str
    fps: float
    whole: bool


def running_least(
    models: Sequence[str], settings: Settings, size: tuple[int, int], plugins: Plugins | None = None
) -> tuple[str, ...]:
    """Those registered models that make a picture of this size in the fewest runs of their networks: others were
    trained for a smaller scale."""
    found, (width, height) = plugins or installed_plugins(), size

    def runs(name: str) -> int:
        native = trained_scale(name, settings.get("scale"), found) or 1
        return runs_for(native, size, output_size(settings, native, width, height))

    needed = {name: runs(name) for name in models}
    return tuple(name for name in models if needed[name] == min(needed.values()))


def runs_for(native_scale: int, size: tuple[int, int], wanted: tuple[int, int]) -> int:
    """How often a network of this factor is run until a picture of ``size`` is as large as is wanted, on both axes."""
    count, made = 1, native_scale
    while native_scale > 1 and any(made * is_ < to for is_, to in zip(size, wanted, strict=True)):
        count, made = count + 1, made * native_scale
    return count


def best(found: Sequence[Measured], rate: float) -> Measured | None:
    """The first that makes as many frames a second as the film has; ``None``: there is none."""
    return next((one for one in found if one.fps >= rate), None)


def table(found: Sequence[Measured], rate: float) -> list[str]:
    """Lines for people, in the order given: frames a second, and how many times real time that is."""
    wide = max(len("model"), *(len(one.model) for one in found))
    lines = [f"{'model':{wide}}  frames a second  times real time"]
    for one in found:
        told = f"{'' if one.whole else 'about '}{_short(one.fps)}"
        lines.append(f"{one.model:{wide}}  {told:>15}  {_short(one.fps / rate):>15}")
    return lines


def line(found: Sequence[Measured], rate: float) -> str:
    """Which it is, in a line."""
    film = f"the film has {_short(rate)}"
    if chosen := best(found, rate):
        made = f"{_short(chosen.fps)} frames a second without encoding, {film}"
        return f"{chosen.description}: the best that is real time here: {made}: --model {chosen.model}"
    quickest = max(found, key=lambda one: one.fps)
    made = f"{_short(quickest.fps)} frames a second, {film}"
    longer = f"the film takes {_short(rate / quickest.fps)} times as long as it plays"
    return f"none is real time here: {quickest.description}, the quickest, makes {made}: {longer}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"

"""From files to adapted weights: what ``srp adapt`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sr_plugins.devices import device_of_torch
from sr_plugins.errors import WeightsError
from sr_plugins.training.adaptation.adaptation import ITERATIONS, Adaptation, Step, adapt
from sr_plugins.training.degradations.chain import read_tables
from sr_plugins.training.estimation.estimation import estimate
from sr_plugins.training.estimation.source import read_source, sources_in
from sr_plugins.weights.open_model import open_model
from sr_plugins.weights.safetensors_files import write_weights


def adapt_source(
    inputs: Sequence[Path],
    output: Path,
    *,
    model: str = "fast",
    scale: int | None = None,
    degradation: Path | None = None,
    minutes: float = 10,
    iterations: int = ITERATIONS,
    frames: int = 24,
    seed: int = 1,
    device: str = "auto",
    talk: Callable[[str], None] = lambda line: None,
    report: Callable[[Step], None] = lambda step: None,
) -> Adaptation:
    """Adapt ``model`` to pictures and films and write the weights into ``output``; see :func:`.adaptation.adapt`.

    Of a folder all pictures and films are taken, of each film ``frames``. Without ``degradation`` it is estimated
    first, and told.

    Raises:
        DataError, PipeError, RecipeError, WeightsError, UnknownModelError, DeviceError: told in one line each.
    """
    place = device_of_torch(device)
    loaded = open_model(model, scale, exact=True)
    if "correction" in loaded.card:
        raise WeightsError(f"{model} is adapted to a source already: start from the model it was made of")
    sources = [read_source(path, frames) for path in sources_in(inputs)]
    if degradation is None:
        found = estimate(sources, loaded.spec.scale)
        tables, origin = found.tables(), Path("the estimate")
        for line in found.lines():
            talk(line)
    else:
        tables, origin = read_tables(degradation), degradation
    pictures = [frame for source in sources for frame in source.frames]
    result = adapt(
        loaded,
        pictures,
        tables,
        origin,
        minutes=minutes,
        iterations=iterations,
        seed=seed,
        device=place,
        report=report,
    )
    card = result.loaded.card
    if result.way == "unchanged":
        card = card | {"model": loaded.spec.name, "scale": loaded.spec.scale}
    write_weights(output, result.loaded.torch().module, card)
    return result

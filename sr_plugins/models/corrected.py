"""A network behind a filter: what ``srp adapt`` writes.

The filter, one for all channels, undoes what made the source differ from the pictures that the network was trained
on; the network is any registered one. Such a weights file is opened through ``sr_open_weights``: its card names the
network as every card does, and the side of the filter as ``correction``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import WeightsError
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.weights.contents import kind_of
from sr_plugins.weights.fitting import load_into
from sr_plugins.weights.reader import named_model
from sr_plugins.weights.safetensors_files import read_card, read_safetensors

if TYPE_CHECKING:
    from torch import nn

LARGEST_SIDE = 255  # far beyond what ``srp adapt`` makes: a damaged card must not ask for all the memory


def corrected_spec(spec: ModelSpec, side: int, weights: Path | None = None) -> ModelSpec:
    """The spec of ``spec``'s network behind a filter of ``side`` x ``side`` samples (odd)."""
    return replace(
        spec,
        name=f"{spec.name} adapted",
        build=partial(_build, spec, side),
        build_for_training=partial(_build, spec, side, training=True),
        receptive_radius=None if spec.receptive_radius is None else spec.receptive_radius + side // 2,
        overlap=None if spec.overlap is None else spec.overlap + side // 2,
        symmetry=1,  # the filter has none
        weights=weights,
        architecture=f"{side} x {side} correction filter, then: {spec.architecture}",
    )


def _build(spec: ModelSpec, side: int, *, training: bool = False) -> nn.Module:
    from sr_plugins.models.corrected_network import CorrectedNetwork

    build = spec.build_for_training if training and spec.build_for_training else spec.build
    return CorrectedNetwork(build(), side)


@hookimpl(tryfirst=True)  # its files have what the plain reader looks for, too
def sr_open_weights(path: Path, models: Mapping[tuple[str, int], ModelSpec]) -> LoadedModel | None:
    """Read a ``.safetensors`` file whose card has a ``correction``."""
    if kind_of(path) != "safetensors":
        return None
    card = read_card(path)
    if "correction" not in card:
        return None
    side = card["correction"]
    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= LARGEST_SIDE or side % 2 == 0:
        raise WeightsError(f"{path}: correction = {side!r} in its card is not an odd number of samples")
    spec = corrected_spec(named_model(path, card, models), side, path)
    return LoadedModel(spec, TorchNetwork(load_into(spec.build(), read_safetensors(path), path)), card=card)

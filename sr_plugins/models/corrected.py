"""A network behind a filter: what ``srp adapt`` writes.

The filter, one for all channels, undoes what made the source differ from the pictures that the network was trained
on; the network is any registered one. Such a weights file is opened through ``sr_open_weights``: its card names the
network as every card does, and the side of the filter as ``correction``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import UnknownModelError, WeightsError
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.weights.safetensors_files import load_into, read_card, read_tensors

if TYPE_CHECKING:
    from torch import nn


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


@hookimpl
def sr_open_weights(path: Path) -> LoadedModel | None:
    """Read a ``.safetensors`` file whose card has a ``correction``."""
    from sr_plugins.plugins import plugins

    if path.suffix != ".safetensors":
        return None
    card = read_card(path)
    if "correction" not in card:
        return None
    try:
        side = int(card["correction"])
        if side < 1 or side % 2 == 0:
            raise WeightsError(f"{path}: correction = {side} in its card is not an odd number of samples")
        spec = corrected_spec(plugins().model(str(card["model"]), int(card["scale"])), side, path)
    except (UnknownModelError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is for a model that is not installed: {error}") from error
    return LoadedModel(spec, TorchNetwork(load_into(spec.build(), read_tensors(path), path)), card=card)

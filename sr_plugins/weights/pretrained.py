"""Where the shipped weights lie, and opening a registered model with its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import WeightsError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.weights.contents import kind_of
from sr_plugins.weights.fitting import load_into
from sr_plugins.weights.safetensors_files import read_card
from sr_plugins.weights.tensors import read_tensors

if TYPE_CHECKING:
    from sr_plugins.interface.model import ModelSpec

PRETRAINED = Path(__file__).parent / "pretrained"


def pretrained(name: str, scale: int) -> Path | None:
    """Where the shipped weights of a model are, or ``None`` if there are none.

    A file of the same name under ``$SR_PLUGINS_WEIGHTS`` (a folder) comes first.
    """
    folders = [Path(p) for p in (os.environ.get("SR_PLUGINS_WEIGHTS"),) if p] + [PRETRAINED]
    for folder in folders:
        path = folder / f"{name}-x{scale}.safetensors"
        if path.is_file():
            return path
    return None


def load_model(spec: ModelSpec) -> LoadedModel:
    """A registered model with its own weights; ``WeightsError`` says where they were looked for."""
    if not spec.needs_weights:
        return LoadedModel(spec, TorchNetwork(spec.build().eval()))
    if spec.weights is None:
        searched = [str(p) for p in (os.environ.get("SR_PLUGINS_WEIGHTS"), PRETRAINED) if p]
        raise WeightsError(
            f"no weights for {spec.label}: looked for {spec.name}-x{spec.scale}.safetensors in {', '.join(searched)}; "
            "train it with 'srp train' or name a weights file"
        )
    if not os.path.isfile(spec.weights):  # noqa: PTH113 - Path's own raises for names that no file can have
        raise WeightsError(f"no weights for {spec.label}: {spec.weights} does not exist")
    card = read_card(spec.weights) if kind_of(spec.weights) == "safetensors" else {}
    return LoadedModel(spec, TorchNetwork(load_into(spec.build(), read_tensors(spec.weights), spec.weights)), card=card)

"""Our own reader behind ``sr_open_weights``: files whose card names a registered model, and those of others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sr_plugins.errors import UnknownModelError, WeightsError
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.weights.community import open_checkpoint
from sr_plugins.weights.contents import kind_of
from sr_plugins.weights.fitting import load_into
from sr_plugins.weights.ncnn_files import open_pair
from sr_plugins.weights.onnx_files import open_graph
from sr_plugins.weights.safetensors_files import read_card, read_safetensors
from sr_plugins.weights.torch_files import read_checkpoint


def named_model(path: Path, card: Mapping[str, Any], models: Mapping[tuple[str, int], ModelSpec]) -> ModelSpec:
    """The model that a card names; ``WeightsError`` where it names none, or one that is not among ``models``."""
    name, scale = card.get("model"), card.get("scale")
    if name is None or scale is None:
        raise WeightsError(f"{path} has no card that names its model and scale")
    if not isinstance(name, str) or isinstance(scale, bool) or not isinstance(scale, int):
        raise WeightsError(f"{path}: its card is for model {name!r} at scale {scale!r}, not a text and a whole number")
    if (name, scale) not in models:
        others = sorted(s for n, s in models if n == name)
        error = UnknownModelError(f"{name} x{scale}" if others else name, (n for n, _ in models))
        raise WeightsError(f"{path} is for a model that is not installed: {error}") from error
    return models[name, scale]


@hookimpl
def sr_open_weights(path: Path, models: Mapping[tuple[str, int], ModelSpec]) -> LoadedModel | None:
    """Read a ``.safetensors`` file whose card names a registered model, or tensors of another network that is known."""
    kind = kind_of(path)
    if kind == "torch":
        return open_checkpoint(path, read_checkpoint(path))
    if kind == "onnx":
        return open_graph(path)
    if kind in ("param", "unknown"):
        return open_pair(path)
    if kind != "safetensors":
        return None
    card = read_card(path)
    if "model" not in card:
        return open_checkpoint(path, read_safetensors(path))
    spec = named_model(path, card, models)
    return LoadedModel(spec, TorchNetwork(load_into(spec.build(), read_safetensors(path), path)), card=card)

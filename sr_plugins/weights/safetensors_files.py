"""``.safetensors``: read and write tensors and the card in their metadata."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.weights.contents import read_start
from sr_plugins.whole_file import whole_file

if TYPE_CHECKING:
    from torch import Tensor, nn


def read_card(path: Path) -> dict[str, Any]:
    """The model card in a ``.safetensors`` file's metadata: model, scale, training data, recipe, measured PSNR ..."""
    from safetensors import SafetensorError, safe_open

    read_start(path)  # safetensors calls a locked file missing
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {one_line(error)}") from error
    try:
        card = json.loads(metadata.get("card", "{}"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: its model card is not JSON: {one_line(error)}") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: its model card is not a JSON object")
    return card


def count_parameters(path: Path) -> int:
    """How many values a ``.safetensors`` file holds, read from its header alone."""
    from safetensors import safe_open

    read_card(path)  # a damaged file gets its WeightsError
    with safe_open(path, framework="numpy") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` file, on the CPU."""
    from safetensors.torch import load_file

    read_start(path)
    try:
        return load_file(path)
    except Exception as error:  # its own error, and torch's for types of numbers that it does not have
        raise WeightsError(f"{path} is not a readable safetensors file: {one_line(error)}") from error


def check_weights_name(path: Path) -> None:
    """``WeightsError`` unless ``path`` ends in .safetensors; to be asked before the work that makes the weights."""
    if path.suffix.lower() != ".safetensors":
        raise WeightsError(f"{path}: weights are written as .safetensors, name the file so")


def write_weights(path: Path, module: nn.Module, card: dict[str, Any]) -> None:
    """Write a module's tensors and its card as ``.safetensors``: whole or not at all."""
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    try:
        with whole_file(path) as temporary:
            # not save_file, which makes files that only their owner may read
            temporary.write_bytes(save(tensors, {"format": "pt", "card": json.dumps(card, sort_keys=True)}))
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror or error}") from error

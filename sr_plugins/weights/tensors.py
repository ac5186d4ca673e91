"""The tensors of a weights file, whichever kind of table it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.weights.contents import kind_of
from sr_plugins.weights.safetensors_files import read_safetensors
from sr_plugins.weights.torch_files import read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` file, or of a torch checkpoint."""
    return read_safetensors(path) if kind_of(path) == "safetensors" else read_checkpoint(path)

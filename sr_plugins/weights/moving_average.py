"""Averages of weights that training programs keep beside a network: what is meant where both are in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# of keys such as params_ema, netG-ema, ema_model, modelEMA, swa_state_dict, average_model
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_AVERAGES = {"ema", "swa", "avg", "average", "averaged"}
# how often weights were added to it, and whether ever: AveragedModel of torch.optim.swa_utils, ema-pytorch
_BEGUN = {"n_averaged", "initted"}


def is_average(key: str) -> bool:
    """Whether the weights under this key are averages, by its name."""
    return not _AVERAGES.isdisjoint(word.lower() for word in _WORD.findall(key))


def is_begun(table: Mapping[str, Tensor]) -> bool:
    """``False`` where a counter in an average says that nothing was added yet: it holds what training began with."""
    counters = [value for key, value in table.items() if key.rpartition(".")[2] in _BEGUN]
    return all(bool(value.any()) for value in counters)


def completed(average: dict[str, Tensor], tables: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The average of parameters, with what is no parameter (masks, statistics) from the table of the network itself."""
    for table in tables:
        if average.keys() < table.keys() and all(value.shape == table[key].shape for key, value in average.items()):
            return table | average
    return average

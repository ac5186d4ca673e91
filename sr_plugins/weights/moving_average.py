"""Averages of weights that training programs keep beside a network: what is meant where both are in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# of keys such as params_ema, netG-ema, ema_model, modelEMA, swa_state_dict, average_model
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_AVERAGES = {"ema", "swa", "avg", "average", "averaged"}
# how often weights were added to it, and whether ever: AveragedModel of torch.optim.swa_utils, ema-pytorch, LitEma
_BEGUN = {"n_averaged", "initted", "num_updates"}
_COUNTERS = {"decay", "num_updates"}  # beside the tensors of latent diffusion's LitEma
_STEPS = {"cur_step", *_BEGUN}  # of callbacks, beside what they average
_NO_PARAMETER = ("running_mean", "running_var", "attn_mask", "mask")  # of floats, and not trained


def is_average(key: str) -> bool:
    """Whether the weights under this key are averages, by its name."""
    return not _AVERAGES.isdisjoint(word.lower() for word in _WORD.findall(key))


def is_begun(table: Mapping[str, Tensor]) -> bool:
    """``False`` where a counter in an average says that nothing was added yet: it holds what training began with."""
    counters = [value for key, value in table.items() if key.rpartition(".")[2] in _BEGUN]
    return all(bool(value.any()) for value in counters)


def completed(average: dict[str, Tensor], tables: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The average of parameters, with what is no parameter (masks, statistics) from the table of the network itself.

    LitEma of latent diffusion leaves the points out of names: they are those of the network.
    """
    for table in tables:
        bare = {key.replace(".", ""): key for key in table}
        own = average.keys() - _COUNTERS
        named = average
        if own and own <= bare.keys() and not own <= table.keys():
            named = {bare[key]: average[key] for key in own}
        elif not average.keys() < table.keys():
            continue
        if all(value.shape == table[key].shape for key, value in named.items()):
            return table | named
    return average


def in_order(listed: Mapping[Any, Any], table: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's table with the averages that torch_ema lists without names, in the order of its parameters.

    Empty where ``listed`` is no such record, nothing was added to it yet, or it does not fit the table.
    """
    from torch import Tensor

    shadow = listed.get("shadow_params")
    if not isinstance(shadow, list) or not all(isinstance(value, Tensor) for value in shadow):
        return {}
    names = [
        key for key, value in table.items() if value.is_floating_point() and key.rpartition(".")[2] not in _NO_PARAMETER
    ]
    if listed.get("num_updates") == 0 or [value.shape for value in shadow] != [table[key].shape for key in names]:
        return {}
    return {**table, **{key: value.detach() for key, value in zip(names, shadow, strict=True)}}


def of_callback(kept: Mapping[Any, Any], table: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """What a Lightning callback averages of the network whose ``table`` stands beside it: by names, or all in order.

    That is ``ema_weights`` of those called EMA (NeMo's is a list), and ``average_model_state`` of Lightning's own
    ``StochasticWeightAveraging``. Empty where nothing was added to it yet, or it does not fit the table.
    """
    from torch import Tensor

    if any(kept.get(counter, 1) in (0, None) for counter in _STEPS):
        return {}
    for key in filter(lambda key: isinstance(key, str) and is_average(key), kept):
        found = kept[key]
        if isinstance(found, list) and len(found) == len(table):
            found = dict(zip(table, found, strict=True))
        if isinstance(found, dict) and all(isinstance(value, Tensor) for value in found.values()):
            fitting = all(value.shape == table[name].shape for name, value in found.items() if name in table)
            if found and fitting:
                return found
    return {}

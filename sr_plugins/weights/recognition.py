"""Which of spandrel's networks a table of tensors belongs to, under whatever names a training program kept it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sr_plugins.weights.moving_average import completed, is_average, is_begun

if TYPE_CHECKING:
    from torch import Tensor

# names under which a network lies within others: an average, a generator beside its adversary, Lightning's model
_WITHIN = (
    *("params_ema.", "g_ema.", "net_g_ema.", "netG_ema.", "ema_model.", "model_ema.", "ema.", "average_model."),
    *("params.", "state_dict.", "generator.", "net_g."),
    *("netG.", "model.", "online_model.", "network.", "net.", "G.", "module."),
)
_EXTRA = re.compile(r"Unexpected key\(s\) in state_dict: (.*?)(?:\. \s*|\.$|$)", re.DOTALL)
_DEEPEST = 3


def recognise(tensors: dict[str, Tensor]) -> tuple[Any, list[str]]:
    """spandrel's descriptor, and the tensors that its network does not have.

    Tried in turn: the table as it is, and what lies in it under one of the usual names, or under the name of all.

    Raises:
        UnsupportedModelError: it is of no network that is known.
        Exception: it does not fit the network that it looks like.
    """
    from spandrel import UnsupportedModelError

    try:
        return _loaded(tensors)
    except UnsupportedModelError:
        for inner in _within(tensors, _DEEPEST):
            try:
                return _loaded(inner)
            except UnsupportedModelError:
                continue
        raise


def _within(tensors: dict[str, Tensor], deepest: int) -> Iterator[dict[str, Tensor]]:
    if deepest == 0:
        return
    first = {key.partition(".")[0] + "." for key in tensors}
    for prefix in first if len(first) == 1 else _WITHIN:  # one name before all of them can only be a wrapper's
        inner = _under(prefix, tensors)
        if is_average(prefix):
            inner = completed(inner, (_under(other, tensors) for other in _WITHIN)) if is_begun(tensors) else {}
        if inner:
            yield inner
            yield from _within(inner, deepest - 1)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _loaded(tensors: dict[str, Tensor]) -> tuple[Any, list[str]]:
    from spandrel import ModelLoader

    from sr_plugins.weights.building import Bounded

    loader = ModelLoader(device="cpu")
    with warnings.catch_warnings(), Bounded(tensors):  # warnings of what torch will be some day
        warnings.simplefilter("ignore")
        try:
            return loader.load_from_state_dict(dict(tensors)), []
        except RuntimeError as error:
            # counts of operations, losses: what training programs keep beside the network. Nothing may be missing
            extra = [key for key in _extra_keys(str(error)) if key in tensors]
            if not extra or "Missing key" in str(error) or "size mismatch" in str(error):
                raise
        rest = {key: value for key, value in tensors.items() if key not in extra}
        return loader.load_from_state_dict(rest), extra


def _extra_keys(message: str) -> list[str]:
    return [key for part in _EXTRA.findall(message) for key in re.findall(r'"([^"]+)"', part)]

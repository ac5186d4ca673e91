"""Tensors into a module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn


def load_into(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """Put ``tensors`` into ``module`` (eval mode).

    Raises:
        WeightsError: names the first keys and shapes that do not fit, and values that are no finite numbers of
            floating point.
    """
    import torch

    for prefix, part in module.named_modules():  # a network may have tensors that only some files hold
        if callable(make_room := getattr(part, "make_room", None)):
            start = f"{prefix}." if prefix else ""
            make_room({key.removeprefix(start) for key in tensors if key.startswith(start)})
    expected = module.state_dict()
    missing = [k for k in expected if k not in tensors]
    extra = [k for k in tensors if k not in expected]
    shapes = [
        f"{k} is {tuple(tensors[k].shape)}, expected {tuple(v.shape)}"
        for k, v in expected.items()
        if k in tensors and tensors[k].shape != v.shape
    ]
    if missing or extra or shapes:
        parts = [f"lacks {', '.join(missing[:3])}"] if missing else []
        parts += [f"has unknown {', '.join(extra[:3])}"] if extra else []
        parts += shapes[:2]
        raise WeightsError(f"{path} does not fit {type(module).__name__}: {'; '.join(parts)}")
    fitting = {}
    for key, value in tensors.items():
        if expected[key].is_floating_point() != value.is_floating_point() or value.is_complex():
            raise WeightsError(f"{path} holds {_named(value)} in {key}, where {_named(expected[key])} is expected")
        try:
            fitting[key] = value.to(expected[key].dtype)
        except (RuntimeError, NotImplementedError) as error:
            raise WeightsError(f"{path} holds {_named(value)} in {key}, which cannot be read") from error
    # after the conversion: a large float64 value is infinite in float32
    bad = [k for k, v in fitting.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if bad:
        raise WeightsError(f"{path} holds values that are not finite, first in {bad[0]}: train or download it again")
    module.load_state_dict(fitting)
    return module.eval()


def _named(tensor: Tensor) -> str:
    return f"values of {str(tensor.dtype).removeprefix('torch.')}"

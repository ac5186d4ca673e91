"""Start a larger compact network from a trained smaller one, so that it begins where the smaller one ended.

Function-preserving growth after Net2Net (Chen, Goodfellow and Shlens, ICLR 2016). Wider: nothing reads the new features
yet. Deeper: a new layer passes its features on, raised by an offset so that its activation leaves them as they are; the
next layer's bias takes the offset back. Only near a picture's border, where zeros are padded, does that not cancel.
Of a symmetric network it is the shared kernels that grow, their inputs sorted by position. More symmetric: features for
the new positions, which see the picture so moved; the result is the mean over all, the smaller one's self-ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sr_plugins.models.branched_convolution import BranchedConv3x3

OFFSET = 0.4  # features behind a leaky ReLU of slope 0.1 seldom are below minus this


def depth(tensors: Mapping[str, Tensor]) -> int:
    """Hidden layers of a folded compact network."""
    return sum(name.startswith("body.") and name.endswith(".weight") for name in tensors)


def fits_inside(tensors: Mapping[str, Tensor], features: int, layers: int, outputs: int, symmetry: int = 1) -> bool:
    """Whether a folded network is smaller than one of so many features (families) and layers, and else its like."""
    names = {"head.weight", "head.bias", "tail.weight", "tail.bias"}
    if not names <= set(tensors) or tensors["tail.weight"].shape[0] != outputs:
        return False
    width, length = tensors["head.weight"].shape[0], depth(tensors)
    own, rest = divmod(tensors["tail.weight"].shape[1], width)
    smaller = 0 < length <= layers and width <= features and own <= symmetry and not rest
    return smaller and (own, width, length) != (symmetry, features, layers)


@torch.no_grad()
def grow(
    head: BranchedConv3x3,
    body: list[BranchedConv3x3],
    tail: BranchedConv3x3,
    tensors: Mapping[str, Tensor],
    symmetry: int = 1,
) -> list[str]:
    """Make the layers compute what the smaller network of ``tensors`` does; returns its layers' names."""
    count, own = depth(tensors), tensors["tail.weight"].shape[1] // tensors["head.weight"].shape[0]
    places = {round((i + 1) * len(body) / count) - 1: f"body.{i}" for i in range(count)}
    offset = torch.zeros(tail.conv.in_channels)
    _embed(head, tensors, "head", torch.zeros(1), 1, 1)
    for place, layer in enumerate(body):
        if place in places:
            _embed(layer, tensors, places[place], offset, own, symmetry)
            offset = torch.zeros_like(offset)
        else:
            identity = torch.zeros_like(layer.conv.weight)
            identity[:, :, 1, 1] = torch.eye(*identity.shape[:2])
            layer.load_folded(identity, torch.full((len(identity),), OFFSET))
            offset = offset + OFFSET
    _embed(tail, tensors, "tail", offset, own, symmetry)
    return ["head", *places.values(), "tail"]


def _embed(
    layer: BranchedConv3x3, tensors: Mapping[str, Tensor], name: str, offset: Tensor, own: int, symmetry: int
) -> None:
    """The smaller kernel in a corner of the larger; ``offset`` of the layer's inputs is taken back by its bias."""
    weight, bias = _by_position(tensors[f"{name}.weight"], own), tensors[f"{name}.bias"]
    outputs, _, inputs = weight.shape[:3]
    kernel, all_bias = layer.kernel().clone(), torch.zeros(layer.conv.out_channels)
    by_position = _by_position(kernel, symmetry)
    by_position[:outputs] = 0
    by_position[:outputs, :own, :inputs] = weight
    all_bias[:outputs] = bias
    layer.load_folded(kernel, all_bias - kernel.sum((2, 3)) @ offset)


def _by_position(kernel: Tensor, symmetry: int) -> Tensor:
    """A view, (outputs, symmetry, inputs of each position, 3, 3)."""
    return kernel.view(kernel.shape[0], symmetry, -1, 3, 3)

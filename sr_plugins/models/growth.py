"""Start a larger compact network from a trained smaller one, so that it begins where the smaller one ended.

Function-preserving growth after Net2Net (Chen, Goodfellow and Shlens, ICLR 2016). Wider: nothing reads the new features
yet. Deeper: a new layer passes its features on, raised by an offset so that its activation leaves them as they are; the
next layer's bias takes the offset back. Only near a picture's border, where zeros are padded, does that not cancel.
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


def fits_inside(tensors: Mapping[str, Tensor], features: int, layers: int, outputs: int) -> bool:
    """Whether a folded network is smaller than one of so many features and layers, and else its like."""
    names = {"head.weight", "head.bias", "tail.weight", "tail.bias"}
    if not names <= set(tensors) or tensors["tail.weight"].shape[0] != outputs:
        return False
    width, length = tensors["head.weight"].shape[0], depth(tensors)
    return 0 < length <= layers and width <= features and (width, length) != (features, layers)


@torch.no_grad()
def grow(
    head: BranchedConv3x3, body: list[BranchedConv3x3], tail: BranchedConv3x3, tensors: Mapping[str, Tensor]
) -> list[str]:
    """Make the layers compute what the smaller network of ``tensors`` does; returns its layers' names."""
    count = depth(tensors)
    places = {round((i + 1) * len(body) / count) - 1: f"body.{i}" for i in range(count)}
    offset = torch.zeros(head.conv.out_channels)
    _embed(head, tensors, "head", torch.zeros(head.conv.in_channels))
    for place, layer in enumerate(body):
        if place in places:
            _embed(layer, tensors, places[place], offset)
            offset = torch.zeros_like(offset)
        else:
            identity = torch.zeros_like(layer.conv.weight)
            identity[:, :, 1, 1] = torch.eye(len(identity))
            layer.load_folded(identity, torch.full_like(offset, OFFSET))
            offset = offset + OFFSET
    _embed(tail, tensors, "tail", offset)
    return ["head", *places.values(), "tail"]


def _embed(layer: BranchedConv3x3, tensors: Mapping[str, Tensor], name: str, offset: Tensor) -> None:
    """The smaller kernel in a corner of the larger; ``offset`` of the layer's inputs is taken back by its bias."""
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    outputs, inputs = weight.shape[:2]
    kernel, all_bias = layer.kernel().clone(), torch.zeros(layer.conv.out_channels)
    kernel[:outputs, :inputs] = weight
    kernel[:outputs, inputs:] = 0
    all_bias[:outputs] = bias
    layer.load_folded(kernel, all_bias - kernel.sum((2, 3)) @ offset)

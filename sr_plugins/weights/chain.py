"""Models one after the other, such as ``dejpeg,fast``: opened as one model, whose network is all of theirs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sr_plugins.errors import ArgumentError
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.pixels.resampling import INTERPOLATION_REACH
from sr_plugins.weights.digest import weights_digest

MOST_AVERAGES = 8  # each costs a pass over the picture


def chained(links: Sequence[LoadedModel]) -> LoadedModel:
    """The models of ``links`` as one: what the first makes is the next one's picture, in float32.

    A chain in which any works on RGB is one of RGB; its luma models then run on the luma of R'G'B'. One of them may see
    neighbouring frames: those before it then run on every frame of its window.

    Raises:
        ArgumentError: several of them see neighbouring frames.
        PluginError: one of them has no network in torch.
    """
    from sr_plugins.weights.chained_network import ChainedNetwork, Link

    specs = [link.spec for link in links]
    if len(several := [spec.label for spec in specs if spec.window != (0, 0)]) > 1:
        raise ArgumentError(f"{' and '.join(several)} both see neighbouring frames: one of a chain can")
    rgb = any(spec.channels == "rgb" for spec in specs)
    lifted = [rgb and spec.channels == "luma" for spec in specs]
    networks = [link.torch().runnable() for link in links]
    module = ChainedNetwork([Link(n, s, lifted=up) for n, s, up in zip(networks, specs, lifted, strict=True)])
    # a foreign file's network is run by torch, as alone; an RGB chain's luma is no layer that others would export
    how = {"how": {"chain": len(links)}} if any(lifted) or any("how" in link.card for link in links) else {}
    card = {"chain": [weights_digest(link) for link in links], **how}
    return LoadedModel(_spec(specs, lifted, rgb=rgb, build=module), TorchNetwork(module), card=card)


def _spec(specs: list[ModelSpec], lifted: list[bool], *, rgb: bool, build: object) -> ModelSpec:
    scale, multiple, radius, reads, averages = 1, 1, 0, 0, list[tuple[int, int]]()
    for spec, up in zip(specs, lifted, strict=True):
        least = INTERPOLATION_REACH if up else 0
        radius += -(-max(spec.receptive_radius or 0, least) // scale)
        reads += -(-max(spec.reads, least) // scale)
        own = math.lcm(spec.tile_multiple, spec.size_multiple)
        multiple = math.lcm(multiple, own // math.gcd(own, scale))
        averages += [_reduced(a * scale, b) for a, b in spec.averages]
        scale *= spec.scale
    whole = any(spec.blends for spec in specs) or len(averages) > MOST_AVERAGES
    if not 1 <= scale <= 16:
        raise ArgumentError(f"{', '.join(spec.label for spec in specs)} enlarge by {scale} together: 16 is the most")
    return ModelSpec(
        name="+".join(spec.name for spec in specs),
        scale=scale,
        channels="rgb" if rgb else "luma",
        build=lambda: build,  # type: ignore[arg-type,return-value]
        receptive_radius=None if whole else radius,
        overlap=-(-max(reads, 1) // multiple) * multiple if whole else None,
        margin=reads if not whole and reads < radius else None,
        averages=() if whole else tuple(averages),
        tile_multiple=multiple,
        precisions=_common(specs),
        window=next((spec.window for spec in specs if spec.window != (0, 0)), (0, 0)),
        purpose="enlarge" if scale > 1 else "restore",
        needs_weights=False,
        symmetry=min(spec.symmetry for spec in specs),
        architecture=", then ".join(spec.architecture or spec.label for spec in specs),
        license=", ".join(dict.fromkeys(spec.license for spec in specs)),
    )


def _reduced(a: int, b: int) -> tuple[int, int]:
    return a // math.gcd(a, b), b // math.gcd(a, b)


def _common(specs: list[ModelSpec]) -> tuple[Precision, ...] | None:
    """Precisions in which all stay right; int8 is for one network, whose ranges lie in its file."""
    told = [spec.precisions for spec in specs if spec.precisions is not None]
    names: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
    return tuple(p for p in names if all(p in each for each in told))

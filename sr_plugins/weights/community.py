"""Torch checkpoints of other people's networks, recognised by their tensors through the package spandrel.

Only a table of tensors reaches it: its own loader would run programs that lie in files.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.folders import read_or_make
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Purpose
from sr_plugins.version import extra_command
from sr_plugins.weights.recognition import recognise

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sr_plugins.weights.foreign_network import ForeignNetwork
    from sr_plugins.weights.probe import Found

logger = logging.getLogger("sr_plugins")

PURPOSES = {
    "FaceSR": "restores faces, which it must be shown alone",
    "Inpainting": "fills holes, and needs a mask",
}
PROBE = "9"  # changes with what weights/probe.py finds


def open_checkpoint(path: Path, tensors: dict[str, Tensor]) -> LoadedModel:
    """The network that ``tensors`` belong to, with what it was found to do.

    Raises:
        WeightsError: spandrel is not installed, does not know the network, or it does not enlarge single pictures.
    """
    if find_spec("spandrel") is None:
        raise WeightsError(
            f"{path} has no card that names its model and scale: networks of others are recognised by their tensors "
            f"with {extra_command('community')}"
        )
    import torch

    from sr_plugins.weights.foreign_network import ForeignNetwork, fold_reparameterized, state_of

    unreal = next((k for k, v in tensors.items() if v.is_complex()), None)
    if unreal is not None:
        raise WeightsError(
            f"{path} holds complex numbers, first in {unreal}, and networks of others are read with real ones: save "
            "their two parts (torch.view_as_real)"
        )
    bad = next((k for k, v in tensors.items() if v.is_floating_point() and not _finite(v)), None)
    if bad is not None:
        raise WeightsError(f"{path} holds values that are not finite, first in {bad}: download it again")
    key = _digest(tensors)
    descriptor = _recognised(path, tensors)
    model: nn.Module = descriptor.model.eval().float()
    fold_reparameterized(model)
    channels, sizes = int(descriptor.input_channels), descriptor.size_requirements
    x = torch.full((1, channels, *[_side(sizes.multiple_of, sizes.minimum)] * 2), 0.5, dtype=torch.float32)
    call = descriptor._call_fn
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = state_of(model)
        try:
            call(model, x.clone())
        except Exception as error:  # the network's own
            usual = torch.get_default_dtype()  # many a network makes tensors of it, in whatever it computes
            cure = "" if usual == torch.float32 else f": this program set torch's default dtype to {usual}, not float32"
            told = f"{path} ({descriptor.architecture.name}) does not run: {one_line(error)}"
            raise WeightsError(told + cure) from error
        alone = state_of(model) != before
    bare = ForeignNetwork(model, call, channels, alone=alone, square=sizes.square)
    found = _probed(path, key, bare, channels, sizes.multiple_of, max(1, sizes.minimum))
    multiple, minimum = found["size_multiple"], found["minimum_size"]
    network = ForeignNetwork(
        model, call, channels, multiple=multiple, minimum=minimum, alone=alone, square=sizes.square
    )
    if found["scale"] != descriptor.scale:
        raise WeightsError(f"{path} enlarges by {found['scale']}, but its tensors are those of x{descriptor.scale}")
    return loaded_model(
        path,
        TorchNetwork(network),
        found,
        architecture=" ".join([descriptor.architecture.name, *map(str, descriptor.tags)]),
        purpose="enlarge" if descriptor.purpose == "SR" and descriptor.scale > 1 else "restore",
        reader=f"spandrel {version('spandrel')}",
    )


def loaded_model(
    path: Path,
    network: Network,
    found: dict[str, Any],
    *,
    architecture: str,
    purpose: Purpose,
    reader: str,
    others: tuple[Network, ...] = (),
    sizes: tuple[int, int] = (1, 1),
    frames: int = 1,
) -> LoadedModel:
    """A foreign network with the spec that follows from what was found.

    ``frames``: how many it sees, of which the middle one comes out. ``sizes``: the multiple and the minimum of its
    sides, where the network does not see to them itself.
    """
    from sr_plugins.weights.probe import OVERLAP

    stem = "".join(c if c.isprintable() and c != "," else "_" for c in path.stem).strip()[:80]
    radius, period = found["radius"], found["period"]
    spec = ModelSpec(
        name=stem or "unnamed",
        scale=found["scale"],
        channels="luma" if found["channels"] == 1 else "rgb",
        build=next((n.runnable for n in (network, *others) if isinstance(n, TorchNetwork)), _cannot_build),
        receptive_radius=radius,
        overlap=None if radius is not None else -(-OVERLAP // found["size_multiple"]) * found["size_multiple"],
        tile_error=found["tile_error"],
        working_bytes=found["working_bytes"],
        margin=found["margin"],
        averages=tuple((up, down) for up, down in found["averages"]),
        tile_multiple=math.lcm(period, found["size_multiple"]),
        size_multiple=sizes[0],
        minimum_size=sizes[1],
        precisions=tuple(found["precisions"]),
        purpose=purpose,
        window=(frames // 2, frames // 2),
        weights=path,
        architecture=architecture,
        license="unknown",
    )
    return LoadedModel(spec, network, others, card={"architecture": architecture, "reader": reader, "how": found})


def _cannot_build() -> nn.Module:
    raise WeightsError("a network that is no torch module cannot be trained")


def _recognised(path: Path, tensors: dict[str, Tensor]) -> Any:
    from spandrel import ImageModelDescriptor, UnsupportedModelError

    _with_extra_architectures()
    try:
        descriptor, left_out = recognise(tensors)
    except UnsupportedModelError as error:
        first = ", ".join(list(tensors)[:3])
        raise WeightsError(
            f"{path} has no card that names its model and scale, and is of no network that is known (its first tensors "
            f"are {first})"
        ) from error
    except Exception as error:  # tensors of odd shapes
        raise WeightsError(
            f"{path} has no card that names its model and scale, and does not fit the network that it looks like: "
            f"{_reason(error)}"
        ) from error
    name = descriptor.architecture.name
    if left_out:
        others = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        logger.warning("%s: %s%s left out: a %s has no such tensors", path, ", ".join(left_out[:3]), others, name)
    if descriptor.purpose in PURPOSES or not isinstance(descriptor, ImageModelDescriptor):
        why = PURPOSES.get(descriptor.purpose, "does not enlarge single pictures")
        raise WeightsError(f"{path} is a network ({name}) that {why}: it cannot be used here")
    if (pair := (descriptor.input_channels, descriptor.output_channels)) not in ((1, 1), (3, 3)):
        raise WeightsError(
            f"{path} is a network ({name}) from {pair[0]} to {pair[1]} channels: only 1 to 1 and 3 to 3 can"
        )
    return descriptor


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {' '.join(map(str, error.args))}"
    return " ".join(str(error).split())[:300] or type(error).__name__


def _with_extra_architectures() -> None:
    """Those of spandrel-extra-arches, where it is installed: their licences are not free for every use."""
    if find_spec("spandrel_extra_arches") is None:
        return
    import spandrel_extra_arches

    spandrel_extra_arches.install(ignore_duplicates=True)


def _probed(
    path: Path, key: str, network: ForeignNetwork, channels: int, multiple: int, minimum: int
) -> dict[str, Any]:
    """What :func:`.probe.probe` found of this network, remembered by what it is."""
    from sr_plugins.weights.probe import probe

    def make() -> bytes:
        try:
            strips = not network.square
            found: Found = probe(network, channels, path, multiple=multiple, minimum=minimum, strips=strips)
        except (RuntimeError, ValueError, IndexError) as error:  # the network's own, at some size
            raise WeightsError(f"{path} does not run at every size of a picture: {one_line(error)}") from error
        return json.dumps(asdict(found)).encode()

    return remembered(key, make)


def remembered(key: str, make: Any) -> dict[str, Any]:
    """The findings under ``key``, made where there are none, or where they cannot be read."""
    name = f"{hashlib.sha256(f'{PROBE} {key}'.encode()).hexdigest()}.json"
    for content in (lambda: read_or_make("probe", name, make), make):
        try:
            found = json.loads(content())
            if {
                "scale",
                "channels",
                "radius",
                "period",
                "margin",
                "averages",
                "precisions",
                "minimum_size",
                "tile_error",
            } <= set(found):
                return dict(found)
        except (ValueError, TypeError):
            pass
    raise WeightsError("what a network does could not be found out")


def _side(multiple: int, minimum: int) -> int:
    return -(-max(minimum, 16) // multiple) * multiple


def _finite(tensor: Tensor) -> bool:
    import torch

    return bool(torch.isfinite(tensor.float()).all())


def _digest(tensors: dict[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256(f"{version('spandrel')} {torch.__version__}".encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()

"""Files of AnimeSR: recognised by their tensors, run as a model that sees the frames before and the one after."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import WeightsError
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.weights.contents import kind_of
from sr_plugins.weights.fitting import load_into
from sr_plugins.weights.safetensors_files import read_card, read_safetensors
from sr_plugins.weights.torch_files import read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

WARM = 4  # frames over which the state forms, before the one that is enlarged: see docs/temporal.md
STEP = 36  # input pixels that one step sees in each direction
MARK = "recurrent_cell.conv_s1_first.0.weight"


def _build(scale: int, features: int, blocks: tuple[int, int, int]) -> nn.Module:
    from sr_plugins.models.animesr_network import AnimeSR

    return AnimeSR(scale, features, blocks)


@hookimpl(tryfirst=True)  # the plain reader knows networks of single pictures only, and refuses others
def sr_open_weights(path: Path) -> LoadedModel | None:
    """Read a checkpoint of AnimeSR (MSRSWVSR), of any number of features and blocks."""
    kind = kind_of(path)
    if kind == "torch":
        tensors = read_checkpoint(path)
    elif kind == "safetensors" and "model" not in read_card(path):
        tensors = read_safetensors(path)
    else:
        return None
    if MARK not in tensors:
        return None
    scale, features, blocks = _shape(path, tensors)
    build = partial(_build, scale, features, blocks)
    spec = ModelSpec(
        name="".join(c if c.isprintable() and c != "," else "_" for c in path.stem).strip()[:80] or "unnamed",
        scale=scale,
        channels="rgb",
        build=build,
        receptive_radius=STEP * (WARM + 1),
        margin=2 * STEP,
        tile_multiple=4,
        size_multiple=4,
        precisions=("float32", "float16"),
        window=(WARM, 1),
        weights=path,
        architecture=f"AnimeSR (MSRSWVSR), {features} features, {'+'.join(map(str, blocks))} blocks",
        license="unknown",
    )
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    card = {"architecture": spec.architecture, "how": {"reader": "animesr", "warm": WARM}}
    return LoadedModel(spec, TorchNetwork(load_into(build(), tensors, path)), card=card)


def _shape(path: Path, tensors: dict[str, Tensor]) -> tuple[int, int, tuple[int, int, int]]:
    """(scale, features, blocks at each size), as the tensors tell them."""
    first, last = tensors[MARK], tensors.get("recurrent_cell.fusion.2.weight")
    names = [name.split(".") for name in tensors]
    blocks = [len({n[2] for n in names if n[:2] == ["recurrent_cell", f"body_{s}_first"]}) for s in ("s1", "s2", "s4")]
    if last is None or first.ndim != 4 or last.ndim != 4 or not blocks[0] >= blocks[1] >= blocks[2] >= 1:
        raise WeightsError(f"{path} looks like AnimeSR, and lacks some of its tensors: download it again")
    features = first.shape[0]
    scale = round(((last.shape[0] - features) / 3) ** 0.5) if last.shape[0] > features else 0
    if (
        not 1 <= scale <= 16
        or first.shape[1] != 9 + 3 * scale**2 + features
        or last.shape[0] != features + 3 * scale**2
    ):
        raise WeightsError(f"{path} looks like AnimeSR, but its tensors do not fit each other")
    return scale, features, (blocks[0], blocks[1], blocks[2])

"""Find and read weights. A weights file is data: nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import UnknownModelError, WeightsError
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.whole_file import whole_file

if TYPE_CHECKING:
    from torch import Tensor, nn

PRETRAINED = Path(__file__).parent / "pretrained"
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")


def pretrained(name: str, scale: int) -> Path | None:
    """Where the shipped weights of a model are, or ``None`` if there are none.

    A file of the same name under ``$SR_PLUGINS_WEIGHTS`` (a folder) comes first.
    """
    folders = [Path(p) for p in (os.environ.get("SR_PLUGINS_WEIGHTS"),) if p] + [PRETRAINED]
    for folder in folders:
        path = folder / f"{name}-x{scale}.safetensors"
        if path.is_file():
            return path
    return None


def _check_readable(path: Path) -> None:
    """``WeightsError`` with the system's reason; safetensors calls a locked file missing."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error


def read_card(path: Path) -> dict[str, Any]:
    """The model card in a ``.safetensors`` file's metadata: model, scale, training data, recipe, measured PSNR ..."""
    from safetensors import SafetensorError, safe_open

    _check_readable(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        card = json.loads(metadata.get("card", "{}"))
    except ValueError as error:
        raise WeightsError(f"{path}: its model card is not JSON: {error}") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: its model card is not a JSON object")
    return card


def count_parameters(path: Path) -> int:
    """How many values a ``.safetensors`` file holds, read from its header alone."""
    from safetensors import safe_open

    read_card(path)  # a damaged file gets its WeightsError
    with safe_open(path, framework="numpy") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` file, or of a torch checkpoint read with ``weights_only=True``."""
    _check_readable(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
    import torch

    try:
        with warnings.catch_warnings():  # what it warns of is refused below
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each raise their own
        raise WeightsError(
            f"{path} was refused: it is damaged or holds more than tensors, and code in weights is never run "
            f"({type(error).__name__}); convert it to .safetensors where you trust it"
        ) from error
    for key in ("params_ema", "params", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise WeightsError(f"{path} holds no table of tensors")
    return {key.removeprefix("module."): value for key, value in content.items()}


def check_weights_name(path: Path) -> None:
    """``WeightsError`` unless ``path`` ends in .safetensors; to be asked before the work that makes the weights."""
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: weights are written as .safetensors, name the file so")


def write_weights(path: Path, module: nn.Module, card: dict[str, Any]) -> None:
    """Write a module's tensors and its card as ``.safetensors``: whole or not at all."""
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    try:
        with whole_file(path) as temporary:
            # not save_file, which makes files that only their owner may read
            temporary.write_bytes(save(tensors, {"format": "pt", "card": json.dumps(card, sort_keys=True)}))
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror or error}") from error


def load_into(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """Put ``tensors`` into ``module`` (eval mode); ``WeightsError`` names the first keys and shapes that do not fit."""
    import torch

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
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if bad:
        raise WeightsError(f"{path} holds values that are not finite, first in {bad[0]}: train or download it again")
    module.load_state_dict(tensors)
    return module.eval()


def load_model(spec: ModelSpec) -> LoadedModel:
    """A registered model with its own weights; ``WeightsError`` says where they were looked for."""
    if not spec.needs_weights:
        return LoadedModel(spec, TorchNetwork(spec.build().eval()))
    if spec.weights is None:
        searched = [str(p) for p in (os.environ.get("SR_PLUGINS_WEIGHTS"), PRETRAINED) if p]
        raise WeightsError(
            f"no weights for {spec.label}: looked for {spec.name}-x{spec.scale}.safetensors in {', '.join(searched)}; "
            "train it with 'srp train' or name a weights file"
        )
    if not spec.weights.is_file():
        raise WeightsError(f"no weights for {spec.label}: {spec.weights} does not exist")
    card = read_card(spec.weights) if spec.weights.suffix == ".safetensors" else {}
    return LoadedModel(spec, TorchNetwork(load_into(spec.build(), read_tensors(spec.weights), spec.weights)), card=card)


def weights_digest(loaded: LoadedModel) -> str:
    """A hash of all weights of an opened model."""
    import torch

    state = hashlib.sha256()
    for name, tensor in sorted(loaded.torch().module.state_dict().items()):
        state.update(name.encode())
        state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return state.hexdigest()[:32]


@hookimpl
def sr_open_weights(path: Path) -> LoadedModel | None:
    """Read a ``.safetensors`` file whose card names a registered model ("model" and "scale")."""
    from sr_plugins.plugins import plugins

    if path.suffix not in SUFFIXES:
        return None
    if path.suffix != ".safetensors":
        read_tensors(path)
        raise WeightsError(f"{path} does not say which network it is for: convert it to .safetensors with a card")
    card = read_card(path)
    if "model" not in card or "scale" not in card:
        raise WeightsError(f"{path} has no card that names its model and scale")
    try:
        spec = plugins().model(str(card["model"]), int(card["scale"]))
    except (UnknownModelError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is for a model that is not installed: {error}") from error
    return LoadedModel(spec, TorchNetwork(load_into(spec.build(), read_tensors(path), path)), card=card)

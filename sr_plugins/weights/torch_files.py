"""Torch checkpoints, read as tables of tensors: what else a pickle could hold is refused, and never run."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.weights.contents import is_text, read_start

if TYPE_CHECKING:
    from torch import Tensor

# under which training programs keep the tensors, the one to prefer first
TABLES = ("model_state_dict", "state_dict", "params_ema", "params-ema", "params", "model", "net")
# the same where an adversary or an average was trained beside it
GENERATORS = ("g_ema", "netG_ema", "net_g_ema", "generator", "net_g", "netG")
PREFIXES = ("module.", "netG.", "_orig_mod.")  # of every key, where the network was wrapped while it was trained
# what stands beside a network: adversaries, optimizers and their schedules, settings, losses
_NO_NETWORK = re.compile(
    r"disc|adv|critic|netD|net_d|^d(_|$)|optim|sched|scaler|^lr|config|arg|opt|hyper|loss|metric|hist|meta|info|callback|loop",
    re.IGNORECASE,
)
_NOTES = int | float | str | bytes | bool | None  # among the tensors: an epoch, a scale, a name
# what zip adds to the tensors: names, alignment to 64 bytes, and the directory
SLACK = 1 << 20


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch checkpoint, on the CPU.

    Raises:
        WeightsError: it is damaged, or holds anything but tensors under names.
    """
    import torch

    start = read_start(path)
    if start.startswith(b"PK"):
        _check_archive(path)
    elif is_text(start):
        raise WeightsError(f"{path} is text, not weights: download the file itself")
    try:
        with warnings.catch_warnings():  # what it warns of is refused below
            warnings.simplefilter("ignore")
            with path.open("rb") as file:  # a path that ends in .safetensors would be read as its name says
                content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each raise their own
        raise WeightsError(
            f"{path} was refused: it is damaged or holds more than tensors, and code in weights is never run "
            f"({_named_in(error)}); convert it to .safetensors where you trust it"
        ) from error
    tensors = _table(content)
    if not tensors:
        parts = (
            ", ".join(ascii(str(key))[1:41] for key in list(content)[:5])
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise WeightsError(f"{path} holds no table of tensors that is alone a network (it holds {parts or 'nothing'})")
    size = path.stat().st_size
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise WeightsError(f"{path} holds a tensor of an unusual kind in {name}: {tensor.layout}, {tensor.device}")
        if tensor.numel() * tensor.element_size() > min(tensor.untyped_storage().nbytes(), size + SLACK):
            raise WeightsError(f"{path} names more values in {name} than it holds: {tuple(tensor.shape)}")
    return tensors


def _named_in(error: Exception) -> str:
    """What in a pickle was refused, where torch says it."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f"it names {found[1]}" if found else type(error).__name__


def _table(content: Any) -> dict[str, Tensor]:
    import torch

    # a table within a table, for example state_dict within model; a file cannot hold one within itself for ever
    for _ in range(8):
        inner = (
            next((content[key] for key in (*TABLES, *GENERATORS) if isinstance(content.get(key), dict)), None)
            if isinstance(content, dict)
            else None
        )
        if inner is None and isinstance(content, dict):
            inner = _only_network(content)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        return {}
    if not all(isinstance(k, str) and isinstance(v, torch.Tensor | _NOTES) for k, v in content.items()):
        return {}
    table = {key: value.detach() for key, value in content.items() if isinstance(value, torch.Tensor)}
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in table):
            table = {key.removeprefix(prefix): value for key, value in table.items()}
    # torch.compile leaves it in the middle of names, too, where a part alone was compiled
    return {key.replace("_orig_mod.", ""): value for key, value in table.items()}


def _only_network(content: dict[Any, Any]) -> dict[Any, Any] | None:
    """The one table in a checkpoint that can be the network, whatever it is called; an average before others."""
    if any(hasattr(value, "shape") for value in content.values()):
        return None  # it is a table itself
    inner = {str(key): value for key, value in content.items() if isinstance(value, dict) and value}
    others = [key for key in inner if not _NO_NETWORK.search(key)] if len(inner) > 1 else list(inner)
    averages = [key for key in others if "ema" in key.lower()]
    found = averages if len(others) > 1 else others
    return inner[found[0]] if len(found) == 1 else None


def _check_archive(path: Path) -> None:
    """Refuse archives that unpack to more than they are, and programs."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(
            f"{path} is cut off or damaged ({one_line(error)}): download it again; code in weights is never run"
        ) from error
    for folder, maker in (
        ("/code/", "TorchScript"),
        ("/models/", "torch.export"),
        ("/data/aotinductor/", "AOTInductor"),
    ):
        if any(folder in f"/{entry.filename}" for entry in entries):
            raise WeightsError(f"{path} holds a program ({maker}), and code in weights is never run")
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        inside = ", ".join(entry.filename for entry in entries[:3])
        raise WeightsError(f"{path} is an archive, not weights: unpack it first (it holds {inside or 'nothing'})")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise WeightsError(f"{path} was refused: it unpacks to more than it holds, as no checkpoint of torch does")

"""Torch checkpoints, read as tables of tensors: what else a pickle could hold is left alone, and never run."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.weights.contents import is_text, read_start
from sr_plugins.weights.moving_average import completed, in_order, is_average, is_begun, of_callback
from sr_plugins.weights.pickled import Inert, NotDataError
from sr_plugins.weights.torch_containers import read_archive, read_old

if TYPE_CHECKING:
    from torch import Tensor

# under which training programs keep the tensors, the one to prefer first
TABLES = ("model_state_dict", "state_dict", "params", "model", "net")
GENERATORS = ("generator", "net_g", "netG")  # the same where an adversary was trained beside it
# what is taken of several averages; of one the name tells enough
AVERAGES = ("params_ema", "params-ema", "g_ema", "netG_ema", "net_g_ema")
DEEPEST = 8  # tables within tables, for example state_dict within model
PREFIXES = ("module.", "netG.", "_orig_mod.")  # of every key, where the network was wrapped while it was trained
# what stands beside a network: adversaries, optimizers and their schedules, settings, losses
_NO_NETWORK = re.compile(
    r"disc|adv|critic|netD|net_d|^d(_|$)|optim|sched|scaler|^lr|config|arg|opt|hyper|loss|metric|hist|meta|info|callback|loop",
    re.IGNORECASE,
)
# sparse, quantized and others, or an array of NumPy in the place of a tensor
REBUILDS = ("torch._utils._rebuild", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
# what zip adds to the tensors: names, alignment to 64 bytes, and the directory
SLACK = 1 << 20


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch checkpoint, on the CPU.

    What else it holds (settings, numbers of NumPy, paths, times) is left alone: no class or function that it names is
    imported or called.

    Raises:
        WeightsError: it is damaged, holds no table of tensors, or names what would run something.
    """
    content = _content(path)
    tensors = _Tables(path).of(content)
    if not tensors:
        _check_kinds(content, path)
        raise WeightsError(f"{path} holds no table of tensors that is alone a network (it holds {_parts(content)})")
    size = path.stat().st_size
    for name, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > min(tensor.untyped_storage().nbytes(), size + SLACK):
            raise WeightsError(f"{path} names more values in {name} than it holds: {tuple(tensor.shape)}")
    return tensors


def _content(path: Path) -> Any:
    start = read_start(path)
    if start.startswith(b"PK"):
        _check_archive(path)
    elif is_text(start):
        raise WeightsError(f"{path} is text, not weights: download the file itself")
    try:
        return read_archive(path) if start.startswith(b"PK") else read_old(path)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except NotDataError as error:
        raise WeightsError(f"{path} was refused: it holds code, and code in weights is never run ({error})") from error
    except Exception as error:  # pickle, zip and torch each raise their own
        told = type(error).__name__ if isinstance(error, KeyError | IndexError | StopIteration) else one_line(error)
        raise WeightsError(
            f"{path} is damaged or cut off ({told or type(error).__name__}): download it again; "
            "code in weights is never run"
        ) from error


def _parts(content: Any) -> str:
    """What a checkpoint holds, in a few words, with the classes whose objects were left alone."""
    if isinstance(content, Inert) and not content:
        return f"an object of {_shown(content.name)}, and code in weights is never run: save its state_dict()"
    if not isinstance(content, dict):
        return type(content).__name__
    told = (
        _shown(key) + (f" of {_shown(value.name)}" if isinstance(value, Inert) else "")
        for key, value in list(content.items())[:5]
    )
    return ", ".join(told) or "nothing"


def _shown(text: Any) -> str:
    try:
        return ascii(str(text))[1:-1][:60]
    except ValueError:  # a number of more digits than Python writes
        return "a number"


def _check_kinds(content: Any, path: Path) -> None:
    """Refuse tables in which something else stands in the place of an ordinary tensor."""
    for key, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, Inert) and value.name.startswith(REBUILDS):
            raise WeightsError(f"{path} holds a tensor of an unusual kind in {_shown(key)}: {_shown(value.name)}")


def _holds_tensors(value: Any) -> bool:
    """Whether there is a tensor in it, or in what it holds; each part is looked at once."""
    import torch

    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, torch.Tensor):
            return True
        if isinstance(one, dict | list | tuple) and id(one) not in seen:
            seen.add(id(one))
            waiting += one.values() if isinstance(one, dict) else one
    return False


class _Tables:
    """The tensors in what a checkpoint holds; each dict is looked at once, since one may be in many, and in itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[int, dict[str, Tensor]] = {}

    def of(self, content: Any, deepest: int = DEEPEST) -> dict[str, Tensor]:
        """The network's tensors, or its average's; empty where there are none, or those of more than one network."""
        if not isinstance(content, dict) or deepest == 0:
            return {}
        if id(content) not in self._known:
            self._known[id(content)] = {}
            network = self._average(content, deepest) or self._of_callbacks(content, self._network(content, deepest))
            for listed in (content, *(value for value in content.values() if isinstance(value, dict))):
                network = in_order(listed, network) or network
            self._known[id(content)] = network
        return self._known[id(content)]

    def _average(self, content: dict[Any, Any], deepest: int) -> dict[str, Tensor]:
        """Of the tables in it the one that is an average, completed; empty where none is, or it is open which."""
        inner = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, dict)}
        named = [key for key in inner if is_average(key) and not _NO_NETWORK.search(key)]
        found = {key: table for key in named if (table := self.of(inner[key], deepest - 1)) and is_begun(table)}
        usual = [key for key in AVERAGES if key in found] or list(found)
        if not usual or (len(usual) > 1 and usual[0] not in AVERAGES):
            return {}
        others = (self.of(inner[key], deepest - 1) for key in inner if key not in named and not _NO_NETWORK.search(key))
        return completed(found[usual[0]], others)

    def _of_callbacks(self, content: dict[Any, Any], network: dict[str, Tensor]) -> dict[str, Tensor]:
        """The network, or what a callback of Lightning averages of it."""
        callbacks = content.get("callbacks")
        for kept in callbacks.values() if isinstance(callbacks, dict) else ():
            if isinstance(kept, dict) and (average := _tensors(dict(of_callback(kept, network)), self._path)):
                return completed(average, [network])
        return network

    def _network(self, content: dict[Any, Any], deepest: int) -> dict[str, Tensor]:
        named = (content[key] for key in (*TABLES, *GENERATORS) if isinstance(content.get(key), dict))
        inner = next(filter(_holds_tensors, named), None)  # params may also be settings
        if inner is None:
            inner = _only_network(content)
        return _tensors(content, self._path) if inner is None else self.of(inner, deepest - 1)


def _tensors(content: dict[Any, Any], path: Path) -> dict[str, Tensor]:
    """The tensors of a table, without what else is in it; empty where some lie deeper."""
    import torch

    table = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    rest = {key: value for key, value in content.items() if key not in table}
    if not all(isinstance(key, str) for key in table) or _holds_tensors(rest):
        return {}
    if table:
        _check_kinds(rest, path)
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in table):
            table = {key.removeprefix(prefix): value for key, value in table.items()}
    # torch.compile leaves it in the middle of names, too, where a part alone was compiled
    return {key.replace("_orig_mod.", ""): value for key, value in table.items()}


def _only_network(content: dict[Any, Any]) -> dict[Any, Any] | None:
    """The one table in a checkpoint that can be the network, whatever it is called."""
    if any(len(getattr(value, "shape", ())) > 0 for value in content.values()):
        return None  # it is a table itself
    inner = {str(key): value for key, value in content.items() if isinstance(value, dict) and _holds_tensors(value)}
    others = [key for key in inner if not _NO_NETWORK.search(key)] if len(inner) > 1 else list(inner)
    return inner[others[0]] if len(others) == 1 else None


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
    if not any(entry.filename.rpartition("/")[2] == "data.pkl" for entry in entries):
        inside = ", ".join(entry.filename for entry in entries[:3])
        raise WeightsError(f"{path} is an archive, not weights: unpack it first (it holds {inside or 'nothing'})")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise WeightsError(f"{path} was refused: it unpacks to more than it holds, as no checkpoint of torch does")

"""ncnn networks: a ``.param`` file with the graph and a ``.bin`` file with its tensors, turned into torch.

Everything is read with limits: what the text claims is held against what the tensors' file has before it is made.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import WeightsError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import NcnnNetwork, TorchNetwork
from sr_plugins.weights.community import loaded_model, remembered
from sr_plugins.weights.contents import PARAM
from sr_plugins.weights.ncnn_tensors import MOST, Extent, Weights, extent_of, tensors_of

if TYPE_CHECKING:
    from torch import Tensor

    from sr_plugins.weights.ncnn_layers import Step

LONGEST = 4 << 20  # bytes of a graph's text; the largest known has 200 kB
CHANNELS = 3


def pair_of(path: Path) -> tuple[Path, Path] | None:
    """The two files of an ncnn network, of which ``path`` is one; ``None`` if it is none."""
    other = {".param": ".bin", ".bin": ".param"}.get(path.suffix.lower())
    found = [p for p in path.parent.glob(f"{_escaped(path.stem)}.*") if p.suffix.lower() == other] if other else []
    if not found:
        return None
    return (path, found[0]) if other == ".bin" else (found[0], path)


def open_pair(path: Path) -> LoadedModel | None:
    """The network of a ``.param`` and the ``.bin`` beside it, named by either; ``None`` where ``path`` is neither.

    Raises:
        WeightsError: one of the two is missing, they do not fit, or a layer is not one that is known here.
    """
    pair = pair_of(path)
    if pair is None or not _begins_a_graph(pair[0]):
        if _begins_a_graph(path):
            raise WeightsError(f"{path} is an ncnn graph: its tensors, {path.stem}.bin, are not beside it")
        if pair is None and path.suffix.lower() == ".bin":
            told = f"if it holds an ncnn network's tensors, its graph, {path.stem}.param, is not beside it"
            raise WeightsError(f"{path} is of no kind that is known here: {told}")
        return None
    text, data = _read(pair[0], LONGEST).decode(errors="replace"), pair[1].read_bytes()
    from sr_plugins.weights.borders import Border, Bordered, border_of, gives_a_residual
    from sr_plugins.weights.digest import fingerprint
    from sr_plugins.weights.ncnn_network import NcnnGraph
    from sr_plugins.weights.probe import probe

    steps, tensors, source, target = graph_of(pair[0], text, pair[1], data)
    channels = _channels(pair[0], steps, tensors, source)
    module = NcnnGraph(steps, tensors, source, target, planes=channels)
    as_read = NcnnNetwork(text, data, source, target)

    def make() -> bytes:
        border = border_of(module, channels, path)
        residual = border is not None and gives_a_residual(Bordered(module, border), channels)
        seen = probe(Bordered(module, border, residual=residual), channels, path)
        return json.dumps(
            {**asdict(seen), "border": None if border is None else asdict(border), "residual": residual}
        ).encode()

    found = remembered(fingerprint(as_read) or "", make)
    border = None if found["border"] is None else Border(**found["border"])
    whole = Bordered(
        module, border, residual=found["residual"], multiple=found["size_multiple"], minimum=found["minimum_size"]
    )
    taken = replace(
        as_read,
        scale=found["scale"],
        around=border.around if border else 0,
        cut=border.cut if border else 0,
        residual=found["residual"],
        multiple=found["size_multiple"],
        minimum=found["minimum_size"],
    )
    return loaded_model(
        path,
        taken,
        found,
        others=(TorchNetwork(whole),),
        architecture=f"ncnn graph, {len(steps)} layers",
        purpose="enlarge" if found["scale"] > 1 else "restore",
        reader="ncnn",
    )


def _channels(path: Path, steps: tuple[Step, ...], tensors: list[Tensor], source: str) -> int:
    """Of the picture: they stand nowhere but in the weights of the first convolution."""
    same = {source}
    for step in steps:
        if not same.intersection(step.inputs):
            continue
        if step.kind == "Convolution":
            count = tensors[step.tensors[0]].shape[1]
            break
        if step.kind in ("Reorg", "Crop", "Padding", "Split", "Interp", "BinaryOp", "Dropout", "Noop"):
            same.update(step.outputs)
    else:
        return CHANNELS
    divided = next((s.whole(0, 1) ** 2 for s in steps if s.kind == "Reorg" and set(s.outputs) & same), 1)
    count //= divided
    if count not in (1, 3):
        hint = ": those of SRMD are 3 colours and what describes a degradation" if count in (18, 19) else ""
        raise WeightsError(f"{path} takes {count} channels, and only 1 (luma) and 3 (RGB) can be used{hint}")
    return count


def _escaped(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)


def _begins_a_graph(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).split(b"\n", 1)[0].strip() == PARAM


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise WeightsError(f"{path} is longer than any graph of ncnn ({most} bytes)")
    return content


def graph_of(path: Path, text: str, beside: Path, data: bytes) -> tuple[tuple[Step, ...], list[Tensor], str, str]:
    """The steps of a graph's ``text`` with the tensors that ``data`` holds for them, and the names of both its ends.

    ``WeightsError`` names ``path`` and the line, or the file ``beside`` it, where they are not what is known here.
    """
    from sr_plugins.weights.ncnn_layers import Step

    lines = [line.split() for line in text.splitlines() if line.strip()][2:]
    steps: list[Step] = []
    tensors: list[Tensor] = []
    source, written, read = "", set[str](), set[str]()
    weights, extents = Weights(beside, data), dict[str, Extent]()
    for number, words in enumerate(lines, 3):

        def wrong(what: str, number: int = number, words: list[str] = words) -> WeightsError:
            return WeightsError(f"{path}, line {number} ({' '.join(words[:2])[:60]}): {what}")

        try:
            kind, _, count_in, count_out = words[0], words[1], int(words[2]), int(words[3])
            if not 0 <= count_in <= 64 or not 1 <= count_out <= 64 or len(words) < 4 + count_in + count_out:
                raise wrong("it names other numbers of blobs than it has")
            inputs, outputs = tuple(words[4 : 4 + count_in]), tuple(words[4 + count_in : 4 + count_in + count_out])
            settings = tuple(_setting(word) for word in words[4 + count_in + count_out :])
        except (IndexError, ValueError) as error:
            raise wrong("it is no layer of a graph") from error
        if mixed := [key for key, value in settings if isinstance(value, tuple) and len(set(map(type, value))) > 1]:
            raise wrong(f"its list {mixed[0]} holds whole numbers beside others, which ncnn misreads: write 1 as 1.0")
        if unknown := [name for name in inputs if name not in written]:
            raise wrong(f"it reads {unknown[0]}, which no layer before it writes")
        if twice := sorted(written.intersection(outputs)):  # ncnn would go on reading the first
            raise wrong(f"it writes {twice[0]}, which a layer before it writes")
        written.update(outputs)
        read.update(inputs)
        if kind == "Input":
            if source:
                raise wrong("it is a second input: only the picture can be one")
            source = outputs[0]
            extents.update(dict.fromkeys(outputs, Extent(CHANNELS, 1.0)))
            continue
        step = Step(kind, inputs, outputs, settings, ())
        held = tensors_of(step, weights, wrong)
        extent = extent_of(step, [extents[name] for name in inputs], held)
        if extent.channels * max(1.0, extent.factor) ** 2 > MOST:
            raise wrong(f"it makes {extent.channels} channels of {extent.factor:g} times the picture's size")
        extents.update(dict.fromkeys(outputs, extent))
        steps.append(Step(kind, inputs, outputs, settings, tuple(range(len(tensors), len(tensors) + len(held)))))
        tensors += held
    ends = [name for name in written if name not in read]
    if not source or len(ends) != 1:
        raise WeightsError(
            f"{path} has {len(ends)} outputs and {'an' if source else 'no'} input: one of each is wanted"
        )
    if weights.left:
        raise WeightsError(f"{beside} holds {weights.left} bytes more than {path.name} asks for: they are no pair")
    return tuple(steps), tensors, source, ends[0]


def _setting(word: str) -> tuple[int, float | tuple[float, ...]]:
    key, _, value = word.partition("=")
    if int(key) <= -23300:
        count, *values = value.split(",")
        if int(count) != len(values):
            raise ValueError(word)
        return -23300 - int(key), tuple(map(_finite, values))
    return int(key), _finite(value)


def _finite(value: str) -> float:
    """An ``int`` where ncnn sees one: a number without point and exponent."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number if {".", "e", "E"}.intersection(value) else int(value)

"""ONNX files: read as data, checked before any runtime sees them, run in their own form.

External tensors are put into the graph, which then is all there is of the network; what is fixed to one size is freed,
and float16 inputs and outputs become float32 ones by a cast within the graph.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import OnnxNetwork, TorchNetwork
from sr_plugins.version import extra_command
from sr_plugins.weights.community import loaded_model, remembered
from sr_plugins.weights.contents import is_text, read_start
from sr_plugins.weights.onnx_borders import FRAMES, freed, surround
from sr_plugins.weights.onnx_tensors import LARGEST, take_in
from sr_plugins.weights.without_telemetry import import_onnxruntime

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from sr_plugins.weights.reach import Run

DOMAINS = {"", "ai.onnx", "com.microsoft"}
ALIKE = 0.5  # correlation
LOOPS = {"Loop", "If", "Scan", "SequenceMap"}
SHAPES = {"Shape", "Size", "ConstantOfShape"}  # what comes of them does not depend on what the picture shows
CHOICES = {"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "ArgMin", "ArgMax", "TopK", "GridSample"}


def open_graph(path: Path) -> LoadedModel:
    """The network of an ONNX file, with what it was found to do.

    Raises:
        WeightsError: a package is missing, the file is damaged, or its graph does not enlarge single pictures.
    """
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise WeightsError(f"{path} needs {' and '.join(missing)}: {extra_command('onnxruntime')}")
    import torch

    model = _parsed(path)
    _check_nodes(path, model)
    take_in(path, model)
    sides = _annotated(model)
    together = freed(path, model)  # channels of all frames
    _check_extent(path, model, together)
    network = _network(model)
    from sr_plugins.weights.borders import Border, border_of
    from sr_plugins.weights.frames_as_channels import ChannelsAsFrames
    from sr_plugins.weights.onnx_translation import module_of, translated
    from sr_plugins.weights.probe import probe
    from sr_plugins.weights.reach import picture

    graph = network.graph

    def make() -> bytes:
        run = _runner(path, network)
        frames = _frames(path, run, together, sides)
        channels = together // frames
        border = border_of(_repeated(run, frames), channels, path)
        if border is not None:
            surround(model, border)
            run = _runner(path, _network(model))
        still = frames == 1 or not _chooses(model)  # else its reach is no matter of films that stand still
        found = probe(_repeated(run, frames), channels, path, in_torch=False, sides=sides, strips=still)
        multiple, minimum = found.size_multiple, found.minimum_size
        side = -(-max(24, minimum) // multiple) * multiple
        x = torch.cat([picture(channels, side, side + multiple, seed) for seed in range(1, frames + 1)], 1)
        module = translated(_network(model), run, x)
        if module is not None:  # only torch lets what is not a number through, and knows half precision
            run = _repeated(module, frames)
            found = probe(run, channels, path, multiple=multiple, minimum=minimum, sides=sides, strips=still)
        how = {"border": None if border is None else asdict(border), "in_torch": module is not None, "frames": frames}
        return json.dumps(asdict(found) | how).encode()

    key = f"{hashlib.sha256(graph).hexdigest()} {version('onnxruntime')}"
    found = remembered(key, make)
    if found["border"] is not None and network.graph == _network(model).graph:
        surround(model, Border(**found["border"]))
    network = _network(model)
    module, frames = module_of(network) if found["in_torch"] else None, found.get("frames", 1)
    if module is not None and frames > 1:
        module = ChannelsAsFrames(module)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    return loaded_model(
        path,
        network,
        found,
        others=() if module is None else (TorchNetwork(module),),
        sizes=(found["size_multiple"], found["minimum_size"]),
        architecture=f"ONNX graph, opset {opset}, {len(model.graph.node)} nodes",
        purpose="enlarge" if found["scale"] > 1 else "restore",
        reader=f"onnxruntime {version('onnxruntime')}",
        frames=frames,
    )


def _repeated(run: Run, frames: int) -> Run:
    """``run`` for one picture instead of ``frames``: what it does is found out on films that stand still."""
    return run if frames == 1 else lambda x: run(x.repeat(1, frames, 1, 1))


def _frames(path: Path, run: Run, together: int, sides: tuple[int, ...]) -> int:
    """How many frames go in, told by the channels that come out."""
    import torch

    made = 0
    for side in (16, 32, 64, 128, *sides):
        try:
            made = run(torch.full((1, together, side, side), 0.5, dtype=torch.float32)).shape[1]
            break
        except Exception:  # a size that it does not take
            continue
    if not made and together in (1, 3):  # what is wrong is told when its sizes are looked for
        return 1
    if made not in (1, 3) or together % made or (together // made) not in (1, *FRAMES):
        raise WeightsError(
            f"{path} makes {made} channels of {together}: only networks of 1 (luma) or 3 (RGB) can be used, of one "
            f"frame or of {', '.join(map(str, FRAMES))}"
        )
    if (together, made) == (3, 1) and not _shows(run, side):
        raise WeightsError(f"{path} makes 1 channel of 3 that is no picture of 3 frames: a mask, or a depth map")
    return together // made


def _shows(run: Run, side: int) -> bool:
    """Whether what comes out of three gray frames that stand still looks like them."""
    import torch

    from sr_plugins.weights.reach import picture

    x = picture(1, side, side)
    y = torch.nn.functional.adaptive_avg_pool2d(run(x.repeat(1, 3, 1, 1)), (side, side))
    return float(torch.corrcoef(torch.stack((x.flatten(), y.flatten())))[0, 1]) > ALIKE


def _chooses(model: onnx.ModelProto) -> bool:
    """Whether where it reads may depend on what pictures show: a search for moves, optical flow."""
    shown = {model.graph.input[0].name}
    for node in model.graph.node:  # sorted
        if node.op_type not in SHAPES and shown.intersection(node.input):
            if node.op_type in CHOICES:
                return True
            shown.update(node.output)
    return False


def _network(model: onnx.ModelProto) -> OnnxNetwork:
    return OnnxNetwork(model.SerializeToString(), model.graph.input[0].name, model.graph.output[0].name)


def _annotated(model: onnx.ModelProto) -> tuple[int, ...]:
    """The sides that the file says its pictures have: where they cannot be freed, at least that is seen."""
    sides = [dim.dim_value for value in model.graph.input[:1] for dim in value.type.tensor_type.shape.dim[2:]]
    return tuple(sorted({side for side in sides if 0 < side <= 512}))


def _check_extent(path: Path, model: onnx.ModelProto, channels: int) -> None:
    """Refuse a graph that would make enormous tensors of a small picture, as far as its shapes can be told."""
    import onnx

    small = onnx.ModelProto.FromString(model.SerializeToString())
    for dim, side in zip(small.graph.input[0].type.tensor_type.shape.dim, (1, channels, 64, 64), strict=True):
        dim.dim_value = side
    try:
        shaped = onnx.shape_inference.infer_shapes(small, data_prop=True)
    except Exception:  # odd graphs: the runtime says what is wrong with them
        return
    for value in shaped.graph.value_info:
        sides = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if math.prod(sides) > LARGEST // 4:
            raise WeightsError(
                f"{path} makes a tensor {tuple(sides)} of a picture of 64x64: that is no network for pictures"
            )


def _parsed(path: Path) -> onnx.ModelProto:
    import onnx

    if is_text(read_start(path)):
        raise WeightsError(f"{path} is text, not an ONNX graph: download the file itself")
    if path.stat().st_size > LARGEST:
        raise WeightsError(f"{path} is larger than a graph can be: its tensors belong into a file beside it")
    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf's own
        raise WeightsError(f"{path} is no ONNX graph, or is cut off ({type(error).__name__})") from error
    if not model.graph.node or not model.graph.output:
        raise WeightsError(f"{path} is no ONNX graph, or is cut off (it has no nodes)")
    return model


def _check_nodes(path: Path, model: onnx.ModelProto) -> None:
    own = {function.domain for function in model.functions}
    for function in model.functions:
        _check_list(path, function.node, own)
    _check_list(path, model.graph.node, own)


def _check_list(path: Path, nodes: Any, own: set[str]) -> None:
    for node in nodes:
        if node.op_type in LOOPS or any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise WeightsError(f"{path} has the operator {node.op_type}, a program: such graphs are not run")
        if node.domain not in DOMAINS | own:
            raise WeightsError(
                f"{path} has the operator {node.domain}.{node.op_type}, which only its maker's program knows"
            )


def _runner(path: Path, network: OnnxNetwork) -> Any:
    import torch

    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            network.graph,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it prints of that
        )
    except Exception as error:  # its errors have no common type but this
        reason = "a name in it is no text" if isinstance(error, UnicodeDecodeError) else one_line(error)
        if newer := re.search(r"Opset (\d+) is under development.*support for domain \S+ is till opset (\d+)", reason):
            reason = f"it asks for opset {newer[1]}, and this version knows up to {newer[2]}"
        raise WeightsError(f"{path} is refused by ONNX Runtime: {reason}") from error

    def run(x: Tensor) -> Tensor:
        (y,) = session.run([network.output], {network.input: x.contiguous().numpy()})
        return torch.from_numpy(y)

    return run

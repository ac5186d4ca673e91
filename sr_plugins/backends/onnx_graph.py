"""A network as an ONNX graph with free batch, height and width: for other runtimes, and for our backends on them."""

from __future__ import annotations

import copy
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import ModelOutputError, PluginError, SRError
from sr_plugins.folders import fingerprint, read_or_make
from sr_plugins.interface.model import LoadedModel
from sr_plugins.whole_file import whole_file

if TYPE_CHECKING:
    import onnx
    from torch import nn

INPUT, OUTPUT = "picture", "enlarged"
PACKAGES = ("onnx", "onnxscript")
TOLERANCE = 1e-5  # of values in 0..1
PICTURE_NOTE = "sr_plugins.picture"  # metadata key: names of the nodes that carry the picture, one a line


def missing() -> str | None:
    """What to install before a network can be exported, or ``None``."""
    return None if all(map(find_spec, PACKAGES)) else "pip install 'sr-plugins[export]'"


def export(loaded: LoadedModel, path: Path) -> float:
    """Write ``path`` (.onnx): input ``picture`` (n, C, h, w), output ``enlarged``, float32, values 0..1.

    What was written is run by ONNX's reference evaluator and compared with torch; returns the largest difference.

    Raises:
        PluginError: a package is missing, or the network uses something ONNX cannot express.
        ModelOutputError: the graph differs from the network by more than 1e-5.
    """
    if cure := missing():
        raise PluginError(f"export needs packages that are not installed: {cure}")
    import onnx

    content = _graph(loaded.torch().runnable(), loaded.spec.planes_in)
    content.doc_string = f"{loaded.spec.label}: {loaded.spec.architecture}".rstrip(": ")
    difference = _difference(content, loaded)
    if not difference <= TOLERANCE:
        raise ModelOutputError(f"the exported graph of {loaded.spec.label} differs from torch by {difference:.2g}")
    try:
        with whole_file(path) as temporary:
            onnx.save(content, str(temporary))
    except OSError as error:
        raise SRError(f"cannot write {path}: {error.strerror or error}") from error
    return difference


def cached_graph(module: nn.Module, channels: int) -> bytes:
    """The network as ONNX bytes; exporting takes seconds, so they are kept from one process to the next."""
    import onnx

    def make() -> bytes:
        content: bytes = _graph(module, channels).SerializeToString()
        return content

    key = fingerprint(module, str(channels), onnx.__version__)
    return make() if key is None else read_or_make("onnx", f"{key}.onnx", make)


def _graph(module: nn.Module, channels: int) -> onnx.ModelProto:
    import torch

    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns of every package that it could have used
    try:
        program = torch.onnx.export(
            copy.deepcopy(module).cpu().eval(),
            (torch.zeros(2, channels, 24, 40),),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: "n", 2: "h", 3: "w"},),
            dynamo=True,
            verbose=False,
        )
    except Exception as error:  # torch, onnxscript and the network itself each raise their own
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
        raise PluginError(
            f"{type(module).__name__} cannot be exported to ONNX ({type(error).__name__}: {reason}): use backend torch"
        ) from error
    finally:
        exporter.setLevel(level)
    assert program is not None
    content: onnx.ModelProto = program.model_proto
    names = picture_nodes(content, {name for name, _ in module.named_parameters()})
    for node in content.graph.node:
        del node.metadata_props[:]  # stack traces with the paths of this machine
    for value in (*content.graph.input, *content.graph.output, *content.graph.value_info, *content.graph.initializer):
        del value.metadata_props[:]
    content.metadata_props.add(key=PICTURE_NOTE, value="\n".join(names))
    return content


def picture_nodes(content: onnx.ModelProto, trained: set[str]) -> list[str]:
    """Names of the nodes that carry the interpolated picture, which must stay float32 where layers are rougher.

    Those are interpolations (``Resize``, or a convolution with a fixed kernel) and everything before and after them
    that has no trained weights.
    """
    graph = content.graph
    fixed = [n for n in graph.node if not trained.intersection(n.input)]
    kernels = {tensor.name for tensor in graph.initializer} - trained
    seeds = [n for n in fixed if n.op_type == "Resize" or (n.op_type.startswith("Conv") and kernels & set(n.input))]
    found = {n.name for n in seeds}
    for before in (True, False):
        values = {v for n in seeds for v in (n.input if before else n.output) if v}
        for node in reversed(fixed) if before else fixed:  # nodes are sorted
            if values.intersection(node.output if before else node.input):
                found.add(node.name)
                values.update(node.input if before else node.output)
    return sorted(found)


def _difference(content: onnx.ModelProto, loaded: LoadedModel) -> float:
    import torch
    from onnx.reference import ReferenceEvaluator

    x = torch.rand(1, content.graph.input[0].type.tensor_type.shape.dim[1].dim_value, 19, 27)
    with torch.inference_mode():
        expected = loaded.torch().module(x)
    (result,) = ReferenceEvaluator(content).run(None, {INPUT: x.numpy()})
    return float((torch.from_numpy(result) - expected).abs().max())

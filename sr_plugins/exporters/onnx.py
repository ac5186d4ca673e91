"""ONNX: a graph for other runtimes and the programs around them; compared with torch before it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sr_plugins.backends.onnx_graph import INPUT, missing, to_graph, written_graph
from sr_plugins.errors import ArgumentError, ModelOutputError, PluginError
from sr_plugins.interface.exporter import Exported, ExporterSpec
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import Channels

if TYPE_CHECKING:
    import onnx
    from torch import nn

TOLERANCE = 1e-5  # of values in 0..1
HALF_TOLERANCE = 1 / 255
OLDEST = 16  # the first with the leaky ReLU of today
WRITTEN = 18  # the oldest that torch writes
GREW = {"Pad", "Cast"}  # in types and inputs


def build(
    loaded: LoadedModel,
    *,
    channels: Channels | None = None,
    precision: str = "full",
    size: tuple[int, int] | None = None,
    opset: int | None = None,
) -> Exported:
    """Input ``picture`` (n, C, h, w), output ``enlarged``, values 0..1; float16 with ``precision="half"``.

    A network that sees several frames takes them one after the other as channels.

    What was made is run by ONNX's reference evaluator and compared with torch.

    Raises:
        ArgumentError: a network for R'G'B' cannot be one for luma; no such opset; a size without pixels.
        PluginError: the network uses something ONNX cannot express.
        ModelOutputError: the graph differs from the network by more than 1e-5, in half precision 1/255.
    """
    from sr_plugins.interface.written_graph import OPSET

    if size is not None and min(size) < 1:
        raise ArgumentError(f"size {size[0]}x{size[1]} holds no pixel")
    spec, half = loaded.spec, precision == "half"
    module = loaded.torch().runnable()
    planes = spec.planes_in * spec.frames
    if any(spec.window):
        from sr_plugins.weights.frames_as_channels import FramesAsChannels

        module = FramesAsChannels(module, spec.frames)
    if channels == "luma" and spec.channels != "luma":
        raise ArgumentError(f"{spec.label} works on R'G'B': it has no graph for luma")
    if channels == "rgb" and spec.channels == "luma":
        from sr_plugins.exporters.rgb_network import LumaInRgb

        module, planes = LumaInRgb(module, spec.scale, spec.frames).eval(), 3 * spec.frames
    operators = _operators(opset)
    content = written_graph(module, planes, size=size, half=half) if opset is None or opset <= OPSET else None
    if content is None:
        from sr_plugins.exporters.rgb_network import in_half

        content = to_graph(in_half(module) if half else module, planes, size=size, opset=operators, half=half)
    if opset is not None:
        content = _in_version(content, opset)
    content.doc_string = f"{loaded.spec.label}: {loaded.spec.architecture}".rstrip(": ")
    difference = _difference(content, module, loaded.spec.label, half)
    limit = HALF_TOLERANCE if half else TOLERANCE
    if not difference <= limit:
        raise ModelOutputError(f"the exported graph of {loaded.spec.label} differs from torch by {difference:.2g}")
    told = "luma" if spec.channels == "luma" and channels != "rgb" else "rgb"
    if any(spec.window):
        told += f", {spec.frames} frames as channels"
    return Exported({".onnx": content.SerializeToString()}, f"{told}, within {difference:.1g} of torch")


def _operators(opset: int | None) -> int | None:
    """The version to ask torch for; older ones are made of what it writes."""
    from onnx.defs import onnx_opset_version

    if opset is not None and not OLDEST <= opset <= onnx_opset_version():
        raise ArgumentError(f"opset {opset} is not one of {OLDEST} to {onnx_opset_version()}")
    return None if opset is None else max(opset, WRITTEN)


def _in_version(content: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The same graph in an older opset, where every operator in it says the same there.

    onnx's own converter knows no way back for those whose later versions only added types and an input that we lack.
    """
    import onnx

    imports = {o.domain: o for o in content.opset_import}
    there = imports[""].version
    for node in content.graph.node if there > opset else ():
        versions = [onnx.defs.get_schema(node.op_type, v, node.domain).since_version for v in (there, opset)]
        if versions[0] != versions[1] and not (node.op_type in GREW and len(node.input) <= 3):
            raise PluginError(f"{node.op_type} of this network's graph is not the same in opset {opset}: take {there}")
    imports[""].version = opset
    onnx.checker.check_model(content, full_check=True)
    return content


def _difference(content: onnx.ModelProto, module: nn.Module, label: str, half: bool) -> float:
    """Between the graph and ``module``, which is never in half precision."""
    import torch
    from onnx.reference import ReferenceEvaluator

    sides = [d.dim_value for d in content.graph.input[0].type.tensor_type.shape.dim]
    x = torch.rand(1, sides[1], sides[2] or 19, sides[3] or 27, dtype=torch.float32)
    if half:
        x = x.half()
    with torch.inference_mode():
        expected = module(x.float())
    try:
        (result,) = ReferenceEvaluator(content).run(None, {INPUT: x.numpy()})
    except MemoryError as error:
        raise PluginError(f"{label} at this size is too large to be checked here") from error
    return float((torch.from_numpy(result).float() - expected).abs().max())


@hookimpl
def sr_exporters() -> Iterable[ExporterSpec]:
    yield ExporterSpec(
        name="onnx",
        suffixes=(".onnx",),
        build=build,
        options=("channels", "precision", "size", "opset"),
        missing=missing,
    )

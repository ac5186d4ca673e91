"""ONNX graphs as OpenVINO's models, before they are compiled."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.backends.onnx_graph import PICTURE_NOTE
from sr_plugins.backends.openvino_block_edges import EXACT
from sr_plugins.backends.openvino_blocks import with_blocked_tail
from sr_plugins.interface.network import OnnxNetwork
from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import openvino


def scale_of(model: openvino.Model, channels: int) -> int:
    """How many times larger its pictures are."""
    side, tried = 16, model.clone()
    tried.reshape([1, channels, side, side])
    return int(tried.output(0).shape[2]) // side


@cache
def core() -> openvino.Core:
    openvino = import_openvino()

    return openvino.Core()


def read_model(network: OnnxNetwork) -> openvino.Model:
    """The ONNX graph as an OpenVINO model, its last layers in blocks, in which the interpolated picture stays float32.

    bfloat16 holds 8 bits, too few for a picture; only a serialised model can carry the mark for that.
    """
    import onnx

    openvino = import_openvino()
    from openvino import opset1

    notes = {note.key: note.value for note in onnx.load_from_string(network.graph).metadata_props}
    marked = set(notes.get(PICTURE_NOTE, "").splitlines())
    model = core().read_model(network.graph)
    if len(model.outputs) > 1:
        result = opset1.result(model.output(network.output).get_node().input_value(0))
        model = openvino.Model([result], model.get_parameters(), model.get_name())
    model = with_blocked_tail(model) or model
    for node in model.get_ops():
        if node.get_type_name() == "Pad" and node.get_friendly_name() in marked:
            # the CPU compiler rewrites the newer Pad as this one, and loses the mark on the way
            old = opset1.pad(*node.input_values()[:3], node.get_attributes()["pad_mode"])
            old.set_friendly_name(node.get_friendly_name())
            openvino.utils.replace_node(node, old)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        root = ElementTree.fromstring(path.read_text())
        weights = path.with_suffix(".bin").read_bytes()
    for layer in root.iter("layer"):
        if layer.attrib["name"] in marked or EXACT in layer.attrib["name"]:
            info = layer.find("rt_info")
            info = ElementTree.SubElement(layer, "rt_info") if info is None else info
            ElementTree.SubElement(info, "attribute", name="precise", version="0")
    return core().read_model(ElementTree.tostring(root), weights)

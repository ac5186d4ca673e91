"""A network as an ONNX file for other runtimes, compared with torch before it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.backends.onnx_graph import INPUT, missing, to_graph
from sr_plugins.errors import ModelOutputError, PluginError, SRError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.whole_file import whole_file

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-5  # of values in 0..1


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

    content = to_graph(loaded.torch().runnable(), loaded.spec.planes_in)
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


def _difference(content: onnx.ModelProto, loaded: LoadedModel) -> float:
    import torch
    from onnx.reference import ReferenceEvaluator

    x = torch.rand(1, content.graph.input[0].type.tensor_type.shape.dim[1].dim_value, 19, 27)
    with torch.inference_mode():
        expected = loaded.torch().module(x)
    (result,) = ReferenceEvaluator(content).run(None, {INPUT: x.numpy()})
    return float((torch.from_numpy(result) - expected).abs().max())

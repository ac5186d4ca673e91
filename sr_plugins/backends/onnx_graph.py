"""A network as an ONNX graph with free batch, height and width: for files, and for our backends on other runtimes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sr_plugins.errors import PluginError
from sr_plugins.folders import cache_folder, read_or_make
from sr_plugins.interface.network import Network, OnnxNetwork, TorchNetwork
from sr_plugins.version import extra_command
from sr_plugins.weights.digest import fingerprint

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

logger = logging.getLogger("sr_plugins")

INPUT, OUTPUT = "picture", "enlarged"
PACKAGES = ("onnx", "onnxscript")
PICTURE_NOTE = "sr_plugins.picture"  # metadata key: names of the nodes that carry the picture, one a line


def missing() -> str | None:
    """What to install before a network can be exported, or ``None``."""
    return None if all(map(find_spec, PACKAGES)) else extra_command("export")


def cached_graph(module: nn.Module, channels: int) -> bytes:
    """The network as ONNX bytes; exporting takes seconds, so they are kept from one process to the next."""
    import onnx

    def make() -> bytes:
        logger.info("making an ONNX graph of %s, once for this machine", type(module).__name__)
        content: bytes = to_graph(module, channels).SerializeToString()
        return content

    key = fingerprint(TorchNetwork(module), str(channels), onnx.__version__)
    if key is None:
        return make()
    content = read_or_make("onnx", f"{key}.onnx", make)
    try:
        whole = {value.name for value in onnx.load_from_string(content).graph.output} == {OUTPUT}
    except Exception:  # protobuf's own
        whole = False
    if not whole:  # a full disk, or another program
        (cache_folder() / "onnx" / f"{key}.onnx").unlink(missing_ok=True)
        content = read_or_make("onnx", f"{key}.onnx", make)
    return content


def graph_of(network: TorchNetwork | OnnxNetwork, channels: int) -> OnnxNetwork:
    """The network as an ONNX graph: as it is, or exported for so many channels."""
    if isinstance(network, OnnxNetwork):
        return network
    if (graph := written_graph(network.module, channels)) is not None:
        return OnnxNetwork(graph.SerializeToString(), INPUT, OUTPUT)
    return OnnxNetwork(cached_graph(network.module, channels), INPUT, OUTPUT)


def own_network(network: Network, backend: str, cure: str | None) -> TorchNetwork | OnnxNetwork:
    """The network for a runner of ``backend`` to keep; ``cure`` is what the backend's ``missing()`` says.

    Raises:
        PluginError: the backend cannot be used here.
    """
    if cure is not None:
        raise PluginError(f"backend {backend} cannot be used here: {cure}")
    assert isinstance(network, TorchNetwork | OnnxNetwork)
    return TorchNetwork(network.runnable()) if isinstance(network, TorchNetwork) else network


def in_steps(network: TorchNetwork | OnnxNetwork) -> tuple[Callable[[Tensor], Tensor], TorchNetwork | OnnxNetwork]:
    """What torch does to a picture before it goes to a graph, and what is to be made a graph of."""
    steps = getattr(network.module, "steps", None) if isinstance(network, TorchNetwork) else None
    found: tuple[nn.Module, nn.Module] | None = steps() if callable(steps) else None
    if found is None:
        return lambda x: x, network
    first, rest = found

    def without_gradients(x: Tensor) -> Tensor:
        import torch

        with torch.inference_mode():
            y: Tensor = first(x)
        return y

    return without_gradients, TorchNetwork(rest)


def name_of(network: TorchNetwork | OnnxNetwork) -> str:
    """What messages call the network."""
    return type(network.module).__name__ if isinstance(network, TorchNetwork) else "this ONNX graph"


def written_graph(
    module: nn.Module, channels: int, *, size: tuple[int, int] | None = None, half: bool = False
) -> onnx.ModelProto | None:
    """The graph of a network that writes itself down (:func:`~sr_plugins.interface.written_graph.written`).

    Arguments are those of :func:`to_graph`, but that ``module`` is of float32 with ``half``, too.
    """
    if not hasattr(module, "write"):
        return None
    from sr_plugins.interface.written_graph import written

    graph = written(module, channels, picture=INPUT, enlarged=OUTPUT, size=size, half=half)
    return None if graph is None else _noted(graph, module)


def to_graph(
    module: nn.Module,
    channels: int,
    *,
    size: tuple[int, int] | None = None,
    opset: int | None = None,
    half: bool = False,
) -> onnx.ModelProto:
    """The network as a graph.

    Args:
        module: float32 (N, C, H, W) to (N, C', H', W'); float16 with ``half``.
        channels: C.
        size: (width, height) of the one picture that it will take; ``None``: batch, height and width are free.
        opset: version of the operators; ``None``: the exporter's own.
        half: what goes in is float16.

    Raises:
        PluginError: the network uses something ONNX cannot express, in this version.
    """
    import torch

    # they warn of every package that they could have used; a host that logs everything (vspipe does) would print
    # thousands of lines
    talkers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    dtype = torch.float16 if half else torch.float32
    try:
        program = torch.onnx.export(
            copy.deepcopy(module).cpu().eval(),
            (torch.zeros(*((2, channels, 24, 40) if size is None else (1, channels, *size[::-1])), dtype=dtype),),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: "n", 2: "h", 3: "w"},) if size is None else None,
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    except Exception as error:  # torch, onnxscript and the network itself each raise their own
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
        raise PluginError(
            f"{type(module).__name__} cannot be exported to ONNX ({type(error).__name__}: {reason}): use backend torch"
        ) from error
    finally:
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)
    assert program is not None
    content: onnx.ModelProto = program.model_proto
    for node in content.graph.node:
        del node.metadata_props[:]  # stack traces with the paths of this machine
    for value in (*content.graph.input, *content.graph.output, *content.graph.value_info, *content.graph.initializer):
        del value.metadata_props[:]
    return _noted(content, module)


def _noted(content: onnx.ModelProto, module: nn.Module) -> onnx.ModelProto:
    """With a note of the nodes that carry the picture."""
    parameters = {f".{name}" for name, _ in module.named_parameters()}  # behind the names of what is around them
    tensors = {tensor.name for tensor in content.graph.initializer}
    names = picture_nodes(content, {t for t in tensors if any(name.endswith(f".{t}") for name in parameters)})
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

"""Tests for plugin authors: :func:`check_model` and :func:`check_backend` try everything that a spec promises.

In a plugin's own tests one line each does::

    def test_the_model_keeps_its_promises() -> None:
        check_model(SPEC)

Both raise ``AssertionError`` with a line that names what was promised and what was seen. They need no pytest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sr_plugins.interface.backend import BackendSpec, Coding, CodingRunner, Placement
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.models.symmetric_convolution import moved, positions
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.plugins import Plugins
from sr_plugins.settings import OtherSettings
from sr_plugins.upscaler import Upscaler

SIZES = ((1, 1), (1, 7), (5, 2), (13, 10))  # (height, width)
TILED = 1e-5  # how far tiles may be from the whole in float32, values in [0, 1]
FOLDED = 1e-3  # how far a folded network may be, relative: kernels are multiplied in float32
PARAMETERS = 0.08  # standard deviation of random parameters: large enough that every layer tells in the result
# how far a backend may be from torch in float32 on noise, values in [0, 1]
APART: dict[Precision, float] = {"float32": 1e-4, "float16": 0.01, "bfloat16": 0.03, "int8": 0.25}
FORMATS = (  # each takes a way of its own through the core
    FrameFormat(family="gray"),
    FrameFormat(family="yuv", subsampling=(1, 1), bits=10),
    FrameFormat(family="rgb", bits=16),
    FrameFormat(family="rgb", bits=32, is_float=True),
)


def check_model(model: ModelSpec | LoadedModel) -> None:
    """Try a model: with random parameters where ``model`` is a spec, with its own weights where it is a loaded one.

    What is tried: the shape of the result for one picture and for two at once, for odd sizes down to one pixel; that
    all values are finite; that pictures of a batch do not see each other; that no pixel depends on one beyond
    ``receptive_radius`` (by changing single pixels); ``symmetry``; that what was trained folds into what ``build``
    returns; and through :class:`~sr_plugins.Upscaler`, that tiles equal the whole and that frames of all kinds come
    out, with sizes that are no multiple of anything.

    Raises:
        AssertionError: one of it does not hold.
        PluginError: a loaded model has no network in the form of torch.
    """
    loaded = model if isinstance(model, LoadedModel) else LoadedModel(model, TorchNetwork(random_network(model.build)))
    spec = loaded.spec
    with torch.inference_mode():
        network = _finest(loaded.torch().runnable(), spec)
        _check_shapes(spec, network)
        if (radius := spec.receptive_radius) is not None:
            seen = measured_radius(network, spec)
            _expect(seen <= radius, f"{spec.label} promises a receptive_radius of {radius}: it sees pixels {seen} away")
        _check_symmetry(spec, network)
        if spec.build_for_training is not None and model is spec:
            _check_folding(spec)
    _check_tiles(loaded)
    _check_frames(loaded)


def check_backend(backend: BackendSpec, *, device: str = "cpu", model: LoadedModel | None = None) -> None:
    """Try a way to run networks: build it in each of its precisions and compare it with torch in float32.

    What is tried: that it says what is missing, and runs on ``device``; shape, type and finite values for odd sizes
    down to one pixel and two pictures at once; that the result is torch's, as near as the precision allows; that the
    input stays as it is and an earlier result too; that calls from as many threads as ``lanes`` says give the same
    bytes; the ``codes`` of its runners, where they have them; and through :class:`~sr_plugins.Upscaler`, that tiles
    equal the whole.

    Args:
        backend: the spec, as the hook ``sr_backends`` returns it.
        device: where to run, torch-like.
        model: what to run; by default ``tiny`` with its trained weights.

    Raises:
        AssertionError: one of it does not hold.
    """
    missing = backend.missing()
    _expect(missing is None, f"backend {backend.name} cannot be tried here, install {missing}")
    loaded = model or Upscaler("tiny", device="cpu", backend="torch").loaded
    network = next((n for form in backend.takes if (n := loaded.form((form,)))), None)
    assert network is not None, f"backend {backend.name} takes {backend.takes}: {loaded.spec.label} is none of these"
    precisions = backend.precisions(device)
    _expect(bool(precisions) and backend.lanes(device) >= 1, f"backend {backend.name} does not run on {device}")
    with torch.inference_mode():
        for precision in precisions:
            _check_runner(backend, loaded, network, Placement(device=device, precision=precision, batch=2))
    _check_backends_tiles(backend, loaded, device)


def random_network(build: Callable[[], nn.Module], seed: int = 3) -> nn.Module:
    """The network of ``build()`` in eval mode with every parameter random, so that no initial zero hides anything."""
    network = build().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * PARAMETERS)
    return network


def measured_radius(network: nn.Module, spec: ModelSpec) -> int:
    """How far from an input pixel the output still changes with it, in input pixels, on both axes.

    One pixel is changed a little and very much. Where weights cancel or units are dead, the network may see further
    than is measured; fill the weights with positive numbers to be sure.
    """
    reads = spec.receptive_radius or 0
    side = _fitting(spec, 2 * reads + 5)
    x = _picture(spec, 1, side, side, _dtype(network)) * 0.5 + 0.25
    before = network(x)
    farthest = 0
    for at in {side // 2, (side - 1) // 2}:  # two phases, should the network cut the picture into blocks
        for value in (0.9, -1e3, 1e28):
            changed = x.clone()
            changed[..., at, at] = value
            seen = (network(changed) != before).flatten(0, -3).any(0).nonzero()
            if len(seen):
                farthest = max(farthest, int((seen // spec.scale - at).abs().max()))
    return farthest


def _expect(holds: bool, message: str) -> None:
    """As ``assert``, which ``python -O`` would leave out."""
    if not holds:
        raise AssertionError(message)


def _picture(spec: ModelSpec, count: int, height: int, width: int, kind: torch.dtype) -> Tensor:
    """Random input of a network: (N, C, H, W), or (N, T, C, H, W) where it sees other frames."""
    generator = torch.Generator().manual_seed(height * 1009 + width)
    frames = (spec.frames,) if any(spec.window) else ()
    return torch.rand((count, *frames, spec.planes_in, height, width), generator=generator, dtype=kind)


def _finest(network: nn.Module, spec: ModelSpec) -> nn.Module:
    """The network in float64, where rounding hides nothing; as it is where it insists on float32 inside."""
    finer = copy.deepcopy(network).double()
    try:
        finer(_picture(spec, 1, _fitting(spec, 8), _fitting(spec, 8), torch.float64))
    except RuntimeError:
        return network
    return finer


def _fitting(spec: ModelSpec, side: int) -> int:
    """The next larger side that the network takes by itself; in the core the engine mirrors edges to that."""
    return -(-max(side, spec.minimum_size) // spec.size_multiple) * spec.size_multiple


def _check_shapes(spec: ModelSpec, network: nn.Module) -> None:
    for height, width in SIZES:
        x = _picture(spec, 2, _fitting(spec, height), _fitting(spec, width), _dtype(network))
        y = network(x)
        wanted = (2, spec.planes_out, x.shape[-2] * spec.scale, x.shape[-1] * spec.scale)
        _expect(tuple(y.shape) == wanted, f"{spec.label} made {tuple(y.shape)} of {tuple(x.shape)}, not {wanted}")
        _expect(bool(y.isfinite().all()), f"{spec.label} gives values that are not finite for {tuple(x.shape)}")
        alone = torch.cat([network(x[:1]), network(x[1:])])
        _expect(_apart(alone, y) <= TILED, f"{spec.label}: pictures of one batch change each other")


def _check_symmetry(spec: ModelSpec, network: nn.Module) -> None:
    if spec.symmetry == 1:
        return
    x = _picture(spec, 1, _fitting(spec, 12), _fitting(spec, 15), _dtype(network))
    y = network(x)
    for position in positions(spec.symmetry):
        apart = _apart(network(moved(x, position)), moved(y, position))
        what = f"{spec.label} promises symmetry {spec.symmetry}: turned to {position}"
        _expect(apart <= TILED, f"{what}, its result differs by {apart:.2g}")


def _check_folding(spec: ModelSpec) -> None:
    assert spec.build_for_training is not None
    trained = random_network(spec.build_for_training)
    folded = trained.fold()  # type: ignore[operator]
    names, wanted = list(folded.state_dict()), list(spec.build().state_dict())
    _expect(names == wanted, f"{spec.label}: fold() gives {names}, build() {wanted}")
    x = _picture(spec, 1, _fitting(spec, 12), _fitting(spec, 9), torch.float32)
    y = trained(x)
    apart = _apart(folded(x), y[-1] if isinstance(y, list) else y)
    _expect(apart <= FOLDED, f"{spec.label}: what fold() returns differs from what was trained by {apart:.2g}")


def _check_tiles(
    loaded: LoadedModel, backend: str = "torch", plugins: Plugins | None = None, device: str = "cpu"
) -> None:
    spec = loaded.spec
    if spec.blends or spec.margin is not None:
        return  # such tiles are near the whole, and promise no more
    format = FrameFormat(family="gray" if spec.channels == "luma" else "rgb", bits=32, is_float=True)
    step = spec.size_multiple * spec.tile_multiple
    tile = 2 * spec.reads + 16 * step
    frame = _frame(format, tile + 13, tile + 5)
    made = []
    for length in (4096, tile, tile + 13 - 2 * step):
        way: OtherSettings = {"device": device, "backend": backend, "precision": "float32", "tile": length}
        with Upscaler(loaded, plugins=plugins, **way) as upscaler:
            made.append(upscaler.upscale(frame))
    for tiled in made[1:]:
        apart = max(_apart(*map(torch.from_numpy, pair)) for pair in zip(tiled.planes, made[0].planes, strict=True))
        _expect(apart <= TILED, f"{spec.label} in tiles differs from the whole by {apart:.2g}: see receptive_radius")


def _check_frames(loaded: LoadedModel) -> None:
    with Upscaler(loaded, device="cpu", backend="torch", precision="float32") as upscaler:
        for format in FORMATS:
            for height, width in SIZES:
                frame = _frame(format, width, height, alpha=format.family == "rgb")
                result = upscaler.upscale(frame)
                size, wanted = (result.width, result.height), upscaler.output_size(width, height, format)
                _expect(size == wanted, f"{loaded.spec.label}: {width}x{height} became {size}, not {wanted}")
                finite = all(np.isfinite(plane).all() for plane in result.planes)
                _expect(finite, f"{loaded.spec.label}: a frame of {width}x{height} holds values that are not finite")


def _frame(format: FrameFormat, width: int, height: int, alpha: bool = False) -> Frame:
    random = np.random.default_rng(width * 1009 + height)

    def plane(size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        if format.is_float:
            return random.random(size[::-1]).astype(format.dtype)
        return random.integers(0, 1 << format.bits, size[::-1]).astype(format.dtype)

    planes = [plane(format.plane_size(i, width, height)) for i in range(format.planes)]
    return Frame(planes, format, plane((width, height)) if alpha else None)


def _check_runner(backend: BackendSpec, loaded: LoadedModel, network: Network, placement: Placement) -> None:
    precision, device = placement.precision, placement.device
    what = f"backend {backend.name} in {precision} on {device}"
    shared = None if backend.fixed_shapes else backend.build(network, placement)
    plain = loaded.torch().runnable().to(device)
    for height, width in SIZES:
        runner = shared or backend.build(network, replace(placement, shapes=((height, width),)))
        x = _picture(loaded.spec, 2, height, width, torch.float32).to(device)
        given, expected = x.clone(), plain(x)
        y = runner(x)
        _expect(tuple(y.shape) == tuple(expected.shape), f"{what} made {tuple(y.shape)} of {tuple(x.shape)}")
        _expect(y.dtype == torch.float32, f"{what} gives {y.dtype}, not torch.float32")
        _expect(bool(y.isfinite().all()), f"{what} gives values that are not finite for {tuple(x.shape)}")
        apart = _apart(y, expected)
        _expect(apart <= APART[precision], f"{what} differs from torch by {apart:.2g} at {height}x{width}")
        _expect(torch.equal(x, given), f"{what} changes its input")
        kept, again = y.clone(), runner(x)
        runner(1 - x)
        _expect(torch.equal(y, kept), f"{what} writes over a result that it gave out before")
        _expect(torch.equal(again, kept), f"{what} gives other bytes the second time")
        with ThreadPoolExecutor(backend.lanes(device)) as pool:
            results = pool.map(torch.inference_mode()(runner), [x] * (3 * backend.lanes(device)))
            _expect(all(torch.equal(r, kept) for r in results), f"{what} gives other bytes to several threads")
        if isinstance(runner, CodingRunner):
            _check_codes(what, runner, x, kept)


def _check_codes(what: str, runner: CodingRunner, x: Tensor, y: Tensor) -> None:
    for coding in (Coding(16.0, 219.0, 8), Coding(64.0, 876.0, 10)):
        codes = runner.codes(x, coding)
        assert codes is not None, f"{what}: codes() says that finite values are not"
        kind = torch.uint8 if coding.bits == 8 else torch.uint16
        _expect(codes.dtype == kind, f"{what}: codes of {coding.bits} bits are {codes.dtype}, not {kind}")
        wanted = (y * coding.span + coding.low).round().clamp(0, 2**coding.bits - 1)
        apart = float((codes.to(torch.float32) - wanted).abs().max())
        _expect(apart <= 1, f"{what}: codes are up to {apart:g} from the rounded values")


def _check_backends_tiles(backend: BackendSpec, loaded: LoadedModel, device: str) -> None:
    found = Plugins(installed=False)
    taken = backend.name in {spec.name for spec in found.backends()}
    offered = replace(backend, replaces="sr-plugins") if taken else backend

    class Offer:
        @hookimpl
        def sr_backends(self) -> list[BackendSpec]:
            return [offered]

    found.register(Offer(), "sr_plugins.testing")
    _check_tiles(loaded, backend.name, found, device)


def _dtype(network: nn.Module) -> torch.dtype:
    return next(network.parameters(), torch.zeros(1)).dtype


def _apart(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest value where that is beyond 1: random networks leave [0, 1]."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1))

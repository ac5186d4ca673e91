"""What a plugin tells us about one model, backend, degradation, loss, metric and one opened weights file."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

Channels = Literal["luma", "rgb"]
Precision = Literal["float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One network at one scale.

    ``build()`` returns the untrained inference network; it imports torch inside, so that listing models stays cheap.
    The contract of every module: ``module(x)`` takes float ``(N, C, H, W)`` with values in [0, 1], C = 1 for a
    ``luma`` model and 3 (R, G, B) for an ``rgb`` model, any H, W >= 1, and returns ``(N, C, H * scale, W * scale)``.
    The residual is added inside; the result may leave [0, 1] a little and is clamped by the caller.

    Attributes:
        name: what users type after ``--model``. Name and scale together identify a model.
        scale: upsampling factor, 1 (restoration) or more.
        channels: ``luma`` (Y' of the frame; chroma is interpolated) or ``rgb``.
        build: makes the inference network, without weights: what a weights file holds. Its module may have
            ``plain() -> nn.Module`` returning the equal network that runs faster.
        receptive_radius: an output pixel depends on input pixels at most this far (in input pixels, both axes) from
            the input pixel it lies in. Tiles overlap by it; ``tests`` prove it by perturbing pixels.
        weights: the ``.safetensors`` file with the trained weights, or ``None`` where none are shipped (yet).
        needs_weights: ``False`` for a network that ``build()`` returns ready to use (fixed filters).
        build_for_training: makes the network to train, where it differs from ``build()`` (branches that fold). Its
            module has ``fold() -> nn.Module`` returning the equal inference network, and may have
            ``load_folded(tensors) -> list[str]`` to start from one. It may return a list of pictures, the smallest
            first, to train each; and where a recipe trains smaller scales too, the scale is its second argument.
            ``None``: ``build`` serves both.
        symmetry: how many positions of a picture the network treats alike: 1, 2 (mirrored left and right), 4 (up and
            down too) or 8 (transposed too). In those the result is the same one, moved.
        global_operations: the network mixes the whole picture (global attention, pooling), so that tiles can only be
            blended, not exact. ``receptive_radius`` is then the overlap used for blending.
        architecture: shape of the network in the field's terms, and the paper it follows.
        license: licence of the weights.
        replaces: the distribution whose model of the same name and scale this one stands in for; without it a second
            provider of a name is an error.
    """

    name: str
    scale: int
    channels: Channels
    build: Callable[[], nn.Module]
    receptive_radius: int
    weights: Path | None = None
    needs_weights: bool = True
    build_for_training: Callable[[], nn.Module] | None = None
    symmetry: Literal[1, 2, 4, 8] = 1
    global_operations: bool = False
    architecture: str = ""
    license: str = ""
    replaces: str | None = None

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ValueError(f"scale of model {self.name!r} is {self.scale}: it is 1 or more")
        if self.channels not in ("luma", "rgb"):
            raise ValueError(f"channels of model {self.name!r} is {self.channels!r}: it is 'luma' or 'rgb'")
        if self.receptive_radius < 0:
            raise ValueError(f"receptive_radius of model {self.name!r} is negative")
        if self.symmetry not in (1, 2, 4, 8):
            raise ValueError(f"symmetry of model {self.name!r} is {self.symmetry!r}: it is 1, 2, 4 or 8")

    @property
    def label(self) -> str:
        """Name and scale as people write them, for example ``fast x2``."""
        return f"{self.name} x{self.scale}"

    @property
    def usable(self) -> bool:
        """Whether it can upscale: its weights are there, or it needs none."""
        return self.weights is not None or not self.needs_weights


@dataclass(frozen=True)
class LoadedModel:
    """A weights file that was read: the model it is for and the network with the weights in it (eval mode, on CPU)."""

    spec: ModelSpec
    module: nn.Module
    card: dict[str, Any] = field(default_factory=dict)

    def runnable(self) -> nn.Module:
        """A copy of the network to run or export: with shared kernels written out, where it has such."""
        plain = getattr(self.module, "plain", None)
        return copy.deepcopy(plain() if callable(plain) else self.module)


class Runner(Protocol):
    """A network made ready for one device: the one network call."""

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor:
        """Float32 ``(N, C, H, W)`` in [0, 1] on the runner's device to float32 ``(N, C, H * scale, W * scale)``.

        Raises ``torch.OutOfMemoryError`` when the batch does not fit; the engine then tries a smaller one.
        """
        ...


@dataclass(frozen=True, slots=True)
class Coding:
    """How a value becomes an integer code: ``value * span + low``, rounded half to even, clamped to ``bits``."""

    low: float
    span: float
    bits: int


@runtime_checkable
class CodingRunner(Runner, Protocol):
    """A runner that can also hand out the codes a frame stores, so that no float picture is written and read again."""

    def codes(self, x: torch.Tensor, coding: Coding, /) -> torch.Tensor | None:
        """As the call, but integers (``uint8`` for 8 bits, else ``uint16``); ``None`` if a value is not finite."""
        ...


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """One way to run a network.

    Attributes:
        name: what users type after ``--backend``.
        build: ``build(module, device, precision)`` returns the :class:`Runner`. ``module`` is in eval mode on the
            CPU, ``device`` a torch device string ("cpu", "cuda:0"), ``precision`` one of ``precisions(device)``.
        precisions: ``precisions(device)`` lists what this backend can do on that device, best choice first.
            Empty where it does not run on that device.
        lanes: ``lanes(device)`` tells how many calls of one runner at once serve that device best. With more than one,
            calls come from as many threads; on CUDA each has a stream of its own.
        recordable: its runners, once warm, only launch kernels on the current stream and never wait, so that a CUDA
            graph can be made of their calls.
        missing: returns what to install when the backend's library is absent, else ``None``.
        replaces: the distribution whose backend of the same name this one stands in for.
    """

    name: str
    build: Callable[[nn.Module, str, Precision], Runner]
    precisions: Callable[[str], tuple[Precision, ...]]
    lanes: Callable[[str], int] = lambda device: 1
    recordable: bool = False
    missing: Callable[[], str | None] = lambda: None
    replaces: str | None = None


# On the way from clean to bad: float32 (H, W, 3) R'G'B' in 8-bit code values 0..255, not rounded between steps.
Picture = NDArray[np.float32]
Degradation = Callable[[Picture, np.random.Generator], Picture]


@dataclass(frozen=True, kw_only=True)
class DegradationSpec:
    """One step of a degradation chain, as a recipe's ``[[degradation]]`` table names it.

    Attributes:
        name: what recipes write in ``name``.
        build: ``build(scale, **options)`` returns the step; ``options`` are the table's other keys. The step takes a
            picture (float32, (H, W, 3), R'G'B', 0..255) and a seeded generator, from which every random choice comes,
            and returns a picture of the same kind. One step of a chain makes the picture ``scale`` times smaller.
        random: whether two calls differ, so that training pictures are degraded anew during a run.
        replaces: the distribution whose step of the same name this one stands in for.
    """

    name: str
    build: Callable[..., Degradation]
    random: bool = True
    replaces: str | None = None


@dataclass(frozen=True, kw_only=True)
class LossSpec:
    """One training loss, as a recipe's ``[stage.losses]`` names it.

    Attributes:
        name: what recipes write.
        build: ``build(channels, **options)`` returns a ``nn.Module`` that takes output and target, float32
            (N, C, H, W) nominally in [0, 1] with C = ``channels`` (1 luma, 3 R'G'B'), and returns a scalar. A module
            with a method ``update(output, target)`` learns along (a discriminator): the trainer calls it once an
            iteration, after the network's own step.
        missing: returns what to install or fetch when the loss cannot be used here, else ``None``.
        replaces: the distribution whose loss of the same name this one stands in for.
    """

    name: str
    build: Callable[..., nn.Module]
    missing: Callable[[], str | None] = lambda: None
    replaces: str | None = None


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """One measure of quality.

    Attributes:
        name: what users type after ``--metrics``.
        build: returns ``measure(picture, reference)``, both 8-bit arrays of one shape: ``luma`` (H, W), limited range
            (16..235); ``rgb`` (H, W, 3). With ``clip`` a time axis comes first. Raises ``DataError`` where the
            pictures are too small. A metric without ``reference`` ignores its second argument.
        channels: what it looks at.
        larger_is_better: the direction.
        decimals: digits worth printing.
        reference: it compares with the true picture.
        clip: it looks at consecutive pictures of one size instead of one.
        missing: returns what to install or fetch when it cannot be used here, else ``None``.
        replaces: the distribution whose metric of the same name this one stands in for.
    """

    name: str
    build: Callable[[], Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]]
    channels: Channels = "luma"
    larger_is_better: bool = True
    decimals: int = 4
    reference: bool = True
    clip: bool = False
    missing: Callable[[], str | None] = lambda: None
    replaces: str | None = None

"""What a plugin tells us about one way to run a network, and what it hands out: runners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sr_plugins.interface.network import Network
from sr_plugins.interface.words import Form, Precision

if TYPE_CHECKING:
    import torch


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
class Placement:
    """Where and how a network is to be made ready.

    Attributes:
        device: torch-like name: "cpu", "cuda:0", "vulkan:0", "mps", "xpu".
        precision: one of ``BackendSpec.precisions(device)``.
        batch: the most pictures in one call.
        shapes: (height, width) of every input to come; empty: any.
    """

    device: str
    precision: Precision
    batch: int = 1
    shapes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """One way to run a network.

    Attributes:
        name: what users type after ``--backend``.
        build: ``build(network, placement)`` returns the :class:`Runner`. ``network`` has one of the forms in ``takes``
            (a torch module is in eval mode on the CPU); ``placement`` says device, precision and what will come.
        precisions: ``precisions(device)`` lists what this backend can do on that device, best choice first.
            Empty where it does not run on that device.
        takes: the forms of a network it can run, best first.
        lanes: ``lanes(device)`` tells how many calls of one runner at once serve that device best. With more than one,
            calls come from as many threads; on CUDA each has a stream of its own.
        fixed_shapes: its runners take ``Placement.shapes`` and no other: tiles are cut to one shape.
        auto_rank: ``auto_rank(device)``: ``None``: used only by name. Lower is asked first when ``auto`` chooses; 0 is
            the plain one, and another is taken where it was measured clearly faster.
        out_of_memory: tells whether an exception of its runners means lack of memory, beside the types that are known
            (``MemoryError``, ``torch.OutOfMemoryError``): the same frame is then computed in smaller tiles.
        forks: its runners, and new ones, work in a forked child.
        recordable: its runners, once warm, only launch kernels on the current stream and never wait, so that a CUDA
            graph can be made of their calls.
        missing: returns what to install when the backend's library is absent, else ``None``; a
            :class:`~.words.Broken` where it is there and cannot be used.
        replaces: the distribution whose backend of the same name this one stands in for.
    """

    name: str
    build: Callable[[Network, Placement], Runner]
    precisions: Callable[[str], tuple[Precision, ...]]
    takes: tuple[Form, ...] = ("torch",)
    lanes: Callable[[str], int] = lambda device: 1
    fixed_shapes: bool = False
    auto_rank: Callable[[str], int | None] = lambda device: None
    out_of_memory: Callable[[BaseException], bool] = lambda error: False
    forks: bool = False
    recordable: bool = False
    missing: Callable[[], str | None] = lambda: None
    replaces: str | None = None

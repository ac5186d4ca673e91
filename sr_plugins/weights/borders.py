"""Networks that give less than they are shown: those made for programs that repeat a picture's edge around it first.

waifu2x and Real-CUGAN have no padding of their own: their output lacks what they eat at each border.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.errors import WeightsError

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph

Run = Callable[[Tensor], Tensor]

SIDES = (64, 128, 192, 256)
FLAT = 0.02  # of a flat picture of any gray: a network that answers less gives what is to be added
GRAYS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Border:
    """What a network eats: ``around`` input pixels to show it beyond each edge, and ``cut`` output pixels too many."""

    scale: int
    around: int
    cut: int


def border_of(run: Run, channels: int, path: Path, sides: tuple[int, ...] = SIDES) -> Border | None:
    """What ``run`` eats at each border; ``None`` where it eats nothing, or does not run at sizes of such steps.

    Raises:
        WeightsError: it enlarges by no whole number.
    """
    seen: list[tuple[int, int]] = []
    for side in sides:
        try:
            with torch.inference_mode():
                y = run(torch.full((1, channels, side, side), 0.5, dtype=torch.float32))
        except Exception:  # too small, or not its multiple
            continue
        if not isinstance(y, Tensor) or y.dim() != 4 or y.shape[2] != y.shape[3]:
            return None
        seen.append((side, y.shape[2]))
        if len(seen) == 2:
            break
    if len(seen) < 2:
        return None
    (first, made), (second, more) = seen
    scale = (more - made) / (second - first)
    eaten = scale * first - made
    if eaten == 0:
        return None
    if scale != int(scale) or not 1 <= scale <= 16 or eaten < 0:
        raise WeightsError(
            f"{path} makes {made} pixels of {first} and {more} of {second}: it enlarges by no whole number of times"
        )
    whole = int(scale)
    around = -(-int(eaten) // (2 * whole))
    cut = 2 * around * whole - int(eaten)
    if cut % 2:
        raise WeightsError(f"{path} eats {int(eaten)} pixels, another number at one side than at the other")
    return Border(whole, around, cut // 2)


class Bordered(nn.Module):
    """``network`` for pictures of any size: the edge is repeated, as the programs do it that such files are made for.

    Args:
        network: takes sides that are a ``multiple`` of at least ``minimum``, beside what it eats.
        border: what it eats; ``None``: nothing.
        residual: the enlarged picture (nearest) is to be added to what it gives.
    """

    def __init__(
        self,
        network: Run,
        border: Border | None = None,
        *,
        residual: bool = False,
        multiple: int = 1,
        minimum: int = 1,
    ) -> None:
        super().__init__()
        self.network, self.residual, self.multiple, self.minimum = network, residual, multiple, minimum
        self.around, self.cut = (border.around, border.cut) if border is not None else (0, 0)
        self.scale = border.scale if border is not None else 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Float (N, C, H, W), values 0..1, to (N, C, H * scale, W * scale)."""
        height, width = x.shape[-2:]
        taken = [-(-max(side, self.minimum) // self.multiple) * self.multiple for side in (height, width)]
        more = self.around + taken[0] - height, self.around + taken[1] - width
        shown = F.pad(x, (self.around, more[1], self.around, more[0]), "replicate") if max(*more, self.around) else x
        y: Tensor = self.network(shown)
        if self.cut:
            y = y[..., self.cut : y.shape[-2] - self.cut, self.cut : y.shape[-1] - self.cut]
        scale = self.scale or y.shape[-2] // taken[0]
        if y.shape[-2:] != (taken[0] * scale, taken[1] * scale):
            raise ValueError(f"a picture of {tuple(shown.shape[2:])} became one of {tuple(y.shape[2:])}")
        y = y[..., : height * scale, : width * scale]
        if self.residual:
            y = y + x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        return y

    @property
    def planes(self) -> int | None:
        """How many go in, where the network tells it."""
        planes: int | None = getattr(self.network, "planes", None)
        return planes

    def write(self, graph: WrittenGraph, x: str) -> str | None:
        """As :meth:`.ForeignNetwork.write`."""
        if graph.half or self.planes is None:
            return None
        from sr_plugins.interface.traced_graph import write_brought

        return write_brought(
            graph,
            self.network,
            x,
            self.planes,
            multiple=self.multiple,
            minimum=self.minimum,
            around=self.around,
            cut=self.cut,
            mirrored=False,
            residual=self.residual,
        )


def gives_a_residual(run: Run, channels: int, side: int = 64) -> bool:
    """Whether flat pictures of any gray come out as nearly nothing, to be added to the picture (Real-CUGAN 4x)."""
    with torch.inference_mode():
        answers = [run(torch.full((1, channels, side, side), gray, dtype=torch.float32)) for gray in GRAYS]
    return all(float(y.abs().max()) < FLAT for y in answers)

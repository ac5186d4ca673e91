"""The passes of a player's shader: text in the GLSL and with the headers that mpv and libplacebo read.

A texture holds four features. ``fragment`` passes work everywhere and make one texture each; a ``compute`` pass makes
all features of a layer at once, side by side in one texture (``Grid``), and so reads its input once.

Saved textures are half precision in every player. Where that is not enough (``full``) each feature is stored twice,
as its half and as what the half lacks: together 22 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sr_plugins.exporters.compact_layers import Array

THREADS = 8  # of a compute pass, along both sides of its block
REACH = 2  # of the fixed filters, in pixels


@dataclass(frozen=True)
class Texture:
    """One saved blob of ``features``, as the passes know it.

    Attributes:
        names: of its textures: one where it is packed, else one for each four features.
        features: how many it has.
        packed: all in one texture, side by side.
        full: each four features twice.
    """

    names: tuple[str, ...]
    features: int
    packed: bool
    full: bool

    @classmethod
    def of(cls, name: str, features: int, *, packed: bool, full: bool) -> Texture:
        """A blob called ``name``."""
        texels = -(-features // 4) * (1 + full)
        names = (name,) if packed else tuple(f"{name}{i}" for i in range(texels))
        return cls(names, features, packed, full)

    @property
    def fours(self) -> int:
        """Groups of four features."""
        return -(-self.features // 4)

    @property
    def grid(self) -> tuple[int, int]:
        """Texels that a pixel takes, across and down."""
        if not self.packed:
            return 1, 1
        texels = self.fours * (1 + self.full)
        across = next(n for n in (4, 3, 2, 1) if texels % n == 0 and (n * n <= texels or n == 1))
        return across, texels // across

    def place(self, texel: int) -> tuple[int, int]:
        """Where a texel lies among those of its pixel."""
        return texel % self.grid[0], texel // self.grid[0]

    def read(self, four: int, at: str) -> str:
        """Four features at the pixel ``at``, an expression of type ivec2."""
        parts = [self._texel(four, at)]
        if self.full:
            parts.append(self._texel(self.fours + four, at))
        return parts[0] if len(parts) == 1 else f"({parts[0]} + {parts[1]})"

    def _texel(self, texel: int, at: str) -> str:
        if not self.packed:
            return f"texelFetch({self.names[texel]}_raw, {at}, 0)"
        (across, down), (x, y) = self.grid, self.place(texel)
        at = at if (across, down) == (1, 1) else f"{at} * ivec2({across}, {down})"
        at = at if (x, y) == (0, 0) else f"{at} + ivec2({x}, {y})"
        return f"texelFetch({self.names[0]}_raw, {at}, 0)"


def number(value: float, digits: int) -> str:
    """A constant of GLSL, as short as ``digits`` allow."""
    text = f"{value:.{digits}g}"
    if float(text) == 0:
        return "0."
    if "e" not in text and "." not in text:
        text += "."
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def vector(values: Iterable[float], digits: int) -> str:
    """``vec4`` of up to four values, the rest 0."""
    numbers = [number(v, digits) for v in values]
    return f"vec4({', '.join(numbers + ['0.'] * (4 - len(numbers)))})"


def matrix(block: Array, digits: int) -> str:
    """``mat4`` of a block (outputs, inputs) of up to 4 x 4, column by column as GLSL has it."""
    whole = np.zeros((4, 4), np.float32)
    whole[: block.shape[0], : block.shape[1]] = block
    return f"mat4({','.join(number(float(v), digits) for v in whole.T.flatten())})"


# what every pass knows: p, the pixel; e, the last pixel; o(x, y), the pixel that far away and whether it is inside
PLACE = """ivec2 e, p;
ivec2 at(int x, int y) { return clamp(p + ivec2(x, y), ivec2(0), e); }
float inside(int x, int y) { return float(at(x, y) == p + ivec2(x, y)); }
"""


def convolution(kernel: Array, bias: Array, fours: Sequence[int], source: Texture | None, digits: int) -> Iterator[str]:
    """Lines that make ``r0``, ``r1``, ... of the groups ``fours`` of a 3x3 convolution's outputs.

    ``source`` is what it reads; ``None``: the picture, by ``luma(ivec2)``. Outside lie zeros.
    """
    for i, four in enumerate(fours):
        yield f"vec4 r{i} = {vector(bias[4 * four : 4 * four + 4], digits)};"
    for y in (-1, 0, 1):
        for x in (-1, 0, 1):
            taps = kernel[:, :, y + 1, x + 1]
            yield f"q = at({x}, {y}); m = inside({x}, {y});" if (x, y) != (0, 0) else "q = p; m = 1.;"
            if source is None:
                yield "f = m * luma(q);"
                for i, four in enumerate(fours):
                    yield f"r{i} += {vector(taps[4 * four : 4 * four + 4, 0], digits)} * f;"
                continue
            for read in range(source.fours):
                yield f"v = m * {source.read(read, 'q')};"
                for i, four in enumerate(fours):
                    block = taps[4 * four : 4 * four + 4, 4 * read : 4 * read + 4]
                    yield f"r{i} += {matrix(block, digits)} * v;"


def enlarged(kernel: Array, fours: Sequence[int], value: str, digits: int) -> Iterator[str]:
    """Lines that add the fixed filter ``kernel`` (phases, 5, 5) of ``value``, an expression of q, to ``r0``, ..."""
    for y in range(-REACH, REACH + 1):
        for x in range(-REACH, REACH + 1):
            taps = kernel[:, y + REACH, x + REACH]
            blocks = [taps[4 * four : 4 * four + 4] for four in fours]
            if not any(block.any() for block in blocks):
                continue
            yield f"q = at({x}, {y}); f = {value};"
            for i, block in enumerate(blocks):
                if block.any():
                    yield f"r{i} += {vector(block, digits)} * f;"


def shrunk(kernel: Array, source: Texture, digits: int) -> Iterator[str]:
    """Lines that add the fixed filter ``kernel`` (phases, 5, 5) of phases in ``source`` to ``s``, a float."""
    for y in range(-REACH, REACH + 1):
        for x in range(-REACH, REACH + 1):
            taps = kernel[:, y + REACH, x + REACH]
            yield f"q = at({x}, {y});"
            for four in range(source.fours):
                block = taps[4 * four : 4 * four + 4]
                yield f"s += dot({vector(block, digits)}, {source.read(four, 'q')});"

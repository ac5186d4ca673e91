"""A compact network as one mpv user shader: header, passes, and nothing else at run time.

What a player hands to a hook on LUMA are codes / 255 as they are stored, also of video in limited range; networks of
ours see 0 for black and 1 for white. ``levels`` says which of both a shader is made for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sr_plugins.exporters.compact_layers import Array, CompactLayers
from sr_plugins.exporters.shader_passes import (
    PLACE,
    THREADS,
    Texture,
    convolution,
    enlarged,
    number,
    shrunk,
)
from sr_plugins.interface.model import ModelSpec

Passes = Literal["compute", "fragment"]
Precision = Literal["full", "half"]
Levels = Literal["limited", "full"]

DIGITS = {"half": 5, "full": 9}
RANGES = {"limited": (16 / 255, 219 / 255), "full": (0.0, 1.0)}  # black, and white above black, as LUMA has them
LEAST = 0.65  # of its scale: where the picture is shown smaller than that, a shader leaves it alone

SPLIT = """vec4 halved(vec4 v) { return vec4(unpackHalf2x16(packHalf2x16(v.xy)), unpackHalf2x16(packHalf2x16(v.zw))); }
"""
# The result is stored in half precision, which above 0.5 is an eighth of an 8-bit code: of the two halves around it the
# one that rounds to the same code.
KEPT = """float kept(float v) {
    uint bits = packHalf2x16(vec2(v, 0.));
    float h = unpackHalf2x16(bits).x;
    if (v <= 0. || floor(h * 255. + .5) == floor(v * 255. + .5)) return h;
    return unpackHalf2x16(h > v ? bits - 1u : bits + 1u).x;
}
"""


@dataclass(frozen=True)
class ShaderWriter:
    """Writes the shader of one network.

    Args:
        spec: of the model: its name, scale and licence are told by players.
        layers: the network.
        passes: ``compute``: a pass a layer, for Vulkan, Direct3D 11 and OpenGL 4.3; ``fragment``: a pass for each four
            features, everywhere.
        precision: of what is handed from pass to pass; ``full`` needs compute passes.
        levels: of the videos it is for.
    """

    spec: ModelSpec
    layers: CompactLayers
    passes: Passes = "compute"
    precision: Precision = "half"
    levels: Levels = "limited"

    def text(self) -> str:
        """The whole file."""
        return self._head() + "".join(self._all_passes())

    # -- headers -------------------------------------------------------------------------------------------------

    def _head(self) -> str:
        weights = sum(k.size + b.size for k, b in self.layers.convolutions)
        lines = [
            f"{self.spec.label}, an mpv user shader of sr-plugins: {weights:,} weights, {self.spec.architecture}",
            f"SPDX-License-Identifier: {self.spec.license or 'NOASSERTION'}",
            f"For luma with {self.levels} levels; {self.precision} precision, {self.passes} passes",
            f"Weights: {digest(self.layers)}",
        ]
        return "".join(f"// {line}\n" for line in lines)

    def _headers(self, what: str, binds: Sequence[Texture], saves: str | None, rest: Sequence[str]) -> str:
        scale, licence = self.layers.scale, self.spec.license or "no licence stated"
        least = number(LEAST * scale, 4)
        names = ["LUMA", *(name for texture in binds for name in texture.names)]
        lines = [
            f"DESC {self.spec.name} x{scale} ({licence}): {what}",
            "HOOK LUMA",
            *(f"BIND {name}" for name in names),
            *([] if saves is None else [f"SAVE {saves}"]),
            *rest,
            f"COMPONENTS {1 if saves is None else 4}",
            f"WHEN OUTPUT.w LUMA.w / {least} > OUTPUT.h LUMA.h / {least} > *",
        ]
        return "\n" + "".join(f"//!{line}\n" for line in lines)

    def _size(self, across: int, down: int) -> list[str]:
        sides = [("WIDTH LUMA.w", across), ("HEIGHT LUMA.h", down)]
        return [f"{side} {times} *" for side, times in sides if times > 1]

    def _luma(self) -> str:
        low, span = RANGES[self.levels]
        value = "LUMA_tex((vec2(q) + .5) * LUMA_pt).x"
        if (low, span) != (0.0, 1.0):
            value = f"{value} * {number(1 / span, 9)} - {number(low / span, 9)}"
        if self.layers.level is None:
            return f"float luma(ivec2 q) {{ return {value}; }}\n"
        (shift, slope), *bends = ([number(float(v), 9) for v in row] for row in self.layers.level if row.any())
        terms = [f"v * {slope}", shift, *(f"max(v - {at}, 0.) * {bend}" for at, bend in bends)]
        return f"float luma(ivec2 q) {{ float v = {value}; return v + ({' + '.join(terms)}); }}\n"

    def _shown(self, value: str) -> str:
        """A value of the network's as LUMA has it."""
        low, span = RANGES[self.levels]
        if (low, span) != (0.0, 1.0):
            value = f"{value} * {number(span, 9)} + {number(low, 9)}"
        return f"kept({value})" if self.precision == "full" else value

    # -- passes --------------------------------------------------------------------------------------------------

    def _texture(self, name: str, features: int) -> Texture:
        prefix = "".join(c if c.isalnum() else "_" for c in f"{self.spec.name}_x{self.layers.scale}")
        packed = self.passes == "compute"
        return Texture.of(f"{prefix}_{name}", features, packed=packed, full=self.precision == "full")

    def _all_passes(self) -> Iterator[str]:
        *hidden, (kernel, bias) = self.layers.convolutions
        digits, count = DIGITS[self.precision], len(self.layers.convolutions)
        source: Texture | None = None
        for i, (taps, shift) in enumerate(hidden):
            target = self._texture("ab"[i % 2], len(shift))

            def layer(fours: Sequence[int], k: Array = taps, b: Array = shift, s: Texture | None = source) -> list[str]:
                lines = list(convolution(k, b, fours, s, digits))
                slope = number(self.layers.slope, digits)
                return lines + [f"r{j} = max(r{j}, r{j} * {slope});" for j in range(len(fours))]

            yield from self._stage(f"layer {i + 1} of {count}", [source] if source else [], target, layer)
            source = target
        last = source

        def phases(fours: Sequence[int]) -> list[str]:
            lines = list(convolution(kernel, bias, fours, last, digits))
            return lines + list(enlarged(self.layers.bicubic, fours, "luma(q)", DIGITS["full"]))

        assert last is not None
        what = f"layer {count} of {count}"
        if self.layers.shrink is None:
            yield from self._picture(what, [last], phases)
            return
        made = self._texture("p", self.layers.scale**2)
        yield from self._stage(what, [last], made, phases)
        lacking = self._texture("l", 1)
        shrink = self.layers.shrink

        def lack(fours: Sequence[int]) -> list[str]:
            lines = ["float s = luma(p);", *shrunk(shrink, made, DIGITS["full"])]
            return [*lines, "vec4 r0 = vec4(s, 0., 0., 0.);"]

        def corrected(fours: Sequence[int]) -> list[str]:
            start = [f"vec4 r{i} = {made.read(four, 'p')};" for i, four in enumerate(fours)]
            return start + list(enlarged(self.layers.bicubic, fours, f"{lacking.read(0, 'q')}.x", DIGITS["full"]))

        yield from self._stage("back-projection 1 of 2", [made], lacking, lack)
        yield from self._picture("back-projection 2 of 2", [made, lacking], corrected)

    def _stage(self, what: str, binds: Sequence[Texture], target: Texture, body) -> Iterator[str]:  # type: ignore[no-untyped-def]
        """Passes that make ``target`` of what ``body(fours)`` leaves in r0, r1, ..."""
        fours = range(target.fours)
        if not target.packed:
            for four in fours:
                part = "" if target.fours == 1 else f", features {4 * four + 1} to {4 * four + 4}"
                head = self._headers(what + part, binds, target.names[four], [])
                yield head + self._fragment([*body([four]), "return r0;"])
            return
        across, down = target.grid
        rest = [*self._size(across, down), f"COMPUTE {THREADS * across} {THREADS * down} {THREADS} {THREADS}"]
        lines = list(body(list(fours)))
        cell = "p" if (across, down) == (1, 1) else f"p * ivec2({across}, {down})"

        def store(texel: int, value: str) -> str:
            x, y = target.place(texel)
            return f"imageStore(out_image, {cell} + ivec2({x}, {y}), {value});"

        for four in fours:
            if target.full:
                lines += [f"v = halved(r{four});", store(four, "v"), store(target.fours + four, f"r{four} - v")]
            else:
                lines.append(store(four, f"r{four}"))
        yield self._headers(what, binds, target.names[0], rest) + self._compute(lines)

    def _picture(self, what: str, binds: Sequence[Texture], body) -> Iterator[str]:  # type: ignore[no-untyped-def]
        """Passes that replace LUMA by the phases that ``body`` leaves in r0, r1, ..., put in their places."""
        scale = self.layers.scale
        if self.passes == "fragment":
            phases = self._texture("q", scale**2)
            yield from self._stage(what, binds, phases, body)
            lines = [
                f"ivec2 o = ivec2(LUMA_pos * LUMA_size * {scale}.), f = o % {scale};",
                f"p = o / {scale};",
                f"int i = f.y * {scale} + f.x;",
                f"vec4 v = {phases.read(0, 'p')};",
                *(f"if (i >= {4 * four}) v = {phases.read(four, 'p')};" for four in range(1, phases.fours)),
                "i = i % 4;",
                "float r = i < 2 ? (i == 0 ? v.x : v.y) : (i == 2 ? v.z : v.w);",
                f"return vec4({self._shown('r')}, 0., 0., 1.);",
            ]
            text = "ivec2 p;\nvec4 hook() {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"
            yield self._headers("shuffle", [phases], None, self._size(scale, scale)) + text
            return
        block = THREADS * scale
        rest = [*self._size(scale, scale), f"COMPUTE {block} {block} {THREADS} {THREADS}"]
        lines = list(body(list(range(-(-(scale**2) // 4)))))
        for i in range(scale**2):
            value = self._shown(f"r{i // 4}.{'xyzw'[i % 4]}")
            place = f"p * {scale} + ivec2({i % scale}, {i // scale})"
            lines.append(f"imageStore(out_image, {place}, vec4({value}, 0., 0., 1.));")
        yield self._headers(what, binds, None, rest) + self._compute(lines)

    def _functions(self) -> str:
        return PLACE + self._luma() + (SPLIT + KEPT if self.precision == "full" else "")

    def _fragment(self, lines: Sequence[str]) -> str:
        start = ["e = ivec2(LUMA_size) - 1; p = ivec2(LUMA_pos * LUMA_size);", "ivec2 q; float m, f; vec4 v;"]
        return self._functions() + "vec4 hook() {\n" + "".join(f"    {line}\n" for line in [*start, *lines]) + "}\n"

    def _compute(self, lines: Sequence[str]) -> str:
        start = [
            "e = ivec2(LUMA_size) - 1; p = ivec2(gl_GlobalInvocationID.xy);",
            "if (any(greaterThan(p, e))) return;",
            "ivec2 q; float m, f; vec4 v;",
        ]
        return self._functions() + "void hook() {\n" + "".join(f"    {line}\n" for line in [*start, *lines]) + "}\n"


def digest(layers: CompactLayers) -> str:
    """Tells networks apart, whichever shader is made of them."""
    state = hashlib.sha256()
    for kernel, bias in layers.convolutions:
        state.update(np.ascontiguousarray(kernel).tobytes() + bias.tobytes())
    if layers.level is not None:
        state.update(layers.level.tobytes())
    return state.hexdigest()[:32]

"""How long the sides of a value are whose picture is not known yet: enough to see that nothing is padded or cropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


class NotWritableError(Exception):
    """The network does something that is not among what is written here."""


@dataclass(frozen=True, eq=False)
class Side:
    """``times`` the picture's side, and ``plus`` pixels; the picture's side is a multiple of ``multiple``.

    Arithmetic gives numbers where they follow from that, and sides where those are of whole pixels.

    Raises:
        NotWritableError: what is asked depends on the picture.
    """

    times: Fraction
    plus: int
    multiple: int

    def of(self, times: Fraction, plus: int) -> Side:
        """Another side of the same picture."""
        if (times * self.multiple).denominator != 1:
            raise NotWritableError("a side of no whole number of pixels")
        return Side(times, plus, self.multiple)

    def __mod__(self, number: int) -> int:
        if self.times * self.multiple % number:
            raise NotWritableError("what a division leaves")
        return self.plus % number

    def __mul__(self, number: int | Fraction) -> Side:
        plus = self.plus * Fraction(number)
        if plus.denominator != 1:
            raise NotWritableError("a part of a pixel")
        return self.of(self.times * number, int(plus))

    __rmul__ = __mul__

    def __neg__(self) -> Side:
        return self * -1

    def __floordiv__(self, number: int) -> Side:
        return self.of(self.times / number, self.plus // number)

    def __truediv__(self, number: int) -> Side:
        return self * Fraction(1, number)

    def __ceil__(self) -> Side:
        return self

    def __add__(self, number: int) -> Side:
        return self.of(self.times, self.plus + number)

    def __sub__(self, other: Side | int) -> Side | int:
        return self.beyond(other) if isinstance(other, Side) else self + -other

    def beyond(self, other: Side) -> int:
        """How many pixels it is longer."""
        if self.times != other.times:
            raise NotWritableError("a difference of sides")
        return self.plus - other.plus

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Side):
            raise NotWritableError("a picture's side")
        return self.beyond(other) == 0

    __hash__ = None  # type: ignore[assignment]  # equal sides cannot be told from others by a number


def convolved_side(side: Side, kernel: int, stride: int, padding: int, dilation: int) -> Side:
    """Of a convolution's result."""
    rest = side.plus + 2 * padding - dilation * (kernel - 1) - 1
    return side.of(side.times / stride, math.floor(Fraction(rest, stride)) + 1)


def deconvolved_side(side: Side, kernel: int, stride: int, padding: int, dilation: int, more: int) -> Side:
    """Of a transposed convolution's result, with ``more`` of its rows."""
    return side.of(side.times * stride, (side.plus - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1)

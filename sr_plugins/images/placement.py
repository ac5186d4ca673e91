"""How the upright, enlarged picture lies over the one that is stored: where a point of that ends up in this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """From a stored picture to its upright enlargement.

    Attributes:
        stored: (width, height) of the picture as its file holds it.
        orientation: how it lies there, 1 to 8 as in EXIF 2.32, 4.6.4 A.
        size: (width, height) of the enlargement, upright.
    """

    stored: tuple[int, int]
    orientation: int
    size: tuple[int, int]

    @property
    def turned(self) -> bool:
        """Whether width and height changed places."""
        return self.orientation >= 5

    @property
    def factors(self) -> tuple[float, float]:
        """How many times wider and higher the result is than the upright source."""
        width, height = self.exchanged(*self.stored)
        return self.size[0] / width, self.size[1] / height

    def exchanged[T](self, across: T, down: T) -> tuple[T, T]:
        """Two values for the stored picture's axes as those for the upright one's."""
        return (down, across) if self.turned else (across, down)

    def share(self, x: float, y: float) -> tuple[float, float]:
        """A place given in parts of the stored sides, in parts of the upright ones."""
        if self.orientation in (2, 3):
            x = 1 - x
        if self.orientation in (3, 4):
            y = 1 - y
        if self.turned:
            x, y = y, x
            if self.orientation in (6, 7):
                x = 1 - x
            if self.orientation in (7, 8):
                y = 1 - y
        return x, y

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A place in pixels of the stored picture, in pixels of the result."""
        across, down = self.share(x / self.stored[0], y / self.stored[1])
        return across * self.size[0], down * self.size[1]

    def extent(self, width: float, height: float) -> tuple[float, float]:
        """A width and height in pixels of the stored picture, in pixels of the result."""
        across, down = self.exchanged(width / self.stored[0], height / self.stored[1])
        return across * self.size[0], down * self.size[1]

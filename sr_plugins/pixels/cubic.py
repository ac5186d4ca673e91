"""Keys' cubic convolution kernel, the one interpolation kernel of this project."""

from collections.abc import Iterable


def cubic_weight(x: float, a: float = -0.5) -> float:
    """Weight at distance ``x`` in samples (R. Keys, 1981, eq. 4); ``a = -0.5`` is Catmull-Rom's and MATLAB's."""
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


def cubic_taps(samples: Iterable[int], position: float, widen: float = 1.0) -> list[float]:
    """The kernel around ``position``, at the given samples.

    ``widen`` above 1 makes it the antialiasing filter of a reduction. Whoever takes every sample within
    ``2 * widen`` has taps that sum to 1 where ``widen`` is 1, and to about ``widen`` elsewhere: normalise those.
    """
    return [cubic_weight((sample - position) / widen) for sample in samples]

"""Less of what a network adds: its picture mixed with the interpolated one, before anything is rounded."""

from __future__ import annotations

from torch import Tensor

from sr_plugins.pixels.resampling import enlarge_phases, polyphase


def softened(x: Tensor, y: Tensor, scale: int, strength: float) -> Tensor:
    """``strength`` of what ``y`` (N, C, H * scale, W * scale) adds to the cubic enlargement of ``x`` (N, C, H, W).

    The cubic is the one by which chroma and alpha are enlarged (Keys, a = -0.5); at scale 1 it is the picture itself.
    """
    channels = y.shape[1]
    plain = x[:, :channels].reshape(-1, *x.shape[-2:])
    for axis in (2, 1):
        plain = polyphase(plain, axis, enlarge_phases(scale, 0, 0.0), plain.shape[axis] * scale)
    plain = plain.view(x.shape[0], channels, *plain.shape[1:])
    return plain + (y - plain) * strength

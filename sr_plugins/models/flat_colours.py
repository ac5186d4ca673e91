"""A flat colour stays that colour: a curve before a network that undoes what it does to flat pictures.

Training on compressed pictures teaches a network that black and gray are a little darker than they were, and it makes
flat areas brighter by a code. What it makes of a flat colour is a function of one number; its inverse, a few straight
lines, stands before the network and costs next to nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KNOTS = 16
AT_ONCE = 32  # flat pictures through the network: each alone would cost its calls, not its arithmetic
CODE = 1 / 219  # of 8-bit luma in limited range
TOLERATED = 0.25 * CODE  # what a network may do to a flat colour without a curve: no 8-bit code changes
LOWEST, HIGHEST = -0.08, 1.1  # of limited-range codes 0 to 255


def leveled(x: Tensor, curve: Tensor) -> Tensor:
    """``x`` (N, 1, H, W) by the curve (KNOTS, 2): in each row where it bends, and by how much; float32.

    The first row holds the curve's value and slope at 0, each less that of ``x`` itself.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        bends = F.relu(x - curve[1:, 0].view(1, -1, 1, 1)) * curve[1:, 1].view(1, -1, 1, 1)
        return x + (x * curve[0, 1] + curve[0, 0]) + bends.sum(1, keepdim=True)


@torch.no_grad()
def flat_curve(network: nn.Module, reach: int, scale: int) -> Tensor | None:
    """The curve for a luma network that sees ``reach`` pixels far; ``None`` where it keeps flat colours by itself.

    A network whose output is a pattern on flat pictures is left alone as well: no curve before it mends that.
    """
    side = 2 * reach + 1
    values = torch.linspace(LOWEST, HIGHEST, 1 + round((HIGHEST - LOWEST) / (CODE / 2)))
    inner = slice(reach * scale, (reach + 1) * scale)
    made = torch.cat(
        [
            network(some.view(-1, 1, 1, 1).expand(-1, 1, side, side).contiguous())[:, 0, inner, inner].float()
            for some in values.chunk(-(-len(values) // AT_ONCE))
        ]
    ).flatten(1)
    spread = float((made.amax(1) - made.amin(1)).max())
    results = made.mean(1)
    within = (values >= 0) & (values <= 1)
    if float((results - values)[within].abs().max()) <= TOLERATED or spread > 2 * TOLERATED:
        return None
    if not bool((results.diff() > 0).all()):
        return None
    wanted = _interpolated(values, results, values)  # what to put in, for each value to come out
    return _straight_lines(values, wanted - values)


def _interpolated(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The function through points (x, y), x increasing, at other places; continued straight beyond its ends."""
    i = torch.searchsorted(x, at).clamp(1, len(x) - 1)
    share = (at - x[i - 1]) / (x[i] - x[i - 1])
    return y[i - 1] + share * (y[i] - y[i - 1])


def _straight_lines(x: Tensor, y: Tensor) -> Tensor:
    """The curve (KNOTS, 2) nearest to points: bent where the straight lines so far are furthest off."""
    kept = [0, len(x) - 1]
    while len(kept) < KNOTS + 1:
        error = (_interpolated(x, x[kept], y[kept]) - y).abs()
        worst = int(error.argmax())
        if float(error[worst]) < 0.02 * CODE:
            break
        kept = sorted([*kept, worst])
    slopes = y[kept].diff() / x[kept].diff()
    curve = torch.zeros(KNOTS, 2)
    curve[0] = torch.stack((y[0] - slopes[0] * x[0], slopes[0]))
    count = len(slopes) - 1
    curve[1 : 1 + count, 0] = x[kept][1:-1]
    curve[1 : 1 + count, 1] = slopes.diff()
    return curve

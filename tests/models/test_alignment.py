"""Block matching against a search that is written out pixel by pixel."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr_plugins.models import alignment
from sr_plugins.models.alignment import CODES, FARTHER, REACH, RESTING, aligned, moves

Plane = NDArray[np.float32]


def texture(height: int, width: int, seed: int = 1) -> Plane:
    rng = np.random.default_rng(seed)
    noise = rng.random((height + 8, width + 8))
    return (sum(noise[i : i + height, i : i + width] for i in range(8)) / 8).astype(np.float32)


def searched(middle: Plane, other: Plane, distance: int) -> Plane:
    """For each pixel the move whose 7 x 7 neighbourhood differs least, by the rules that the module tells."""
    height, width = middle.shape
    margin = distance + REACH
    padded = np.pad(other, margin, mode="edge")
    framed = np.pad(middle, REACH, "edge")
    now, then = (np.clip(np.rint(p * np.float32(CODES)), -40, 259).astype(int) for p in (framed, padded))
    result = np.empty_like(middle)
    for y in range(height):
        for x in range(width):
            best, place = None, (0, 0)
            for dy, dx in moves(distance):
                there = then[y + distance + dy :, x + distance + dx :][: 2 * REACH + 1, : 2 * REACH + 1]
                cost = int(np.abs(now[y : y + 2 * REACH + 1, x : x + 2 * REACH + 1] - there).sum())
                cost += 0 if (dy, dx) == (0, 0) else RESTING + FARTHER * max(abs(dy), abs(dx))
                if best is None or cost < best:
                    best, place = cost, (dy, dx)
            result[y, x] = padded[margin + y + place[0], margin + x + place[1]]
    return result


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (14, 11)])
@pytest.mark.parametrize("distance", [0, 1, 2])
def test_it_is_the_search_written_out(size: tuple[int, int], distance: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "ROWS", 4)  # several strips, whose seams may not show
    middle = texture(*size)
    rng = np.random.default_rng(2)
    others = np.stack([np.roll(middle, (1, -1), (0, 1)), texture(*size, seed=3), middle + rng.normal(0, 0.02, size)])
    others = others.astype(np.float32)
    got = aligned(torch.from_numpy(middle)[None, None], torch.from_numpy(others)[None], distance)[0].numpy()
    for mine, other in zip(got, others, strict=True):
        assert np.array_equal(mine, searched(middle, other, distance))


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (0, 3), (-2, 1), (3, -3)])
def test_what_moved_by_whole_pixels_lies_where_it_was(dy: int, dx: int) -> None:
    sheet = texture(40, 40)
    middle, other = sheet[8:32, 8:32], sheet[8 + dy : 32 + dy, 8 + dx : 32 + dx]
    got = aligned(torch.from_numpy(middle.copy())[None, None], torch.from_numpy(other.copy())[None, None], 3)[0, 0]
    inside = slice(6, -6)
    assert np.array_equal(got.numpy()[inside, inside], middle[inside, inside])


def test_pictures_of_a_batch_are_apart_and_so_are_frames() -> None:
    middle = torch.from_numpy(np.stack([texture(12, 13, s) for s in (1, 2)]))[:, None]
    others = torch.from_numpy(np.stack([[texture(12, 13, 10 * b + t) for t in range(3)] for b in range(2)]))
    together = aligned(middle, others, 2)
    for b in range(2):
        for t in range(3):
            alone = aligned(middle[b : b + 1], others[b : b + 1, t : t + 1], 2)
            assert torch.equal(together[b, t], alone[0, 0])


def test_noise_alone_moves_nothing_and_shorter_moves_come_first() -> None:
    flat = torch.full((1, 1, 20, 20), 110 / CODES)
    noisy = flat + 0.2 / CODES * torch.randn(flat.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(aligned(flat, noisy, 3), noisy)
    lengths = [dy * dy + dx * dx for dy, dx in moves(3)]
    assert lengths == sorted(lengths)
    assert len(set(moves(3))) == 49
    assert moves(0) == [(0, 0)]


def test_what_is_far_beyond_black_and_white_overflows_nothing() -> None:
    wild = torch.tensor([[1e6, -1e6], [3.0, 0.0]]).repeat(6, 6)[None, None]
    assert torch.equal(aligned(wild, wild, 2), wild)

"""Tiles cover a picture exactly, and joined tiles equal the whole, for every registered model."""

import numpy as np
import torch
from fakes import Nearest, blur, nearest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_plugins import Frame, FrameFormat, LoadedModel, ModelSpec, Upscaler
from sr_plugins.engine.computation import CPU_TILE_PIXELS
from sr_plugins.engine.tiling import SMALLEST_INNER, spans
from sr_plugins.interface.network import TorchNetwork


@given(
    length=st.integers(1, 3000),
    largest=st.integers(1, 700),
    margin=st.integers(0, 60),
    align=st.sampled_from([1, 2, 4]),
)
def test_spans_cover_every_pixel_once_with_their_margin(length: int, largest: int, margin: int, align: int) -> None:
    parts = spans(length, largest, margin, align)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(length))
    for part in parts:
        assert part.start % align == 0
        assert part.outer_start % align == 0
        assert part.outer_start == 0 or part.outer_start <= part.start - margin
        assert part.outer_stop == length or part.outer_stop >= part.stop + margin
        if len(parts) > 1:
            room = max(largest, -(-SMALLEST_INNER // align) * align + 2 * (margin + align))
            assert part.outer_stop - part.outer_start <= room + align


@settings(max_examples=40, deadline=None)
@given(
    family=st.sampled_from(["gray", "yuv", "rgb"]),
    subsampling=st.sampled_from([(0, 0), (1, 0), (1, 1), (2, 2)]),
    channels=st.sampled_from(["luma", "rgb"]),
    scale=st.sampled_from([1, 2, 3]),
    width=st.integers(1, 75),
    height=st.integers(1, 75),
    tile=st.integers(1, 64),
    alpha=st.booleans(),
)
def test_tiled_equals_untiled_for_every_format(
    family, subsampling, channels, scale, width, height, tile, alpha
) -> None:  # type: ignore[no-untyped-def]
    format = FrameFormat(family=family, subsampling=subsampling if family == "yuv" else (0, 0), is_float=True, bits=32)
    rng = np.random.default_rng(width * 100 + height)
    planes = [rng.random(format.plane_size(i, width, height)[::-1], np.float32) for i in range(format.planes)]
    opacity = (rng.random((height, width)) * (rng.random((height, width)) > 0.6)).astype(np.float32) if alpha else None
    frame = Frame(planes, format, opacity)
    loaded = blur(scale, channels)
    with (
        Upscaler(loaded, precision="float32", tile=4096) as one,
        Upscaler(loaded, precision="float32", tile=tile) as many,
    ):
        whole, tiled = one.upscale(frame), many.upscale(frame)
    for a, b in zip(whole.planes, tiled.planes, strict=True):
        assert np.abs(a - b).max() <= 1e-5
    if whole.alpha is not None and tiled.alpha is not None:
        assert np.abs(whole.alpha - tiled.alpha).max() <= 1e-5


def test_a_model_with_global_operations_blends_its_tiles() -> None:
    """Two halves of different brightness, as a global operation would leave them, join without a step."""

    class TileMean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0 + x.mean(dim=(2, 3), keepdim=True)

    spec = ModelSpec(name="mean", scale=1, channels="luma", build=TileMean, receptive_radius=None, overlap=16)
    ramp = np.tile(np.linspace(0, 1, 200, dtype=np.float32), (24, 1))
    frame = Frame([ramp], FrameFormat(family="gray", is_float=True, bits=32))
    with Upscaler(LoadedModel(spec, TorchNetwork(TileMean())), tile=72, precision="float32") as upscaler:
        line = upscaler.upscale(frame).planes[0][12]
    assert line[-1] - line[0] > 0.5  # the tiles do differ
    assert np.abs(np.diff(line)).max() < 0.5 / 16  # and no step is larger than a fade over the overlap makes it


def test_untiled_result_is_what_the_network_says() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)
    with Upscaler(nearest(3), tile=32) as upscaler:
        result = upscaler.upscale(Frame([picture], FrameFormat(family="gray"))).planes[0]
    assert np.array_equal(result, picture.repeat(3, 0).repeat(3, 1))


def test_a_large_picture_is_cut_into_small_tiles_of_one_shape() -> None:
    """Each shape may cost a compiled network and the memory of its layers."""
    shapes = []

    class Watched(Nearest):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(x.shape[2:]))
            return super().forward(x)

    model = nearest(2)
    picture = np.random.default_rng(0).integers(0, 256, (1001, 2203), dtype=np.uint8)
    watched = LoadedModel(model.spec, TorchNetwork(Watched(2, 1)))
    with Upscaler(watched, device="cpu", backend="torch", reuse=False) as upscaler:
        result = upscaler.upscale(Frame([picture], FrameFormat(family="gray"))).planes[0]
    assert np.array_equal(result, picture.repeat(2, 0).repeat(2, 1))
    assert len(set(shapes)) == 1
    assert np.prod(shapes[0]) <= CPU_TILE_PIXELS / 2

"""What a spec asks of the engine: neighbouring frames, sides of certain lengths, runners of one shape, one matrix."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from fakes import Blur, blur, model_of, with_backend
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins import BackendSpec, Frame, FrameFormat, LoadedModel, Matrix, ModelSpec, Upscaler
from sr_plugins.engine.tiling import spans
from sr_plugins.errors import ArgumentError, FrameError
from sr_plugins.interface.backend import Placement, Runner
from sr_plugins.interface.network import TorchNetwork


def noise(format: FrameFormat, height: int, width: int, seed: int = 0, *, alpha: bool = False) -> Frame:
    rng = np.random.default_rng(seed)
    sizes = [format.plane_size(i, width, height)[::-1] for i in range(format.planes)] + [(height, width)] * alpha
    planes = [rng.integers(0, 1 << format.bits, size).astype(format.dtype) for size in sizes]
    return Frame(planes[: format.planes], format, planes[-1] if alpha else None)


GRAY = FrameFormat(family="gray")
YUV = FrameFormat(family="yuv", subsampling=(1, 1))


# -- neighbours --------------------------------------------------------------------------------------------------------


class Weighted(nn.Module):
    """Frames of a window, weighted so that each place shows: before2, before1, now, after1."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.ndim == 5, x.shape
        weights = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1, 1)
        return F.interpolate((x * weights).sum(1), scale_factor=2, mode="nearest")


def windowed() -> LoadedModel:
    spec = ModelSpec(
        name="window", scale=2, channels="luma", build=Weighted, receptive_radius=0, window=(2, 1), needs_weights=False
    )
    return LoadedModel(spec, TorchNetwork(Weighted()))


@pytest.mark.parametrize("tile", ["auto", 40])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_sees_its_neighbours_in_order_and_the_nearest_for_those_there_are_not(
    tile: int | str, batch: int
) -> None:
    frames = [noise(YUV, 60, 70, seed) for seed in range(6)]

    def expected(i: int) -> np.ndarray:  # type: ignore[type-arg]
        around = [frames[max(i - 2, 0)], frames[max(i - 1, 0)], frames[i], frames[min(i + 1, 5)]]
        luma = [(f.planes[0].astype(float) - 16) / 219 for f in around]
        mean = 0.1 * luma[0] + 0.2 * luma[1] + 0.3 * luma[2] + 0.4 * luma[3]
        return np.clip(np.rint(mean * 219 + 16), 0, 255).repeat(2, 0).repeat(2, 1)

    with Upscaler(windowed(), backend="torch", tile=tile, batch=batch) as upscaler, Upscaler(blur()) as single:
        futures = [
            upscaler.submit(f, frames[max(0, i - 2) : i][::-1], frames[i + 1 : i + 2]) for i, f in enumerate(frames)
        ]
        for i, future in enumerate(futures):
            result = future.result()
            assert np.abs(result.planes[0] - expected(i)).max() <= 1
            chroma = single.upscale(frames[i])  # what is only interpolated is the frame's own
            assert all(np.array_equal(a, b) for a, b in zip(result.planes[1:], chroma.planes[1:], strict=True))


def test_neighbours_that_do_not_fit_are_refused() -> None:
    frame = noise(YUV, 20, 24)
    with Upscaler(windowed(), backend="torch") as upscaler:
        with pytest.raises(ArgumentError, match="2 frames after: window x2 sees 1"):
            upscaler.submit(frame, after=[frame, frame])
        with pytest.raises(FrameError, match="another format or size"):
            upscaler.submit(frame, before=[noise(YUV, 20, 26)])
    with Upscaler(blur(), backend="torch") as upscaler, pytest.raises(ArgumentError, match="blur x2 sees 0"):
        upscaler.submit(frame, before=[frame])


def test_a_windowed_model_with_alpha_and_twice() -> None:
    frame = noise(FrameFormat(family="gray", bits=10), 20, 24, alpha=True)
    assert frame.alpha is not None
    frame.alpha[...] = 500  # below what is fully transparent colour is bled
    with Upscaler(windowed(), 4, backend="torch") as upscaler:
        result = upscaler.upscale(frame)
    assert result.planes[0].shape == (80, 96)
    assert result.alpha is not None
    assert np.abs(result.planes[0] - frame.planes[0].repeat(4, 0).repeat(4, 1).astype(int)).max() <= 1


# -- sides -------------------------------------------------------------------------------------------------------------


class Picky(Blur):
    """Takes sides that are multiples of 8 and at least 24 long, as networks with windows or strides do."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] % 8 == 0, x.shape
        assert x.shape[-2] % 8 == 0, x.shape
        assert min(x.shape[-2:]) >= 24, x.shape
        return super().forward(x)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (24, 40), (61, 95), (100, 131)], ids=str)
def test_sides_the_network_does_not_take_are_mirrored_and_cropped_tiled_or_not(size: tuple[int, int]) -> None:
    loaded = model_of(Picky, radius=3)
    loaded = replace(loaded, spec=replace(loaded.spec, size_multiple=8, minimum_size=24, tile_multiple=8))
    height, width = size
    frame = noise(GRAY, height, width)
    padded = [max(24, -(-side // 8) * 8) for side in size]
    mirrored = np.pad(frame.planes[0], [(0, p - s) for p, s in zip(padded, size, strict=True)], "symmetric")
    if min(size) > max(p - s for p, s in zip(padded, size, strict=True)):  # numpy's mirror repeats otherwise
        with Upscaler(blur(), backend="torch", precision="float32") as upscaler:
            whole = upscaler.upscale(Frame([mirrored], GRAY)).planes[0][: 2 * height, : 2 * width]
    else:
        whole = None
    results = []
    for tile in ("auto", 48):
        with Upscaler(loaded, backend="torch", precision="float32", tile=tile, reuse=False) as upscaler:
            results.append(upscaler.upscale(frame).planes[0].astype(int))
    assert results[0].shape == (2 * height, 2 * width)
    assert np.abs(results[0] - results[1]).max() <= 1
    if whole is not None:
        assert np.abs(results[0] - whole).max() <= 1


def test_runners_of_fixed_shapes_see_only_theirs() -> None:
    seen: dict[tuple[tuple[int, int], ...], set[tuple[int, ...]]] = {}

    def build(network: TorchNetwork, placement: Placement) -> Runner:
        module = network.runnable()

        def run(x: Tensor) -> Tensor:
            seen.setdefault(placement.shapes, set()).add(tuple(x.shape[-2:]))
            with torch.inference_mode():
                y: Tensor = module(x)
            return y

        return run

    fixed = BackendSpec(
        name="fixed",
        build=build,
        precisions=lambda device: ("float32",),
        fixed_shapes=True,  # type: ignore[arg-type]
    )
    frame = noise(YUV, 203, 251)
    with Upscaler(blur(), backend="torch", precision="float32") as upscaler:
        expected = upscaler.upscale(frame)
    with Upscaler(blur(), plugins=with_backend(fixed), backend="fixed", tile=64, reuse=False) as upscaler:
        result = upscaler.upscale(frame)
        upscaler.upscale(noise(YUV, 30, 40))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(result.planes, expected.planes, strict=True))
    assert all(shapes == {shape} for (shape,), shapes in seen.items())
    assert len(seen) == 2  # one for all tiles of the large frame, one for the small frame


@pytest.mark.parametrize(("length", "largest"), [(7000, 2048), (4300, 2048), (251, 64), (70, 40), (4320, 4000)])
def test_tiles_of_one_length_cover_with_their_margins(length: int, largest: int) -> None:
    margin = 20
    found = spans(length, largest, margin, one_length=True)
    assert len({s.outer_stop - s.outer_start for s in found}) == 1
    assert found[0].start == 0
    assert found[-1].stop == length
    for before, after in pairwise(found):
        assert before.stop == after.start
    for span in found:
        assert span.outer_start <= max(0, span.start - margin)
        assert span.outer_stop >= min(length, span.stop + margin)
        assert span.outer_start >= 0
        assert span.outer_stop <= length
        assert span.outer_start % 4 == 0


# -- the matrix --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height", "matrix"), [(320, 180, 6), (160, 90, 6), (1100, 40, 1), (40, 600, 1)])
@pytest.mark.parametrize("scale", [2, 4])
def test_the_matrix_is_guessed_once_by_the_sources_size(width: int, height: int, matrix: int, scale: int) -> None:
    """An RGB network that runs twice must not guess again by the larger size: it was up to 30 codes off."""
    untagged = noise(YUV, height, width)
    tagged = Frame(untagged.planes, replace(YUV, matrix=matrix))
    with Upscaler(blur(2, "rgb"), scale, backend="torch", reuse=False) as upscaler:
        a, b = upscaler.upscale(untagged), upscaler.upscale(tagged)
    assert a.format.matrix == b.format.matrix == matrix
    assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def test_an_untagged_frame_of_640x360_enlarged_says_what_was_assumed() -> None:
    with Upscaler(blur(), backend="torch") as upscaler:
        assert upscaler.upscale(noise(YUV, 360, 640)).format.matrix == Matrix.SMPTE170M
        assert upscaler.upscale(noise(GRAY, 36, 64)).format.matrix == Matrix.UNSPECIFIED


# -- floats ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["luma", "cb", "cr", "alpha"])
@pytest.mark.parametrize("bits", [16, 32])
def test_samples_that_are_no_number_are_refused_wherever_they_are(bad: float, where: str, bits: int) -> None:
    format = FrameFormat(family="yuv", bits=bits, is_float=True, subsampling=(1, 1))
    planes = [np.full((20, 24), 0.5), np.zeros((10, 12)), np.zeros((10, 12)), np.full((20, 24), 0.5)]
    planes = [plane.astype(format.dtype) for plane in planes]
    planes[("luma", "cb", "cr", "alpha").index(where)][3, 4] = bad
    with Upscaler(blur(), backend="torch") as upscaler, pytest.raises(FrameError, match="not a number or infinite"):
        upscaler.upscale(Frame(planes[:3], format, planes[3]))


@pytest.mark.parametrize("where", ["cb", "cr", "alpha"])
@pytest.mark.parametrize("subsampling", [(0, 0), (1, 1), (2, 0)])
def test_the_largest_floats_become_nothing_infinite(where: str, subsampling: tuple[int, int]) -> None:
    """Beside the network they are interpolated, with weights beyond one."""
    format = FrameFormat(family="yuv", bits=32, is_float=True, subsampling=subsampling)
    small = 20 >> subsampling[1], 24 >> subsampling[0]
    planes = [np.full((20, 24), 0.5), np.zeros(small), np.zeros(small), np.full((20, 24), 0.5)]
    planes = [plane.astype(np.float32) for plane in planes]
    extreme = planes[("luma", "cb", "cr", "alpha").index(where)]
    extreme[:, ::2], extreme[:, 1::4] = np.finfo(np.float32).max, np.finfo(np.float32).min
    with Upscaler(blur(), backend="torch") as upscaler:
        result = upscaler.upscale(Frame(planes[:3], format, planes[3]))
    assert result.alpha is not None
    assert all(np.isfinite(plane).all() for plane in (*result.planes, result.alpha))


def test_float16_never_holds_what_is_infinite() -> None:
    format = FrameFormat(family="gray", bits=16, is_float=True)
    plane = np.where(np.arange(24)[:, None] % 2, 60000, -60000).astype(np.float16).repeat(20, 1)
    with Upscaler("tiny", backend="torch") as upscaler:
        assert np.isfinite(upscaler.upscale(Frame([plane], format)).planes[0]).all()

"""The scaler for vs-jetpack, inside vs-jetpack itself, where that is installed."""

import sys
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from vapoursynth_clips import clip_of, planes_of

from sr_plugins import Upscaler
from vapoursynth_filter import upscale

# vs-jetpack gives a __main__ without a file the name of the code that runs, such as <string>, and every process that is
# spawned afterwards would look for that file.
main = vars(sys.modules["__main__"])
before = main.get("__file__")
pytest.importorskip("vsscale", reason="vs-jetpack is not installed")
if before is None:
    main.pop("__file__", None)
scaler = pytest.importorskip("vapoursynth_filter.vsscale_scaler")

SETTINGS = {"backend": "torch", "precision": "float32"}


def smooth(n: int, plane: int, shape: tuple[int, int]) -> Any:
    """A picture without fine detail: every scaler makes much the same of it."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (120 + 60 * np.sin(x / 9 + n) * np.cos(y / 7)).astype(np.uint8)


@pytest.mark.parametrize("format", [vs.GRAY8, vs.YUV420P8])
def test_it_scales_as_the_filter_does(format: int) -> None:
    clip = clip_of(format, 48, 32)
    scaled = scaler.SuperResolution("tiny", **SETTINGS).scale(clip, 96, 64).get_frame(0)
    expected = upscale(clip, "tiny", **SETTINGS).get_frame(0)  # type: ignore[arg-type]
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(scaled), planes_of(expected), strict=True))
    assert scaler.SuperResolution("tiny").supersample(clip, 2).width == 96
    assert scaler.SuperResolution("tiny").scale(clip, 48, 32).width == 48


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, 0.0), (0.5, -0.75)])
def test_a_shift_moves_the_picture_as_a_kernel_moves_it(shift: tuple[float, float]) -> None:
    from vskernels import Catrom

    clip = clip_of(vs.GRAY8, 96, 64, plane_of=smooth)
    ours = planes_of(scaler.SuperResolution("tiny", **SETTINGS).scale(clip, 192, 128, shift).get_frame(0))[0]
    theirs = planes_of(Catrom().scale(clip, 192, 128, shift).get_frame(0))[0]
    unmoved = planes_of(Catrom().scale(clip, 192, 128).get_frame(0))[0]
    inner = np.s_[8:-8, 8:-8]

    def far(a: Any, b: Any) -> float:
        return float(np.abs(a[inner].astype(float) - b[inner]).mean())

    assert far(ours, theirs) < 1
    assert shift == (0.0, 0.0) or far(unmoved, theirs) > 2 * far(ours, theirs)


def test_rescale_takes_it() -> None:
    from vskernels import Bilinear
    from vsscale import Rescale

    clip = clip_of(vs.YUV420P8, 128, 72, 2, plane_of=smooth).std.SetFrameProps(_Matrix=1)
    with Upscaler("tiny", device="cpu", **SETTINGS) as shared:  # type: ignore[arg-type]
        for model in ("tiny", shared):
            rescaled = Rescale(clip, 48, Bilinear, upscaler=scaler.SuperResolution(model)).rescale
            assert (rescaled.width, rescaled.height) == (128, 72)
            luma = planes_of(rescaled.resize.Point(format=vs.GRAY8).get_frame(1))[0].astype(float)
            assert np.abs(luma - planes_of(clip.get_frame(1))[0])[8:-8, 8:-8].mean() < 4


def test_based_aa_takes_it() -> None:
    from vsaa import based_aa

    clip = clip_of(vs.YUV420P8, 128, 72, 1, plane_of=smooth).std.SetFrameProps(_Matrix=1)
    result = based_aa(clip, supersampler=scaler.SuperResolution("tiny", **SETTINGS))
    assert (result.width, result.height) == (128, 72)
    luma = planes_of(result.get_frame(0))[0].astype(float)
    assert np.abs(luma - planes_of(clip.get_frame(0))[0])[8:-8, 8:-8].mean() < 4

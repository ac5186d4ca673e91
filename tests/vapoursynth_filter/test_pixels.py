"""The VapourSynth filter gives the very bytes that the Upscaler gives for the same planes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from fakes import blur, nearest
from numpy.typing import NDArray
from vapoursynth_clips import SUBSAMPLINGS, all_formats, clip_of, meaning, noise, planes_of

from sr_plugins import Frame, LoadedModel, Upscaler
from vapoursynth_filter import upscale


@pytest.fixture(scope="module")
def luma() -> Iterator[Upscaler]:
    with Upscaler(blur(), device="cpu") as upscaler:
        yield upscaler


@pytest.fixture(scope="module")
def rgb() -> Iterator[Upscaler]:
    with Upscaler(blur(channels="rgb"), device="cpu") as upscaler:
        yield upscaler


def same(frame: vs.VideoFrame, expected: Frame) -> bool:
    return all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(planes_of(frame), expected.planes, strict=True)
    )


@pytest.mark.parametrize("format", all_formats(), ids=lambda f: f.name)
def test_every_format_comes_out_as_the_upscaler_makes_it(format: vs.VideoFormat, luma: Upscaler, rgb: Upscaler) -> None:
    clip = clip_of(format)
    source = Frame(planes_of(clip.get_frame(0)), meaning(format))
    for upscaler in (luma, rgb):
        larger = upscale(clip, upscaler)
        assert (larger.format.id, larger.width, larger.height) == (format.id, 48, 32)
        assert same(larger.get_frame(0), upscaler.upscale(source))


def test_every_subsampling_vapoursynth_names_is_covered() -> None:
    presets = (vs.core.get_video_format(p) for p in vs.PresetVideoFormat if p != vs.NONE)
    assert {(p.subsampling_w, p.subsampling_h) for p in presets} == set(SUBSAMPLINGS)


@pytest.mark.parametrize(
    ("format", "props", "differs"),
    [
        (vs.YUV420P8, {"_Range": vs.RANGE_FULL}, {"full_range": True}),
        (vs.YUV420P8, {"_Range": vs.RANGE_LIMITED}, {"full_range": False}),
        (vs.RGB24, {"_Range": vs.RANGE_LIMITED}, {"full_range": False}),
        (vs.GRAY16, {"_Range": vs.RANGE_FULL}, {"full_range": True}),
        (vs.YUV444P8, {"_Matrix": vs.MATRIX_BT709}, {"matrix": 1}),
        (vs.YUV444P8, {"_Matrix": vs.MATRIX_BT2020_NCL}, {"matrix": 9}),
        (vs.YUV420P10, {"_ChromaLocation": vs.CHROMA_CENTER}, {"chroma_location": 1}),
        (vs.YUV420P10, {"_ChromaLocation": vs.CHROMA_TOP_LEFT}, {"chroma_location": 2}),
    ],
)
def test_each_frame_means_what_its_own_properties_say(
    format: int, props: dict[str, Any], differs: dict[str, Any], rgb: Upscaler
) -> None:
    clip = clip_of(format, length=2, props=lambda n: props if n == 1 else {})
    larger = upscale(clip, rgb)
    for n, said in ((0, {}), (1, differs)):
        source = Frame(planes_of(clip.get_frame(n)), meaning(clip.format, **said))
        assert same(larger.get_frame(n), rgb.upscale(source))


def test_what_properties_say_changes_pixels(rgb: Upscaler) -> None:
    """Guards the test above: a filter and an upscaler that both ignored properties would agree too."""
    format = vs.core.get_video_format(vs.YUV420P8)
    planes = planes_of(clip_of(format).get_frame(0))
    plain = rgb.upscale(Frame(planes, meaning(format)))
    for differs in ({"full_range": True}, {"matrix": 9}, {"chroma_location": 1}):
        other = rgb.upscale(Frame(planes, meaning(format, **differs)))
        assert any(not np.array_equal(a, b) for a, b in zip(plain.planes, other.planes, strict=True)), differs


def test_an_unspecified_matrix_is_guessed_and_named(rgb: Upscaler) -> None:
    clip = clip_of(vs.YUV444P8, props=lambda n: {"_Matrix": vs.MATRIX_UNSPECIFIED})
    guessed = upscale(clip, rgb).get_frame(0)
    bt601 = upscale(clip.std.SetFrameProps(_Matrix=6), rgb).get_frame(0)  # as players guess for this size
    assert guessed.props["_Matrix"] == 6
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(guessed), planes_of(bt601), strict=True))
    assert upscale(clip.std.RemoveFrameProps("_Matrix"), rgb).get_frame(0).props["_Matrix"] == 6


def test_a_range_nobody_states_is_what_the_resizer_takes_it_for(luma: Upscaler) -> None:
    """Mid-gray through a model that changes nothing and through the core's own resizer to float: the same value."""
    for format in (vs.GRAY8, vs.YUV420P8, vs.RGB24):
        clip = clip_of(format, plane_of=lambda n, i, shape: np.full(shape, 128, np.uint8))
        deep = clip.resize.Point(format=clip.format.replace(sample_type=vs.FLOAT, bits_per_sample=32).id)
        first = upscale(clip, nearest()).resize.Point(format=deep.format.id).get_frame(0)
        assert np.asarray(first[0])[0, 0] == pytest.approx(np.asarray(deep.get_frame(0)[0])[0, 0], abs=1e-6)


@pytest.mark.parametrize("format", [vs.GRAY8, vs.YUV420P8, vs.YUV422P10, vs.RGB24, vs.RGBH, vs.RGBS, vs.YUV410P16])
def test_alpha_frame_is_upscaled_with_its_colour(format: int, luma: Upscaler) -> None:
    clip = clip_of(format)
    alpha = clip_of(clip.format.replace(color_family=vs.GRAY, subsampling_w=0, subsampling_h=0).id)
    alpha = alpha.std.SetFrameProps(mark="alpha's own")
    both = clip.std.ClipToProp(alpha, prop="_Alpha")
    mask = planes_of(alpha.get_frame(0))[0]
    expected = luma.upscale(Frame(planes_of(clip.get_frame(0)), meaning(clip.format), mask))
    frame = upscale(both, luma).get_frame(0)
    assert same(frame, expected)
    assert expected.alpha is not None
    larger_alpha = frame.props["_Alpha"]
    assert np.array_equal(np.asarray(larger_alpha[0]), expected.alpha)
    assert larger_alpha.props["mark"] == "alpha's own"


@pytest.mark.parametrize("width", [1, 2, 30, 31, 33, 65])
def test_rows_padded_in_memory(width: int, luma: Upscaler) -> None:
    clip = clip_of(vs.RGBH, width, 5)
    expected = luma.upscale(Frame(planes_of(clip.get_frame(0)), meaning(clip.format)))
    assert same(upscale(clip, luma).get_frame(0), expected)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({}, (48, 32)),
        ({"scale": 1.5}, (36, 24)),
        ({"scale": 4}, (96, 64)),
        ({"width": 60}, (60, 40)),
        ({"height": 50}, (76, 50)),  # 75 wide is no width for 4:2:0
        ({"width": 34, "height": 62}, (34, 62)),
    ],
)
def test_sizes(arguments: dict[str, Any], size: tuple[int, int]) -> None:
    clip = clip_of(vs.YUV420P8)
    larger = upscale(clip, blur(), device="cpu", **arguments)
    assert (larger.width, larger.height) == size
    with Upscaler(blur(), arguments.get("scale"), size=size if "scale" not in arguments else None) as upscaler:
        assert same(larger.get_frame(0), upscaler.upscale(Frame(planes_of(clip.get_frame(0)), meaning(clip.format))))


def repeated(plane: NDArray[Any]) -> NDArray[Any]:
    return plane.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize("model", [nearest(), nearest(channels="rgb")], ids=["luma", "rgb"])
def test_planes_not_asked_for_are_resized(model: LoadedModel) -> None:
    clip = clip_of(vs.YUV420P8, props=lambda n: {"_Matrix": 1, "mark": n})
    bicubic = planes_of(clip.resize.Bicubic(48, 32).get_frame(0))
    source = planes_of(clip.get_frame(0))
    frame = upscale(clip, model, planes=0).get_frame(0)
    assert np.array_equal(planes_of(frame)[0], repeated(source[0]))
    assert all(np.array_equal(planes_of(frame)[i], bicubic[i]) for i in (1, 2))
    assert (frame.props["_Matrix"], frame.props["mark"]) == (1, 0)
    whole = planes_of(upscale(clip, model).get_frame(0))
    chroma = planes_of(upscale(clip, model, planes=[2, 1]).get_frame(0))
    assert np.array_equal(chroma[0], bicubic[0])
    assert all(np.array_equal(chroma[i], whole[i]) for i in (1, 2))


def test_planes_of_rgb() -> None:
    clip = clip_of(vs.RGB24)
    source = planes_of(clip.get_frame(0))
    green = planes_of(upscale(clip, nearest(channels="rgb"), planes=[1]).get_frame(0))
    assert np.array_equal(green[1], repeated(source[1]))
    assert np.array_equal(green[0], planes_of(clip.resize.Bicubic(48, 32).get_frame(0))[0])


@pytest.mark.parametrize(
    ("format", "props"),
    [
        (vs.RGB24, {"_Matrix": 1}),
        (vs.RGBS, {"_Matrix": 6}),
        (vs.YUV420P8, {"_Primaries": 1 << 40}),
        (vs.YUV422P10, {"_Transfer": 1 << 40, "_Range": 1}),
        (vs.YUV444P16, {"_Matrix": 1 << 40}),
    ],
    ids=str,
)
def test_properties_that_change_nothing_stop_no_resize(format: int, props: dict[str, Any]) -> None:
    clip = clip_of(format, props=lambda n: props)
    bare = clip_of(format, props=lambda n: {name: value for name, value in props.items() if name == "_Range"})
    frame = upscale(clip, nearest(), planes=1).get_frame(0)
    expected = planes_of(bare.resize.Bicubic(48, 32).get_frame(0))
    assert all(np.array_equal(planes_of(frame)[i], expected[i]) for i in (0, 2))
    assert props.items() <= dict(frame.props).items()


def test_source_memory_is_left_alone(luma: Upscaler) -> None:
    format = vs.core.get_video_format(vs.RGBS)
    clip = clip_of(format)
    kept = clip.get_frame(0)
    upscale(clip, luma).get_frame(0)
    assert all(np.array_equal(np.asarray(kept[i]), noise(format)(0, i, (16, 24))) for i in range(3))

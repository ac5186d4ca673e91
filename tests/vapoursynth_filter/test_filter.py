"""The VapourSynth filter as a filter: properties, order, concurrency, errors."""

import random
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from fakes import blur, nearest
from torch import Tensor
from vapoursynth_clips import clip_of, planes_of

from sr_plugins import BackendSpec, Upscaler, hookimpl
from sr_plugins.interface.backend import Placement, Runner
from sr_plugins.interface.network import Network
from sr_plugins.plugins import plugins
from vapoursynth_filter import upscale

FRAMES = 200


@pytest.fixture
def threads() -> Iterator[None]:
    """Gives the core back as many threads as it had."""
    before = vs.core.num_threads
    yield
    vs.core.num_threads = before


def stamp(n: int) -> dict[str, Any]:
    """Properties that only frame ``n`` has; what decides over colour changes by the scene, so that batches form."""
    scene = n // 50
    return {
        "_DurationNum": 1000 + n,
        "_DurationDen": 24000 + n % 7,
        "_AbsoluteTime": n / 23.976,
        "_SARNum": 1 + n,
        "_SARDen": 1 + n % 5,
        "_Matrix": (1, 5, 6, 9)[scene],
        "_Primaries": 9,
        "_Transfer": (1, 16, 18)[n % 3],
        "_Range": scene % 2,
        "_ChromaLocation": scene,
        "_PictType": "IPB"[n % 3],
        "_SceneChangePrev": int(n % 10 == 0),
        "_SceneChangeNext": int(n % 10 == 9),
        "MasteringDisplayMaxLuminance": 1000.0 + n,
        "ContentLightLevelMax": n,
        "HDR10Plus": bytes((n, 0, 255)),
        "text": f"frame {n}, ünïcode",
        "several": [n, n + 1, n + 2],
    }


def stamped_clip(length: int = FRAMES) -> vs.VideoNode:
    """Every sample of frame n is n; so are the properties, and a frame among them."""
    marks = clip_of(vs.GRAY8, 2, 2, length, plane_of=lambda n, i, shape: np.full(shape, n, np.uint8))
    clip = clip_of(
        vs.YUV420P8, 4, 4, length, plane_of=lambda n, i, shape: np.full(shape, (n + i) % 256, np.uint8), props=stamp
    )
    return clip.std.ClipToProp(marks, prop="attached")


def check_frame(frame: vs.VideoFrame, n: int) -> None:
    props = dict(frame.props)
    attached = props.pop("attached")
    assert isinstance(attached, vs.VideoFrame)
    assert np.asarray(attached[0])[0, 0] == n
    assert props == stamp(n)
    # a flat frame stays what it is to within one code value, however far it is from its neighbours in the batch
    assert all(np.ptp(np.asarray(frame[i])) == 0 for i in range(3))
    assert [int(np.asarray(frame[i])[0, 0]) for i in range(3)] == [(n + i) % 256 for i in range(3)]


@pytest.mark.parametrize(("batch", "cores"), [(1, 1), (1, 16), (2, 3), (3, 4), (4, 16), (8, 1), (8, 4), (8, 16)])
@pytest.mark.parametrize("order", ["forward", "reversed", "random"])
def test_every_frame_keeps_its_own_properties_and_pixels(batch: int, cores: int, order: str, threads: None) -> None:
    larger = upscale(stamped_clip(), nearest(), device="cpu", batch=batch)
    vs.core.num_threads = cores
    numbers = list(range(FRAMES))
    if order == "forward":
        for n, frame in zip(numbers, larger.frames(), strict=True):
            check_frame(frame, n)
        return
    numbers.reverse()
    if order == "random":
        random.Random(batch).shuffle(numbers)
    for start in range(0, FRAMES, 20):  # twenty requests in flight at once
        asked = numbers[start : start + 20]
        for n, future in [(n, larger.get_frame_async(n)) for n in asked]:
            check_frame(future.result(timeout=30), n)


@pytest.fixture
def batches() -> Iterator[list[int]]:
    """The sizes of the batches that a backend ``counting`` is given."""
    sizes: list[int] = []

    def build(network: Network, placement: Placement) -> Runner:
        def run(x: Tensor) -> Tensor:
            sizes.append(len(x))
            time.sleep(0.02)  # as a network takes its time, in which requests gather
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

        return run

    class Plugin:
        @hookimpl
        def sr_backends(self) -> list[BackendSpec]:
            return [BackendSpec(name="counting", build=build, precisions=lambda device: ("float32",))]

    plugins().register(Plugin(), "sr-plugins-test")
    yield sizes
    plugins.cache_clear()  # without it


def test_concurrent_requests_share_batches(threads: None, batches: list[int]) -> None:
    for _ in upscale(stamped_clip(40), nearest(), device="cpu", backend="counting", batch=4).frames():
        pass
    assert sum(batches) == 40
    assert 4 in batches
    assert len(batches) <= 20, batches  # how full they are depends on what else the machine does


def test_threads_are_raised_for_batches_and_never_lowered(threads: None) -> None:
    vs.core.num_threads = 2
    upscale(stamped_clip(2), nearest(), device="cpu", batch=4)
    assert vs.core.num_threads >= 8
    vs.core.num_threads = 64
    upscale(stamped_clip(2), nearest(), device="cpu", batch=1)
    assert vs.core.num_threads == 64


def test_rate_length_and_unknown_rate_are_kept() -> None:
    clip = clip_of(vs.GRAY8, length=7).std.AssumeFPS(fpsnum=24000, fpsden=1001)
    larger = upscale(clip, nearest())
    assert (len(larger), larger.fps) == (7, Fraction(24000, 1001))
    varying = upscale(vs.core.std.Splice([clip, clip.std.AssumeFPS(fpsnum=50)]), nearest())
    assert (len(varying), varying.fps) == (14, 0)
    rates = [Fraction(f.props["_DurationDen"], f.props["_DurationNum"]) for f in varying.frames()]
    assert rates == [Fraction(24000, 1001)] * 7 + [Fraction(50)] * 7


def test_filter_twice_and_two_clips_at_once() -> None:
    clip = stamped_clip(6)
    fourfold = upscale(upscale(clip, nearest()), nearest())
    assert (fourfold.width, fourfold.height) == (16, 16)
    with Upscaler(nearest(), device="cpu") as shared:
        both = vs.core.std.Interleave([upscale(clip, shared), upscale(clip, shared)], modify_duration=False)
        for n, frame in enumerate(both.frames()):
            check_frame(frame, n // 2)
    for n, frame in enumerate(fourfold.frames()):
        check_frame(frame, n)


@pytest.mark.parametrize(
    ("make", "arguments", "says"),
    [
        (lambda: "clip", {}, "takes a clip, got str"),
        (
            lambda: vs.core.std.Splice([clip_of(vs.GRAY8), clip_of(vs.GRAY16)], mismatch=True),
            {},
            "format varies or is unknown: split",
        ),
        (
            lambda: vs.core.std.Splice([clip_of(vs.GRAY8, 8, 8), clip_of(vs.GRAY8, 9, 9)], mismatch=True),
            {},
            "size varies: split",
        ),
        (lambda: vs.core.std.BlankClip(format=vs.GRAY32), {}, "32-bit integer samples are not supported: 8 to 16"),
        (
            lambda: vs.core.std.BlankClip(format=vs.core.query_video_format(vs.YUV, vs.INTEGER, 8, 3, 0).id),
            {},
            "each factor is 1, 2 or 4",
        ),
        (lambda: clip_of(vs.YUV420P8), {"model": "fats"}, "no model called 'fats': did you mean 'fast'"),
        (lambda: clip_of(vs.YUV420P8), {"model": "no/such.safetensors"}, "no weights file at no/such.safetensors"),
        (lambda: clip_of(vs.YUV420P8), {"device": "cuda:77"}, "device 'cuda:77' cannot be used"),
        (lambda: clip_of(vs.YUV420P8), {"backend": "abacus"}, "no backend called 'abacus'"),
        (lambda: clip_of(vs.YUV420P8), {"batch": 0}, "batch 0 is neither"),
        (lambda: clip_of(vs.YUV420P8), {"scale": 0.5}, "scale 0.5 is not between 1 and 16"),
        (lambda: clip_of(vs.YUV420P8), {"scale": 2, "width": 640}, "exclude each other"),
        (lambda: clip_of(vs.YUV420P8), {"width": 39}, "its width must be a multiple of 2, for example width=38"),
        (lambda: clip_of(vs.YUV420P8), {"size": (40, None), "width": 640}, "exclude each other"),
        (lambda: clip_of(vs.YUV420P8), {"tiles": 64}, "no setting called 'tiles': did you mean 'tile'?"),
        (lambda: clip_of(vs.YUV410P8), {"width": 64, "height": 34}, "multiple of 4, for example height=32"),
        (lambda: clip_of(vs.YUV420P8), {"planes": 3}, "the clip's planes are 0 to 2"),
        (lambda: clip_of(vs.GRAY8), {"planes": []}, "the clip's planes are 0 to 0, give at least one"),
        *(
            (lambda: clip_of(vs.YUV420P8), arguments, says)
            for arguments, says in (
                ({"scale": "2"}, "scale '2' is not a number: it is text, convert it with float(...)"),
                ({"scale": [2]}, "scale [2] is not a number"),
                ({"scale": True}, "scale True is not a number"),
                ({"width": "100"}, "width '100' is not a whole number of pixels: it is text, convert it with int(...)"),
                ({"width": 100.5}, "width 100.5 is not a whole number of pixels"),
                ({"height": float("inf")}, "height inf is not a whole number of pixels"),
                ({"height": True}, "height True is not a whole number of pixels"),
                ({"width": 10**6, "height": 10**6}, "more memory than this machine has"),
                ({"precision": None}, "precision None is not a name: use auto, float32"),
                ({"precision": 16}, "precision 16 is not a name"),
                ({"backend": None}, "backend None is not a name"),
                ({"backend": [3]}, "backend [3] is not a name"),
                ({"device": None}, "device None is not a name: use 'auto'"),
                ({"device": 0}, "device 0 is not a name"),
                ({"device": ["cpu", 0]}, "device 0 is not a name"),
                ({"model": None}, "no model called 'None': there is"),
                ({"model": 3}, "no model called '3'"),
                ({"model": ["tiny"]}, "no model called \"['tiny']\": did you mean 'tiny'"),
                ({"model": nearest().spec}, 'no model called "ModelSpec('),
                ({"modle": "tiny"}, "no setting called 'modle': did you mean 'model'?"),
                ({"hieght": 64}, "no setting called 'hieght': did you mean 'height'?"),
                ({"onerror": "copy"}, "did you mean 'on_error'?"),
                ({"plane": 0}, "did you mean 'planes'?"),
                ({"fp16": True}, "no setting called 'fp16': here it is precision=\"float16\""),
                ({"width": 1e20, "height": 64}, "a clip cannot be 100000000000000000000x64: VapourSynth counts sides"),
                ({"planes": "0"}, "planes='0': '0' is no plane's number: give 0 to 2, or a list"),
                ({"planes": 1.0}, "1.0 is no plane's number"),
                ({"planes": ["0"]}, "'0' is no plane's number"),
                ({"planes": [0.5]}, "0.5 is no plane's number"),
                ({"planes": True}, "True is no plane's number"),
            )
        ),
    ],
)
def test_mistakes_are_told_when_the_filter_is_built(make: Any, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(vs.Error) as caught:
        upscale(make(), **({"model": nearest()} | arguments))
    text = str(caught.value)
    assert text.startswith("sr_plugins: ")
    assert says in text
    assert "\n" not in text


def test_whole_sizes_come_in_any_type_of_number() -> None:
    clip = clip_of(vs.YUV420P8)
    for width, height in ((clip.width * 1.5, None), (np.int64(36), np.float32(24))):
        frame = upscale(clip, nearest(), width=width, height=height, planes=np.int64(0)).get_frame(0)  # type: ignore[arg-type]
        assert (frame.width, frame.height) == (36, 24)


def test_an_error_of_any_kind_is_the_filters_own() -> None:
    class Odd:
        def __iter__(self) -> Iterator[int]:
            raise KeyError("odd")

    with pytest.raises(vs.Error, match=r"^sr_plugins: KeyError: 'odd'$") as caught:
        upscale(clip_of(vs.GRAY8), nearest(), planes=Odd())  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_upscaler_takes_no_other_settings() -> None:
    with Upscaler(nearest()) as upscaler, pytest.raises(vs.Error, match="brings its own settings"):
        upscale(clip_of(vs.GRAY8), upscaler, batch=2)


@pytest.mark.parametrize(
    ("props", "says"),
    [
        ({"_FieldBased": 2}, "interlaced (_FieldBased): deinterlace"),
        ({"_Matrix": 14}, "matrix 14 is not supported by an RGB model"),
        ({"_ChromaLocation": 9}, "chroma location 9 is not one of"),
    ],
)
def test_a_frame_that_cannot_be_done_is_named(props: dict[str, Any], says: str) -> None:
    clip = clip_of(vs.YUV420P8, length=5, props=lambda n: props if n == 3 else {})
    larger = upscale(clip, nearest(channels="rgb"))
    assert larger.get_frame(2).props.keys() == clip.get_frame(2).props.keys() | {"_Matrix"}
    with pytest.raises(vs.Error, match=r"sr_plugins: frame 3: ") as caught:
        larger.get_frame(3)
    assert says in str(caught.value)
    assert larger.get_frame(4).width == 48  # the others still work


@pytest.mark.parametrize("alpha", [(vs.GRAY16, 24, 16), (vs.GRAY8, 12, 16), (vs.YUV444P8, 24, 16)])
def test_alpha_that_does_not_fit_is_named(alpha: tuple[int, int, int]) -> None:
    clip = clip_of(vs.RGB24).std.ClipToProp(clip_of(*alpha), prop="_Alpha")
    with pytest.raises(vs.Error, match=r"sr_plugins: frame 0: its _Alpha"):
        upscale(clip, nearest()).get_frame(0)


def test_a_zero_length_property_is_no_property() -> None:
    clip = clip_of(vs.YUV420P8).std.SetFrameProps(_Matrix=[], _Alpha=[], _FieldBased=[], anything=[])
    assert set(upscale(clip, nearest()).get_frame(0).props) == {"_DurationNum", "_DurationDen"}


def test_planes_read_back_equal_the_frames_asked_for_twice() -> None:
    larger = upscale(clip_of(vs.YUV420P8, length=3), blur(), device="cpu")
    first = [planes_of(larger.get_frame(n)) for n in range(3)]
    second = [planes_of(larger.get_frame(n)) for n in (2, 0, 1)]
    for n, planes in zip((2, 0, 1), second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first[n], planes, strict=True))


@pytest.mark.parametrize(
    ("props", "same_as"),
    [
        ({"_Range": [1, 0]}, {"_Range": 1}),
        ({"_Range": [0, 1]}, {"_Range": 0}),
        ({"_ChromaLocation": [1, 0]}, {"_ChromaLocation": 1}),
        ({"_ChromaLocation": -1}, {}),
        ({"_Matrix": [5, 1]}, {"_Matrix": 5}),
        ({"_FieldBased": [0, 2]}, {}),
    ],
)
def test_of_several_values_the_first_counts(props: dict[str, Any], same_as: dict[str, Any]) -> None:
    clip = clip_of(vs.YUV420P8)
    with Upscaler(nearest(channels="rgb"), device="cpu") as upscaler:
        got, expected = (
            planes_of(upscale(clip.std.SetFrameProps(**given) if given else clip, upscaler).get_frame(0))
            for given in (props, same_as)
        )
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("on_error", ["raise", "copy"])
def test_of_several_masks_the_first_counts(on_error: Any) -> None:
    """As in ``PropToClip``, which knows no others."""
    masks = list(clip_of(vs.GRAY8, length=2).frames())
    with Upscaler(nearest(channels="rgb"), device="cpu") as upscaler:
        several, one = (
            upscale(clip_of(vs.RGB24, props=lambda n, given=given: {"_Alpha": given}), upscaler, on_error=on_error)
            for given in (masks, masks[0])
        )
        got, expected = (planes_of(c.std.PropToClip("_Alpha").get_frame(0)) for c in (several, one))
        assert several.get_frame(0).props.get("sr_plugins_error") is None
    assert got[0].shape == (2 * masks[0].height, 2 * masks[0].width)
    assert np.array_equal(got[0], expected[0])


@pytest.mark.parametrize(
    ("props", "says"),
    [
        ({"_Range": 2}, "its _Range property is 2"),
        ({"_Range": -1}, "its _Range property is -1"),
        ({"_Range": [7, 1]}, "its _Range property is 7"),
        ({"_ChromaLocation": [9, 0]}, "chroma location 9"),
        ({"_Matrix": 1.0}, "its _Matrix property is 1.0, which is no whole number"),
        ({"_Matrix": "bt709"}, "its _Matrix property is 'bt709'"),
        ({"_FieldBased": [2, 0]}, "interlaced"),
        ({"_FieldBased": 7}, "its _FieldBased property is 7, which is neither progressive nor a field"),
    ],
)
def test_a_property_that_cannot_be_meant_is_named(props: dict[str, Any], says: str) -> None:
    clip = clip_of(vs.YUV420P8, props=lambda n: props)
    with pytest.raises(vs.Error, match=r"sr_plugins: frame 0: ") as caught:
        upscale(clip, nearest()).get_frame(0)
    assert says in str(caught.value)


@pytest.mark.parametrize("stride", [3, 5, 9])
def test_every_nth_frame_keeps_as_many_in_flight_as_all(stride: int, threads: None) -> None:
    """All that may be in flight are inside the network at once; otherwise the barrier breaks and frames fail."""
    with Upscaler(nearest(), device="cpu", batch=1) as upscaler:
        inside, most, lock, submit = 0, 0, threading.Lock(), upscaler.submit
        together = threading.Event()

        def counted(*arguments: Any, **settings: Any) -> Any:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
                if inside == upscaler.lookahead:
                    together.set()
            together.wait(timeout=20)
            with lock:
                inside -= 1
            return submit(*arguments, **settings)

        upscaler.submit = counted  # type: ignore[method-assign]
        clip = upscale(stamped_clip(60), upscaler)
        for frame in [clip.get_frame_async(n) for n in range(0, 60, stride)]:
            frame.result(timeout=60)
    assert most == upscaler.lookahead

"""The plug-in in a real GIMP 3, without a window: exact pixels, geometry, errors, cancel.

GIMP runs in a chroot that gimp3_root.sh makes ($SR_PLUGINS_GIMP_ROOT says where); the worker, with PyTorch, outside.
Without root or a Debian mirror the tests skip; SR_PLUGINS_REQUIRE_GIMP=1 turns that into a failure.
"""

import io
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import blur
from gimp_chroot import GimpInChroot, make_root
from numpy.typing import NDArray
from PIL import Image

from gimp_bridge.check import check_gimp
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import PluginError
from sr_plugins.images.pillow_filter import SuperResolution

pytestmark = pytest.mark.timeout(1500)  # all cases run in the first test that asks, each with a worker of its own

DTYPES = {"u8": np.uint8, "u16": np.uint16, "float": np.float32}
WIDTH, HEIGHT = 37, 23
UPSCALE, LAYER, RESTORE = "plug-in-sr-upscale", "plug-in-sr-upscale-layer", "plug-in-sr-restore"

Pixels = NDArray[Any]


def case(id: str, encoding: str, precision: str, base: str = "RGB", **more: Any) -> dict[str, Any]:
    layer = {"size": [WIDTH, HEIGHT], "alpha": "A" in encoding, "encoding": encoding, "pixels": f"{id}-pixels-0"}
    default = {"procedure": UPSCALE, "size": [WIDTH, HEIGHT], "arguments": {"model": "blur", "scale": "2"}}
    return {"id": id, "base": base, "precision": precision, "layers": [layer], **default, **more}


COLOUR = [
    case("rgba", "R'G'B'A u8", "U8_NON_LINEAR"),
    case("adobe", "R'G'B' u8", "U8_NON_LINEAR", profile="adobe"),
    case("gray_alpha", "Y'A u8", "U8_NON_LINEAR", "GRAY"),
    case("gray16", "Y' u16", "U16_NON_LINEAR", "GRAY"),
    case("indexed", "R'G'B'A u8", "U8_NON_LINEAR", "INDEXED"),
    case("rgba16", "R'G'B'A u16", "U16_NON_LINEAR", profile="adobe"),
    case("float", "R'G'B'A float", "FLOAT_NON_LINEAR", profile="adobe"),
    case("linear", "R'G'B' float", "FLOAT_LINEAR"),
]
PLAIN = {"alpha": True, "encoding": "R'G'B'A u8"}
STACK = case("stack", "R'G'B'A u8", "U8_NON_LINEAR")
STACK["layers"] = [
    {**PLAIN, "size": [WIDTH, HEIGHT], "pixels": "stack-pixels-0"},
    {**PLAIN, "size": [20, 31], "offset": [-7, -9], "mask": True, "lock": True, "pixels": "stack-pixels-1"},
    {**PLAIN, "size": [11, 5], "lock": True, "offset": [30, 20], "group": "pair", "pixels": "stack-pixels-2"},
    {**PLAIN, "size": [9, 9], "offset": [3, -4], "group": "pair", "pixels": "stack-pixels-3"},
]
NEW_LAYER = case("new_layer", "R'G'B'A u8", "U8_NON_LINEAR", procedure=LAYER)
NEW_LAYER["layers"] = [{**PLAIN, "size": [20, 10], "offset": [4, 6], "mask": True, "pixels": "new_layer-pixels-0"}]
BOX = (5, 4, 12, 9)
SELECTED = case(
    "restore", "R'G'B' u8", "U8_NON_LINEAR", procedure=RESTORE, select=list(BOX), arguments={"model": "blur"}
)
ENSEMBLE = case("ensemble", "R'G'B'A u8", "U8_NON_LINEAR")
ENSEMBLE["arguments"] = {**ENSEMBLE["arguments"], "self-ensemble": True}
LOCKED = case("locked", "R'G'B' u8", "U8_NON_LINEAR", procedure=RESTORE, arguments={"model": "blur"})
LOCKED["layers"][0]["lock"] = True
FLOATING = case("floating", "R'G'B'A u8", "U8_NON_LINEAR", float=True)
GROUP = case("group", "R'G'B'A u8", "U8_NON_LINEAR", procedure=LAYER, target="pair")
GROUP["layers"][0] = {**GROUP["layers"][0], "group": "pair", "offset": [3, 2]}
FIXED = case("fixed", "R'G'B'A u8", "U8_NON_LINEAR", procedure=LAYER)
FIXED["layers"] = [
    {**PLAIN, "size": [20, 10], "offset": [4, 6], "group": "pair", "lock_position": True, "pixels": "fixed-pixels-0"}
]
UNKNOWN = case("gone", "R'G'B'A u8", "U8_NON_LINEAR", arguments={"model": "gone", "scale": "2"})
CRASH = case("crash", "R'G'B'A u8", "U8_NON_LINEAR", arguments={"model": "crash", "scale": "2"})
ENDLESS = case("endless", "R'G'B'A u8", "U8_NON_LINEAR", arguments={"model": "endless", "scale": "2"})
WIDE = case("wide", "R'G'B'A u8", "U8_NON_LINEAR", size=[300_000, 10])
WIDE["layers"] = [{**PLAIN, "size": [20, 10], "offset": [100, 0], "pixels": "wide-pixels-0"}]
LINK = case("link", "R'G'B'A u8", "U8_NON_LINEAR", link=True)
LOOKS = [
    case(f"looks_{what}", "R'G'B'A u8", "U8_NON_LINEAR", procedure=LAYER, target="pair", special=what, look=[15, 9])
    for what in ("opacity", "mode", "mask", "effect", "hidden")
]
for one in LOOKS:
    one["arguments"] = {"model": "tiny", "scale": "2"}
    sides = {"size": [WIDTH, HEIGHT]}
    one["layers"] = [
        {**PLAIN, **sides, "pixels": f"{one['id']}-pixels-0", "colour": [40, 160, 220, 255]},
        {**PLAIN, **sides, "group": "pair", "pixels": f"{one['id']}-pixels-1", "colour": [200, 40, 40, 255]},
    ]
SIDES = [(160, 120), (20, 10)]  # of what decides, and of a smaller one that is above it
AUTO = case("auto", "R'G'B' u8", "U8_NON_LINEAR", size=[160, 120], arguments={"model": "auto", "scale": "2"})
AUTO["layers"] = [
    {"alpha": False, "encoding": "R'G'B' u8", "size": [*size], "pixels": f"auto-pixels-{n}"}
    for n, size in enumerate(SIDES)
]
NO_LAYER = [
    case("indexed_layer", "R'G'B'A u8", "U8_NON_LINEAR", "INDEXED", procedure=LAYER),
    case("indexed_restore", "R'G'B'A u8", "U8_NON_LINEAR", "INDEXED", procedure=RESTORE, arguments={"model": "blur"}),
    case("floating_layer", "R'G'B'A u8", "U8_NON_LINEAR", procedure=LAYER, float=True),
    case("mask_layer", "R'G'B'A u8", "U8_NON_LINEAR", procedure=LAYER, mask_selected=True),
]
NO_LAYER[3]["layers"][0] = {**NO_LAYER[3]["layers"][0], "mask": True}
CASES = [
    AUTO,
    *NO_LAYER,
    WIDE,
    LINK,
    *LOOKS,
    CRASH,
    *COLOUR,
    STACK,
    NEW_LAYER,
    FIXED,
    GROUP,
    SELECTED,
    ENSEMBLE,
    LOCKED,
    FLOATING,
    UNKNOWN,
]


def picture(width: int, height: int, encoding: str, seed: int) -> Pixels:
    """Noise with saturated colours; where there is alpha, corners fully transparent and fully opaque."""
    names, depth = encoding.split()
    channels = len(names.replace("'", ""))
    rng = np.random.default_rng(seed)
    values = rng.random((height, width, channels)) ** 0.5
    values[: height // 3, : width // 2] = rng.integers(0, 2, channels)
    if "A" in names:
        values[: height // 4, : width // 4, -1] = 0
        values[height // 2 :, width // 2 :, -1] = 1
    top = {"u8": 255, "u16": 65535, "float": 1}[depth]
    return (values * top).round(6 if depth == "float" else 0).astype(DTYPES[depth])


def compressed(width: int, height: int) -> Pixels:
    """What a JPEG of quality 40 leaves of a drawing."""
    y, x = np.mgrid[:height, :width]
    values = 128 + 60 * np.sin(x / 5 + y / 9) + np.random.default_rng(2).normal(0, 12, (height, width))
    file = io.BytesIO()
    Image.fromarray(values.clip(1, 254).astype(np.uint8)).convert("RGB").save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


def upscaled(pixels: Pixels, scale: float = 2, *, self_ensemble: bool = False) -> Pixels:
    """The core's own answer."""
    channels = pixels.shape[2]
    planes = [pixels[:, :, c] for c in range(channels)]
    alpha = planes.pop() if channels in (2, 4) else None
    format = FrameFormat(
        family="rgb" if channels > 2 else "gray", bits=8 * pixels.itemsize, is_float=pixels.dtype == np.float32
    )
    with Upscaler(blur(2, "rgb"), scale, device="cpu", self_ensemble=self_ensemble) as upscaler:
        frame = upscaler.upscale(Frame(planes, format, alpha))
    return np.stack([*frame.planes, *(() if frame.alpha is None else (frame.alpha,))], axis=-1)


@pytest.fixture(scope="module")
def gimp() -> Iterator[GimpInChroot]:
    if reason := make_root():
        if os.environ.get("SR_PLUGINS_REQUIRE_GIMP") == "1":
            pytest.fail(f"SR_PLUGINS_REQUIRE_GIMP=1, but {reason}")
        pytest.skip(f"no GIMP 3: {reason}")
    chroot = GimpInChroot()
    # Pieces of at most 1000 bytes, so that these small pictures travel in several.
    script = chroot.profile.plug_in / "gimp_pixels.py"
    assert "STRIP = 32 << 20" in script.read_text()
    script.write_text(script.read_text().replace("STRIP = 32 << 20", "STRIP = 1000"))
    for one in [*CASES, ENDLESS]:
        for n, layer in enumerate(one["layers"]):
            plain = bytes(layer.get("colour", ())) * (layer["size"][0] * layer["size"][1])
            pixels = plain or picture(*layer["size"], layer["encoding"], n).tobytes()
            (chroot.folder / layer["pixels"]).write_bytes(pixels)
    for n, size in enumerate(SIDES):
        (chroot.folder / f"auto-pixels-{n}").write_bytes(compressed(*size).tobytes())
    yield chroot
    chroot.close()


@pytest.fixture(scope="module")
def ran(gimp: GimpInChroot) -> str:
    """All cases in one GIMP; what it wrote to stderr."""
    return gimp.run(CASES)


class Outcome:
    """What became of a case."""

    def __init__(self, gimp: GimpInChroot, one: dict[str, Any]) -> None:
        result = gimp.result(one["id"])
        self.error, self.before, self.after = result["error"], result["before"], result["after"]
        self.seen, self.links = result["seen"], result["links"]
        self._folder, self._case = gimp.folder, one

    def pixels(self, when: str, n: int = 0) -> Pixels:
        info = (self.before if when == "before" else self.after)["layers"][n]
        layers = self._case["layers"]
        names, depth = layers[min(n, len(layers) - 1)]["encoding"].split()
        data = np.frombuffer((self._folder / f"{self._case['id']}-{when}-{n}").read_bytes(), DTYPES[depth])
        return data.reshape(info["size"][1], info["size"][0], len(names.replace("'", "")))


@pytest.mark.parametrize("one", COLOUR, ids=lambda one: one["id"])
def test_pixels_are_the_cores_own(gimp: GimpInChroot, ran: str, one: dict[str, Any]) -> None:
    outcome = Outcome(gimp, one)
    assert outcome.error is None
    before, after = outcome.pixels("before"), outcome.pixels("after")
    if one["base"] != "INDEXED" and one["id"] != "linear":
        np.testing.assert_array_equal(before, picture(WIDTH, HEIGHT, one["layers"][0]["encoding"], 0))
    # A linear image stores light, so its values pass GIMP's curve once each way; all else is exact.
    np.testing.assert_allclose(after, upscaled(before), rtol=0, atol=1e-5 if one["id"] == "linear" else 0)
    assert outcome.after["size"] == [2 * WIDTH, 2 * HEIGHT]
    assert outcome.after["precision"] == outcome.before["precision"]
    assert outcome.after["profile"] == outcome.before["profile"]
    assert outcome.after["resolution"] == [300, 300]
    assert outcome.after["base"] == {"RGB": "rgb", "GRAY": "gray", "INDEXED": "rgb"}[one["base"]]
    assert outcome.before["base"] == one["base"].lower()
    assert (outcome.before["profile"] is not None) == ("profile" in one)


def test_auto_takes_what_the_largest_layer_shows_for_all(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, AUTO)
    assert outcome.error is None
    with Upscaler("photo", 2, device="cpu") as upscaler:
        for n in range(2):
            before = outcome.pixels("before", n)
            frame = upscaler.upscale(Frame([before[:, :, c] for c in range(3)], FrameFormat(family="rgb")))
            np.testing.assert_array_equal(outcome.pixels("after", n), np.stack(frame.planes, axis=-1))


@pytest.mark.parametrize(
    ("one", "cure"),
    [*zip(NO_LAYER, ("make it RGB first", "make it RGB first", "anchor it", "select its layer"), strict=True)],
    ids=lambda one: one["id"] if isinstance(one, dict) else "",
)
def test_what_a_new_layer_cannot_be_made_of_is_said(
    gimp: GimpInChroot, ran: str, one: dict[str, Any], cure: str
) -> None:
    outcome = Outcome(gimp, one)
    assert cure in outcome.error
    assert outcome.before == outcome.after


def test_layers_keep_offset_mask_and_group(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, STACK)
    assert outcome.error is None
    assert len(outcome.after["layers"]) == 4
    for n, (before, after) in enumerate(zip(outcome.before["layers"], outcome.after["layers"], strict=True)):
        np.testing.assert_array_equal(outcome.pixels("after", n), upscaled(outcome.pixels("before", n)))
        assert after["size"] == [2 * side for side in before["size"]]
        assert after["offset"] == [2 * side for side in before["offset"]]
        assert after["mask"] == (before["mask"] and [2 * side for side in before["mask"]])
        assert after["mask_is_white"] == before["mask_is_white"]
        for unchanged in ("name", "group", "locked"):
            assert after[unchanged] == before[unchanged]
    assert outcome.before["layers"][1]["offset"] == [-7, -9]
    assert outcome.before["layers"][2]["group"] == "pair"
    assert [layer["locked"] for layer in outcome.before["layers"]] == [False, True, True, True]


def test_new_layer_around_the_same_centre(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, NEW_LAYER)
    assert outcome.error is None
    assert outcome.after["size"] == [WIDTH, HEIGHT]
    old, new = outcome.after["layers"]
    assert (old["name"], new["name"]) == ("layer 0", "layer 0 (blur 2x)")
    assert (new["size"], new["mask"], new["offset"]) == ([40, 20], [40, 20], [4 - 10, 6 - 5])
    np.testing.assert_array_equal(outcome.pixels("after", 0), outcome.pixels("before"))
    np.testing.assert_array_equal(outcome.pixels("after", 1), upscaled(outcome.pixels("before")))


def test_new_layer_of_one_that_is_not_to_be_moved(gimp: GimpInChroot, ran: str) -> None:
    """Its copy has its lock of position, and lies in a group that has one, too."""
    outcome = Outcome(gimp, FIXED)
    assert outcome.error is None
    old, new = outcome.after["layers"]
    assert (new["size"], new["offset"], new["group"]) == ([40, 20], [4 - 10, 6 - 5], "pair")
    assert old == outcome.before["layers"][0]
    assert new["lock_position"]
    np.testing.assert_array_equal(outcome.pixels("after", 1), upscaled(outcome.pixels("before")))


def test_group_as_it_looks_into_a_new_layer(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, GROUP)
    assert outcome.error is None
    inside, new = outcome.after["layers"]
    assert (new["name"], new["group"], new["size"]) == ("pair (blur 2x)", None, [2 * WIDTH, 2 * HEIGHT])
    assert new["offset"] == [3 - WIDTH // 2, 2 - HEIGHT // 2]
    assert inside["group"] == "pair"
    found, expected = outcome.pixels("after", 1), upscaled(outcome.pixels("before"))
    np.testing.assert_array_equal(found[:, :, 3], expected[:, :, 3])
    seen = expected[:, :, 3] > 0  # what a group's picture holds where nothing is seen is GIMP's affair
    np.testing.assert_array_equal(found[seen], expected[seen])


def test_a_canvas_that_would_be_too_large_is_told_before_work(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, WIDE)
    assert "GIMP's limit: scale by less" in outcome.error
    assert_untouched(outcome)


def test_a_link_layer_ends_where_an_ordinary_one_does(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, LINK)
    assert outcome.error is None
    if not outcome.links:
        pytest.skip("this GIMP has no link layers: 3.2 and later do")
    (link,) = [layer for layer in outcome.after["layers"] if layer["size"] == [16, 12]]
    assert link["offset"] == [6, 4]


@pytest.mark.parametrize("one", LOOKS, ids=lambda one: one["special"])
def test_what_stands_in_for_a_group_looks_as_the_group(gimp: GimpInChroot, ran: str, one: dict[str, Any]) -> None:
    outcome = Outcome(gimp, one)
    assert outcome.error is None
    before, after, visible = outcome.seen
    np.testing.assert_allclose(after, before, atol=2)
    plain = [200, 40, 40]
    assert (np.abs(np.array(before) - plain) > 9).any()  # each of these groups looks otherwise than what is in it
    assert visible.count(False) == (one["special"] == "hidden")


@pytest.mark.parametrize(
    ("one", "cure"), [(LOCKED, "unlock them first"), (FLOATING, "anchor it")], ids=["locked", "floating"]
)
def test_what_cannot_be_done_is_said_before_work(gimp: GimpInChroot, ran: str, one: dict[str, Any], cure: str) -> None:
    outcome = Outcome(gimp, one)
    assert cure in outcome.error
    assert_untouched(outcome)


def test_restore_changes_the_selection_only(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, SELECTED)
    assert outcome.error is None
    x, y, width, height = BOX
    expected = outcome.pixels("before").copy()
    expected[y : y + height, x : x + width] = upscaled(outcome.pixels("before"), 1)[y : y + height, x : x + width]
    np.testing.assert_array_equal(outcome.pixels("after"), expected)
    assert (expected != outcome.pixels("before")).any()


def assert_untouched(outcome: Outcome) -> None:
    assert outcome.after == outcome.before
    np.testing.assert_array_equal(outcome.pixels("after"), outcome.pixels("before"))


def test_the_self_ensemble_is_the_cores_own(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, ENSEMBLE)
    assert outcome.error is None
    before, after = outcome.pixels("before"), outcome.pixels("after")
    np.testing.assert_array_equal(after, upscaled(before, self_ensemble=True))
    assert not np.array_equal(after, upscaled(before))


def test_unknown_model_leaves_the_image(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, UNKNOWN)
    assert outcome.error.startswith("Super-resolution: no model called 'gone': there is bicubic, blur, ")
    assert_untouched(outcome)


def test_crash_of_the_worker_leaves_the_image(gimp: GimpInChroot, ran: str) -> None:
    outcome = Outcome(gimp, CRASH)
    assert outcome.error.startswith("Super-resolution: the worker failed")
    assert "srp gimp status" in outcome.error
    assert_untouched(outcome)
    assert Outcome(gimp, COLOUR[0]).error is None  # the case after it
    assert "inconsistent" not in ran


def test_cancel_leaves_the_image_and_no_process(gimp: GimpInChroot, ran: str) -> None:
    workers_before = len(gimp.host.workers)
    gimp.host.started.clear()
    killed: list[int] = []
    ended = threading.Event()

    def cancel() -> None:
        """As GIMP's Cancel button does: end the plug-in, while its worker computes."""
        while not killed and not ended.is_set():
            if gimp.host.started.wait(1):
                for pid in gimp.plug_ins():
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        said = gimp.run([ENDLESS])
    finally:
        ended.set()
        thread.join()
    assert killed
    outcome = Outcome(gimp, ENDLESS)
    assert outcome.error
    assert_untouched(outcome)
    assert "inconsistent" not in said
    assert len(gimp.host.workers) == workers_before + 1
    assert gimp.host.workers[-1].wait(10) == 0
    assert gimp.plug_ins() == []


def test_status_runs_the_real_gimp(gimp: GimpInChroot, tmp_path: Path) -> None:
    console = tmp_path / "gimp-console"
    console.write_text("#!/bin/sh\n" + " ".join(f"'{part}'" for part in gimp.command()) + ' "$@"\n')
    console.chmod(0o755)
    assert check_gimp(console).startswith("3.")
    gimp.profile.plug_in.joinpath("sr_upscale.py").chmod(0o644)
    try:
        with pytest.raises(PluginError, match="does not know the plug-in"):
            check_gimp(console)
    finally:
        gimp.profile.plug_in.joinpath("sr_upscale.py").chmod(0o755)


@pytest.mark.parametrize(("one", "mode"), [(COLOUR[0], "RGBA"), (COLOUR[2], "LA")], ids=["RGBA", "LA"])
def test_pillow_and_gimp_give_the_same_bytes(gimp: GimpInChroot, ran: str, one: dict[str, Any], mode: str) -> None:
    outcome = Outcome(gimp, one)
    before = outcome.pixels("before")
    image = Image.frombytes(mode, (WIDTH, HEIGHT), before.tobytes())
    result = image.filter(SuperResolution(2, model=blur(2, "rgb"), device="cpu"))
    assert result.mode == mode
    assert result.tobytes() == outcome.pixels("after").tobytes()


def test_root_script_is_a_shell_script() -> None:
    script = Path(__file__).with_name("gimp3_root.sh")
    subprocess.run(["sh", "-n", script], check=True)

"""Shaders beside the core: run by ffmpeg's libplacebo on a Vulkan device, by default Mesa's software one.

Without one the tests skip; SR_PLUGINS_REQUIRE_VULKAN=1 turns that into a failure.
"""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from imageio_ffmpeg import get_ffmpeg_exe
from networks import small_network
from numpy.typing import NDArray

from sr_plugins.cli.export import command
from sr_plugins.errors import ArgumentError, PluginError
from sr_plugins.exporters import glsl
from sr_plugins.interface.model import LoadedModel
from sr_plugins.models.flat_colours import KNOTS
from sr_plugins.weights.open_model import open_model

Plane = NDArray[np.uint8] | NDArray[np.uint16]
RANGES = {"limited": ("tv", 16, 219), "full": ("pc", 0, 255)}
SOFTWARE = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))


@pytest.fixture(scope="session")
def vulkan() -> dict[str, str]:
    """The environment in which ffmpeg has a Vulkan device."""
    environment = dict(os.environ)
    if SOFTWARE:  # the same device everywhere
        environment["VK_ICD_FILENAMES"] = str(SOFTWARE[0])
    command = [get_ffmpeg_exe(), "-v", "error", "-init_hw_device", "vulkan"]
    source = ["-f", "lavfi", "-i", "color=s=16x16", "-frames:v", "1", "-vf", "libplacebo", "-f", "null", "-"]
    done = subprocess.run([*command, *source], env=environment, capture_output=True, check=False, timeout=120)
    if done.returncode:
        reason = "no Vulkan device, or no libplacebo in ffmpeg: apt-get install mesa-vulkan-drivers"
        if os.environ.get("SR_PLUGINS_REQUIRE_VULKAN") == "1":
            pytest.fail(f"SR_PLUGINS_REQUIRE_VULKAN=1, but {reason}: {done.stderr.decode()}")
        pytest.skip(reason)
    return environment


def picture(height: int = 37, width: int = 51) -> Plane:
    """Edges, a grating, noise, and flat parts up to the border."""
    y, x = np.mgrid[:height, :width]
    plane = 128 + 60 * np.sin(x / 3.1) * np.cos(y / 4.7) + np.random.default_rng(0).normal(0, 15, (height, width))
    plane[height // 2 :, : width // 3] = 200
    plane[:3] = 40
    return plane.clip(16, 235).round().astype(np.uint8)


def core(loaded: LoadedModel, plane: Plane, levels: str, bits: int = 8) -> NDArray[np.float64]:
    """The codes that the network makes, rounded; players cut them to the range of the levels."""
    low, span = (limit << (bits - 8) for limit in RANGES[levels][1:])  # of more bits in limited range
    x = (torch.from_numpy(plane.astype(np.float32)) - low) / span
    with torch.inference_mode():
        y = loaded.torch().module(x[None, None])[0, 0].double().numpy()
    return np.clip(np.rint(y * span + low), low, low + span)


def played(shader: Path, frames: Plane, scale: int, levels: str, environment: dict[str, str], bits: int = 8) -> Plane:
    """``frames`` (N, H, W) as the luma of a colourless video, enlarged by libplacebo with the shader."""
    count, height, width = frames.shape
    dtype = np.dtype("u1" if bits == 8 else "<u2")
    # full levels as gray: with chroma, libplacebo itself keeps the picture in half precision
    neutral = np.full(2 * height * width, 1 << (bits - 1), dtype).tobytes()
    deep = "" if bits == 8 else f"{bits}le"
    format, chroma = (f"gray{deep}", b"") if levels == "full" else (f"yuv444p{deep}", neutral)
    filters = (
        f"setparams=range={RANGES[levels][0]}:colorspace=bt709,"
        f"libplacebo=w=iw*{scale}:h=ih*{scale}:custom_shader_path={shader}:dithering=none,format={format}"
    )
    command = [get_ffmpeg_exe(), "-v", "error", "-init_hw_device", "vulkan", "-f", "rawvideo", "-pix_fmt", format]
    command += ["-s", f"{width}x{height}", "-i", "-", "-vf", filters, "-f", "rawvideo", "-"]
    given = b"".join(plane.astype(dtype).tobytes() + chroma for plane in frames)
    done = subprocess.run(command, input=given, env=environment, capture_output=True, check=True, timeout=250)
    assert b"rror" not in done.stderr, done.stderr.decode()
    values = np.frombuffer(done.stdout, dtype).reshape(count, -1)[:, : height * width * scale**2]
    return values.reshape(count, height * scale, width * scale)


CASES = [
    (2, 8, 1, False, {"passes": "compute", "levels": "limited"}),
    (2, 16, 8, True, {"passes": "fragment", "levels": "limited"}),
    (3, 12, 1, False, {"passes": "fragment", "levels": "full"}),
    (3, 24, 1, True, {"passes": "compute", "levels": "limited"}),
    (4, 8, 4, True, {"passes": "compute", "levels": "full"}),
    (4, 16, 4, True, {"passes": "compute", "levels": "full", "precision": "full"}),
    (2, 8, 1, False, {"passes": "compute", "levels": "limited", "precision": "full"}),
]


@pytest.mark.parametrize(("scale", "features", "symmetry", "back_projection", "options"), CASES)
def test_a_shader_gives_the_cores_picture(
    scale: int,
    features: int,
    symmetry: int,
    back_projection: bool,
    options: dict[str, str],
    vulkan: dict[str, str],
    tmp_path: Path,
) -> None:
    loaded, plane = small_network(scale, features, symmetry, back_projection), picture()
    path = tmp_path / "own.glsl"
    path.write_bytes(glsl.build(loaded, **options).files[".glsl"])  # type: ignore[arg-type]
    expected = core(loaded, plane, options["levels"])
    difference = np.abs(played(path, plane[None], scale, options["levels"], vulkan)[0] - expected)
    change = np.abs(expected - np.repeat(np.repeat(plane, scale, 0), scale, 1))
    assert change.mean() > 2, "the network does something"
    assert difference.max() <= 1
    if options.get("precision") == "full" and options["levels"] == "full":
        assert (difference > 0).mean() <= 0.001


def test_a_film_of_ten_bits_comes_as_near_as_one_of_eight(vulkan: dict[str, str], tmp_path: Path) -> None:
    """Between passes are halves, and black and white are a little elsewhere: 64 of 1023 is not 16 of 255."""
    loaded, random = open_model("realtime", 2), np.random.default_rng(2)
    plane = (picture().astype(np.uint16) << 2) + random.integers(0, 4, (37, 51), np.uint16)
    path = tmp_path / "own.glsl"
    path.write_bytes(glsl.build(loaded).files[".glsl"])
    difference = np.abs(played(path, plane[None], 2, "limited", vulkan, 10)[0] - core(loaded, plane, "limited", 10))
    assert difference.max() <= 5  # of 1023
    assert difference.mean() < 1


@pytest.mark.parametrize("levels", ["limited", "full"])
def test_the_curve_before_a_network_is_in_its_shader(levels: str, vulkan: dict[str, str], tmp_path: Path) -> None:
    loaded, plane = small_network(2, 8), picture()
    without = core(loaded, plane, levels)
    curve = torch.zeros(KNOTS, 2)
    curve[:4] = torch.tensor([[0.05, -0.2], [0.2, 0.3], [0.5, -0.4], [0.8, 0.5]])
    loaded.torch().module.level = curve
    path = tmp_path / "own.glsl"
    path.write_bytes(glsl.build(loaded, passes="compute", levels=levels).files[".glsl"])  # type: ignore[arg-type]
    expected = core(loaded, plane, levels)
    assert np.abs(expected - without).mean() > 2
    assert np.abs(played(path, plane[None], 2, levels, vulkan)[0] - expected).max() <= 1


def test_the_shipped_network_enlarges_a_picture_and_keeps_flat_colours(vulkan: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "tiny.glsl"
    done = CliRunner().invoke(command, ["tiny", "-o", str(path)], catch_exceptions=False)
    assert done.output == f"{path}: tiny x2, 6 passes, half precision, limited levels\n"
    loaded = open_model("tiny", 2)
    frames = np.stack([picture(), *(np.full((37, 51), level, np.uint8) for level in (16, 111, 235))])
    for plane, result in zip(frames, played(path, frames, 2, "limited", vulkan), strict=True):
        expected = core(loaded, plane, "limited")
        assert np.abs(result - expected).max() <= 1
        if np.ptp(plane) == 0:
            inner = result[12:-12, 12:-12]  # the network itself is not flat where it sees the border
            assert np.ptp(inner) == 0


def test_a_shader_says_what_it_is_and_when_it_runs() -> None:
    text = glsl.build(small_network(4, 8, name="my net"), levels="full").files[".glsl"].decode()
    assert text.startswith("// my net x4, an mpv user shader of sr-plugins")
    assert "// SPDX-License-Identifier: MIT\n// For luma with full levels; half precision, compute passes\n" in text
    passes = text.split("\n//!DESC ")[1:]
    assert [p.splitlines()[0] for p in passes] == [f"my net x4 (MIT): layer {i} of 3" for i in (1, 2, 3)]
    for one in passes:
        assert "//!HOOK LUMA\n//!BIND LUMA\n" in one
        assert "//!WHEN OUTPUT.w LUMA.w / 2.6 > OUTPUT.h LUMA.h / 2.6 > *\n" in one
    assert "//!SAVE" not in passes[-1]
    assert set(re.findall(r"//!SAVE (\w+)", text)) <= {"my_net_x4_a", "my_net_x4_b"}
    assert text == glsl.build(small_network(4, 8, name="my net"), levels="full").files[".glsl"].decode()


def test_what_a_shader_cannot_hold_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="full precision needs compute passes"):
        glsl.build(small_network(2, 8), passes="fragment", precision="full")
    with pytest.raises(PluginError, match="edsr x2 is no network of plain convolutions"):
        CliRunner().invoke(command, ["edsr", "-o", str(tmp_path / "a.glsl")], catch_exceptions=False)
    with pytest.raises(ArgumentError, match="format glsl does not take --opset"):
        CliRunner().invoke(command, ["tiny", "-o", str(tmp_path / "a.glsl"), "--opset", "18"], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []

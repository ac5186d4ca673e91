"""One list of settings for all hosts: the same names, values and refusals everywhere."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, get_type_hints

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fakes import nearest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from vapoursynth_clips import clip_of

from gimp_bridge import SuperResolution, upscale_image
from sr_plugins import FrameFormat, Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.cli.options import upscaler_options
from sr_plugins.errors import ArgumentError
from sr_plugins.settings import DEFAULTS, HELP, Settings, checked
from vapoursynth_filter import upscale

vs = pytest.importorskip("vapoursynth")

IMAGE = Image.new("RGB", (8, 6))
HOSTS: dict[str, Callable[..., Any]] = {
    "Upscaler": lambda **s: Upscaler(nearest(), **s).close(),
    "VapourSynth": lambda **s: upscale(clip_of(vs.YUV420P8), nearest(), **s),
    "SuperResolution": lambda **s: IMAGE.filter(SuperResolution(model=nearest(), **s)),
    "upscale_image": lambda **s: upscale_image(IMAGE, model=nearest(), **s),
}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"scale": 2, "size": (40, None)}, "scale and size exclude each other"),
    ({"tile": True}, "tile True is neither 'auto' nor a whole number of at least 1"),
    ({"tile": 0}, "tile 0 is neither"),
    ({"tile": "64"}, "tile '64' is neither 'auto' nor a whole number of at least 1: it is text"),
    ({"tile": [64]}, r"tile \[64\] is neither"),
    ({"batch": 1.5}, "batch 1.5 is neither"),
    ({"batch": np.int64(-3)}, "batch .*-3.* is neither"),
    ({"tiles": 64}, "no setting called 'tiles': did you mean 'tile'?"),
    ({"devise": "cpu"}, "no setting called 'devise': did you mean 'device'?"),
    ({"backend": ["torch"]}, r"backend \['torch'\] is not a name"),
    ({"precision": None}, "precision None is not a name: use auto, float32"),
    ({"device": 0}, "device 0 is not a name"),
    ({"device": []}, "no device was named"),
    ({"device": ["cpu", None]}, "device None is not a name"),
    ({"self_ensemble": 1}, "self_ensemble 1 is neither True nor False"),
    ({"reuse": "no"}, "reuse 'no' is neither True nor False"),
    ({"scale": "2"}, "scale '2' is not a number: it is text"),
    ({"scale": float("nan")}, "scale nan is not between 1 and 16"),
    ({"size": (None, None)}, "is not a picture"),
    ({"size": "640x480"}, r"is not \(width, height\)"),
]
TAKEN: list[dict[str, Any]] = [
    {"scale": np.int64(2)},
    {"scale": Fraction(3, 2)},
    {"scale": Decimal("1.5")},
    {"size": [16, None]},
    {"size": (np.int32(16), np.float64(12))},
    {"device": ["cpu"]},
    {"device": torch.device("cpu")},
    {"device": [torch.device("cpu")]},
    {"tile": np.int64(64), "batch": np.int32(2)},
    {"self_ensemble": np.True_, "reuse": np.False_},
    {"backend": "torch", "precision": "float32"},
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("settings", "says"), REFUSED, ids=lambda v: str(v) if isinstance(v, dict) else "")
def test_every_host_refuses_the_same(host: str, settings: dict[str, Any], says: str) -> None:
    error = vs.Error if host == "VapourSynth" else ArgumentError
    with pytest.raises(error, match=says) as caught:
        HOSTS[host](**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("settings", TAKEN, ids=str)
def test_every_host_takes_the_same(host: str, settings: dict[str, Any]) -> None:
    HOSTS[host](**settings)


def test_an_argument_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="tile"):
        Upscaler(nearest(), tile=-1)


def test_filters_of_equal_settings_share_an_upscaler_however_they_are_written() -> None:
    one = SuperResolution(model="tiny", size=[16, None], device=["cpu"]).upscaler  # type: ignore[arg-type]
    assert SuperResolution(model="tiny", size=(16.0, None), device=["cpu"], tile="auto").upscaler is one  # type: ignore[arg-type]
    assert SuperResolution(model="tiny", size=(17, None), device=["cpu"]).upscaler is not one


def test_a_filter_takes_either_settings_or_an_upscaler() -> None:
    with Upscaler(nearest(3)) as upscaler:
        assert upscale_image(IMAGE, upscaler=upscaler).size == (24, 18)
        with pytest.raises(ArgumentError, match="brings its own settings: leave tile out"):
            SuperResolution(upscaler=upscaler, tile=64)
        with pytest.raises(vs.Error, match="brings its own settings: leave scale out"):
            upscale(clip_of(vs.GRAY8), upscaler, scale=2)


def test_names_defaults_help_and_options_are_one_list() -> None:
    names = get_type_hints(Settings).keys()
    assert names == DEFAULTS.keys() == HELP.keys() == checked({}).keys()

    @click.command()
    @upscaler_options("fast")
    def command(**options: Any) -> None:
        assert options.pop("model") == "fast"
        click.echo(options == DEFAULTS)

    assert CliRunner().invoke(command, []).stdout == "True\n"
    text = " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())
    for name, meaning in HELP.items():
        assert f"--{name.replace('_', '-')}" in text
        assert meaning.split(". ")[0] in text
    assert all((len(line) < 200 and line[0].isupper()) or line.startswith("auto") for line in HELP.values())


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (["--scale", "2x"], (40, 24)),
        (["--scale", "X3"], (60, 36)),
        (["--scale", "1.5"], (30, 18)),
        (["--size", "1080p"], (1800, 1080)),
        (["--size", "64x"], (64, 38)),
        (["--size", "x48"], (80, 48)),
        (["--size", "50X40"], (50, 40)),
    ],
)
def test_scales_and_sizes_as_people_type_them(arguments: list[str], size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("L", (20, 12), 90).save(tmp_path / "a.png")
    out = tmp_path / "b.png"
    done = CliRunner().invoke(srp, ["image", str(tmp_path / "a.png"), "-o", str(out), "--model", "tiny", *arguments])
    assert done.exit_code == 0, done.output
    with Image.open(out) as larger:
        assert larger.size == size


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scale", "2", "--size", "64x"], "scale and size exclude each other"),
        (["--scale", "17"], "scale 17.0 is not between 1 and 16"),
        (["--scale", "twice"], "'twice' is no number"),
        (["--size", "x"], "'x' is not WIDTHxHEIGHT, WIDTHx, xHEIGHT or HEIGHTp"),
        (["--size", "0x"], "is not a picture"),
        (["--tile", "-1"], "tile -1 is neither 'auto' nor a whole number of at least 1"),
        (["--tile", "small"], "'small' is neither auto nor a whole number"),
    ],
)
def test_wrong_settings_are_wrong_usage(arguments: list[str], says: str, tmp_path: Path) -> None:
    Image.new("L", (20, 12), 90).save(tmp_path / "a.png")
    done = CliRunner().invoke(srp, ["image", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), *arguments])
    assert done.exit_code == 2
    assert says in done.stderr


# -- the one answer about sizes ----------------------------------------------------------------------------------------

SUBSAMPLED = {(1, 1): "YUV420P8", (1, 0): "YUV422P8", (2, 0): "YUV411P8", (2, 2): "YUV410P8", (0, 1): "YUV440P8"}


@pytest.mark.parametrize("planes", [None, 0])
@pytest.mark.parametrize(
    ("format", "size", "scale", "expected"),
    [
        ("YUV420P8", (854, 480), 1.5, (1280, 720)),
        ("YUV411P8", (100, 100), 1.5, (152, 150)),
        ("YUV410P8", (100, 100), 1.5, (152, 152)),
        ("YUV422P8", (38, 21), 1.25, (48, 26)),
        ("GRAY8", (854, 480), 1.5, (1281, 720)),
    ],
)
def test_the_filter_gives_the_size_that_the_core_says(
    format: str, size: tuple[int, int], scale: float, expected: tuple[int, int], planes: int | None
) -> None:
    clip = vs.core.std.BlankClip(format=getattr(vs, format), width=size[0], height=size[1], length=1)
    larger = upscale(clip, nearest(), scale=scale, planes=planes)
    frame = larger.get_frame(0)
    assert (larger.width, larger.height) == (frame.width, frame.height) == expected
    with Upscaler(nearest(), scale) as shared:
        assert upscale(clip, shared, planes=planes).get_frame(0).width == expected[0]


@given(
    subsampling=st.sampled_from(sorted(SUBSAMPLED)),
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    scale=st.floats(1, 16),
)
def test_whole_chroma_stays_whole_and_near_the_scale(
    subsampling: tuple[int, int], width: int, height: int, scale: float
) -> None:
    with Upscaler(nearest(), scale) as upscaler:
        size = upscaler.output_size(width, height, FrameFormat(family="yuv", subsampling=subsampling))
    for side, before, shift in zip(size, (width, height), subsampling, strict=True):
        assert abs(side - before * scale) <= max(1, 1 << shift) / 2 + 1
        for part in (2, 4):
            if part <= 1 << shift and before % part == 0:
                assert side % part == 0

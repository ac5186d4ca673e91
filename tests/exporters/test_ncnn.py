"""The .param and .bin that Upscayl and its kin read, run by ncnn itself, beside the core."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from networks import small_network
from numpy.typing import NDArray

from sr_plugins import Frame, FrameFormat, LoadedModel, Upscaler
from sr_plugins.cli.export import command
from sr_plugins.errors import ArgumentError, ModelOutputError, PluginError
from sr_plugins.exporters import ncnn
from sr_plugins.weights.open_model import open_model

Picture = NDArray[np.uint8]
RGB = FrameFormat(family="rgb")
# what the programs' reduced builds have; Slice and Clip are not among it
KNOWN = {"Input", "Split", "Convolution", "Padding", "BinaryOp", "PixelShuffle", "Crop", "Concat"}


def picture(height: int, width: int) -> Picture:
    """Strong colours, edges up to the border, noise: (3, H, W)."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    planes = [
        128 + 100 * np.sin(x / a) * np.cos(y / b) + rng.normal(0, 10, x.shape) for a, b in ((3, 5), (4, 3), (7, 2))
    ]
    planes[0][: height // 2] = 250
    return np.stack(planes).clip(0, 255).round().astype(np.uint8)


def core(loaded: LoadedModel, rgb: Picture) -> NDArray[np.int64]:
    with Upscaler(loaded, device="cpu", backend="torch", precision="float32") as upscaler:
        return np.stack(upscaler.upscale(Frame(list(rgb), RGB)).planes).astype(int)


def by_ncnn(param: str, weights: bytes, rgb: Picture) -> NDArray[np.int64]:
    return np.rint(ncnn.run(param, weights, rgb / np.float32(255)) * 255).clip(0, 255).astype(int)


@pytest.mark.parametrize(
    ("scale", "symmetry", "back_projection", "precision"),
    [(2, 1, False, "half"), (3, 1, True, "full"), (4, 4, True, "half"), (2, 8, True, "full")],
)
def test_ncnn_makes_the_cores_picture(scale: int, symmetry: int, back_projection: bool, precision: str) -> None:
    loaded = small_network(scale, 8, symmetry, back_projection)
    files = ncnn.build(loaded, precision=precision).files
    for size in ((23, 34), (2, 3), (7, 2)):
        rgb = picture(*size)
        difference = np.abs(by_ncnn(files[".param"].decode(), files[".bin"], rgb) - core(loaded, rgb))
        assert difference.max() <= 1
        assert (difference > 0).mean() <= (0.2 if precision == "half" else 0.002)


@pytest.mark.parametrize("precision", ["half", "full"])
def test_a_network_for_colours_is_written_as_it_is(precision: str) -> None:
    loaded = open_model("photo", 2)
    files = ncnn.build(loaded, precision=precision).files
    assert {line.split()[0] for line in files[".param"].decode().splitlines()[2:]} <= KNOWN
    for size in ((23, 34), (2, 3), (7, 2)):
        rgb = picture(*size)
        difference = np.abs(by_ncnn(files[".param"].decode(), files[".bin"], rgb) - core(loaded, rgb))
        assert difference.max() <= 1
        assert (difference > 0).mean() <= (0.2 if precision == "half" else 0.002)


@pytest.mark.parametrize(("name", "scale"), [("tiny", 2), ("realtime", 3), ("photo", 2), ("photo", 4)])
def test_what_is_written_opens_again(name: str, scale: int, tmp_path: Path) -> None:
    """Edges are mirrored by rows and columns that are cut out and joined."""
    loaded, rgb = open_model(name, scale), picture(41, 52)
    for suffix, content in ncnn.build(loaded, precision="full").files.items():
        (tmp_path / f"again-x{scale}{suffix}").write_bytes(content)
    again = open_model(tmp_path / f"again-x{scale}.param")
    assert (again.spec.scale, again.spec.channels) == (scale, "rgb")
    difference = np.abs(core(again, rgb) - core(loaded, rgb))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.002


def test_the_command_writes_both_files_as_upscayl_wants_them(tmp_path: Path) -> None:
    path = tmp_path / "tiny-x2.bin"
    done = CliRunner().invoke(command, ["tiny", "-o", str(path)], catch_exceptions=False)
    assert done.output.startswith(f"{tmp_path / 'tiny-x2.param'} and {path}: tiny x2, rgb, half precision, within")
    magic, counts, *lines = (tmp_path / "tiny-x2.param").read_text().splitlines()
    words = [line.split() for line in lines]
    assert magic == "7767517"
    assert counts.split() == [str(len(lines)), str(sum(int(w[3]) for w in words))]
    assert {w[0] for w in words} <= KNOWN
    assert (words[0][0], words[0][4], words[-1][5]) == ("Input", "data", "output")
    assert path.stat().st_size < 2 * 10020 + 4000, "weights are half precision"
    rgb = picture(40, 30)
    result = by_ncnn((tmp_path / "tiny-x2.param").read_text(), path.read_bytes(), rgb)
    assert np.abs(result - core(open_model("tiny", 2), rgb)).max() <= 1
    path.unlink()
    with pytest.raises(ArgumentError, match=r"tiny-x2\.param exists: --overwrite replaces it"):
        CliRunner().invoke(command, ["tiny", "-o", str(path)], catch_exceptions=False)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny-x2.param"]


def test_what_is_wrong_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def invoke(*arguments: str) -> None:
        CliRunner().invoke(command, [*arguments, "-o", str(tmp_path / "a.param")], catch_exceptions=False)

    with pytest.raises(PluginError, match="vdsr x2 is no network of plain convolutions"):
        invoke("vdsr")
    with pytest.raises(ArgumentError, match="format ncnn does not take --passes"):
        invoke("tiny", "--passes", "compute")
    monkeypatch.setattr(ncnn, "LUMA", (0.3, 0.6, 0.1))
    with pytest.raises(ModelOutputError, match="ncnn's picture of tiny x2 differs from torch's by"):
        invoke("tiny")
    assert list(tmp_path.iterdir()) == []

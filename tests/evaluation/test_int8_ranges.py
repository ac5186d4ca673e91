"""Ranges for 8-bit integers taken of photographs, and what the card tells of them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import drawing

from sr_plugins.errors import DataError
from sr_plugins.evaluation import int8_ranges
from sr_plugins.plugins import plugins
from sr_plugins.training.picture_files import read_rgb, to_channels
from sr_plugins.weights.pretrained import PRETRAINED
from sr_plugins.weights.safetensors_files import read_card


def test_ranges_of_photographs_change_no_kernel_and_bring_integers_nearer(tmp_path: Path) -> None:
    """Of weights that were trained without: pictures that are shallow, unlike what ranges are guessed from."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed in range(int8_ranges.PICTURES):
        drawing(seed, 2 * int8_ranges.SIDE).point(lambda value: 100 + value // 8).save(pictures / f"{seed:02}.png")
    path = tmp_path / "tiny.safetensors"
    path.write_bytes((PRETRAINED / "tiny-x2.safetensors").read_bytes())
    before, card = load_file(path), read_card(path)
    int8_ranges.take_ranges(path, pictures)
    after = load_file(path)
    ranges = after.pop("int8_ranges")
    before.pop("int8_ranges", None)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert read_card(path) == card

    network = plugins().open_weights(path).torch().module
    (x,) = torch.from_numpy(to_channels(read_rgb(pictures / "00.png"), "luma").astype("float32") / 65535)[None]
    x = x[None, :, ::2, ::2]
    exact = network(x)
    network.int8 = True  # type: ignore[assignment]
    near = (network(x) - exact).square().mean()
    network.int8_ranges = torch.stack((torch.zeros(len(ranges)), 4 * ranges[:, 1]), dim=1)
    assert near < (network(x) - exact).square().mean()


def test_too_few_pictures_for_ranges_and_a_network_without_are_one_line(tmp_path: Path) -> None:
    tiny, vdsr = tmp_path / "tiny.safetensors", tmp_path / "vdsr.safetensors"
    tiny.write_bytes((PRETRAINED / "tiny-x2.safetensors").read_bytes())
    vdsr.write_bytes((PRETRAINED / "vdsr-x2.safetensors").read_bytes())
    drawing(1, 2 * int8_ranges.SIDE).save(tmp_path / "one.png")
    with pytest.raises(DataError, match=f"{int8_ranges.PICTURES} are needed"):
        int8_ranges.take_ranges(tiny, tmp_path)
    assert tiny.read_bytes() == (PRETRAINED / "tiny-x2.safetensors").read_bytes()
    with pytest.raises(DataError, match="vdsr x2 has no ranges"):
        int8_ranges.take_ranges(vdsr, tmp_path)


def test_what_integers_cost_stands_in_the_card(tmp_path: Path) -> None:
    sets = tmp_path / "drawings"
    sets.mkdir()
    for seed in range(2):
        drawing(seed, 48).save(sets / f"{seed}.png")
    path = tmp_path / "tiny.safetensors"
    path.write_bytes((PRETRAINED / "tiny-x2.safetensors").read_bytes())
    before = read_card(path)["metrics"]
    int8_ranges.measure(path, sets)
    after = read_card(path)["metrics"]
    assert after.keys() - before.keys() == {"drawings int8"}
    assert 10 < after["drawings int8"]["psnr"] < 60
    assert 0 < after["drawings int8"]["ssim"] <= 1
    assert before.items() <= after.items()

"""Checkpoints of other people's networks: recognised, described by what they do, and equal to their own call."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import WeightsError
from sr_plugins.weights import community
from sr_plugins.weights.digest import weights_digest
from sr_plugins.weights.open_model import open_model
from sr_plugins.weights.probe import Found, probe
from sr_plugins.weights.reach import picture

pytestmark = [
    # imported by what runs, not where tests are collected: it takes seconds
    pytest.mark.skipif(find_spec("spandrel") is None, reason="pip install 'sr-plugins[community]'"),
    # in the networks of others
    pytest.mark.filterwarnings("ignore:torch.meshgrid", "ignore:Initializing zero-element"),
]


def compact() -> nn.Module:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    return SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=16, num_conv=4, upscale=2, act_type="prelu")


def esrgan(channels: int = 3) -> nn.Module:
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    return RRDBNet(in_nc=channels, out_nc=channels, num_filters=8, num_blocks=1, scale=4)


def span() -> nn.Module:
    from spandrel.architectures.SPAN.__arch.span import SPAN

    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=24, upscale=2)


def swinir() -> nn.Module:
    from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR

    shape: dict[str, Any] = {"window_size": 8, "depths": [2], "embed_dim": 12, "num_heads": [2], "mlp_ratio": 2}
    return SwinIR(img_size=64, upscale=2, upsampler="pixelshuffledirect", **shape)


def rcan() -> nn.Module:
    from spandrel.architectures.RCAN.__arch.rcan_arch import RCAN

    return RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=16, reduction=4)


def craft() -> nn.Module:
    from spandrel.architectures.CRAFT.__arch.CRAFT import CRAFT

    return CRAFT(embed_dim=16, depths=[2], num_heads=[2], upscale=4)


def dncnn() -> nn.Module:
    from spandrel.architectures.DnCNN.__arch.network_dncnn import DnCNN

    return DnCNN(nc=8, nb=5)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def saved(make: Callable[[], nn.Module], path: Path) -> Path:
    torch.manual_seed(3)
    torch.save({"params_ema": make().state_dict(), "iter": 7}, path)
    return path


def pixels(channels: int, height: int, width: int) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = (picture(channels, height, width)[0] * 255).round().to(torch.uint8).numpy()
    return result


def enlarged(model: str | Path, planes: NDArray[np.uint8], tile: int | str = "auto") -> NDArray[np.uint8]:
    format = FrameFormat(family="gray" if len(planes) == 1 else "rgb")
    with Upscaler(model, device="cpu", backend="torch", precision="float32", tile=tile) as upscaler:
        return np.stack(upscaler.upscale(Frame(list(planes), format)).planes)


# make, scale, channels, radius, period
KNOWN = {
    "compact": (compact, 2, "rgb", 6, 1),
    "esrgan": (esrgan, 4, "rgb", 19, 1),
    "span": (span, 2, "rgb", 21, 1),
    "swinir": (swinir, 2, "rgb", 15, 8),
    "rcan": (rcan, 2, "rgb", 7, 1),
    "dncnn": (dncnn, 1, "luma", 5, 1),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_checkpoint_is_what_its_own_call_makes_of_a_picture(tmp_path: Path, name: str) -> None:
    import spandrel

    make, scale, channels, radius, period = KNOWN[name]
    file = saved(make, tmp_path / f"{name}.PTH")
    spec = open_model(file).spec
    assert (spec.scale, spec.channels, spec.receptive_radius) == (scale, channels, radius)
    assert (spec.tile_multiple, spec.minimum_size, spec.name, spec.license) == (period, 1, name, "unknown")
    assert spec.purpose == ("restore" if scale == 1 else "enlarge")
    descriptor = spandrel.ModelLoader().load_from_file(file)
    for height, width in ((1, 1), (9, 30), (75, 131)):
        planes = pixels(spec.planes_in, height, width)
        own = descriptor(torch.from_numpy(planes)[None].float() / 255)[0].clamp(0, 1).detach().numpy() * 255
        result = enlarged(file, planes)
        assert np.abs(result - own).max() <= 0.5 + 0.02, (height, width)
        if radius is not None:
            assert np.abs(result.astype(int) - enlarged(str(file), planes, tile=2 * radius + 32)).max() <= 1


def test_in_a_program_whose_tensors_are_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network with the same result, but for those that make tensors of torch's default type themselves."""
    file, found = saved(compact, tmp_path / "net.pth"), []
    before = torch.get_default_dtype()
    for usual in (torch.float32, torch.float64):
        monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / str(usual)))  # what was found is remembered
        torch.set_default_dtype(usual)
        try:
            found.append((replace(open_model(file).spec, build=None), enlarged(file, pixels(3, 20, 25)).tobytes()))
            if usual == torch.float64:
                with pytest.raises(WeightsError, match=r"does not run: .*default dtype to torch\.float64, not float32"):
                    open_model(saved(swinir, tmp_path / "own.pth"))
        finally:
            torch.set_default_dtype(before)
    assert found[0] == found[1]


def test_what_mixes_the_whole_picture_is_whole_while_it_fits_and_says_what_blending_costs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = open_model(saved(craft, tmp_path / "a.pth")).spec
    assert (spec.receptive_radius, spec.averages) == (None, ())
    assert spec.tile_error is not None
    assert spec.working_bytes is not None
    assert 4 * 3 * 16 < spec.working_bytes < 1 << 20, "at least the result's own pixels"
    planes = pixels(3, 70, 80)
    whole = enlarged(tmp_path / "a.pth", planes)
    assert not caplog.messages
    tiled = enlarged(tmp_path / "a.pth", planes, tile=64)
    assert 0 < np.abs(whole.astype(int) - tiled).max() < 20
    [told] = caplog.messages
    assert "mixes the whole picture" in told
    assert "codes off where it was tried" in told


def test_windows_begin_where_the_whole_picture_s_do(tmp_path: Path) -> None:
    """A tile that begins elsewhere would be another picture: 0.03 of the range off."""
    file = saved(swinir, tmp_path / "a.pth")
    planes = pixels(3, 70, 151)
    assert np.array_equal(enlarged(file, planes), enlarged(file, planes, tile=72))


def test_a_network_that_writes_into_its_input_or_itself_serves_many_callers(tmp_path: Path) -> None:
    x = picture(3, 24, 24)
    for make in (rcan, span):
        module = open_model(saved(make, tmp_path / "a.pth")).torch().runnable()
        kept = x.clone()
        with torch.inference_mode():
            once = module(x)
        assert torch.equal(x, kept)

        def call(_: int, module: nn.Module = module) -> Tensor:
            with torch.inference_mode():
                return module(x)

        with ThreadPoolExecutor(4) as threads:
            for result in threads.map(call, range(8)):
                assert torch.allclose(result, once, atol=2e-6)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_srp_image_runs_a_file_of_others(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    file = saved(compact, tmp_path / "a.pth")
    if suffix == ".safetensors":
        file = tmp_path / "b.safetensors"
        save_file(torch.load(tmp_path / "a.pth")["params_ema"], file)
    Image.fromarray(pixels(3, 20, 31).transpose(1, 2, 0)).save("in.png")
    done = CliRunner().invoke(
        srp, ["image", "in.png", "-o", "out.png", "--model", f"./{file.name}", "--precision", "float32"]
    )
    assert done.exit_code == 0, done.output
    with Image.open("out.png") as image:
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), enlarged(file, pixels(3, 20, 31)))


def test_what_cannot_enlarge_one_picture_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=r"a\.pth is a network \(ESRGAN\) from 4 to 4 channels"):
        Upscaler(saved(lambda: esrgan(4), tmp_path / "a.pth"))
    torch.save({"conv.weight": torch.ones(3, 3, 3, 3)}, tmp_path / "b.pth")
    with pytest.raises(WeightsError, match=r"of no network that is known \(its first tensors are conv.weight\)"):
        Upscaler(tmp_path / "b.pth")
    spoilt = compact().state_dict()
    spoilt["body.0.weight"][0] = float("inf")
    torch.save(spoilt, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match=r"not finite, first in body\.0\.weight"):
        Upscaler(tmp_path / "c.pth")
    unreal = compact().state_dict()
    unreal["body.0.weight"] = torch.complex(unreal["body.0.weight"], torch.ones_like(unreal["body.0.weight"]))
    torch.save(unreal, tmp_path / "e.pth")
    save_file(unreal, tmp_path / "e.safetensors")
    for name in ("e.pth", "e.safetensors"):
        with pytest.raises(
            WeightsError, match=rf"{name} holds complex numbers, first in body\.0\.weight.*view_as_real"
        ):
            Upscaler(tmp_path / name)
    monkeypatch.setattr(community, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install .*\[community\]'"):
        Upscaler(saved(compact, tmp_path / "d.pth"))


def test_findings_are_remembered_and_a_damaged_memory_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "cache"))
    file = saved(compact, tmp_path / "a.pth")
    first = open_model(file)
    [kept] = (tmp_path / "cache" / "probe").glob("*.json")
    for content in (b"", b"[]", b"{}", b"garbage"):
        kept.write_bytes(content)
        again = open_model(file)
        assert again.spec.receptive_radius == first.spec.receptive_radius
        assert weights_digest(again) == weights_digest(first)


class Odd(nn.Module):
    """Two averages over 3x3, and what the parameters say."""

    def __init__(self, period: int = 1, whole: bool = False, reach: int = 2, fade: float = 1.0) -> None:
        super().__init__()
        self.period, self.whole, self.reach, self.fade = period, whole, reach, fade

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for _ in range(self.reach):
            y = (1 - self.fade) * y + self.fade * nn.functional.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
        if self.period > 1:
            blocks = nn.functional.avg_pool2d(y, self.period)
            y = y + 0.1 * nn.functional.interpolate(blocks, scale_factor=self.period)
        return y + 0.1 * y.mean(dim=(2, 3), keepdim=True) if self.whole else y


def found(module: nn.Module, **more: Any) -> Found:
    return probe(module, 1, Path("odd.pth"), **more)


def test_the_probe_finds_what_was_built_in() -> None:
    assert (found(Odd()).radius, found(Odd()).period, found(Odd()).scale) == (2, 1, 1)
    blocks = found(Odd(period=4))
    assert (blocks.period, blocks.size_multiple) == (4, 4)
    assert blocks.radius == 5  # the furthest corner of a block, and the averages
    assert (found(Odd(whole=True)).radius, found(Odd(whole=True)).averages) == (2, ((1, 1),))
    faint = found(Odd(reach=90, fade=0.02))
    assert faint.radius == 90
    assert faint.margin is not None
    assert 2 <= faint.margin < 60
    with pytest.raises(WeightsError, match=r"odd.pth works on another range"):
        found(nn.Sequential(Odd(), nn.Upsample(scale_factor=2), Scaled(1e6)))
    with pytest.raises(WeightsError, match="another picture each time"):
        found(nn.Dropout(0.5).train())
    with pytest.raises(WeightsError, match="no whole number of times larger"):
        found(nn.Upsample(scale_factor=1.5))
    with pytest.raises(WeightsError, match=r"odd.pth does not run"):
        found(nn.Linear(7, 7))


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return copy.copy(x) * self.factor

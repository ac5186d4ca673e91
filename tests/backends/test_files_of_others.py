"""``auto`` for files of others: OpenVINO where it has a graph at once and computes what torch computes, else torch."""

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import with_backend
from numpy.typing import NDArray

from sr_plugins import BackendSpec, Frame, FrameFormat, Upscaler

pytestmark = pytest.mark.skipif(find_spec("spandrel") is None, reason="pip install 'sr-plugins[community]'")
RGB = FrameFormat(family="rgb")


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SR_PLUGINS_BACKEND")
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))


def compact(path: Path) -> Path:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    torch.save({"params": SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2).state_dict()}, path)
    return path


def esrgan(path: Path) -> Path:
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    torch.manual_seed(0)
    torch.save(RRDBNet(num_filters=8, num_blocks=1, scale=2).state_dict(), path)
    return path


def esrgan_of_quarters(path: Path) -> Path:
    """As RealESRGAN_x2plus: sides are to be multiples of 4."""
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    torch.manual_seed(0)
    torch.save(RRDBNet(in_nc=12, num_filters=8, num_blocks=1, scale=4, shuffle_factor=2).state_dict(), path)
    return path


def attention(path: Path) -> Path:
    from spandrel.architectures.RCAN.__arch.rcan_arch import RCAN

    torch.manual_seed(0)
    torch.save(RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4).state_dict(), path)
    return path


def enlarged(upscaler: Upscaler) -> NDArray[np.uint8]:
    planes = np.random.default_rng(1).integers(0, 256, (3, 33, 41), np.uint8)
    return np.stack(upscaler.upscale(Frame(list(planes), RGB)).planes)


@pytest.mark.parametrize("make", [compact, esrgan, esrgan_of_quarters])
def test_a_list_of_convolutions_runs_where_it_is_fastest_and_gives_the_same(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("openvino")
    file = make(tmp_path / "a.pth")
    with Upscaler(file, device="cpu", precision="float32") as upscaler:
        assert "openvino, cpu" in upscaler.description
        found = enlarged(upscaler)
    with Upscaler(file, device="cpu", precision="float32", backend="torch") as upscaler:
        expected = enlarged(upscaler)
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_what_reads_the_whole_picture_stays_with_torch(tmp_path: Path) -> None:
    with Upscaler(attention(tmp_path / "a.pth"), device="cpu", precision="float32") as upscaler:
        assert "torch, cpu" in upscaler.description


def test_a_runtime_that_computes_something_else_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = BackendSpec(
        name="openvino",
        build=lambda network, placement: lambda x: network.runnable()(x) + 2e-4,
        precisions=lambda device: ("float32",),
        lanes=lambda device: 1,
        replaces="sr-plugins",
    )
    with (
        caplog.at_level(logging.WARNING, "sr_plugins"),
        Upscaler(
            compact(tmp_path / "a.pth"), device="cpu", precision="float32", plugins=with_backend(spec)
        ) as upscaler,
    ):
        assert "torch, cpu" in upscaler.description
    assert sum("left out" in record.message and "is off by" in record.message for record in caplog.records) == 1

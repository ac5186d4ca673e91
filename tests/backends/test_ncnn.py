"""Backend ncnn: its float32 is torch's, on the CPU and by Vulkan (Mesa's lavapipe where there is no card)."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_ncnn_files import eating, pair

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.devices import resolve_devices
from sr_plugins.errors import DeviceError
from sr_plugins.weights.reach import picture

ncnn = pytest.importorskip("ncnn", reason="pip install 'sr-plugins[ncnn]'")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SR_PLUGINS_BACKEND", raising=False)


def enlarged(model: Path, height: int, width: int, **settings: object) -> NDArray[np.float32]:
    planes = [plane.numpy() for plane in picture(3, height, width)[0]]
    with Upscaler(model, precision="float32", **settings) as upscaler:  # type: ignore[arg-type]
        return np.stack(upscaler.upscale(Frame(planes, FrameFormat(family="rgb", bits=32, is_float=True))).planes)


@pytest.mark.parametrize("device", ["cpu", "vulkan"])
@pytest.mark.parametrize("kind", ["plain", "eats its border"])
def test_float32_is_torch_s(tmp_path: Path, device: str, kind: str) -> None:
    if device == "vulkan" and not ncnn.get_gpu_count():
        pytest.skip("no device with Vulkan here: apt-get install mesa-vulkan-drivers")
    file = pair(tmp_path) if kind == "plain" else eating(tmp_path)[0]
    for height, width in ((1, 1), (20, 31)):
        ours = enlarged(file, height, width, device="cpu", backend="torch")
        theirs = enlarged(file, height, width, device=device, backend="ncnn")
        assert np.abs(ours - theirs).max() < 1e-4
    if kind == "plain":
        tiled = enlarged(file, 60, 61, device=device, backend="ncnn", tile=40)
        assert np.abs(enlarged(file, 60, 61, device="cpu", backend="torch") - tiled).max() < 1e-4


def test_auto_is_ncnn_on_vulkan_alone(tmp_path: Path) -> None:
    with Upscaler(pair(tmp_path), device="cpu") as upscaler:
        assert "torch, cpu" in upscaler.description
    if ncnn.get_gpu_count():
        with Upscaler(pair(tmp_path), device="vulkan") as upscaler:
            assert "ncnn, vulkan:0, float32" in upscaler.description


def test_what_vulkan_cannot_do_is_told() -> None:
    with pytest.raises(DeviceError, match="Vulkan has"):
        resolve_devices("vulkan:99")
    if ncnn.get_gpu_count():
        with pytest.raises(DeviceError, match=r"^tiny x2, a network of torch, cannot run on vulkan:0: only ncnn"):
            Upscaler("tiny", device="vulkan")

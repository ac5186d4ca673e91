"""Names of devices that people try: a device, or one short line."""

from pathlib import Path

import pytest
import torch

from sr_plugins.devices import resolve_devices, unused_gpus
from sr_plugins.errors import DeviceError

WRONG = [
    "meta",
    "mps",
    "gpu",
    "vulkan:99",
    "vulkan:x",
    "xpu",
    "cuda:77",
    "cpu:x",
    "",
    "cuda0",
    "hpu",
    "opencl",
    "privateuseone",
]


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_compute_here_is_one_short_line(name: str) -> None:
    if name in ("mps", "xpu") and getattr(torch, name).is_available():
        pytest.skip("this machine has one")
    with pytest.raises(DeviceError) as caught:
        resolve_devices(name)
    text = str(caught.value)
    assert repr(name) in text
    assert "use 'auto', 'cpu'" in text or "use 'cpu' or 'auto'" in text
    assert "\n" not in text
    assert len(text) < 160


def test_a_gpu_that_is_there_and_unused_is_named_with_its_cure(tmp_path: Path) -> None:
    for n, (kind, vendor) in enumerate([("0x030000", "0x10de"), ("0x020000", "0x1002"), ("0x038000", "0x1002")]):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "class").write_text(kind + "\n")
        (tmp_path / str(n) / "vendor").write_text(vendor + "\n")
    (tmp_path / "broken").mkdir()
    told = list(unused_gpus(tmp_path))
    if torch.cuda.is_available():
        assert told == []
        return
    assert [line.split(" GPU is there")[0] for line in told] == ["an NVIDIA", "an AMD"]
    assert all("pip install" in line or "nvidia-smi" in line for line in told)
    assert list(unused_gpus(tmp_path / "none")) == []


def test_several_names_are_several_devices() -> None:
    assert (
        resolve_devices("cpu, cpu") == resolve_devices(["cpu", "cpu"]) == resolve_devices(("cpu", "cpu")) == ["cpu"] * 2
    )


def test_capital_letters_are_the_same_device() -> None:
    assert resolve_devices("CPU, Cpu") == ["cpu", "cpu"]
    assert resolve_devices(" Auto") == resolve_devices("auto")

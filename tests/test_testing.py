"""What ``sr_plugins.testing`` finds: every promise that is broken is told, and what keeps them passes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from fakes import Blur
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins import BackendSpec, ModelSpec
from sr_plugins.interface.backend import Placement
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.testing import check_backend, check_model, measured_radius, random_network

GOOD = ModelSpec(name="good", scale=2, channels="luma", build=lambda: Blur(2, 1), receptive_radius=3)


class Wrong(nn.Module):
    """A nearest network that ``break_it`` spoils."""

    def __init__(self, break_it: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.break_it = break_it

    def forward(self, x: Tensor) -> Tensor:
        return self.break_it(F.interpolate(x, scale_factor=2, mode="nearest"))


def test_a_model_that_keeps_its_promises_passes() -> None:
    check_model(GOOD)
    check_model(replace(GOOD, channels="rgb", build=lambda: Blur(2, 3)))
    check_model(replace(GOOD, receptive_radius=None, overlap=8))


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (lambda y: y[..., :-1, :], "good x2 made .* of .*, not "),
        (lambda y: y / (y - y.amin()), "values that are not finite"),
        (lambda y: y + y.mean(0, keepdim=True), "pictures of one batch change each other"),
        (lambda y: y + y.roll(9, -1), "promises a receptive_radius of 3: it sees pixels 4 away|5 away"),
        (lambda y: y + y.mean((-1, -2), keepdim=True), "promises a receptive_radius of 3: it sees pixels . away"),
        (lambda y: y + F.pad(y, (2, 0))[..., :-2], "promises symmetry 2: turned to .* differs by"),
        (lambda y: y if y.shape[-1] > 4 else y[..., :2], "good x2 made"),
    ],
)
def test_a_broken_promise_of_a_model_is_told(spoilt: Callable[[Tensor], Tensor], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_model(replace(GOOD, build=lambda: Wrong(spoilt), symmetry=2))


def test_a_network_that_does_not_fold_to_what_runs_is_told() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Blur(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return 2 * self.network(x)  # type: ignore[no-any-return]

        def fold(self) -> nn.Module:
            return self.network

    with pytest.raises(AssertionError, match=r"what fold\(\) returns differs from what was trained"):
        check_model(replace(GOOD, build_for_training=Twice))
    check_model(replace(GOOD, build_for_training=FoldsToItself))


class FoldsToItself(Blur):
    def __init__(self) -> None:
        super().__init__(2, 1)

    def fold(self) -> nn.Module:
        return self


@pytest.mark.parametrize("radius", [0, 1, 5])
def test_the_radius_is_measured(radius: int) -> None:
    network = nn.Conv2d(1, 1, 2 * radius + 1, padding=radius)
    spec = ModelSpec(name="one", scale=1, channels="luma", build=lambda: network, receptive_radius=radius + 2)
    assert measured_radius(random_network(lambda: network), spec) == radius


def run_by(change: Callable[[nn.Module, Tensor], Tensor]) -> BackendSpec:
    def build(network: Network, placement: Placement) -> Callable[[Tensor], Tensor]:
        assert isinstance(network, TorchNetwork)
        module = network.runnable()
        return lambda x: change(module, x)

    return BackendSpec(name="other", build=build, precisions=lambda device: ("float32",))


def test_a_backend_that_keeps_its_promises_passes() -> None:
    check_backend(run_by(lambda module, x: module(x)))


LAST = torch.zeros(1)


def reuses_memory(module: nn.Module, x: Tensor) -> Tensor:
    global LAST
    y = module(x)
    LAST = LAST if LAST.shape == y.shape else y
    return LAST.copy_(y)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda module, x: module(x)[..., 1:], "backend other in float32 on cpu made"),
        (lambda module, x: module(x).double(), "gives torch.float64"),
        (lambda module, x: module(x) + 0.01, "differs from torch by 0.01"),
        (lambda module, x: module(x.mul_(1)) if x.add_(1) is None else module(x.sub_(1)) * 1, "changes its input"),
        (reuses_memory, "writes over a result"),
        (lambda module, x: module(x) + torch.rand(1) * 1e-5, "other bytes the second time"),
    ],
)
def test_a_broken_promise_of_a_backend_is_told(change: Callable[[nn.Module, Tensor], Tensor], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_backend(run_by(change))


def test_a_backend_that_cannot_run_here_says_why() -> None:
    good = run_by(lambda module, x: module(x))
    with pytest.raises(AssertionError, match="cannot be tried here, install x"):
        check_backend(replace(good, missing=lambda: "x"))
    with pytest.raises(AssertionError, match="does not run on cpu"):
        check_backend(replace(good, precisions=lambda device: ()))
    with pytest.raises(AssertionError, match=r"takes \('onnx',\)"):
        check_backend(replace(good, takes=("onnx",)))

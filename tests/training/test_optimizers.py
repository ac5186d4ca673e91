"""Muon against the singular value decomposition it stands for, and against Adam's step length."""

import pytest
import torch
from torch import nn

from sr_plugins.models.branched_convolution import BranchedConv3x3
from sr_plugins.training.run.optimizers import ADAM_RMS, Muon, make_optimizers, orthogonal

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(32, 288), (32, 64), (288, 32), (1, 576), (4, 288)])
def test_orthogonal_keeps_the_singular_vectors_and_evens_the_values(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(0, -1, shape[1])
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    values = u.T @ orthogonal(matrix[None])[0] @ vh.T  # diagonal where the singular vectors are those of the matrix
    assert values.diag().min() > 0.6
    assert values.diag().max() < 1.3
    assert (values - values.diag().diag()).abs().max() < 1e-3


def test_a_step_descends_by_adams_length_whatever_the_gradients_size() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(32, 16, 3, 3)
    moved = []
    for size in (1e-6, 1e3):
        kernel = nn.Parameter(torch.zeros_like(gradient))
        kernel.grad = gradient * size
        Muon([kernel], lr=0.01).step()
        moved.append(kernel.detach())
    assert torch.allclose(moved[0], moved[1], atol=1e-6)
    assert (moved[0] * gradient).sum() < 0
    assert moved[0].square().mean().sqrt().item() == pytest.approx(0.01 * ADAM_RMS, rel=0.25)


def test_kernels_of_one_shape_step_as_they_would_alone() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(3, 8, 4, 3, 3)
    together = [nn.Parameter(torch.zeros(8, 4, 3, 3)) for _ in gradients]
    for kernel, gradient in zip(together, gradients, strict=True):
        kernel.grad = gradient
    Muon(together).step()
    for kernel, gradient in zip(together, gradients, strict=True):
        alone = nn.Parameter(torch.zeros(8, 4, 3, 3))
        alone.grad = gradient
        Muon([alone]).step()
        assert torch.allclose(kernel, alone, atol=1e-7)


def test_momentum_remembers_earlier_gradients() -> None:
    kernel = nn.Parameter(torch.zeros(2, 2))
    optimizer = Muon([kernel], lr=1.0)
    kernel.grad = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    optimizer.step()
    kernel.grad = torch.zeros(2, 2)
    before = kernel.detach().clone()
    optimizer.step()
    assert kernel[0, 0] < before[0, 0]


def test_muon_moves_kernels_and_adam_the_biases() -> None:
    layer = BranchedConv3x3(4, 4, skip=True)
    kernels, others = make_optimizers("muon", layer, CPU)
    assert {p.ndim for p in kernels.param_groups[0]["params"]} == {2, 4}
    assert others.param_groups[0]["params"] == [layer.conv.bias]
    (adam,) = make_optimizers("adam", layer, CPU)
    assert len(adam.param_groups[0]["params"]) == len(list(layer.parameters()))


def test_a_network_without_biases_needs_no_adam() -> None:
    assert [type(o) for o in make_optimizers("muon", nn.Conv2d(1, 1, 3, bias=False), CPU)] == [Muon]

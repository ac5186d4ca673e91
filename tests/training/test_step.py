"""One step of training; on CUDA the recorded one is the ordinary one."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sr_plugins.models.compact import Shape, build
from sr_plugins.training.losses.weighted_sum import WeightedSum
from sr_plugins.training.material import on_device
from sr_plugins.training.run.optimizers import load_states, make_optimizers, set_rates
from sr_plugins.training.run.step import WARM, Step


def losses(device: str) -> WeightedSum:
    return WeightedSum({"l1": 1.0}, 1, Path("recipe.toml")).to(device)


def test_the_interpolated_picture_is_not_rounded_and_the_program_s_settings_come_back() -> None:
    seen = []

    class Watched(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            cudnn = torch.backends.cudnn
            seen.append((cudnn.enabled, cudnn.benchmark, cudnn.allow_tf32))
            return super().forward(x)

    before = torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    model = Watched(1, 1, 3, padding=1)
    step = Step(model, model, make_optimizers("adam", model, torch.device("cpu")), scale=1, clip=1, bfloat16=False)
    x = torch.rand(2, 1, 8, 8)
    first = step(losses("cpu"), 1, x, x).item()
    for _ in range(20):
        last = step(losses("cpu"), 1, x, x).item()
    assert last < first
    assert set(seen) == {(True, True, False)}
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_optimizers_go_on_from_what_others_knew(name: str) -> None:
    models = [build(2, Shape(8, 2), training=True) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    x, y = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 16, 16)

    def run(model: nn.Module, optimizers: list[torch.optim.Optimizer], count: int) -> None:
        step = Step(model, model, optimizers, scale=2, clip=1, bfloat16=False)
        for _ in range(count):
            step(losses("cpu"), 2, x, y)

    first, second = (make_optimizers(name, model, torch.device("cpu")) for model in models)
    set_rates(first, 3e-3)
    run(models[0], first, 4)
    models[1].load_state_dict(models[0].state_dict())
    load_states(second, deepcopy([optimizer.state_dict() for optimizer in first]))  # as a file would be
    for model, optimizers in zip(models, (first, second), strict=True):
        run(model, optimizers, 3)
    for a, b in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recorded_steps_are_the_ordinary_ones() -> None:
    found = []
    for count in (0, 3 * WARM):  # of ordinary steps in place of WARM
        torch.manual_seed(0)
        model = build(2, Shape(16, 3, 4, back_projection=True), training=True).to("cuda")
        optimizers = make_optimizers("muon", model, torch.device("cuda"))
        set_rates(optimizers, 1e-3)
        step, loss = Step(model, model, optimizers, scale=2, clip=0.5, bfloat16=False), losses("cuda")
        generator = torch.Generator().manual_seed(1)
        values = []
        for i in range(3 * WARM):
            y = torch.rand(4, 1, 32, 32, generator=generator).cuda()
            # another kind each time is never recorded
            x = on_device(nn.functional.avg_pool2d(y, 2), torch.device("cuda"))
            values.append(step(loss, 2, x, y, i if count else None).item())
        found.append((values, [t.clone() for t in model.state_dict().values()]))
    (recorded, weights), (ordinary, expected) = found
    assert recorded == pytest.approx(ordinary, rel=1e-3)
    for a, b in zip(weights, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)

"""8-bit integers in training: what torch rounds is what OpenVINO computes, and preparing for it changes nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import on_cpu
from skimage import data
from torch import nn

from sr_plugins.errors import WeightsError
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.models.fake_quantization import around_zero, fake_quantized, fake_quantized_kernel, rounding
from sr_plugins.plugins import plugins
from sr_plugins.training.run.flat_borders import border_error
from sr_plugins.weights.fitting import load_into
from sr_plugins.weights.pretrained import load_model
from sr_plugins.weights.safetensors_files import write_weights
from sr_plugins.weights.tensors import read_tensors

SHAPES = [(2, 1, False), (2, 4, True), (3, 1, True), (4, 8, False)]  # scale, symmetry, back-projection


def network(scale: int, symmetry: int, back_projection: bool, branches: bool = True) -> CompactNetwork:
    torch.manual_seed(scale)
    made = CompactNetwork(scale, 16, 3, symmetry=symmetry, back_projection=back_projection, branches=branches)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.05)
            if "head" in name and parameter.ndim == 4:  # channels of very different sizes
                parameter.mul_(torch.logspace(-1, 0.5, len(parameter)).view(-1, 1, 1, 1))
    return made


def luma() -> torch.Tensor:
    return torch.from_numpy(data.camera()[100:160, 200:276].astype(np.float32) / 255)[None, None]


def prepared(name: str, scale: int) -> CompactNetwork:
    """A network that we ship, made ready for 8-bit integers."""
    spec = plugins().model(name, scale)
    assert spec.build_for_training is not None
    assert spec.weights is not None
    made = spec.build_for_training().eval()
    assert isinstance(made, CompactNetwork)
    made.load_folded(read_tensors(spec.weights))
    made.prepare_int8(luma())
    return made.fold()


def in_openvino(network: CompactNetwork, x: torch.Tensor) -> torch.Tensor:
    """What OpenVINO makes of it in int8."""
    return plugins().backend("openvino").build(TorchNetwork(network), on_cpu("int8"))(x)


@pytest.mark.parametrize(("name", "scale"), [("tiny", 2), ("realtime", 4)])
def test_training_rounds_as_openvino_computes(name: str, scale: int) -> None:
    """To one code of 8 bits, for where a sum lies between two steps the two may round it differently.

    What one layer rounds differently moves sums of the next: with VNNI a third of the effect was seen, and one pixel of
    72,960 that is two codes off.
    """
    network = prepared(name, scale)
    computed = in_openvino(network, luma())
    with torch.inference_mode():
        exact = network(luma())
        network.int8 = True
        simulated = network(luma())
    difference = (simulated - computed).abs()
    codes = ((simulated * 255).round() - (computed * 255).round()).abs()
    assert codes.max() <= 2
    assert (codes > 1).float().mean() < 1e-4
    assert difference.mean() <= 0.5 * (exact - computed).abs().mean()


def test_it_does_in_the_mean_where_18_layers_pass_such_differences_on() -> None:
    network = prepared("fast", 2)
    computed = in_openvino(network, luma())
    with torch.inference_mode():
        exact = network(luma())
        network.int8 = True
        simulated = network(luma())
    assert (simulated - computed).abs().mean() <= 0.5 * (exact - computed).abs().mean()
    assert (simulated - computed).abs().max() <= 2 / 255


@pytest.mark.parametrize(("scale", "symmetry", "back_projection"), SHAPES)
def test_preparing_changes_nothing_but_the_size_of_channels(scale: int, symmetry: int, back_projection: bool) -> None:
    made = network(scale, symmetry, back_projection).eval()
    with torch.inference_mode():
        before, seen = made(luma()), made.head(luma()).clone()
    made.prepare_int8(luma())
    with torch.inference_mode():
        after, equal = made(luma()), made.head(luma())
    assert (after - before).abs().max() <= 1e-5

    def spread(x: torch.Tensor) -> float:
        largest = nn.functional.leaky_relu(x, 0.1).abs().amax((0, 2, 3))
        return float(largest.max() / largest.min())

    assert spread(seen) > 3
    assert spread(equal) < (1.01 if symmetry == 1 else spread(seen))


def test_equal_channels_lose_less() -> None:
    made = network(2, 1, False).eval()
    with torch.inference_mode():
        exact = made(luma())
    errors = []
    for prepared in (False, True):
        again = network(2, 1, False).eval()
        again.prepare_int8(luma())
        if not prepared:  # the ranges of the network as it was
            rough = network(2, 1, False).eval()
            ranges, y = [], luma()
            with torch.inference_mode():
                for layer in (rough.head, *rough.body[:-1]):
                    y = nn.functional.leaky_relu(layer(y), 0.1)
                    ranges.append(torch.stack((y.min(), y.max())))
            rough.int8_ranges = torch.stack(ranges)
            again = rough
        again.int8 = True
        with torch.inference_mode():
            errors.append(float((again(luma()) - exact).square().mean()))
    assert errors[1] < errors[0]


def test_ranges_lie_in_the_weights_file_and_reach_the_backend(tmp_path: Path) -> None:
    made = network(2, 1, False)
    made.prepare_int8(luma())
    folded = made.fold()
    path = tmp_path / "mine.safetensors"
    write_weights(path, folded, {})
    again = CompactNetwork(2, 16, 3)
    load_into(again, read_tensors(path), path)
    assert again.int8_ranges is not None
    assert torch.equal(again.int8_ranges, made.int8_ranges)  # type: ignore[arg-type]
    wider = CompactNetwork(2, 16, 3)
    load_into(wider, read_tensors(path), path)
    wider.int8_ranges = 3 * again.int8_ranges
    build = plugins().backend("openvino").build
    first, second = (build(TorchNetwork(n), on_cpu("int8"))(luma()) for n in (again, wider))
    assert not torch.equal(first, second)
    tensors = read_tensors(path)
    del tensors["int8_ranges"]
    assert load_into(again, tensors, path).int8_ranges is None  # weights that were not prepared
    with pytest.raises(WeightsError, match="int8_ranges is"):
        load_into(again, tensors | {"int8_ranges": torch.zeros(2, 2)}, path)


def test_unequal_channels_lose_no_more_than_equal_ones() -> None:
    """The same network twice, once with a tenth to ten times as much in some channels: OpenVINO makes them equal."""
    errors = []
    for spread in (0.0, 1.0):
        made = network(2, 1, False, branches=False).eval()
        head, first = made.head, made.body[0]
        assert isinstance(head, nn.Conv2d)
        assert isinstance(first, nn.Conv2d)
        assert head.bias is not None
        with torch.no_grad():
            factors = torch.logspace(-spread, spread, 16)[
                torch.randperm(16, generator=torch.Generator().manual_seed(1))
            ]
            head.weight.mul_(factors.view(-1, 1, 1, 1))
            head.bias.mul_(factors)
            first.weight.div_(factors.view(1, -1, 1, 1))
            exact = made(luma())
        computed = plugins().backend("openvino").build(TorchNetwork(made), on_cpu("int8"))(luma())
        errors.append(float((computed - exact).square().mean()))
    assert errors[1] <= 1.5 * errors[0]


def test_weights_made_for_8_bit_integers_keep_flat_colours_in_them() -> None:
    """``auto`` takes them so: as in floating point no 8-bit code changes, up to the picture's border."""
    ready = [
        s for s in plugins().models() if s.weights and s.weights.is_file() and "int8_ranges" in read_tensors(s.weights)
    ]
    assert "realtime x2" in {spec.label for spec in ready}
    for spec in ready:
        network = load_model(spec).torch().module
        assert isinstance(network, CompactNetwork)
        with rounding(network, True):
            assert border_error(network) * 255 < 0.4, spec.label
        assert not network.int8


def test_steps() -> None:
    low, high = around_zero(torch.tensor([-0.2, 0.0, 0.5, -3.0]), torch.tensor([1.3, 2.0, 2.0, -1.0]))
    steps = (high - low) / 255
    assert torch.allclose(low / steps, (low / steps).round(), atol=1e-5)
    x = torch.tensor([-1.0, -0.1, 0.0, 0.7, 3.0], requires_grad=True)
    y = fake_quantized(x, low[0], high[0])
    assert abs(y[2].item()) < 1e-7
    assert (y - x.clamp(low[0], high[0])).abs().max() <= steps[0] / 2 + 1e-6
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("inputs", [4, 5])
def test_steps_of_kernels(inputs: int) -> None:
    sizes = torch.tensor([1.0, 10, 0.01]).view(3, 1, 1, 1)
    kernel = torch.randn(3, inputs, 3, 3, generator=torch.Generator().manual_seed(1)) * sizes
    rounded = fake_quantized_kernel(kernel)
    for before, after in zip(kernel, rounded, strict=True):
        step = after.unique().diff().min()
        codes = (after / step).round()
        assert torch.allclose(codes * step, after)
        assert (after - before).abs().max() <= step / 2 * 1.001
        pairs = [codes[i : i + 2].abs().sum(0).max() for i in range(0, inputs, 2)]
        assert 100 < max(pairs) <= 128  # 255 * 128 is what 16 bits hold

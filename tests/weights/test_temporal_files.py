"""Files of networks that see neighbouring frames: ONNX graphs with frames as channels, and AnimeSR's checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import Mixing, mixing
from shots import GRAY, film
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.engine.windows import windows
from sr_plugins.errors import ArgumentError, WeightsError
from sr_plugins.models.animesr import WARM
from sr_plugins.models.animesr_network import AnimeSR
from sr_plugins.weights.open_model import open_model

RGB = FrameFormat(family="rgb")

# of the exporter that such files are made with
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Channels(nn.Module):
    """As exporters of such networks have it: frames are channels."""

    def __init__(self, network: nn.Module, frames: int, channels: int) -> None:
        super().__init__()
        self.network, self.frames, self.channels = network, frames, channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x.view(x.shape[0], self.frames, self.channels, x.shape[2], x.shape[3]))
        return y


def saved(folder: Path, frames: int, channels: int, scale: int = 2) -> tuple[Path, Mixing]:
    """An ONNX file with ``frames * channels`` channels, as exporters make them, and the module it was made of."""
    network = Mixing(scale, channels, frames).eval()
    path = folder / f"of{frames}x{channels}.onnx"
    free = {"in": {0: "n", 2: "h", 3: "w"}, "out": {0: "n", 2: "h", 3: "w"}}
    x = torch.zeros(1, frames * channels, 16, 20)
    torch.onnx.export(
        Channels(network, frames, channels),
        (x,),
        path,
        input_names=["in"],
        output_names=["out"],
        dynamic_axes=free,
        dynamo=False,
    )
    return path, network


@pytest.mark.parametrize(("frames", "channels"), [(3, 1), (3, 3), (5, 3), (9, 1)])
def test_frames_as_channels_are_told_by_what_comes_out(frames: int, channels: int, tmp_path: Path) -> None:
    path, network = saved(tmp_path, frames, channels)
    loaded = open_model(path)
    spec = loaded.spec
    assert (spec.scale, spec.window, spec.planes_in) == (2, (frames // 2, frames // 2), channels)
    assert spec.receptive_radius == 2
    x = torch.rand(2, frames, channels, 12, 14)
    with torch.inference_mode():
        assert torch.allclose(loaded.torch().module(x), network(x), atol=1e-5)


@pytest.mark.parametrize("backend", ["auto", "torch", "onnxruntime"])
def test_a_film_through_such_a_file(backend: str, tmp_path: Path) -> None:
    path, network = saved(tmp_path, 3, 1)
    frames = film([3, 2])
    with Upscaler(path, device="cpu", backend=backend) as upscaler:
        made = list(upscaler.stream(frames))
    with torch.inference_mode():
        for seen, result in zip(windows(frames, (1, 1)), made, strict=True):
            three = (seen.before or (seen.frame,))[0], seen.frame, (seen.after or (seen.frame,))[0]
            x = torch.stack([torch.from_numpy(f.planes[0].copy()).float() / 255 for f in three])[None, :, None]
            wanted = (network(x)[0, 0] * 255).round().clamp(0, 255).numpy()
            assert np.abs(result.planes[0] - wanted).max() <= 1


def test_other_numbers_of_channels_are_refused_in_a_line(tmp_path: Path) -> None:
    for frames, channels in ((4, 1), (11, 3), (3, 2)):
        path, _ = saved(tmp_path, frames, channels)
        with pytest.raises(WeightsError, match=r"3, 5, 7(,| or) 9") as caught:
            open_model(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_one_of_a_chain_may_see_neighbours(tmp_path: Path) -> None:
    """A x1 model that sees neighbours behind an enlarging one, and before one: as both after the other."""
    path, calm = saved(tmp_path, 3, 3, scale=1)
    frames = [Frame([p, p[::-1], p[:, ::-1]], RGB) for p in (f.planes[0] for f in film([2, 2]))]
    with Upscaler(f"tiny,{path}", 2, device="cpu", backend="torch", precision="float32") as both:
        assert both.loaded.spec.window == (1, 1)
        made = list(both.stream(frames))
    exact = FrameFormat(family="rgb", bits=32, is_float=True)
    floats = [Frame([p.astype(np.float32) / 255 for p in frame.planes], exact) for frame in frames]
    with Upscaler("tiny", 2, device="cpu", backend="torch", precision="float32") as first:
        larger = [np.stack(frame.planes) for frame in first.stream(floats)]
    shots = [0, 0, 1, 1]
    for n, result in enumerate(made):
        three = [larger[m] if 0 <= m < 4 and shots[m] == shots[n] else larger[n] for m in (n - 1, n, n + 1)]
        with torch.inference_mode():
            wanted = calm(torch.from_numpy(np.stack(three))[None])[0].mul(255).round().clamp(0, 255).numpy()
        assert np.abs(np.stack(result.planes) - wanted).max() <= 1
    with pytest.raises(ArgumentError, match="both see neighbouring frames"):
        open_model(f"{path},{path}")


def anime(scale: int = 4) -> AnimeSR:
    torch.manual_seed(1)
    network = AnimeSR(scale, 8, (3, 2, 1)).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn_like(value) * (0.5 / value[0].numel() ** 0.5 if value.ndim > 1 else 0.05))
    return network


def by_steps(network: AnimeSR, x: Tensor) -> Tensor:
    """Recurrence as the paper has it, a frame after the other, in the tests' own words: (T, 3, H, W)."""
    colors, scale = 3 * network.scale**2, network.scale
    picture, state = torch.zeros(1, 3, x.shape[2] * scale, x.shape[3] * scale), torch.zeros(1, 8, *x.shape[2:])
    for now in range(len(x) - 1):
        seen = torch.cat((x[max(now - 1, 0)], x[now], x[now + 1]))[None]
        out = network.recurrent_cell(torch.cat((seen, F.pixel_unshuffle(picture, scale), state), 1))
        enlarged = F.interpolate(x[now][None], scale_factor=scale, mode="bilinear")
        picture, state = F.pixel_shuffle(out[:, :colors], scale) + enlarged, F.leaky_relu(out[:, colors:], 0.1)
    return picture


@pytest.mark.parametrize("scale", [4, 2])
def test_animesr_is_recognised_and_runs_as_its_recurrence(scale: int, tmp_path: Path) -> None:
    network, path = anime(scale), tmp_path / "AnimeSR_v2.pth"
    torch.save(network.state_dict(), path)
    loaded = open_model(path)
    spec = loaded.spec
    assert (spec.name, spec.scale, spec.channels, spec.window) == ("AnimeSR_v2", scale, "rgb", (WARM, 1))
    x = torch.rand(WARM + 2, 3, 16, 20)
    with torch.inference_mode():
        assert torch.equal(loaded.torch().module(x[None]), by_steps(network, x))
    frames = [Frame([f.planes[0], f.planes[0][::-1], f.planes[0]], RGB) for f in film([7, 3], (40, 24))]
    with Upscaler(path, device="cpu", precision="float32") as upscaler:
        made = list(upscaler.stream(frames))
        for seen, wanted in reversed(list(zip(windows(frames, spec.window), made, strict=True))):
            assert upscaler.upscale(seen.frame, seen.before, seen.after).same_samples(wanted)
    planes = torch.from_numpy(np.stack([np.stack(f.planes) for f in frames[: WARM + 2]])).float() / 255
    with torch.inference_mode():
        wanted_codes = by_steps(network, planes)[0].mul(255).round().clamp(0, 255).numpy()
    assert np.abs(np.stack(made[WARM].planes) - wanted_codes).max() <= 1


def test_animesr_sees_no_further_than_it_says() -> None:
    network = anime().double()
    x = torch.rand(1, 2, 3, 96, 96, dtype=torch.float64)
    changed = x.clone()
    changed[..., 48, 48] = 1e9
    with torch.inference_mode():
        seen = (network(changed) != network(x)).any(1).nonzero()
    from sr_plugins.models.animesr import STEP

    assert 8 < int((seen[:, 1:] // 4 - 48).abs().max()) <= STEP


def test_a_damaged_animesr_is_told_in_a_line(tmp_path: Path) -> None:
    tensors, path = anime().state_dict(), tmp_path / "AnimeSR.pth"
    torch.save({k: v for k, v in tensors.items() if "fusion" not in k}, path)
    with pytest.raises(WeightsError, match="lacks some of its tensors"):
        open_model(path)
    torch.save({k: v for k, v in tensors.items() if "conv2.bias" not in k}, path)
    with pytest.raises(WeightsError, match="does not fit AnimeSR: lacks recurrent_cell"):
        open_model(path)


@pytest.mark.parametrize("window", [(1, 1), (2, 0), (0, 3)])
@pytest.mark.parametrize("backend", ["torch", "openvino", "onnxruntime"])
def test_every_backend_runs_windows(window: tuple[int, int], backend: str) -> None:
    frames = film([4], (48, 40))
    with Upscaler(mixing(window), device="cpu", backend="torch", precision="float32") as upscaler:
        expected = list(upscaler.stream(frames))
    with Upscaler(mixing(window), device="cpu", backend=backend, precision="float32") as upscaler:
        made = list(upscaler.stream(frames))
        alone = upscaler.upscale(Frame(frames[2].planes, GRAY))
    for a, b in zip(expected, made, strict=True):
        assert np.abs(a.planes[0].astype(int) - b.planes[0]).max() <= 1
    assert not alone.same_samples(made[2])

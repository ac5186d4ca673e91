"""Clips through ``srp evaluate``: their frames, their neighbours, H.264 before, and the warping error."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins import LoadedModel, ModelSpec, Upscaler
from sr_plugins.cli.evaluate import command
from sr_plugins.errors import DataError
from sr_plugins.evaluation import clips, warping
from sr_plugins.evaluation.flicker import flicker
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.pixels.matlab import downscale_bicubic, to_luma
from sr_plugins.training.picture_files import read_rgb

FRAMES, HEIGHT, WIDTH = 6, 72, 88
Clip = NDArray[np.uint8]


def panning(dx: float = 1.0, dy: float = 0.0, frames: int = FRAMES) -> Clip:
    """Luma (T, H, W) of a smooth texture that moves by (dx, dy) pixels a frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    made = []
    for t in range(frames):
        u, v = x - dx * t, y - dy * t
        made.append(120 + 40 * np.sin(u / 4) * np.cos(v / 5) + 30 * np.sin((u + 2 * v) / 7))
    return np.rint(np.stack(made)).astype(np.uint8)


@pytest.fixture
def vid(tmp_path: Path) -> Path:
    """Two clips: a folder of frames and a lossless film."""
    folder = tmp_path / "vid"
    (folder / "frames").mkdir(parents=True)
    for t, luma in enumerate(panning(1.0)):
        Image.fromarray(luma).convert("RGB").save(folder / "frames" / f"{t:03}.png")
    with av.open(str(folder / "slow.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 25, width=WIDTH, height=HEIGHT, pix_fmt="yuv420p")
        for luma in panning(0.5):
            gray = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate((luma, gray)), "yuv420p")))
        container.mux(stream.encode(None))
    return folder


def told(*arguments: str) -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(command, [*arguments, "--device", "cpu", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    results: dict[str, dict[str, object]] = json.loads(done.stdout)["results"]
    return results


def test_clips_are_found(vid: Path) -> None:
    assert clips.find_clips(vid, frames_of_one=False) == [vid / "frames", vid / "slow.mkv"]
    assert clips.find_clips(vid / "slow.mkv", frames_of_one=False) == [vid / "slow.mkv"]
    assert clips.find_clips(vid / "frames", frames_of_one=False) == []
    assert clips.find_clips(vid / "frames", frames_of_one=True) == [vid / "frames"]
    assert clips.find_clips(vid / "none", frames_of_one=True) == []


def test_a_clip_is_measured_frame_by_frame_as_pictures_are(vid: Path) -> None:
    results = told("--model", "nearest", "--scale", "2", "--data", str(vid), "--metrics", "psnr,flicker")
    rows = {row["name"]: row for row in results["nearest"]["pictures"]}  # type: ignore[attr-defined]
    assert list(rows) == ["frames", "slow"]
    highs = [to_luma(read_rgb(path)) for path in sorted((vid / "frames").iterdir())]
    lows = [to_luma(downscale_bicubic(read_rgb(path), 2)) for path in sorted((vid / "frames").iterdir())]
    inner = slice(2, -2)
    made = [low.repeat(2, 0).repeat(2, 1)[inner, inner] for low in lows]
    truth = [high[inner, inner] for high in highs]
    assert rows["frames"]["psnr"] == pytest.approx(np.mean([psnr(*p) for p in zip(made, truth, strict=True)]), abs=1e-3)
    assert rows["frames"]["flicker"] == pytest.approx(flicker(np.stack(made), np.stack(truth)), abs=1e-5)
    highs = list(panning(0.5))  # a film's codes of luma are compared as they are
    made = [downscale_bicubic(high, 2).repeat(2, 0).repeat(2, 1)[inner, inner] for high in highs]
    expected = np.mean([psnr(m, high[inner, inner]) for m, high in zip(made, highs, strict=True)])
    assert rows["slow"]["psnr"] == pytest.approx(expected, abs=1e-3)
    means = [row["psnr"] for row in rows.values()]
    assert results["nearest"]["mean"]["psnr"] == pytest.approx(np.mean(means), abs=1e-3)  # type: ignore[index]


def test_only_the_first_frames_are_measured_on_request(vid: Path) -> None:
    clip = clips.read_clip(vid / "slow.mkv", 2, frames=3)
    assert clip.high.shape == (3, HEIGHT, WIDTH)
    assert np.array_equal(clip.high, panning(0.5, frames=3))
    assert clip.low.shape == (3, HEIGHT // 2, WIDTH // 2)
    few, all_frames = (
        told("--model", "nearest", "--scale", "2", "--data", str(vid), "--metrics", "psnr", *more)["nearest"]["mean"]
        for more in (("--frames", "2"), ())
    )
    assert few != all_frames


def test_coded_clips_are_worse_the_coarser_the_code(vid: Path) -> None:
    means = [
        told("--model", "bicubic", "--data", str(vid / "slow.mkv"), "--metrics", "psnr", "--scale", "2", *more)[
            "bicubic"
        ]["mean"]["psnr"]  # type: ignore[index]
        for more in ((), ("--crf", "20"), ("--crf", "40"))
    ]
    assert means[0] > means[1] + 0.1 > means[2] + 1
    clip = clips.read_clip(vid / "slow.mkv", 2, crf=20)
    clean = clips.read_clip(vid / "slow.mkv", 2)
    assert clip.low.shape == clean.low.shape
    assert 0 < np.abs(clip.low.astype(int) - clean.low).mean() < 4


class Mean(nn.Module):
    """The mean over all frames of a window, every pixel repeated."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x.mean(1), scale_factor=2, mode="nearest")


def test_a_model_gets_the_neighbours_of_each_frame() -> None:
    low = np.stack([np.full((8, 8), 20 + 40 * t, np.uint8) for t in range(5)])
    spec = ModelSpec(name="mean", scale=2, channels="luma", build=Mean, receptive_radius=0, window=(2, 1))
    with Upscaler(LoadedModel(spec, TorchNetwork(Mean())), device="cpu", precision="float32") as upscaler:
        made = clips.enlarge_with(upscaler)(low)
    values = 20 + 40 * np.arange(5)
    seen = [[values[min(max(t + o, 0), 4)] for o in (-2, -1, 0, 1)] for t in range(5)]
    assert made[:, 8, 8].tolist() == [np.mean(s) for s in seen]


def test_what_does_not_go_together_is_told(vid: Path) -> None:
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(command, ["--model", "tiny", "--device", "cpu", *arguments])
        assert done.exit_code == 2
        return done.output

    assert "--frames and --crf are for clips" in said("--data", str(vid / "frames"), "--crf", "23")
    chain = vid / "chain.toml"
    chain.write_text('[[degradation]]\nname = "bicubic"\n')
    assert "--degradation is for pictures" in said("--data", str(vid), "--degradation", str(chain))
    Image.new("RGB", (20, 20)).save(vid / "frames" / "other.png")
    with pytest.raises(DataError, match="frames is no clip: its pictures differ in size"):
        clips.read_clip(vid / "frames", 2)
    (vid / "bad.mkv").write_bytes(b"no film")
    with pytest.raises(DataError, match=r"bad\.mkv cannot be read as a film"):
        clips.read_clip(vid / "bad.mkv", 2)


def test_the_warping_error_follows_the_motion() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'sr-plugins[flow]'")
    measure = warping.build()
    moving = panning(2.0, 1.0)
    still = np.repeat(moving[:1], FRAMES, 0)
    own = measure(moving, moving)
    assert own < 0.05, "what moves as the true clip does has next to no error"
    assert measure(still, moving) > 20 * own, "what rests while the true clip moves has"
    assert measure(still, still) == 0
    softer = (moving.astype(int) // 2 + 60).astype(np.uint8)
    assert measure(softer, moving) < own + 0.02, "an error that moves along is none"
    noise = np.random.default_rng(1).normal(0, 4, moving.shape)
    noisy = np.clip(np.rint(moving + noise), 0, 255).astype(np.uint8)
    # of two frames, independent: the one as it is, the other averaged by the interpolation of the warp
    assert 1000 * 16 / 255**2 < measure(noisy, moving) < 1000 * 2.2 * 16 / 255**2
    twice = np.clip(np.rint(moving + 2 * noise), 0, 255).astype(np.uint8)
    assert measure(twice, moving) == pytest.approx(4 * measure(noisy, moving), rel=0.1)


def test_warping_leaves_out_what_is_hidden() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'sr-plugins[flow]'")
    covered, bar = panning(0.0), panning(0.0)[0, ::-1].T[:40, :30]
    for t in range(FRAMES):  # something that passes over it
        covered[t, 16:56, 6 + 4 * t : 36 + 4 * t] = bar
    steps = np.square(np.diff(covered.astype(float), axis=0) / 255)
    # what appears behind it and what it hides is seen in one frame only, and its inside moves along
    assert warping.build()(covered, covered) < 0.15 * 1000 * steps.mean()


def test_warping_needs_two_frames() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'sr-plugins[flow]'")
    measure = warping.build()
    with pytest.raises(DataError, match="at least two"):
        measure(panning()[:1], panning()[:1])
    with pytest.raises(DataError, match="sides of at least 16"):
        measure(panning()[:, :8], panning()[:, :8])

"""A weights file of others gives the same bytes in every host: srp, VapourSynth, Pillow and GIMP's worker."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from test_ncnn_files import eating
from test_onnx_files import network
from video_clips import ffmpeg_run, pictures

from gimp_bridge import SuperResolution
from gimp_bridge.worker import Answerer, Picture
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.video.y4m import Y4mReader

vs = pytest.importorskip("vapoursynth")
WIDTH, HEIGHT = 44, 36
SETTINGS = ("--device", "cpu", "--precision", "float32")


def torch_file(folder: Path) -> Path:
    """SPAN, which folds its weights anew at every call, and writes them into itself."""
    pytest.importorskip("spandrel", reason="pip install 'sr-plugins[community]'")
    from spandrel.architectures.SPAN.__arch.span import SPAN

    torch.manual_seed(2)
    path = folder / "net.pth"
    torch.save(SPAN(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=2).state_dict(), path)
    return path


def onnx_file(folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(network(3, 2).SerializeToString())
    return path


def ncnn_file(folder: Path) -> Path:
    """One that averages the whole picture, and eats its border."""
    return eating(folder)[0]


def yuv() -> Frame:
    rng = np.random.default_rng(4)
    sizes = ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    return Frame(
        [rng.integers(16, 236, size, np.uint8) for size in sizes], FrameFormat(family="yuv", subsampling=(1, 1))
    )


def same(a: list[NDArray[np.uint8]], b: list[NDArray[np.uint8]]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("make", [torch_file, onnx_file, ncnn_file])
def test_one_file_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]) -> None:
    from vapoursynth_filter import upscale

    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SR_PLUGINS_BACKEND", raising=False)
    monkeypatch.chdir(tmp_path)
    model = str(make(tmp_path))
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    with Upscaler(model, device="cpu", precision="float32") as upscaler:
        rgb = np.stack(
            upscaler.upscale(Frame(list(pixels.transpose(2, 0, 1)), FrameFormat(family="rgb"))).planes, axis=-1
        )
        yuv_planes = list(upscaler.upscale(yuv()).planes)

    def run(*words: str, given: bytes = b"", more: tuple[str, ...] = ()) -> bytes:
        done = CliRunner().invoke(srp, [*words, "--model", model, *SETTINGS, *more], input=given)
        assert done.exit_code == 0, done.output
        return done.stdout_bytes

    Image.fromarray(pixels).save("in.png")
    run("image", "in.png", "-o", "out.png")
    with Image.open("out.png") as image:
        assert np.array_equal(np.asarray(image), rgb)
    with Image.open("in.png") as image:
        larger = image.filter(SuperResolution(2, model, device="cpu", precision="float32"))
        assert np.array_equal(np.asarray(larger), rgb)
    _, answered = Answerer("cpu")(Picture(pixels, model, 2, False))
    with Upscaler(model, 2, device="cpu") as upscaler:  # a worker takes the precision that is best here
        best = upscaler.upscale(Frame(list(pixels.transpose(2, 0, 1)), FrameFormat(family="rgb"))).planes
    assert answered is not None
    assert np.array_equal(answered, np.stack(best, axis=-1))

    blank = vs.core.std.BlankClip(width=WIDTH, height=HEIGHT, format=vs.RGB24, length=1)

    def fill(n: int, f: "vs.VideoFrame") -> "vs.VideoFrame":
        copied = f.copy()
        for i in range(3):
            np.asarray(copied[i])[:] = pixels[..., i]
        return copied

    clip = upscale(blank.std.ModifyFrame(blank, fill), model, device="cpu", precision="float32")
    frame = clip.get_frame(0)
    assert np.array_equal(np.stack([np.asarray(frame[i]) for i in range(3)], axis=-1), rgb)

    source = yuv()
    header = b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420mpeg2\n" % (WIDTH, HEIGHT)
    stream = header + b"FRAME\n" + b"".join(plane.tobytes() for plane in source.planes)
    [piece] = Y4mReader(io.BytesIO(run("pipe", given=stream)))
    assert same(list(piece.planes), yuv_planes)

    Path("in.y4m").write_bytes(stream)
    ffmpeg_run("-i", "in.y4m", "-c:v", "ffv1", "in.mkv")
    run("video", "in.mkv", "-o", "out.mkv", more=("--", "-c:v", "ffv1"))
    [planes] = pictures(Path("out.mkv"))
    assert same(planes, yuv_planes)

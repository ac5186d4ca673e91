"""ncnn pairs: turned into torch, equal to the arithmetic that their text says; odd and hostile ones refused by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.nn import functional as F

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import WeightsError
from sr_plugins.weights.digest import fingerprint, weights_digest
from sr_plugins.weights.open_model import open_model
from sr_plugins.weights.reach import picture

TEXT = """7767517
9 11
Input            data      0 1 data
Split            split     1 2 data d0 d1
Convolution      c1        1 1 d0 a 0=8 1=3 4=1 5=1 6=216 9=2 -23310=1,0.1
PReLU            p1        1 1 a b 0=8
Convolution      c2        1 1 b c 0=12 1=3 4=1 5=0 6=864
PixelShuffle     ps        1 1 c d 0=2
Interp           up        1 1 d1 e 0=1 1=2.0 2=2.0
Eltwise          sum       2 1 d e f 0=1 -23301=2,0.2,1.0
BinaryOp         mul       1 1 f out 0=2 1=1 2=0.9
"""
HALF = (0x01306B47).to_bytes(4, "little")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "cache"))


def tensors() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(4)
    shapes = ((8, 3, 3, 3), (8,), (8,), (12, 8, 3, 3))
    w1, b1, slope, w2 = (torch.randn(s, generator=generator) * 0.1 for s in shapes)
    return w1.half().float(), b1, slope, w2


def data() -> bytes:
    w1, b1, slope, w2 = (t.numpy() for t in tensors())
    return HALF + w1.astype(np.float16).tobytes() + b1.tobytes() + slope.tobytes() + bytes(4) + w2.tobytes()


def pair(folder: Path, text: str = TEXT, content: bytes | None = None, name: str = "net-x2") -> Path:
    (folder / f"{name}.param").write_text(text)
    (folder / f"{name}.bin").write_bytes(data() if content is None else content)
    return folder / f"{name}.param"


def expected(x: torch.Tensor) -> torch.Tensor:
    w1, b1, slope, w2 = tensors()
    y = F.prelu(F.leaky_relu(F.conv2d(x, w1, b1, padding=1), 0.1), slope)
    return 0.9 * (
        0.2 * F.pixel_shuffle(F.conv2d(y, w2, padding=1), 2) + x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )


def test_a_pair_computes_what_its_text_says(tmp_path: Path) -> None:
    loaded = open_model(pair(tmp_path))
    spec = loaded.spec
    assert (spec.label, spec.channels, spec.receptive_radius, spec.tile_multiple) == ("net-x2 x2", "rgb", 2, 1)
    assert loaded.network.form == "ncnn"
    for height, width in ((1, 1), (7, 30), (33, 18)):
        x = picture(3, height, width)
        with torch.inference_mode():
            assert torch.allclose(loaded.torch().module(x), expected(x), atol=2e-6)
    frame = Frame(
        [np.round(p * 255).astype(np.uint8) for p in picture(3, 75, 61)[0].numpy()], FrameFormat(family="rgb")
    )
    whole, tiled = (
        np.stack(Upscaler(tmp_path / "net-x2.bin", device="cpu", precision="float32", tile=t).upscale(frame).planes)
        for t in ("auto", 24)
    )
    assert np.array_equal(whole, tiled)


def test_it_agrees_with_ncnn_itself(tmp_path: Path) -> None:
    ncnn = pytest.importorskip("ncnn", reason="pip install 'sr-plugins[benchmark]'")
    loaded = open_model(pair(tmp_path))
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param(str(tmp_path / "net-x2.param"))
    net.load_model(str(tmp_path / "net-x2.bin"))
    x = picture(3, 20, 31)
    array = np.ascontiguousarray(x[0].numpy())  # held: ncnn's matrix only borrows it
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(array).clone())
    _, result = extractor.extract("out")
    with torch.inference_mode():
        assert np.abs(np.array(result) - loaded.torch().module(x)[0].numpy()).max() < 1e-5


def test_graphs_that_share_their_tensors_are_told_apart(tmp_path: Path) -> None:
    loaded = [open_model(pair(tmp_path, t, name=n)) for n, t in (("a", TEXT), ("b", TEXT.replace("2=0.9", "2=0.8")))]
    assert len({weights_digest(one) for one in loaded}) == 2
    assert len({fingerprint(one.network) for one in loaded}) == 2


def test_srp_image_runs_a_pair_by_either_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair(tmp_path)
    Image.fromarray(np.round(picture(3, 20, 31)[0].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)).save("in.png")
    for model in ("net-x2.param", "./net-x2.bin"):
        command = ["image", "in.png", "-o", "out.png", "--model", model, "--device", "cpu", "--overwrite"]
        done = CliRunner().invoke(srp, command)
        assert done.exit_code == 0, done.output
        with Image.open("out.png") as image:
            assert image.size == (62, 40)


EATS = """7767517
11 13
Input            data      0 1 data
Convolution      c1        1 1 data a 0=8 1=3 5=1 6=216 9=2 -23310=1,0.1
Split            split     1 2 a a0 a1
Pooling          pool      1 1 a0 p 0=1 4=1
InnerProduct     ip1       1 1 p q 0=4 1=1 2=32 9=1
InnerProduct     ip2       1 1 q r 0=8 1=1 2=32 9=4
Split            split2    1 2 r r0 r1
Scale            scale     2 1 a1 r0 s 0=-233
Deconvolution    d1        1 1 s t 0=8 1=4 3=2 4=1 5=1 6=1024
Crop             crop      1 1 t u -23309=2,1,1 -23310=2,-1,-1 -23311=2,1,2
Convolution      c2        1 1 u v 0=3 1=3 5=1 6=216
Dropout          drop      1 1 v out
Noop             rest      1 1 r1 out2
"""


def eating(folder: Path) -> tuple[Path, torch.nn.Module]:
    """A network as waifu2x and Real-CUGAN are: no padding, an average over the picture, twice as large."""
    torch.manual_seed(8)
    c1, ip1, ip2 = torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8, 4), torch.nn.Linear(4, 8)
    d1, c2 = torch.nn.ConvTranspose2d(8, 8, 4, 2, 1), torch.nn.Conv2d(8, 3, 3)
    parts = []
    for layer in (c1, ip1, ip2, d1, c2):
        weight = layer.weight.detach()
        weight = weight.transpose(0, 1) if layer is d1 else weight
        parts += [bytes(4), weight.contiguous().numpy().tobytes(), layer.bias.detach().numpy().tobytes()]

    class Eating(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.leaky_relu(c1(F.pad(x, (2, 2, 2, 2), "replicate")), 0.1)
            weight = ip2(F.relu(ip1(x.mean((2, 3))))).sigmoid()
            y: torch.Tensor = c2(d1(x * weight[..., None, None])[..., 1:-1, 1:-1])
            return y

    text = EATS.replace("Split            split2    1 2 r r0 r1\n", "").replace(" r0 s", " r s")
    return pair(folder, text.replace("Noop             rest      1 1 r1 out2\n", ""), b"".join(parts)), Eating().eval()


def test_a_network_that_eats_its_border_and_averages_the_picture(tmp_path: Path) -> None:
    """It is shown the edge repeated; and in tiles, which know nothing of the rest, it gives the whole's bytes."""
    file, expected = eating(tmp_path)
    loaded = open_model(file)
    spec = loaded.spec
    assert (spec.scale, spec.averages, spec.is_local) == (2, ((1, 1),), False)
    assert spec.receptive_radius is not None
    for height, width in ((1, 1), (7, 30), (33, 18)):
        x = picture(3, height, width)
        with torch.inference_mode():
            assert torch.allclose(loaded.torch().module(x), expected(x), atol=2e-6)
    frame = Frame(
        [np.round(p * 255).astype(np.uint8) for p in picture(3, 75, 131)[0].numpy()], FrameFormat(family="rgb")
    )
    whole, tiled = (
        np.stack(Upscaler(loaded, device="cpu", precision="float32", tile=t).upscale(frame).planes)
        for t in ("auto", 40)
    )
    assert np.array_equal(whole, tiled)
    with torch.inference_mode():
        x = torch.from_numpy(np.stack(frame.planes)[None]).float() / 255
        assert np.abs(whole - expected(x)[0].clamp(0, 1).numpy() * 255).max() <= 0.5 + 0.02


REFUSED = {
    "a layer that is not known": (TEXT.replace("PReLU  ", "Softmax"), r"line 6 \(Softmax p1\): this kind of layer"),
    "weights beyond all memory": (TEXT.replace("6=216", "6=1099511627776"), r"line 5 .*setting 6"),
    "no outputs": (TEXT.replace("0=8 1=3", "0=-1 1=3"), r"line 5 .*setting 0 is -1"),
    "kernel 0": (TEXT.replace("0=8 1=3", "0=8 1=0"), r"line 5 .*setting 1 is 0"),
    "padding": (TEXT.replace("4=1 5=1", "4=1000000000 5=1"), r"line 5 .*setting 4"),
    "factor": (TEXT.replace("1=2.0 2=2.0", "1=1000000 2=1000000"), r"line 9 .*setting 1"),
    "growth": (
        TEXT.replace(
            "Interp           up        1 1 d1 e 0=1 1=2.0 2=2.0",
            "".join(
                f"Interp u{i} 1 1 {'d1' if i == 0 else f'g{i - 1}'} {'e' if i == 4 else f'g{i}'} 0=1 1=16.0 2=16.0\n"
                for i in range(5)
            ),
        ),
        r"line 10 .*makes 3 channels of 256 times the picture's size",
    ),
    "read before written": (TEXT.replace("1 1 a b", "1 1 zz b"), r"line 6 .*reads zz, which no layer before it"),
    "two outputs": (TEXT.replace("1 1 f out", "1 1 d0 out"), "has 2 outputs"),
    "two inputs": (TEXT.replace("Split            split     1 2 data d0 d1", "Input x 0 2 d0 d1"), "second input"),
    "blobs": (TEXT.replace("split     1 2", "split     1 900000000"), r"line 4 .*numbers of blobs"),
    "no layer": (TEXT + "garbage\n", r"line 12 \(garbage\): it is no layer"),
    "not a number": (TEXT.replace("2=0.9", "2=nan"), r"line 11 .*no layer"),
    "not a number in a list": (
        TEXT.replace(
            "Interp           up        1 1 d1 e 0=1 1=2.0 2=2.0", "Reduction up 1 1 d1 e 0=3 1=0 -23303=2,nan,2 4=1"
        ),
        r"line 9 .*no layer",
    ),
    "written twice": (TEXT.replace("1 1 a b", "1 1 a a"), r"line 6 .*writes a, which a layer before it writes"),
    "other widths": (TEXT.replace("6=216", "6=217"), r"line 5 .*do not fit each other"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_text_claims_is_checked_before_anything_is_made(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WeightsError, match=rf"net-x2\.param.*{message}"):
        open_model(pair(tmp_path, text))


def test_counts_in_the_header_are_not_believed(tmp_path: Path) -> None:
    assert open_model(pair(tmp_path, TEXT.replace("9 11", "1000000000 1000000000"))).spec.scale == 2


def test_files_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    for content, message in (
        (data() + b"12345678", r"net-x2\.bin holds 8 bytes more than net-x2\.param asks for"),
        (data()[:-8], r"net-x2\.bin is cut off, or no pair of its graph"),
        (b"\x38\x4b\x0d\x00" + data()[4:], r"net-x2\.bin holds tensors in a code \(0xd4b38\) that is not read"),
        (HALF + b"\xff\xff" * 216 + data()[436:], "not finite"),
    ):
        with pytest.raises(WeightsError, match=message):
            open_model(pair(tmp_path, TEXT, content))
    (tmp_path / "net-x2.bin").unlink()
    with pytest.raises(WeightsError, match=r"its tensors, net-x2\.bin, are not beside it"):
        open_model(tmp_path / "net-x2.param")
    (tmp_path / "lone.bin").write_bytes(data())
    with pytest.raises(WeightsError, match=r"lone\.bin is of no kind .* its graph, lone\.param, is not beside it"):
        open_model(tmp_path / "lone.bin")

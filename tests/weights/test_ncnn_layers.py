"""Layers of ncnn in torch: each as ncnn itself computes it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr_plugins.weights.ncnn_files import graph_of
from sr_plugins.weights.ncnn_network import NcnnGraph

ncnn = pytest.importorskip("ncnn", reason="pip install 'sr-plugins[ncnn]'")

Floats = NDArray[np.float32]
MARK = bytes(4)  # before a weight: float32
rng = np.random.default_rng(3)


def normal(*shape: int) -> Floats:
    return (rng.standard_normal(shape) * 0.4).astype(np.float32)


def positive(*shape: int) -> Floats:
    return (rng.random(shape) + 0.5).astype(np.float32)


K3, K1x2, GROUPED = normal(4, 3, 3, 3), normal(4, 3, 2, 1), normal(6, 1, 3, 3)
BIAS, UP, UP_GROUPED = normal(4), normal(2, 3, 4, 4), normal(3, 1, 3, 3)

# layer and settings, what its tensors' file holds; the picture is (3, 9, 12)
CASES: dict[str, tuple[str, list[Floats | bytes]]] = {
    "convolution": ("Convolution 0=4 1=3 5=1 6=108", [MARK, K3, BIAS]),
    "convolution, padded": ("Convolution 0=4 1=3 4=1 5=1 6=108", [MARK, K3, BIAS]),
    "convolution, four sides": ("Convolution 0=4 1=3 4=2 15=1 14=0 16=3 5=1 6=108", [MARK, K3, BIAS]),
    "convolution, padded by a value": ("Convolution 0=4 1=3 4=1 5=1 6=108 18=0.3", [MARK, K3, BIAS]),
    "convolution, tall": ("Convolution 0=4 1=1 11=2 6=24", [MARK, K1x2]),
    "convolution in steps": ("Convolution 0=4 1=3 3=2 13=3 6=108", [MARK, K3]),
    "convolution, dilated": ("Convolution 0=4 1=3 2=2 12=3 6=108", [MARK, K3]),
    "convolution, same upper": ("Convolution 0=4 1=3 3=2 4=-233 6=108", [MARK, K3]),
    "convolution, same lower": ("Convolution 0=4 1=3 3=2 4=-234 6=108", [MARK, K3]),
    "convolution, relu": ("Convolution 0=4 1=3 6=108 9=1", [MARK, K3]),
    "convolution, leaky": ("Convolution 0=4 1=3 6=108 9=2 -23310=1,0.3", [MARK, K3]),
    "convolution, clipped": ("Convolution 0=4 1=3 6=108 9=3 -23310=2,-0.2,0.4", [MARK, K3]),
    "convolution, sigmoid": ("Convolution 0=4 1=3 6=108 9=4", [MARK, K3]),
    "convolution, mish": ("Convolution 0=4 1=3 6=108 9=5", [MARK, K3]),
    "convolution, clipped at whole numbers": ("Convolution 0=4 1=3 6=108 9=3 -23310=2,-1,1", [MARK, K3]),
    "a whole number for a float": ("BinaryOp 0=2 1=1 2=2", []),
    "convolution, hard swish": ("Convolution 0=4 1=3 6=108 9=6 -23310=2,0.2,0.5", [MARK, K3]),
    "convolution in groups": ("ConvolutionDepthWise 0=6 1=3 4=1 5=1 6=54 7=3", [MARK, GROUPED, normal(6)]),
    "deconvolution": ("Deconvolution 0=2 1=4 3=2 4=1 5=1 6=96", [MARK, UP, normal(2)]),
    "deconvolution, four sides": ("Deconvolution 0=2 1=4 3=2 4=1 15=0 14=2 16=1 6=96", [MARK, UP]),
    "deconvolution, uneven": ("Deconvolution 0=2 1=4 3=2 13=3 2=2 12=1 6=96", [MARK, UP]),
    "deconvolution, more": ("Deconvolution 0=2 1=4 3=2 4=1 5=1 6=96 18=1 19=1", [MARK, UP, normal(2)]),
    "deconvolution, more than it cuts": ("Deconvolution 0=2 1=4 3=3 5=1 6=96 18=2 19=1", [MARK, UP, normal(2)]),
    "deconvolution in groups": ("DeconvolutionDepthWise 0=3 1=3 3=2 5=1 6=27 7=3", [MARK, UP_GROUPED, normal(3)]),
    "prelu": ("PReLU 0=3", [normal(3)]),
    "prelu, one slope": ("PReLU 0=1", [normal(1)]),
    "relu": ("ReLU", []),
    "relu, leaky": ("ReLU 0=0.2", []),
    "elu": ("ELU 0=0.7", []),
    "elu by default": ("ELU", []),
    "gelu": ("GELU", []),
    "gelu, fast": ("GELU 0=1", []),
    "mish": ("Mish", []),
    "sigmoid": ("Sigmoid", []),
    "swish": ("Swish", []),
    "tanh": ("TanH", []),
    "clip": ("Clip 0=-0.1 1=0.5", []),
    "clip by default": ("Clip", []),
    "hard sigmoid": ("HardSigmoid 0=0.3 1=0.4", []),
    "hard sigmoid by default": ("HardSigmoid", []),
    "hard swish": ("HardSwish 0=0.3 1=0.4", []),
    "hard swish by default": ("HardSwish", []),
    "batch norm": ("BatchNorm 0=3 1=0.01", [positive(3), normal(3), positive(3), normal(3)]),
    "batch norm by default": ("BatchNorm 0=3", [positive(3), normal(3), positive(3), normal(3)]),
    "scale": ("Scale 0=3", [normal(3)]),
    "scale and bias": ("Scale 0=3 1=1", [normal(3), normal(3)]),
    "nearest": ("Interp 0=1 1=2.0 2=3.0", []),
    "linear": ("Interp 0=2 1=2.0 2=3.0", []),
    "linear, corners": ("Interp 0=2 1=2.0 2=3.0 6=1", []),
    "linear, half": ("Interp 0=2 1=0.5 2=0.5", []),
    "linear, three quarters": ("Interp 0=2 1=0.75 2=0.75", []),
    "linear, by no whole factor": ("Interp 0=2 1=1.5 2=0.6", []),
    "cubic, by no whole factor": ("Interp 0=3 1=0.6 2=1.3", []),
    "nearest, by no whole factor": ("Interp 0=1 1=1.5 2=3.3", []),
    "cubic": ("Interp 0=3 1=2.0 2=3.0", []),
    "cubic, corners": ("Interp 0=3 1=2.0 2=2.0 6=1", []),
    "cubic, three quarters": ("Interp 0=3 1=0.75 2=0.75", []),
    "nearest, three quarters": ("Interp 0=1 1=0.75 2=0.75", []),
    "average pool": ("Pooling 0=1 1=2 2=2", []),
    "average pool, cut off": ("Pooling 0=1 1=2 2=2 5=1", []),
    "average pool, overlapping": ("Pooling 0=1 1=3 11=2 2=2 12=1 5=1", []),
    "max pool": ("Pooling 0=0 1=2 2=2", []),
    "max pool, cut off": ("Pooling 0=0 1=2 2=2 5=1", []),
    "global average": ("Pooling 0=1 4=1", []),
    "global maximum": ("Pooling 0=0 4=1", []),
    "dropout that scales": ("Dropout 0=0.4", []),
    "mean by reduction": ("Reduction 0=3 1=0 2=1.5 -23303=2,1,2 4=1 5=1", []),
    "padding": ("Padding 0=1 1=2 2=3 3=4 4=0 5=0.25", []),
    "padding by its edge": ("Padding 0=1 1=2 2=3 3=4 4=1", []),
    "padding, reflected": ("Padding 0=1 1=2 2=3 3=4 4=2", []),
    "crop": ("Crop 0=2 1=1 2=1 3=5 4=6 5=2", []),
    "crop to the end": ("Crop 0=2 1=3 2=0 3=-233 4=-233 5=-233", []),
    "crop before the end": ("Crop 0=1 1=1 3=-233 4=-233 5=-233 6=2 7=3", []),
    "crop by lists": ("Crop -23309=2,1,2 -23310=2,-1,-2 -23311=2,1,2", []),
    "crop by lists to the end": ("Crop -23309=1,-4 -23310=1,-233 -23311=1,2", []),
    "crop by lists from the end": ("Crop -23309=2,-6,-7 -23310=2,-2,-1 -23311=2,-2,-1", []),
    "reorganised": ("Reorg 0=3", []),
    "reorganised, mode 1": ("Reorg 0=3 1=1", []),
    "inner product": ("InnerProduct 0=4 1=1 2=1296", [MARK, normal(4, 324), normal(4)]),
    "inner product, leaky": ("InnerProduct 0=4 2=1296 9=2 -23310=1,0.1", [MARK, normal(4, 324)]),
    **{f"binary {i} with a number": (f"BinaryOp 0={i} 1=1 2=0.7", []) for i in (0, 1, 2, 3, 4, 5, 7, 8)},
    **{f"unary {i}": (f"UnaryOp 0={i}", []) for i in (0, 1, 2, 3, 4, 7, 9, 10, 11, 15, 16)},
}  # fmt: skip
# of values above zero
ROOTS: dict[str, tuple[str, list[Floats | bytes]]] = {
    **{f"binary {i} with a number": (f"BinaryOp 0={i} 1=1 2=0.7", []) for i in (6, 9)},
    **{f"unary {i}": (f"UnaryOp 0={i}", []) for i in (5, 6, 8)},
}
# whole graphs: layers that read or write several blobs
GRAPHS: dict[str, tuple[str, list[Floats | bytes]]] = {
    **{
        f"binary {i} of two": (
            f"Split s 1 2 data a b\nSigmoid g 1 1 a c\nBinaryOp x 2 1 c b out 0={i}", []
        ) for i in (0, 1, 2, 4, 5, 7, 8)
    },
    "sum": ("Split s 1 3 data a b c\nEltwise x 3 1 a b c out 0=1", []),
    "weighted sum": ("Split s 1 3 data a b c\nSwish g 1 1 c d\nEltwise x 3 1 a b d out 0=1 -23301=3,0.5,-2.0,3.0", []),
    "product": ("Split s 1 2 data a b\nSwish g 1 1 b d\nEltwise x 2 1 a d out 0=0", []),
    "maximum": ("Split s 1 2 data a b\nTanH g 1 1 b d\nEltwise x 2 1 a d out 0=2", []),
    "joined": ("Split s 1 2 data a b\nTanH g 1 1 b d\nConcat x 2 1 a d out 0=0", []),
    "parted": ("Slice s 1 2 data a b -23300=2,1,-233 1=0\nConcat x 2 1 b a out 0=0", []),
    "parted evenly": ("Slice s 1 3 data a b c -23300=3,-233,-233,-233\nConcat x 3 1 c a b out", []),
    "shuffled": ("Reorg r 1 1 data a 0=3\nInterp i 1 1 a b 0=1 1=3.0 2=3.0\nPixelShuffle x 1 1 b out 0=3", []),
    "shuffled, mode 1": ("Reorg r 1 1 data a 0=3\nPixelShuffle x 1 1 a out 0=3 1=1", []),
    "cropped as another": ("Split s 1 2 data a b\nPooling p 1 1 a c 0=1 1=2 2=2 5=1\nCrop x 2 1 b c out 0=2 1=3", []),
    "as large as another": ("Split s 1 2 data a b\nPooling p 1 1 a c 0=1 1=3 2=3\nInterp x 2 1 c b out 0=2 5=1", []),
    "gates of channels": ("Split s 1 2 data a b\nPooling p 1 1 a c 0=1 4=1\nInnerProduct i 1 1 c d 0=3 2=9 9=4\n"
                          "Scale x 2 1 b d out 0=-233", [MARK, normal(3, 3)]),
    "times one value a channel": ("MemoryData m 0 1 k 0=3\nBinaryOp x 2 1 data k out 0=2", [normal(3)]),
    "and a picture kept": ("MemoryData m 0 1 k 0=12 1=9 2=3\nBinaryOp x 2 1 data k out", [normal(3, 9, 12)]),
}  # fmt: skip


def both(folder: Path, layers: str, content: list[Floats | bytes], x: Floats) -> tuple[Floats, Floats]:
    """What torch makes of a picture (C, H, W) through these layers, and what ncnn does."""
    lines = ["Input data 0 1 data", *layers.splitlines()]
    blobs = {word for line in lines for word in line.split()[4:] if "=" not in word}
    text = "\n".join(["7767517", f"{len(lines)} {len(blobs)}", *lines]) + "\n"
    data = b"".join(part if isinstance(part, bytes) else part.tobytes() for part in content)
    param, beside = folder / "net.param", folder / "net.bin"
    param.write_text(text)
    beside.write_bytes(data)
    with torch.inference_mode():
        ours = NcnnGraph(*graph_of(param, text, beside, data), planes=len(x))(torch.from_numpy(x)[None])[0].numpy()
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(param)) == 0
    if data:
        assert net.load_model(str(beside)) == 0
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(x).clone())
    code, result = extractor.extract("out")
    assert code == 0
    theirs = np.array(result)
    return ours, theirs.reshape(-1, 1, 1) if theirs.ndim == 1 else theirs  # a vector is one value a channel


def agree(folder: Path, layers: str, content: list[Floats | bytes], x: Floats) -> None:
    ours, theirs = both(folder, layers, content, x)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 2e-5 * max(1.0, float(np.abs(theirs).max()))


def layer(told: str) -> str:
    kind, *settings = told.split()
    return " ".join((kind, "x 1 1 data out", *settings))


@pytest.mark.parametrize(("told", "content"), CASES.values(), ids=CASES)
def test_a_layer_is_what_ncnn_computes(told: str, content: list[Floats | bytes], tmp_path: Path) -> None:
    agree(tmp_path, layer(told), content, normal(3, 9, 12))


@pytest.mark.parametrize(("told", "content"), ROOTS.values(), ids=ROOTS)
def test_so_it_is_of_roots_and_powers(told: str, content: list[Floats | bytes], tmp_path: Path) -> None:
    agree(tmp_path, layer(told), content, positive(3, 9, 12))


@pytest.mark.parametrize(("layers", "content"), GRAPHS.values(), ids=GRAPHS)
def test_layers_of_several_blobs_are_what_ncnn_computes(
    layers: str, content: list[Floats | bytes], tmp_path: Path
) -> None:
    agree(tmp_path, layers, content, normal(3, 9, 12))

"""Settings of ncnn's layers that are not known here: refused by line and name, before any tensor is made."""

from pathlib import Path

import numpy as np
import pytest

from sr_plugins.errors import WeightsError
from sr_plugins.weights.ncnn_files import graph_of
from sr_plugins.weights.ncnn_tensors import HALF, Weights

# settings of one layer between picture and result, and what is said
REFUSED: dict[str, tuple[str, str]] = {
    "a convolution in int8": ("Convolution 0=4 1=3 6=108 8=2", "it computes in int8, which is not known here"),
    "tensors of another layer": ("Convolution 0=4 1=3 6=108 19=1", "its tensors come from another layer"),
    "an activation without its slope": ("Convolution 0=4 1=3 6=108 9=2", "its numbers do not fit each other"),
    "a clip without its limits": ("Convolution 0=4 1=3 6=108 9=3 -23310=1,0", "its numbers do not fit each other"),
    "an activation of no name": ("Convolution 0=4 1=3 6=108 9=7", "its setting 9 is 7"),
    "a kernel of a half": ("Convolution 0=4 1=2.5 6=108", r"its setting 1 is 2\.5: not a whole number"),
    "a function by a number with a point": ("UnaryOp 0=2.0", r"its setting 0 is 2\.0: not a whole number"),
    "a list of both kinds": ("Convolution 0=4 1=3 6=108 9=3 -23310=2,-0.2,1", "its list 10 holds whole numbers beside"),
    "a step of nothing": ("Convolution 0=4 1=3 3=0 6=108", "its setting 3 is 0"),
    "a dilation downwards of nothing": ("Convolution 0=4 1=3 12=0 6=108", "its setting 12 is 0"),
    "groups that do not divide": ("ConvolutionDepthWise 0=4 1=3 6=108 7=3", "its numbers do not fit each other"),
    "padding of a deconvolution by itself": ("Deconvolution 0=2 1=4 4=-233 6=96", "its setting 4 is -233"),
    "a deconvolution to one size": ("Deconvolution 0=2 1=4 6=96 20=64", "it makes pictures of one size alone"),
    "an output padding without end": ("Deconvolution 0=2 1=4 6=96 18=65", "its setting 18 is 65"),
    "an inner product that does not divide": ("InnerProduct 0=4 2=13", "its numbers do not fit each other"),
    "an inner product in int8": ("InnerProduct 0=4 2=12 8=1", "it computes in int8"),
    "an operation of no name": ("BinaryOp 0=55 1=1 2=1", "its operation 55 is not known here"),
    "an operation with nothing": ("BinaryOp 0=0", "its operation 0 is not known here"),
    "a function of no name": ("UnaryOp 0=77", "its operation 77 is not known here"),
    "factors for other blobs": ("Eltwise 0=1 -23301=2,1.0,1.0", "other numbers of factors than of blobs"),
    "an interpolation of no name": ("Interp 0=4 1=2.0 2=2.0", "its setting 0 is 4"),
    "an interpolation without end": ("Interp 0=2 1=2.0 2=17.0", "setting 2 is 17: not a factor from 1/16 to 16"),
    "an interpolation to one size": ("Interp 0=2 3=64 4=64", "it makes pictures of one size alone"),
    "joined along an axis that there is not": ("Concat 0=3", "its setting 0 is 3"),
    "rows for several blobs": ("Slice -23300=1,-233 1=1", "only channels can be cut into parts"),
    "parts for other blobs": ("Slice -23300=2,1,2", "other numbers of parts than of blobs"),
    "a shuffle without end": ("PixelShuffle 0=17", "its setting 0 is 17"),
    "a pool with sides": ("Pooling 0=0 1=2 2=2 3=1", "its padding is not known here"),
    "a pool padded by itself": ("Pooling 0=0 1=2 2=2 5=2", "its padding is not known here"),
    "a sum over a picture": ("Reduction 0=0 -23303=2,1,2 4=1", "only the average over a whole picture"),
    "an average over all": ("Reduction 0=3 1=1 -23303=2,1,2 4=1", "only the average over a whole picture"),
    "an average over all by default": ("Reduction 0=3 -23303=2,1,2 4=1", "only the average over a whole picture"),
    "an average over rows": ("Reduction 0=3 -23303=1,1 4=1", "only the average over a whole picture"),
    "ends for fewer starts": ("Crop -23309=2,1,2 -23310=1,-1", "its numbers do not fit each other"),
    "an axis that there is not": ("Crop -23309=1,1 -23310=1,-1 -23311=1,3", "along an axis that there is not"),
    "padding as a ring": ("Padding 0=1 1=1 2=1 3=1 4=3", "its setting 4 is 3"),
    "padding of channels": ("Padding 0=1 1=1 2=1 3=1 7=1", "it pads in a way that is not known here"),
    "a constant without a size": ("MemoryData", "no constant of one value a channel, and no picture"),
    "a constant of a line": ("MemoryData 0=3 1=4", "no constant of one value a channel, and no picture"),
    "a layer of its maker": ("MyLayer 0=1", "this kind of layer is not known here"),
}  # fmt: skip


@pytest.mark.parametrize(("told", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_known_is_named_by_its_line(told: str, message: str) -> None:
    kind, *settings = told.split()
    text = f"7767517\n2 2\nInput data 0 1 data\n{kind} layer 1 1 data out {' '.join(settings)}\n"
    with pytest.raises(WeightsError, match=rf"^net\.param, line 4 \({kind} layer\): .*{message}"):
        graph_of(Path("net.param"), text, Path("net.bin"), b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(4 + 107 * 4), "cut off, or no pair of its graph: 432 bytes are missing at its end"),
        (b"", "4 bytes are missing"),
        ((0x000D4B38).to_bytes(4, "little") + bytes(108), r"in a code \(0xd4b38\) that is not read: int8 or a table"),
        (bytes(4) + np.full(108, np.inf, np.float32).tobytes(), "values that are not finite: download it again"),
        (bytes(4 + 109 * 4), r"holds 4 bytes more than net\.param asks for: they are no pair"),
    ],
)
def test_tensors_that_are_not_its_graph_s(data: bytes, message: str) -> None:
    text = "7767517\n2 2\nInput data 0 1 data\nConvolution layer 1 1 data out 0=4 1=3 6=108\n"
    with pytest.raises(WeightsError, match=rf"^net\.bin .*{message}"):
        graph_of(Path("net.param"), text, Path("net.bin"), data)


@pytest.mark.parametrize("count", [4, 5])
def test_half_precision_is_read_to_whole_words(count: int) -> None:
    """ncnn fills tensors of float16 up to four bytes: what follows begins behind that."""
    values = np.arange(count, dtype=np.float16)
    filled = values.tobytes() + bytes(-values.nbytes % 4)
    weights = Weights(Path("net.bin"), HALF.to_bytes(4, "little") + filled + np.float32(0.5).tobytes())
    assert weights.take(count, marked=True).tolist() == values.tolist()
    assert weights.left == 4
    assert weights.take(1, marked=False).tolist() == [0.5]
    assert weights.left == 0

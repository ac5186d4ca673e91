"""Y'CbCr matrices: their coefficients by ITU-T H.273 code, luma of R'G'B', and the guess where none is named.

Sources: ITU-R BT.601-7, BT.709-6, BT.2020-2 (non-constant luminance).
"""

from __future__ import annotations

from dataclasses import replace

from sr_plugins.pixels.frame import FrameFormat, Matrix

# Kr, Kb
COEFFICIENTS: dict[int, tuple[float, float]] = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.SMPTE170M: (0.299, 0.114),
    Matrix.SMPTE240M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}

# as ffmpeg calls them
NAMES: dict[str, int] = {
    "bt709": Matrix.BT709,
    "fcc": Matrix.FCC,
    "bt470bg": Matrix.BT470BG,
    "smpte170m": Matrix.SMPTE170M,
    "smpte240m": Matrix.SMPTE240M,
    "bt2020nc": Matrix.BT2020_NCL,
}

LUMA = (0.299, 0.587, 0.114)  # of R'G'B', BT.601


def matrix_in_use(format: FrameFormat, width: int, height: int) -> int:
    """The matrix of a YUV frame; if unspecified, BT.601 up to 1024 x 576 and BT.709 above, as players guess."""
    if format.matrix != Matrix.UNSPECIFIED:
        return format.matrix
    return Matrix.SMPTE170M if width <= 1024 and height <= 576 else Matrix.BT709


def resolved(format: FrameFormat, width: int, height: int) -> FrameFormat:
    """The format with the matrix in use named, for YUV frames of this size; others stay as they are."""
    if format.family != "yuv" or format.matrix != Matrix.UNSPECIFIED:
        return format
    return replace(format, matrix=matrix_in_use(format, width, height))

"""Degradations by real codecs: JPEG through Pillow, H.264, H.265 and MPEG-2 through PyAV, and chroma subsampling."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.interface.degradation import Degradation, Picture
from sr_plugins.pixels.matlab import to_8bit
from sr_plugins.training.picture_files import frame_to_rgb
from sr_plugins.training.tables import check_range, draw

# name: (encoder, decoder, options at a quality, allowed qualities)
# No macroblock tree: on pictures as small as patches, x265's writes beyond its buffers, and x264's reads what was never
# written, so that programs crash and runs do not repeat themselves.
CODECS: dict[str, tuple[str, str, dict[str, str], tuple[int, int]]] = {
    "h264": ("libx264", "h264", {"crf": "{}", "preset": "veryfast", "threads": "1", "mbtree": "0"}, (0, 51)),
    "h265": (
        "libx265",
        "hevc",
        {"crf": "{}", "preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1:cutree=0"},
        (0, 51),
    ),
    "mpeg2": ("mpeg2video", "mpeg2video", {"qmin": "{}", "qmax": "{}"}, (2, 31)),
}


def jpeg(scale: int, quality: Any, subsampling: str = "4:2:0") -> Degradation:
    """JPEG at this quality (1 to 95, libjpeg's scale)."""
    check_range("quality", quality, 1, 95)
    if subsampling not in ("4:4:4", "4:2:2", "4:2:0"):
        raise ValueError(f"subsampling = {subsampling!r} is none of 4:4:4, 4:2:2, 4:2:0")

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        buffer = io.BytesIO()
        value = round(draw(rng, quality))
        Image.fromarray(to_8bit(picture)).save(buffer, "JPEG", quality=value, subsampling=subsampling)
        with Image.open(buffer) as image:
            return np.asarray(image, np.float32)

    return step


def video(
    scale: int, codec: Any = "h264", quality: Any = (18, 34), frames: Any = (1, 4), motion: float = 3
) -> Degradation:
    """Real video compression in 4:2:0: the picture becomes the last frame of a short pan and is decoded again.

    Args:
        scale: not used; every step is given it.
        codec: ``h264``, ``h265`` or ``mpeg2``; one is drawn from a list.
        quality: CRF for H.264 and H.265 (0 to 51), quantiser for MPEG-2 (2 to 31; a CRF is mapped to half of it).
        frames: length of the clip: 1 is an intra picture, more make it a predicted one.
        motion: the pan moves up to so many pixels a frame, horizontally and vertically.
    """
    codecs = [codec] if isinstance(codec, str) else list(codec)
    for name in codecs:
        if name not in CODECS:
            raise ValueError(f"codec = {name!r} is none of {', '.join(CODECS)}")
    check_range("quality", quality, 0, 51)
    check_range("frames", frames, 1, 16)
    check_range("motion", motion, 0, 32)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        name = codecs[int(rng.integers(len(codecs)))]
        count = round(draw(rng, frames))
        dx, dy = (round(float(v)) for v in rng.uniform(-motion, motion, 2))
        value = draw(rng, quality)
        return transcode(pan(to_8bit(picture), count, dx, dy), name, value)[-1].astype(np.float32)

    return step


def pan(picture: NDArray[np.uint8], frames: int, dx: int, dy: int) -> list[NDArray[np.uint8]]:
    """A clip in which the picture moves by (dx, dy) a frame and ends where it is; the border is replicated."""
    clip = []
    for before in reversed(range(frames)):
        y = np.clip(np.arange(picture.shape[0]) - dy * before, 0, picture.shape[0] - 1)
        x = np.clip(np.arange(picture.shape[1]) - dx * before, 0, picture.shape[1] - 1)
        clip.append(picture[y][:, x])
    return clip


def transcode(clip: list[NDArray[np.uint8]], codec: str, quality: float) -> list[NDArray[np.uint8]]:
    """Encode 8-bit R'G'B' frames of one size as 4:2:0 video and decode them; see :func:`video` for the quality."""
    import av

    encoder_name, decoder_name, options, (least, most) = CODECS[codec]
    value = round(min(max(quality / 2 if codec == "mpeg2" else quality, least), most))
    height, width = clip[0].shape[:2]
    encoder = cast(av.VideoCodecContext, av.CodecContext.create(encoder_name, "w"))
    # 4:2:0 needs even sides, and x265 refuses less than 32
    encoder.width, encoder.height = max(width + width % 2, 32), max(height + height % 2, 32)
    encoder.pix_fmt, encoder.framerate = "yuv420p", Fraction(25)
    encoder.options = {key: text.format(value) for key, text in options.items()}
    below, right = encoder.height - height, encoder.width - width
    packets = []
    for i, picture in enumerate(clip):
        padded = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(padded, "rgb24").reformat(format="yuv420p")
        frame.pts = i
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(decoder_name, "r"))
    decoder.thread_count = 1
    decoded = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    return [frame_to_rgb(frame)[:height, :width] for frame in decoded]


def chroma_subsampling(scale: int) -> Degradation:
    """To 4:2:0 and back (BT.601, chroma averaged over 2 x 2 and interpolated), without any other loss."""

    import av

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        height, width = picture.shape[:2]
        padded = np.pad(to_8bit(picture), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(padded, "rgb24").reformat(format="yuv420p")
        return frame_to_rgb(frame)[:height, :width].astype(np.float32)

    return step

"""Luma through real video codecs: whole sequences, with the P and B frames that encoders make of them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

Luma = NDArray[np.uint8]  # (frames, H, W)

# name: (encoder, decoder, options). One thread, and no decision that looks ahead over macroblock trees: with them small
# pictures make encoders read what was never written, so that runs do not repeat themselves.
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264": ("libx264", "h264", {"crf": "{quality}", "threads": "1", "mbtree": "0", "g": "{group}"}),
    "h265": (
        "libx265",
        "hevc",
        {
            "crf": "{quality}",
            "x265-params": "log-level=none:pools=none:frame-threads=1:cutree=0:keyint={group}",
        },
    ),
    "mpeg2": ("mpeg2video", "mpeg2video", {"qmin": "{half}", "qmax": "{half}", "g": "{group}", "bf": "2"}),
}
CLEAN = "none"
# Presets. x265's slower ones give other frames each time, with one thread and whatever else is switched off.
SPEEDS = {"h264": ("veryfast", "medium"), "h265": ("ultrafast",), "mpeg2": ("",)}
GROUPS = (250, 24, 12)  # frames from one intra frame to the next, at most
MPEG2_QUANTISERS = (2, 31)


def draw_coding(rng: np.random.Generator, codec: str, quality: float) -> dict[str, str]:
    """Options of an encoder at a quality: CRF of H.264 and H.265, of which MPEG-2's quantiser is half."""
    preset = SPEEDS[codec][int(rng.integers(len(SPEEDS[codec])))]
    group = GROUPS[int(rng.integers(len(GROUPS)))]
    least, most = MPEG2_QUANTISERS
    half = round(min(max(quality / 2, least), most))
    options = {
        key: text.format(quality=round(quality), half=half, group=group) for key, text in CODECS[codec][2].items()
    }
    return options | ({"preset": preset} if preset else {})


def code(frames: Luma, codec: str, options: dict[str, str]) -> Luma:
    """Encode 8-bit luma (frames, H, W), even sides of at least 32, as 4:2:0 without colour, and decode it again."""
    height = frames.shape[1]
    return np.stack([frame.to_ndarray(format="yuv420p")[:height] for frame in coded_frames(frames, codec, options)])


def coded_frames(frames: Luma, codec: str, options: dict[str, str]) -> list[av.VideoFrame]:
    """The same, as frames that know whether they were coded as I, P or B."""
    import av

    encoder_name, decoder_name, _ = CODECS[codec]
    count, height, width = frames.shape
    encoder = cast(av.VideoCodecContext, av.CodecContext.create(encoder_name, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
    encoder.options = options
    packets = []
    gray = np.full((height // 2, width), 128, np.uint8)
    for number, luma in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.concatenate((luma, gray)), "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(decoder_name, "r"))
    decoder.thread_count = 1
    decoded = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    if len(decoded) != count:
        raise RuntimeError(f"{encoder_name} made {len(decoded)} frames of {count}")
    return decoded

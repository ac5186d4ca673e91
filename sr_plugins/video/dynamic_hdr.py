"""Dynamic HDR metadata: HDR10+ (SMPTE ST 2094-40) and HDR Vivid (T/UWA 005.1). Each frame's tells of the light in it,
and how a darker screen shows it. That is as true of a larger picture, so that it goes along as it is, frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence

from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame

from sr_plugins.video.source import Source, opened
from sr_plugins.video.t35 import messages_in

# Names, how their messages begin (country, provider, what of the provider's it is), and where libavutil's structure
# says of how many parts of the picture they tell.
_KINDS = {
    SideData.DYNAMIC_HDR_PLUS: ("HDR10+ dynamic metadata", b"\xb5\x00\x3c\x00\x01\x04", 2),
    SideData.DYNAMIC_HDR_VIVID: ("HDR Vivid dynamic metadata", b"\x26\x00\x04\x00\x05", 1),
}
# Those that have a place for them, in source and target.
CODECS = ("av1", "hevc")


def kept_and_lost(pictures: Sequence[VideoFrame], codec: str, *, timed: bool) -> tuple[list[str], list[str]]:
    """Names of the kinds that these pictures of a film have: those that are written again, and those that cannot be."""
    kept, lost = [], []
    for kind, (name, _, parts) in _KINDS.items():
        told = [bytes(picture.side_data[kind]) for picture in pictures if kind in picture.side_data.keys()]  # noqa: SIM118
        # Where parts of the picture lie is told in its pixels.
        if told and timed and codec in CODECS and all(data[parts] <= 1 for data in told):
            kept.append(name)
        elif told:
            lost.append(name)
    return kept, lost


def dynamic_hdr_of(source: Source) -> dict[int, list[bytes]]:
    """The messages of each frame that has some, by its time on the source's timeline."""
    beginnings = [beginning for name, beginning, _ in _KINDS.values() if name in source.dynamic_hdr]
    found: dict[int, list[bytes]] = {}
    if not beginnings:
        return found
    with opened(source.path, source.given) as container:
        stream = container.streams[source.main]
        codec = source.streams[source.main].codec
        for packet in container.demux(stream):
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None and packet.size and (told := messages_in(codec, bytes(packet), beginnings)):
                found[time] = told
    return found

"""What a video file holds: read with PyAV before any work begins."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import DISCONTINUOUS
from sr_plugins.video.dynamic_hdr import kept_and_lost
from sr_plugins.video.look import disorder_of, look
from sr_plugins.video.pixel_formats import Colors
from sr_plugins.video.pixel_shapes import refuse_shapes
from sr_plugins.video.sequence import DEFAULT_RATE, Numbered, is_sequence
from sr_plugins.video.source import NO_CROP, Light, Source, StreamInfo, main_film, opened
from sr_plugins.video.timeline import (
    Timeline,
    bare_clock,
    equal_times,
    fraction,
    is_bare,
    nominal_rate,
    refuse_jumps,
    scan,
)
from sr_plugins.video.wholeness import bytes_due, is_whole, still_chunks

# Codecs that have no place for it: whether a frame holds two fields only the container tells, as of captures.
_WITHOUT_FIELDS = {
    *("cfhd", "ffvhuff", "huffyuv", "jpeg2000", "magicyuv", "mjpeg", "png", "qtrle", "r10k", "r210", "utvideo"),
    *("v308", "v408", "v410"),
}
# libavcodec's AVFieldOrder: which field is first, as its decoders of raw frames take it.
_FIELDS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}
_MATRIX_KEY = "display_matrix"


def probe(path: Path, end: float | None = None, given_rate: Fraction | None = None, main: int | None = None) -> Source:
    """Read everything a transcode needs to know. The whole file is read once (not decoded) for its time stamps, and
    some frames are decoded, of those before ``end`` (in seconds from its beginning). ``given_rate`` is that of numbered
    pictures and of bare streams, and of them alone. ``main``: the stream to upscale, else the container's default.

    Raises:
        PipeError: no such file, not a video, truncated, no time stamps or such of several clocks.
    """
    numbered = Numbered.found(path, given_rate or DEFAULT_RATE) if is_sequence(path) else None
    given = numbered.given if numbered else {}
    with opened(path, given) as container:
        streams = tuple(_describe(stream) for stream in container.streams)
        film = main_film(container) if main is None else container.streams[main]
        if film is None:
            held = sorted({"a cover" if s.is_cover else s.kind for s in streams})
            raise PipeError(f"{path} holds no video, only {' and '.join(held) or 'nothing'}")
        stream: Any = film
        main = film.index
        time_base, declared = fraction(stream.time_base), stream.frames
        rates = [fraction(r) for r in (stream.average_rate, stream.base_rate, stream.guessed_rate) if r]
        aspect = stream.sample_aspect_ratio
        began = container.start_time
        length = Fraction(container.duration or 0, av.time_base)
        bare, found = numbered is None and is_bare(container.format), scan(container, main)
        if given_rate is not None and not (numbered or bare):
            raise PipeError(f"{path}: a film has its own rate: only numbered pictures and bare streams are given one")
        chapters = len(container.chapters())
        name, coded = container.format.name, dict(stream.codec_context.coded_side_data)
        order = _FIELDS.get(stream.codec_context.field_order, "")
        metadata = dict(container.metadata)
    # Of a film of one frame ffmpeg does not find out when it begins.
    start = Fraction(began, av.time_base) if began is not None else max(Fraction(0), found.begin)
    if bare and found.packets:
        rate = given_rate or next((r for r in reversed(rates) if 0 < r <= 1000), DEFAULT_RATE)
        time_base, found, length, start = 1 / rate, bare_clock(found), Fraction(0), Fraction(0)
    if name == "avi" and found.times and (still := still_chunks(path, main)):
        found = replace(found, rest=max(1, found.rest) + still, end=found.end + still * time_base)
    rests = _refuse_part(path, None if numbered else name, found, declared, length, start)
    if not found.times:
        cure = "ffmpeg -r 25 -i IN -c:v ffv1 OUT.mkv, with its own rate; or mkvmerge -o OUT.mkv IN"
        raise PipeError(f"{path}: its video has no time stamps; give it some first: {cure}")
    if found.untimed and name.startswith("matroska"):
        raise PipeError(
            f"{path}: {found.untimed} frames of its video have no time: they lie before zero, where Matroska has none; "
            "give them times first: ffmpeg -i IN -c copy OUT.mp4"
        )
    if name.split(",")[0] in DISCONTINUOUS:
        refuse_jumps(path, found.decoding, time_base)
    limit = None if end is None else (Fraction(end).limit_denominator(10**6) + start) / time_base
    shown = [t for t in found.times if limit is None or t < limit] or found.times
    refuse_shapes(path, [(at, shape) for at, shape in found.shapes if at <= shown[-1]], time_base, start)
    pictures = look(path, given, main, shown, found.keyframes)
    first = pictures[0]
    side = {key: bytes(first.side_data[key]) for key in first.side_data.keys()}  # noqa: SIM118
    mastering = side.get(SideData.MASTERING_DISPLAY_METADATA, coded.get("mastering_display_metadata"))
    _refuse_reshaped(path, coded.get("dovi_conf"), side.get(SideData.DOVI_RPU_BUFFER))
    dynamic, tied = kept_and_lost(pictures, streams[main].codec, timed=not bare)
    fields = order if streams[main].codec in _WITHOUT_FIELDS else ""
    level = side.get(SideData.CONTENT_LIGHT_LEVEL, coded.get("content_light_level"))
    crop = _crop(coded.get("frame_cropping"), (first.width, first.height))
    matrix = side.get(SideData.DISPLAYMATRIX, coded.get(_MATRIX_KEY))
    rate = 1 / time_base if bare else nominal_rate(found.times, time_base, rates)
    seen = {key for picture in pictures for key in picture.side_data.keys()}  # noqa: SIM118
    captions = found.captions or SideData.A53_CC in seen
    equal = equal_times(path, found.times, time_base, rate, start)
    disorder = None if numbered or bare or name == "avi" else disorder_of(path, main, time_base, start, rate)
    return Source(
        path=path,
        container=name,
        streams=streams,
        main=main,
        width=first.width - crop[0] - crop[1],
        height=first.height - crop[2] - crop[3],
        pix_fmt=first.format.name,
        colors=Colors.of(first),
        aspect=fraction(aspect) if aspect else None,
        time_base=time_base,
        rate=rate,
        timeline=found.times,
        keyframes=found.keyframes,
        start=start,
        earliest=found.begin,
        finish=length if rests else _finish(found, time_base, rate),
        spans=found.spans,
        interlaced=bool(fields) or any(p.interlaced_frame for p in pictures),
        fields=fields,
        rotation=first.rotation,
        mirrored=matrix is not None and _determinant(matrix) < 0,
        light=Light.of(mastering, level),
        chapters=chapters,
        lost=(*_lost(seen, coded), *tied),
        notices=(
            *_untold({key.name.lower() for key in seen} | coded.keys(), streams[main].metadata),
            *filter(None, [equal, disorder]),
            *([f"{numbered.count} pictures, {numbered.rate} a second"] if numbered and given_rate is None else ()),
            *(_bare(rate, captions, assumed=given_rate is None) if bare else ()),
        ),
        crop=crop,
        metadata=metadata,
        pictures=numbered,
        captions=captions and not bare,
        dynamic_hdr=tuple(dynamic),
        bare=bare,
        repeats=found.repeats,
    )


def _refuse_part(
    path: Path, container: str | None, found: Timeline, declared: int, length: Fraction, start: Fraction
) -> bool:
    """Refuse a film that ends before its container says, by bytes, frames (``declared``) or seconds (``length``).

    Returns:
        Whether it is whole all the same: its last frame is shown up to there, and no packet says so.
    """
    if container is None:
        return False
    matroska = container.startswith("matroska")
    # Matroska says when it ends, whenever it begins; all others how long they are.
    due = length if matroska else length + start
    short = bool(length) and due - found.end > max(Fraction(1, 2), length / 50)
    rests = short and matroska and is_whole(path)
    lacking = max(0, (bytes_due(path, container) or 0) - path.stat().st_size)
    missing = declared - found.packets if container.startswith("mov") else 0
    if lacking or missing > max(2, declared // 100) or (short and not rests):
        seconds = f"{float(found.end):.2f} s of {float(due):.2f} s"
        ends = f"it ends after {seconds}"
        if lacking:
            ends = f"{lacking} bytes or more are missing at its end, {seconds} are there"
        cure = "ffmpeg -i IN -c copy OUT.mkv"
        raise PipeError(f"{path} is truncated: {ends}; to upscale what is there, repair it first: {cure}")
    return rests


def _finish(found: Timeline, time_base: Fraction, rate: Fraction) -> Fraction:
    """When the last frame ends: as its packet says, else after as long as the frame before it was shown."""
    *before, last = found.times[-2:]
    gap = last - before[0] if before and last > before[0] else 0
    return (last + (found.rest or gap)) * time_base if found.rest or gap else last * time_base + 1 / rate


def _bare(rate: Fraction, captions: bool, *, assumed: bool) -> Iterator[str]:
    """What a stream without a container lacks."""
    if assumed:
        yield f"a stream without times: {float(rate):.6g} frames a second are taken; --fps names another rate"
    if captions:
        yield "closed captions inside the video are dropped: without times nothing says where they belong"


def _describe(stream: Any) -> StreamInfo:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    if stream.type == "data":
        codec = stream.name or ""
    disposition = tuple(flag.name.lower() for flag in stream.disposition)
    record = stream.codec_context.coded_side_data.get("dovi_conf", b"") if stream.type == "video" else b""
    enhances = len(record) >= 8 and record[6] == 0  # no base layer
    frames = stream.frames or 0
    return StreamInfo(stream.index, stream.type, codec, disposition, dict(stream.metadata), frames, enhances)


def _determinant(matrix: bytes) -> int:
    a, b, _, c, d = struct.unpack("<5i", matrix[:20])
    return int(a * d - b * c)


def _crop(told: bytes | None, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """What Matroska's PixelCrop and QuickTime's clean aperture take away; nothing if it is more than there is."""
    if told is None or len(told) < 16:
        return NO_CROP
    top, bottom, left, right = struct.unpack("<4I", told[:16])
    return (left, right, top, bottom) if left + right < size[0] and top + bottom < size[1] else NO_CROP


def _refuse_reshaped(path: Path, record: bytes | None, frames: bytes | None) -> None:
    """Dolby Vision of profile 5, and 10 without a base that others show: colours that its metadata alone make right.
    The container's record tells it, or without one the metadata of the first frame."""
    if record is not None and len(record) >= 8:
        profile, base = record[2], record[7]  # compatible base
    else:
        profile, base = (5, 0) if frames and _without_base(frames) else (0, 0)
    if profile not in (5, 10) or base != 0:
        return
    hdr10 = "colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv:format=yuv420p10le"
    raise PipeError(
        f"{path} is Dolby Vision of profile {profile}, whose colours are right only with metadata that belong to the "
        f"old pixels: make HDR10 of it first: ffmpeg -init_hw_device vulkan -i IN -vf libplacebo={hdr10} -c:v ffv1 "
        "-c:a copy OUT.mkv"
    )


def _without_base(rpu: bytes) -> bool:
    """Whether a frame's Dolby Vision metadata are those of profile 5: of VDR profile 0, and its base in full range
    (ETSI GS CCM 001, rpu_data_header)."""
    bits = f"{int.from_bytes(rpu[:16], 'big'):0{8 * len(rpu[:16])}b}"[8:]  # behind the prefix of the NAL unit
    profile, sequence, kind = bits[17:21], bits[25:26], bits[27:29]
    place = 29
    if kind == "00":  # fixed point: an Exp-Golomb code tells the denominator
        zeros = bits.find("1", place) - place
        place += 2 * zeros + 1
    return (profile, sequence, bits[place + 2 : place + 3]) == ("0000", "1", "1")


def _lost(seen: set[SideData], coded: dict[str, bytes]) -> tuple[str, ...]:
    """Metadata tied to the old pixels that no encoder here can write again."""
    lost = []
    if {SideData.DOVI_METADATA, SideData.DOVI_RPU_BUFFER} & seen or any("dovi" in key for key in coded):
        lost.append("Dolby Vision")
    if SideData.LCEVC in seen:
        lost.append("the enhancement layer (LCEVC)")
    return tuple(lost)


def _untold(said: set[str], tags: dict[str, str]) -> tuple[str, ...]:
    """What container and codec tell about the picture, by libavcodec's names, that is not written again."""
    told = []
    if "spherical" in said:
        told.append("the mark of a spherical film is left out: set it again with a tool for such films")
    if {"stereo3d", "stereo_3d"} & said and "stereo_mode" not in tags:  # a tag goes along
        told.append("the mark of a stereo film is left out: set it again with a tool for such films")
    if "ambient_viewing_environment" in said:
        told.append("the light around the screen that it was made for is left out: no encoder here writes it")
    if "icc_profile" in said:
        told.append("its ICC profile is left out: films tell their colours by tags")
    return tuple(told)

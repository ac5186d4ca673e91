"""The film in small, before the work: what cannot be made fails now, not after a night."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import ChromaLocation, FrameFormat, empty_frame
from sr_plugins.pixels.matrix import matrix_in_use
from sr_plugins.video.chunk_encoder import ChunkEncoder
from sr_plugins.video.chunks import verify_chunk
from sr_plugins.video.containers import container_named
from sr_plugins.video.encoded_colors import BT601
from sr_plugins.video.ffmpeg_process import full_disk, plain
from sr_plugins.video.join import join_chunks
from sr_plugins.video.join_plan import Join, joining_ffmpeg
from sr_plugins.video.lost_tags import lost_tags
from sr_plugins.video.maps import mapped_streams
from sr_plugins.video.pixel_formats import Colors, PixelLayout, frame_format, pipe_format
from sr_plugins.video.plan import FilmPlan
from sr_plugins.video.sequence import is_sequence
from sr_plugins.video.source import films_of, opened
from sr_plugins.video.streams import muxer_of, plan_streams
from sr_plugins.video.timeline import apart, fraction
from sr_plugins.video.verify import verify_target

_FRAMES = 10  # enough for an encoder to reorder, and for a container's clock to drift


_HARDWARE = ("_nvenc", "_qsv", "_vaapi", "_amf", "_vulkan", "_v4l2m2m", "_videotoolbox", "_mf", "_omx", "_d3d12va")
_LATE = 60  # seconds after which a stream that begins is not waited for
# What encoders warn of and ffmpeg goes on after, as if nothing had been asked.
_UNKNOWN = re.compile(r"Unknown option|Error parsing option|Invalid value for|Unrecognized option", re.IGNORECASE)
_TAGS = "matrix", "transfer", "primaries"
_UNKNOWN_TAG = 2
_NOWHERE = "NONE"  # a channel without a place
_UNUSED = re.compile(r"AVOption (\w+) .*has not been used for any stream")


def rehearse(plan: FilmPlan, trial: Path, joined: Path) -> list[str]:
    """Encode some gray frames, join them with the real streams at the real times, and read the result back.

    ``trial`` and ``joined`` are files to be made and removed again. Returns lines about options that do nothing.

    Raises:
        PipeError: this film cannot be made so.
    """
    source = plan.film.source
    format = frame_format(source.pix_fmt, source.colors)
    frame = empty_frame(format, *plan.size, alpha=PixelLayout.of(pipe_format(source.pix_fmt)).alpha)
    for plane in frame.samples():
        plane[:] = np.asarray(1 << (format.bits - 1), format.dtype)
    first, last = plan.chunks[0].first, plan.chunks[-1].end
    all_times = apart([t for t in source.timeline if t >= first and (last is None or t < last)])
    times = tuple(all_times[:_FRAMES])
    said: list[str] = []
    name = plan.film.encoding.encoder
    encoder = ChunkEncoder(plan.film.executable, plan.film.encoding, trial, source.path, hear=said.append)
    try:
        for _ in times:
            encoder.write(frame)
        encoder.finish()
    except BaseException as error:
        encoder.close()
        if isinstance(error, PipeError) and name.endswith(_HARDWARE):
            cure = f"{name} needs a device with its driver, and options that ffmpeg asks for; libx265 needs none"
            raise PipeError(f"{error}; {cure}", error.exit_code, error.last_lines) from error
        raise
    if unknown := next(filter(_UNKNOWN.search, said), None):
        raise PipeError(f"{name}: {plain(unknown)}")
    verify_chunk(trial, len(times), source.path)
    with opened(trial) as container:
        encoded = next(container.decode(video=0))
    told = [*_idle(said, name), *_opaque(plan, encoded)]
    if is_sequence(plan.target):
        trial.unlink()
        return told
    limit = max(times[-1] * source.time_base, _latest(plan.join)) - plan.join.origin
    ends = "-t", str(float(limit) + 0.1)
    try:
        join_chunks(plan.join, [(trial, times)], joined, extra=ends)
    except PipeError as error:
        if not _fits_matroska(plan, trial, times, joined.parent, ends):
            raise
        raise PipeError(f"{error}; .mkv as target holds everything", error.exit_code, error.last_lines) from error
    shown = verify_target(plan.join, joined, times, whole=False, coming=all_times[_FRAMES:])
    was, now = ((p.width, p.height, p.format.name.replace("yuvj", "yuv")) for p in (encoded, shown))
    anew = bool(container_named(plan.join.plan.muxer).finish)  # and then may have other samples
    if was[:2] != now[:2] or (was != now and not anew):
        raise PipeError(
            f"{plan.target}: {'x'.join(map(str, was))} would come out as {'x'.join(map(str, now))}: this container "
            f"cannot hold what {plan.film.encoding.encoder} writes: choose another encoder or another container"
        )
    told += [*_untagged(plan, shown), *_other_shape(plan, joined), *lost_tags(plan.join, joined)]
    told += [*_without_chapters(plan.join, joined, float(limit)), *_other_speakers(plan.join, joined)]
    trial.unlink()
    joined.unlink()
    return told


def _fits_matroska(plan: FilmPlan, trial: Path, times: tuple[int, ...], folder: Path, ends: tuple[str, ...]) -> bool:
    """Whether ``.mkv`` as target would cure what this one failed of: it is tried."""
    join, target = plan.join, plan.target.with_suffix(".mkv")
    if container_named(join.plan.muxer).finish or full_disk(folder):
        return False
    try:
        if (muxer := muxer_of(target, join.options)) == join.plan.muxer:
            return False
        joiner = joining_ffmpeg(join.executable, muxer, join.source, join.origin, join.options)
        mapped = mapped_streams(join.executable, join.source, join.options)
        other = plan_streams(join.source, target, join.options, joiner, mapped)
        with tempfile.TemporaryDirectory(prefix="sr-plugins-") as elsewhere:
            film = Path(elsewhere, "trial.mkv")
            join_chunks(replace(join, plan=other, executable=joiner), [(trial, times)], film, extra=ends)
    except PipeError:
        return False
    return True


def _opaque(plan: FilmPlan, encoded: av.VideoFrame) -> list[str]:
    """A line about transparency that an encoder takes and does not write (ProRes 422), or writes beside the picture,
    where it does not come through the chunks (VP9)."""
    encoding, made = plan.film.encoding, PixelLayout.of(encoded.format.name)
    if made.alpha or not PixelLayout.of(encoding.pix_fmt).alpha:
        return []
    return [f"transparency is left out: {encoding.encoder} does not write it so; ffv1 and prores_ks -profile:v 4444 do"]


def _other_shape(plan: FilmPlan, joined: Path) -> list[str]:
    """A line about pixels whose shape comes out as another, by which a film is shown a pixel wider or narrower."""
    join = plan.join
    if join.options.own_aspect or not join.aspect:
        return []
    with opened(joined) as container:
        told = fraction(films_of(container)[join.place_of_film].sample_aspect_ratio or 1)
    if abs(told / join.aspect - 1) * plan.size[0] < 1:
        return []
    anew = bool(container_named(join.plan.muxer).finish)
    where = join.plan.muxer if anew else f"{plan.film.encoding.encoder} in {join.plan.muxer}"
    cure = "" if join.plan.muxer == "matroska" else "; .mkv can"
    return [f"the shape of a pixel, {join.aspect}, comes out as {told}: {where} cannot tell it{cure}"]


def _untagged(plan: FilmPlan, shown: av.VideoFrame) -> list[str]:
    """A line about tags of colours that are not in the result: what players then guess may be another."""
    meant, found = plan.film.encoding.tags, Colors.of(shown)
    lost = [name for name in _TAGS if getattr(meant, name) not in (_UNKNOWN_TAG, getattr(found, name))]
    guessed = matrix_in_use(FrameFormat(family="yuv"), shown.width, shown.height)
    if (
        "matrix" in lost
        and found.matrix == _UNKNOWN_TAG
        and (meant.matrix == guessed or {meant.matrix, guessed} <= BT601)
    ):
        lost.remove("matrix")  # players guess right
    if meant.chroma_location and _siting(meant, shown) != _siting(found, shown):
        lost.append("chroma location")
    if not lost or PixelLayout.of(shown.format.name).family != "yuv":
        return []
    cure = "" if plan.join.plan.muxer == "matroska" else "; .mkv can"
    where = f"{plan.film.encoding.encoder} in {plan.join.plan.muxer}"
    return [f"the colour tags are left out ({', '.join(lost)}): {where} cannot hold them{cure}"]


def _siting(colors: Colors, shown: av.VideoFrame) -> tuple[bool, int]:
    """Where chroma lies, in the directions in which there is less of it; untagged is left of the middle, as in MPEG."""
    place = colors.chroma_location or ChromaLocation.LEFT + 1
    across, down = PixelLayout.of(shown.format.name).subsampling
    return across > 0 and place % 2 == 0, (place - 1) // 2 if down else 0


def _without_chapters(join: Join, joined: Path, limit: float) -> list[str]:
    """A line about chapters that are nowhere in the result, as in Ogg without Opus; ``limit`` is its length."""
    if not container_named(join.plan.muxer).chapters or "-map_chapters" in join.options.join:
        return []
    with opened(join.source.path, join.source.given) as source, opened(joined) as target:
        begins = [float(chapter["start"] * chapter["time_base"] - join.origin) for chapter in source.chapters()]
        if any(begin < limit for begin in begins) and not target.chapters():
            return [
                f"{len(begins)} chapters are left out: {join.plan.muxer} cannot hold them with this sound; .mkv can"
            ]
    return []


def _other_speakers(join: Join, joined: Path) -> list[str]:
    """Lines about copied sound that comes back for other speakers: what names no layout is taken for the usual one."""
    lines = []
    with opened(join.source.path, join.source.given) as source, opened(joined) as target:
        sounds = [kept for kept in join.kept if kept.stream.kind == "audio"]
        for kept, there in zip(sounds, target.streams.audio, strict=False):
            stream = source.streams[kept.stream.index]
            if not isinstance(stream, AudioStream) or (kept.codec != "copy" and not kept.codec.startswith("pcm")):
                continue
            was, now = (_speakers(sound.codec_context.layout) for sound in (stream, there))
            known = any(channel.name != _NOWHERE for channel in stream.codec_context.layout.channels)
            if known and was != now and not join.options.codec("audio", sounds.index(kept)):
                where = "" if join.plan.muxer == "matroska" else ".mkv with "
                lines.append(
                    f"{kept.stream.label} is for the speakers {was}, and will be taken for {now} in {join.plan.muxer}: "
                    f"{where}-- -c:a flac keeps them"
                )
    return lines


def _speakers(layout: av.AudioLayout) -> str:
    """Its name as players take it, on whichever side the rear speakers are said to stand."""
    if all(channel.name == _NOWHERE for channel in layout.channels):
        layout = av.AudioLayout(f"{layout.nb_channels}c")
    return re.sub(r"\((?:side|back)\)", "", layout.name)


def _latest(join: Join) -> Fraction:
    """When the last of the copied streams begins, on the source's clock: it belongs to the trial."""
    spans = [join.source.spans.get(kept.stream.index) for kept in join.kept if kept.stream.kind in ("audio", "video")]
    latest = max((span.first for span in spans if span is not None), default=join.origin)  # none of a bare stream
    return min(join.origin + _LATE, latest)


def _idle(said: list[str], encoder: str) -> list[str]:
    unused = dict.fromkeys(found[1] for line in said if (found := _UNUSED.search(line)))
    return [f"the option -{option} does nothing with {encoder}" for option in unused]

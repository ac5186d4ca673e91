"""What this ffmpeg makes of a source: transparency beside the picture, and a crop that the container asks for."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import (
    PROTOCOLS,
    as_words,
    decodes,
    has_decoder,
    local_url,
    plain,
    version,
    version_number,
)
from sr_plugins.video.frame_watch import told_of_frame
from sr_plugins.video.pixel_formats import PixelLayout, is_known, loss_of
from sr_plugins.video.source import NO_CROP, Source

# VP8 and VP9 hold transparency as a second stream beside the picture, which ffmpeg's own decoders leave out.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# The ffmpeg from which on decoding crops as the container says.
_CROPS = (7, 1)


def as_decoded(executable: str, source: Source, hwaccel: str | None = None) -> Source:
    """The source as this ffmpeg decodes it, with the decoder that gives most and a notice of what is missing.

    Raises:
        PipeError: it has no decoder for the film, or cannot use this hardware interface here.
    """
    codec = source.streams[source.main].codec
    if codec and not decodes(executable, codec):
        raise PipeError(
            f"{source.path}: ffmpeg {version(executable)} has no decoder for {codec}: a newer one (--ffmpeg) may"
        )
    if hwaccel is not None:
        _check_hardware(executable, source, hwaccel)
    given = _format(executable, source)
    if loss := loss_of(PixelLayout.of(source.pix_fmt), given):
        lost = f"ffmpeg {version(executable)} decodes it as {given}, which loses {loss}: a newer one (--ffmpeg) may not"
        source = replace(source, notices=(*source.notices, lost))
    source = replace(source, pix_fmt=given)
    if version_number(executable) >= _CROPS:
        source = replace(source, crop=NO_CROP)
    stream = source.streams[source.main]
    decoder = _WITH_ALPHA.get(stream.codec) if stream.tags.get("alpha_mode") == "1" else None
    if decoder is None:
        return source
    if has_decoder(executable, decoder):
        return replace(source, pix_fmt="yuva420p", decoder=decoder)
    missing = f"transparency is left out: this ffmpeg has no decoder {decoder}"
    return replace(source, notices=(*source.notices, missing))


def _format(executable: str, source: Source) -> str:
    """The pixel format in which this ffmpeg gives the first frame: it may be another than that of PyAV's libavcodec, as
    of FFV1 with 14 bits and SGI. That of the source where it does not say, or says one that is not known here."""
    frame = ["-noautorotate", *_first_frame(source, "-vf", "showinfo=checksum=0")]
    said = subprocess.run([executable, "-hide_banner", "-nostdin", *frame], capture_output=True).stderr
    told = next(filter(None, map(told_of_frame, said.decode(errors="replace").splitlines())), None)
    if told is None or told.pix_fmt.replace("yuvj", "yuv") == source.pix_fmt.replace("yuvj", "yuv"):
        return source.pix_fmt
    return told.pix_fmt if is_known(told.pix_fmt) else source.pix_fmt


def _first_frame(source: Source, *options: str) -> list[str]:
    """Read the film as it is read, and write its first frame nowhere."""
    file = ["-protocol_whitelist", PROTOCOLS, "-i", local_url(source.path), "-map", f"0:{source.main}"]
    return [*as_words(source.given), *file, *options, "-frames:v", "1", "-f", "null", "-"]


def _check_hardware(executable: str, source: Source, name: str) -> None:
    """Decode one frame: a card may be missing, or its driver, or the codec may be none of its own."""
    frame = _first_frame(source)
    quiet = [executable, "-hide_banner", "-nostdin", "-loglevel", "error"]
    found = subprocess.run([*quiet, "-hwaccel", name, *frame], capture_output=True)
    # What the processor cannot decode either is told when its turn comes.
    if found.returncode == 0 or subprocess.run([*quiet, *frame], capture_output=True).returncode:
        return
    said = [line.strip() for line in found.stderr.decode(errors="replace").splitlines() if line.strip()]
    reason = plain(said[0]).rstrip(".") if said else "it does not say why"
    raise PipeError(
        f"--hwaccel {name}: ffmpeg {version(executable)} cannot decode {source.path} by it here ({reason}); "
        "without --hwaccel the processor decodes it"
    )

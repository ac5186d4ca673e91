"""What this ffmpeg makes of a source: transparency beside the picture, and a crop that the container asks for."""

from __future__ import annotations

from dataclasses import replace

from sr_plugins.errors import PipeError
from sr_plugins.video.encode import Encoding
from sr_plugins.video.ffmpeg_process import decodes, has_decoder, version, version_number
from sr_plugins.video.pixel_formats import PixelLayout
from sr_plugins.video.source import NO_CROP, Source

# VP8 and VP9 hold transparency as a second stream beside the picture, which ffmpeg's own decoders leave out.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# The ffmpeg from which on decoding crops as the container says.
_CROPS = (7, 1)


def as_decoded(executable: str, source: Source) -> Source:
    """The source as this ffmpeg decodes it, with the decoder that gives most and a notice of what is missing.

    Raises:
        PipeError: it has no decoder for the film.
    """
    codec = source.streams[source.main].codec
    if codec and not decodes(executable, codec):
        raise PipeError(
            f"{source.path}: ffmpeg {version(executable)} has no decoder for {codec}: a newer one (--ffmpeg) may"
        )
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


def alpha_beside(encoding: Encoding) -> tuple[str, ...]:
    """A notice where the encoder would put transparency beside the picture: it does not come through the chunks."""
    if encoding.encoder in _WITH_ALPHA.values() and PixelLayout.of(encoding.pix_fmt).alpha:
        return (
            f"transparency is left out: {encoding.encoder} writes it beside the picture; ffv1 and prores_ks keep it",
        )
    return ()

"""Keys that phones write into QuickTime and MP4 films, such as ``com.apple.quicktime.make``: kept as they are."""

from __future__ import annotations

import struct
from pathlib import Path

from sr_plugins.video.containers import container_named
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.source import Source

# What is held without keys, and what belongs to the old file alone.
_CLASSIC = {
    *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping"),
    *("lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "episode_sort", "track"),
    *("season_number", "disc", "media_type", "hd_video", "gapless_playback", "compilation", "tmpo", "encoder"),
    *("location", "creation_time", "timecode"),
}
_BRANDS = {"major_brand", "minor_version", "compatible_brands"}
_TIME_KEY, _HARMLESS_KEY = "creation_time", "creation-time"


def key_settings(source: Source, muxer: str, options: OutputOptions) -> list[str]:
    """Options of the output, to be put behind the person's, that keep keys; none where there are none to keep.

    A film then has all of its tags as keys, which players read as well.
    """
    if not container_named(muxer).quicktime or not source.container.startswith("mov"):
        return []
    if any("use_metadata_tags" in word for word in options.join) or options.maps_metadata("g"):
        return []
    keys = {key.partition("-")[0] for key in source.metadata if key != _HARMLESS_KEY}
    if keys <= _CLASSIC | _BRANDS:
        return []
    removed = [word for key in sorted(_BRANDS | {_HARMLESS_KEY}) for word in ("-metadata", f"{key}=")]
    return ["-movflags", "+use_metadata_tags", *removed]  # the sign adds it to the person's flags


def settle_creation_time(film: Path) -> None:
    """Give the key of that name another one of its length.

    ffmpeg needs the tag for the film's header, but writes it as a key too, and readers then see two times in one.
    """
    with film.open("r+b") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            begin = file.tell()
            if size == 1:  # a large box says its size behind its name
                size = struct.unpack(">Q", file.read(8))[0]
            if kind == b"moov":
                file.seek(begin)
                place = file.read(size - 8).find(b"mdta" + _TIME_KEY.encode())
                if place >= 0:
                    file.seek(begin + place + len(b"mdta"))
                    file.write(_HARMLESS_KEY.encode())
                return
            if size < 8:
                return
            file.seek(begin + size - 8)

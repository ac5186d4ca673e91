"""Tags of the film and of its streams that are nowhere in the result, as it is read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sr_plugins.video.containers import container_named
from sr_plugins.video.join_plan import Join
from sr_plugins.video.join_settings import STALE
from sr_plugins.video.languages import UNKNOWN, language_in, same_language
from sr_plugins.video.source import opened
from sr_plugins.video.streams import TECHNICAL, Kept

_NAMED = 8  # tags that a line names
# Of the file alone, as MXF and AVI tell them.
_OWN = re.compile(
    r"^(uid|software|product_.*|toolkit_.*|company_name|application_platform|modification_date|.*_(uid|umid|ul))$"
)
_TECHNICAL = {name.lower() for name in TECHNICAL}
# What QuickTime's muxers write of themselves, and names of tracks that say what any such track is.
_VENDOR = {"vendor_id", "variant_bitrate"}
_USUAL_HANDLER = re.compile(
    r"handle|core media|media file|^(video|sound|audio|subtitles?|text|data)$|^\W*$", re.IGNORECASE
)


def lost_tags(join: Join, joined: Path) -> list[str]:
    """Lines about tags whose values are nowhere in the result; muxers have names of their own for them."""
    if container_named(join.plan.muxer).bare:
        return []
    with opened(joined) as container:
        film = set(container.metadata.values())
        found: dict[str, list[dict[str, str]]] = {}
        for stream in container.streams:
            found.setdefault(stream.type, []).append(dict(stream.metadata))
    return [
        *_of_film(join, film.union(*(tags.values() for of_kind in found.values() for tags in of_kind))),
        *_of_streams(join, found, film),
    ]


def _of_film(join: Join, held: set[str]) -> list[str]:
    if not container_named(join.plan.muxer).tags or join.options.maps_metadata("g"):
        return []
    given = _named(join.options.metadata_of_film)
    told = ((key.lower(), value) for key, value in join.source.metadata.items() if key not in TECHNICAL)
    lost = sorted(key for key, value in told if not (key in given or _OWN.search(key) or value in held))
    if not lost:
        return []
    some = ", ".join(lost[:_NAMED]) + (f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else "")
    return [f"tags of the film are left out ({some}): {_cannot(join)}"]


def _of_streams(join: Join, found: Mapping[str, list[dict[str, str]]], film: set[str]) -> list[str]:
    if join.options.maps_metadata("s"):
        return []
    given = _named(join.options.metadata_of_streams)
    lines, lost = [], []
    for kept, tags in _pairs(join, found):
        if "language" not in given:
            lines += _language(join, kept, tags)
        names = sorted(_lost(kept, film | set(tags.values())) - given)
        lost += [f"{kept.stream.label}: {', '.join(names)}"] if names else []
    if lost:
        some = "; ".join(lost[:_NAMED]) + (f" and of {len(lost) - _NAMED} more" if len(lost) > _NAMED else "")
        lines.append(f"tags of streams are left out ({some}): {_cannot(join)}")
    return lines


def _named(given: Iterable[str]) -> set[str]:
    return {word.partition("=")[0].lower() for word in given}


def _pairs(join: Join, found: Mapping[str, list[dict[str, str]]]) -> Iterator[tuple[Kept, dict[str, str]]]:
    """The streams of the film with the tags of what became of them: containers keep the order within a kind."""
    for kind in ("video", "audio", "subtitle"):
        mine = [kept for kept in join.kept if kept.stream.kind == kind and not kept.stream.is_cover]
        yield from zip(mine, found.get(kind, []), strict=False)


def _language(join: Join, kept: Kept, tags: Mapping[str, str]) -> list[str]:
    """Where a stream comes back in another language; that the container has no place for it is said elsewhere."""
    told = kept.stream.tags.get("language")
    meant = language_in(container_named(join.plan.muxer), told) or UNKNOWN
    comes = {key.lower(): value for key, value in tags.items()}.get("language") or UNKNOWN
    if same_language(comes, meant):
        return []
    if comes == UNKNOWN:
        return [f"the language of {kept.stream.label} is left out: {_cannot(join, 'it')}"]
    return [f"{kept.stream.label} will be taken for {comes}: {_cannot(join, 'another language')}"]


def _lost(kept: Kept, held: set[str]) -> set[str]:
    names = set()
    for key, value in kept.stream.tags.items():
        said = key in {"language", "title", "name"} or key.startswith(STALE) or key in _VENDOR
        usual = key == "handler_name" and (_USUAL_HANDLER.search(value) is not None or value == kept.stream.title)
        technical = key in _TECHNICAL or _OWN.search(key) is not None
        if not (said or usual or technical or value in held):
            names.add(key)
    return names


def _cannot(join: Join, what: str = "them") -> str:
    return f"{join.plan.muxer} cannot hold {what}" + ("" if join.plan.muxer == "matroska" else "; .mkv can")

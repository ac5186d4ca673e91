"""Regions of a picture in XMP: as MWG and ACDSee note faces, and as IPTC's extension notes what it likes.

Metadata Working Group, Guidelines 2.0, 5.9; IPTC Photo Metadata Standard 2019.1, "Image Region".
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from sr_plugins.images.placement import Placement

# areas, dimensions and regions of the Metadata Working Group, and the same by ACDSee's names
_REGIONS = (
    (
        "{http://ns.adobe.com/xmp/sType/Area#}",
        "{http://ns.adobe.com/xap/1.0/sType/Dimensions#}",
        "{http://www.metadataworkinggroup.com/schemas/regions/}",
    ),
    (
        "{http://ns.acdsee.com/sType/Area#}",
        "{http://ns.acdsee.com/sType/Dimensions#}",
        "{http://ns.acdsee.com/regions/}",
    ),
)
_EXTENSION = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_SHAPE, _UNIT = _EXTENSION + "rbShape", _EXTENSION + "rbUnit"
_X, _Y, _WIDTH, _HEIGHT, _RADIUS = (_EXTENSION + name for name in ("rbX", "rbY", "rbW", "rbH", "rbRx"))


def simple_number(owner: ElementTree.Element, name: str) -> float | None:
    """A number that is an attribute or a child."""
    text = owner.get(name) or owner.findtext(name)
    try:
        return float(text) if text else None
    except ValueError:
        return None


def moved_region(owner: ElementTree.Element, to: Placement) -> Iterator[tuple[ElementTree.Element, dict[str, str]]]:
    """What changes where ``owner`` is an area, by its centre, in parts of the sides or in pixels, or tells of the size.

    Yields elements, and their new values by name.
    """
    for area, dimensions, regions in _REGIONS:
        if found := {n: v for n in "xywhd" if (v := simple_number(owner, area + n)) is not None}:
            unit = owner.get(area + "unit") or owner.findtext(area + "unit") or "normalized"
            if "x" in found and "y" in found:
                pixels = unit == "pixel"
                found["x"], found["y"] = (to.point if pixels else to.share)(found["x"], found["y"])
                if "w" in found and "h" in found:
                    w, h = found["w"], found["h"]
                    found["w"], found["h"] = to.extent(w, h) if pixels else to.exchanged(w, h)
                yield owner, {area + n: _shortest(v) for n, v in found.items()}
        for part in owner.iter() if owner.tag == regions + "AppliedToDimensions" else ():  # itself, or a node in it
            if (part.get(dimensions + "unit") or part.findtext(dimensions + "unit") or "pixel") == "pixel":
                yield part, {dimensions + "w": str(to.size[0]), dimensions + "h": str(to.size[1])}


def moved_boundary(owner: ElementTree.Element, to: Placement) -> Iterator[tuple[ElementTree.Element, dict[str, str]]]:
    """What changes where ``owner`` is a boundary: a rectangle by its upper left corner, a circle, or a polygon.

    Yields elements, and their new values by name. Units are pixels, or parts of the sides (a radius: of the width).
    """
    if not (owner.get(_SHAPE) or owner.findtext(_SHAPE)):
        return
    pixels = (owner.get(_UNIT) or owner.findtext(_UNIT)) == "pixel"
    place, extent = (to.point, to.extent) if pixels else (to.share, to.exchanged)
    for part in owner.iter():
        x, y = simple_number(part, _X), simple_number(part, _Y)
        if x is None or y is None:
            continue
        width, height, radius = (simple_number(part, name) for name in (_WIDTH, _HEIGHT, _RADIUS))
        found: dict[str, float] = {}
        if width is not None and height is not None:
            x, y = place(x + width / 2, y + height / 2)
            across, down = extent(width, height)
            found = {_X: x - across / 2, _Y: y - down / 2, _WIDTH: across, _HEIGHT: down}
        else:
            found[_X], found[_Y] = place(x, y)
            if radius is not None:
                upright = to.exchanged(*to.stored)[0]
                found[_RADIUS] = radius * (to.size[0] / upright if pixels else to.stored[0] / upright)
        yield part, {name: _shortest(value) for name, value in found.items()}


def _shortest(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")

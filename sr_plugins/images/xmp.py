"""XMP packets (ISO 16684-1): made true for a picture that was turned and enlarged, whatever way they are spelt."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from hashlib import md5
from io import BytesIO
from xml.etree import ElementTree

from sr_plugins.errors import one_line
from sr_plugins.images.placement import Placement
from sr_plugins.images.xmp_encoding import in_utf8
from sr_plugins.images.xmp_regions import moved_boundary, moved_region

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_TIFF, _EXIF = "{http://ns.adobe.com/tiff/1.0/}", "{http://ns.adobe.com/exif/1.0/}"
_NOTE, _XMP = "{http://ns.adobe.com/xmp/note/}", "{http://ns.adobe.com/xap/1.0/}"
_DEPTH = ("{http://ns.google.com/photos/1.0/depthmap/}", "{http://ns.google.com/photos/1.0/image/}")
_FINEST = 1_000_000  # denominator of a factor
_PANORAMA = "{http://ns.google.com/photos/1.0/panorama/}"
_CAMERA = "{http://ns.google.com/photos/1.0/camera/}"
_CONTAINER = "{http://ns.google.com/photos/1.0/container/}"
_ITEM = "{http://ns.google.com/photos/1.0/container/item/}"
_GAIN_MAP = "{http://ns.adobe.com/hdr-gain-map/1.0/}"
_APPLE_GAIN_MAP = "{http://ns.apple.com/HDRGainMap/1.0/}"
_PEOPLE = "{http://ns.microsoft.com/photo/1.2/t/Region#}"
_HEAD, _TAIL = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>', b'<?xpacket end="w"?>'
_RAW_ORIENTATION = re.compile(
    rb"""\w+:Orientation\s*=\s*("\s*[0-9]\s*"|'\s*[0-9]\s*')|<(\w+:Orientation)[^>]*>\s*[0-9]\s*</\2\s*>"""
)


class Xmp:
    """A packet, changed as a tree; its bytes stay as they came where nothing changes."""

    def __init__(self, packet: bytes, extended: bytes = b"") -> None:
        self.told: list[str] = []
        packet, code = in_utf8(packet)
        if code:
            self.told.append(f"XMP in {code} becomes UTF-8")
        self._packet = packet.rstrip(b"\0")
        self._tree: ElementTree.Element | None = None
        self._changed = False
        try:
            self._tree = _parsed(self._packet)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            self.told.append(f"XMP that is no XML ({one_line(error)}) is copied as it is")
        if extended:
            self._join(extended)
        elif self._take_out(_NOTE + "HasExtendedXMP"):
            self.told.append("XMP tells of a second part that is not there: that note is left out")

    def __bytes__(self) -> bytes:
        if self._tree is None:
            return _RAW_ORIENTATION.sub(b"", self._packet)
        if not self._changed:
            return self._packet
        return _HEAD + _text(self._tree) + _TAIL

    # -- what holds no longer ---------------------------------------------------------------------------------------

    def place(self, to: Placement) -> None:
        """Sizes and places in pixels of the result; the orientation is taken out."""
        self._take_out(_TIFF + "Orientation")
        for name, side in (("ImageWidth", 0), ("ImageLength", 1)):
            self._set(_TIFF + name, str(to.size[side]))
        for name, side in (("PixelXDimension", 0), ("PixelYDimension", 1)):
            self._set(_EXIF + name, str(to.size[side]))
        if to.turned:
            self._exchange(_TIFF + "XResolution", _TIFF + "YResolution")
            self._exchange(_EXIF + "FocalPlaneXResolution", _EXIF + "FocalPlaneYResolution")
        for name, factor in zip(("FocalPlaneXResolution", "FocalPlaneYResolution"), to.factors, strict=True):
            for owner, attribute, value in list(self._values(_EXIF + name)):
                with suppress(ValueError, ZeroDivisionError):
                    ratio = Fraction(value) * Fraction(factor).limit_denominator(_FINEST)
                    self._store(owner, attribute, f"{ratio.numerator}/{ratio.denominator}")
        if to.orientation != 1:
            self._without_pictures()
        self._subject(to)
        self._panorama(to)
        for owner in list(self._elements()):
            self._people(owner, to)
            for part, values in (*moved_region(owner, to), *moved_boundary(owner, to)):
                self._store_all(part, values)

    def _without_pictures(self) -> None:
        """Those within the packet lie as the picture did before it was turned."""
        if any([self._take_out(_XMP + "Thumbnails"), *map(self._take_out_all, _DEPTH)]):
            self.told.append("pictures within XMP (thumbnails, depth) are left out, because the picture was turned")

    def without_video(self) -> None:
        """A motion photo's notes go with the video behind the picture, which is not copied."""
        names = ("MotionPhoto", "MotionPhotoVersion", "MotionPhotoPresentationTimestampUs", "MicroVideo")
        micro = ("MicroVideoVersion", "MicroVideoOffset", "MicroVideoPresentationTimestampUs")
        found = [self._take_out(_CAMERA + name) for name in (*names, *micro)]
        if any([*found, self._take_out_items("MotionPhoto")]):
            self.told.append("the video of a motion photo is not enlarged and left out")

    def without_gain_map(self) -> bool:
        """Take out the notes about a gain map that is not there; whether there were any."""
        return any([self._take_out_items("GainMap"), *map(self._take_out_all, (_GAIN_MAP, _APPLE_GAIN_MAP))])

    def set_gain_map_length(self, length: int) -> None:
        """How many bytes the gain map behind the picture takes."""
        for item in self._items("GainMap"):
            if item.find(_ITEM + "Length") is None:
                item.set(_ITEM + "Length", str(length))
                self._changed = True
            else:
                self._store_all(item, {_ITEM + "Length": str(length)})

    def split(self, most: int) -> tuple[bytes, bytes]:
        """(packet of at most ``most`` bytes, the rest as extended XMP); ``ValueError`` where that is not possible."""
        whole = bytes(self)
        if len(whole) <= most:
            return whole, b""
        if self._tree is None:
            raise ValueError("it is no XML")
        sizes = [len(ElementTree.tostring(part)) for owner in _owners(_parsed(whole)) for part in owner]
        largest = sorted(range(len(sizes)), key=lambda number: -sizes[number])
        # alone a part is longer than in the whole, by its namespaces: how many to move shows when it is done
        fewest = bisect_left(range(1, len(sizes)), True, key=lambda n: len(_divided(whole, largest[:n])[0]) <= most) + 1
        standard, extended = _divided(whole, largest[:fewest]) if sizes else (whole, b"")
        if len(standard) > most:
            raise ValueError("its smallest parts are too large")
        return standard, extended

    # -- the tree ---------------------------------------------------------------------------------------------------

    def _join(self, extended: bytes) -> None:
        try:
            further = _parsed(extended)
        except (ElementTree.ParseError, ValueError, LookupError):
            self.told.append("the second part of XMP is damaged and left out")
            self._take_out(_NOTE + "HasExtendedXMP")
            return
        if self._tree is None:
            return
        self._take_out(_NOTE + "HasExtendedXMP")
        home = next(iter([self._tree] if self._tree.tag == _RDF + "RDF" else self._tree.iter(_RDF + "RDF")), None)
        if home is not None:
            for rdf in further.iter(_RDF + "RDF"):
                home.extend(list(rdf))
            self._changed = True

    def _elements(self) -> Iterator[ElementTree.Element]:
        return iter(()) if self._tree is None else self._tree.iter()

    def _take_out(self, name: str) -> bool:
        found = False
        for owner in self._elements():
            if owner.attrib.pop(name, None) is not None:
                found = True
            for child in [c for c in owner if c.tag == name]:
                owner.remove(child)
                found = True
        self._changed |= found
        return found

    def _take_out_all(self, space: str) -> bool:
        names = {name for owner in self._elements() for name in (*owner.attrib, *(child.tag for child in owner))}
        found = [self._take_out(name) for name in names if isinstance(name, str) and name.startswith(space)]
        return any(found)

    def _values(self, name: str) -> Iterator[tuple[ElementTree.Element, str, str]]:
        """(element, attribute or "", value) of every simple property of this name."""
        for owner in self._elements():
            if name in owner.attrib:
                yield owner, name, owner.attrib[name]
            if owner.tag == name and len(owner) == 0:
                yield owner, "", owner.text or ""

    def _set(self, name: str, value: str) -> None:
        for owner, attribute, _ in list(self._values(name)):
            self._store(owner, attribute, value)

    def _store(self, owner: ElementTree.Element, attribute: str, value: str) -> None:
        if attribute:
            owner.set(attribute, value)
        else:
            owner.text = value
        self._changed = True

    def _exchange(self, one: str, other: str) -> None:
        first, second = list(self._values(one)), list(self._values(other))
        if first and second:
            self._set(one, second[0][2])
            self._set(other, first[0][2])

    def _subject(self, to: Placement) -> None:
        for name in ("SubjectArea", "SubjectLocation"):
            for owner in [e for e in self._elements() if e.tag == _EXIF + name]:
                items = list(owner.iter(_RDF + "li"))
                values = _numbers(item.text for item in items)
                if len(values) in (2, 3, 4):
                    for item, value in zip(items, area_of(values, to), strict=True):
                        item.text = str(round(value))
                    self._changed = True

    def _panorama(self, to: Placement) -> None:
        names = ("FullPano{}Pixels", "CroppedAreaImage{}Pixels", "LargestValidInteriorRect{}")
        across = [*(n.format("Width") for n in names), "CroppedAreaLeftPixels", "LargestValidInteriorRectLeft"]
        down = [*(n.format("Height") for n in names), "CroppedAreaTopPixels", "LargestValidInteriorRectTop"]
        for side, group in enumerate((across, down)):
            for name in group:
                for owner, attribute, value in list(self._values(_PANORAMA + name)):
                    if pixels := _numbers([value]):
                        self._store(owner, attribute, str(round(pixels[0] * to.factors[side])))

    def _people(self, owner: ElementTree.Element, to: Placement) -> None:
        """Faces by Microsoft: rectangles by their corner, in parts of the sides."""
        for name, holder in [(n, owner) for n in owner.attrib] + [("", c) for c in owner]:
            tag, value = (name, owner.attrib[name]) if name else (holder.tag, holder.text or "")
            if tag == _PEOPLE + "Rectangle" and len(values := _numbers(value.split(","))) == 4:
                x, y, w, h = values
                centre = to.share(x + w / 2, y + h / 2)
                w, h = to.exchanged(w, h)
                corner = (centre[0] - w / 2, centre[1] - h / 2, w, h)
                self._store(holder, name, ", ".join(f"{v:.6f}" for v in corner))

    def _store_all(self, owner: ElementTree.Element, values: dict[str, str]) -> None:
        for name, value in values.items():
            child = owner.find(name)
            if child is not None:
                self._store(child, "", value)
            elif name in owner.attrib:
                self._store(owner, name, value)

    def _items(self, semantic: str) -> list[ElementTree.Element]:
        name = _ITEM + "Semantic"
        items = [e for e in self._elements() if e.tag == _CONTAINER + "Item"]
        return [e for e in items if (e.get(name) or e.findtext(name)) == semantic]

    def _take_out_items(self, semantic: str) -> bool:
        found = False
        for item in self._items(semantic):
            for sequence in list(self._elements()):
                for entry in [li for li in sequence if li.tag == _RDF + "li" and item in list(li.iter())]:
                    sequence.remove(entry)
                    found = True
        if found and len([e for e in self._elements() if e.tag == _CONTAINER + "Item"]) < 2:  # the picture itself
            self._take_out(_CONTAINER + "Directory")
        self._changed |= found
        return found


def area_of(values: list[float], to: Placement) -> list[float]:
    """EXIF's subject area: a point, a circle (with its diameter) or a rectangle (with its width and height)."""
    x, y = to.point(values[0], values[1])
    if len(values) == 3:
        return [x, y, values[2] * (to.factors[0] * to.factors[1]) ** 0.5]
    return [x, y, *to.extent(*values[2:])] if len(values) == 4 else [x, y]


def _parsed(packet: bytes) -> ElementTree.Element:
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise ValueError("it defines entities")
    begin = packet.find(b"<?xpacket")
    text = packet[begin:] if begin > 0 else packet
    for _, (prefix, uri) in ElementTree.iterparse(BytesIO(text), ["start-ns"]):
        if prefix and not re.fullmatch(r"ns\d+", prefix):
            ElementTree.register_namespace(prefix, uri)
    return ElementTree.fromstring(text)


def _text(tree: ElementTree.Element) -> bytes:
    return bytes(ElementTree.tostring(tree, "utf-8"))


def _numbers(texts: Iterable[str | None]) -> list[float]:
    try:
        return [float(text or "") for text in texts]
    except ValueError:
        return []


def _owners(tree: ElementTree.Element) -> list[ElementTree.Element]:
    return [owner for rdf in tree.iter(_RDF + "RDF") for owner in rdf]


def _divided(packet: bytes, moved: Collection[int]) -> tuple[bytes, bytes]:
    """The standard and the extended packet, with the parts of these numbers in the extended one."""
    first, rest = _parsed(packet), _parsed(packet)
    number, gone = 0, set(moved)
    for owner, other in zip(_owners(first), _owners(rest), strict=True):
        for part, same in zip(list(owner), list(other), strict=True):
            if number in gone:
                owner.remove(part)
            else:
                other.remove(same)
            number += 1
        other.attrib = {k: v for k, v in other.attrib.items() if k == _RDF + "about"}
    extended = _text(rest)
    _owners(first)[0].set(_NOTE + "HasExtendedXMP", md5(extended, usedforsecurity=False).hexdigest().upper())
    return _HEAD + _text(first) + _TAIL, extended

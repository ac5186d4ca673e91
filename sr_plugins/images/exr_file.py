"""What an OpenEXR file says beside its samples (OpenEXR File Layout): channels, windows, attributes, further parts."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import in_letters

MAGIC = b"v/1\x01"
_LONG_NAMES, _DEEP, _PARTS = 0x400, 0x800, 0x1000  # bits of the version field
_MOST = 1000
_HEAD = 8
_UINT = 0
_INTEGERS = struct.Struct("<4i")
# what the writer says itself, and what holds of the old file alone
_WRITTEN = {
    *("channels", "compression", "lineOrder", "type", "version", "tiles", "chunkCount", "name", "view"),
    *("dwaCompressionLevel", "multiView", "preview", "maxSamplesPerPixel", "dataWindow", "displayWindow"),
}
_TOLD = ("preview",)
_MAIN_LAYERS = ("", "combined", "beauty", "rgba", "rgb", "color")  # of Blender and others; "" has no name
# how imagecodecs gives channels of these names; it gives all others in the order of the file
_ORDERS = {frozenset("RGB"): "RGB", frozenset("RGBA"): "RGBA", frozenset("YA"): "YA"}
type Box = tuple[int, int, int, int]


class Channel(NamedTuple):
    """A channel of a part: its whole name, and the type of its samples."""

    name: str
    type: int

    @property
    def layer(self) -> str:
        """What stands before the last dot."""
        return self.name.rpartition(".")[0]

    @property
    def last(self) -> str:
        """What stands behind it, in capitals."""
        return self.name.rpartition(".")[2].upper()


@dataclass(frozen=True)
class ExrFile:
    """What the first part of a file says.

    Attributes:
        version: the version field with its bits.
        attributes: (type, value) by name.
        parts: names of the parts behind it.
    """

    version: int
    attributes: Mapping[bytes, tuple[bytes, bytes]]
    parts: tuple[str, ...] = ()

    @property
    def is_deep(self) -> bool:
        """Whether pixels hold several samples each."""
        return bool(self.version & _DEEP) or self.attributes.get(b"type", (b"", b""))[1].startswith(b"deep")

    @property
    def channels(self) -> tuple[Channel, ...]:
        """In the order of the file."""
        found: list[Channel] = []
        rest = self.attributes.get(b"channels", (b"", b""))[1]
        while rest[:1] not in (b"", b"\0") and len(found) < _MOST:
            name, _, rest = rest.partition(b"\0")
            found.append(Channel(in_letters(name), int.from_bytes(rest[:4], "little")))
            rest = rest[16:]
        return tuple(found)

    def colours(self) -> tuple[list[int], list[str]]:
        """Which bands of what imagecodecs gives are the picture, alpha last, and names of the channels that are not.

        Raises:
            ImageError: none are colours or gray.
        """
        channels = self.channels
        names = {channel.name: channel for channel in channels}
        if order := _ORDERS.get(frozenset(names)):
            channels = tuple(names[name] for name in order)
        layers = dict.fromkeys(sorted((c.layer for c in channels), key=_is_further))
        for wanted in (("R", "G", "B"), ("Y",)):
            for layer in layers:
                bands = {c.last: number for number, c in enumerate(channels) if c.layer == layer}
                if not set(wanted) <= set(bands) or (wanted == ("Y",) and {"X", "Z", "RY", "BY"} & set(bands)):
                    continue
                chosen = [bands[last] for last in (*wanted, "A") if last in bands]
                if any(channels[number].type == _UINT for number in chosen):
                    raise ImageError("its colours are whole numbers: convert them to half or float first")
                return chosen, [c.name for number, c in enumerate(channels) if number not in chosen]
        if len(channels) == 1 and channels[0].type != _UINT:
            return [0], []
        if {"Y", "RY", "BY"} <= {channel.last for channel in channels}:
            raise ImageError(
                "its colours are stored as luminance and chroma (Y, RY, BY): convert it to R, G and B first"
            )
        raise ImageError(f"none of its channels are colours ({in_few(list(names))}): name them R, G and B, or Y, first")

    @property
    def unlike_gray(self) -> str | None:
        """The name of its only channel, where that is something else than gray, as depth is."""
        channels = self.channels
        return channels[0].name if len(channels) == 1 and channels[0].last != "Y" else None

    def left_out(self) -> list[str]:
        """Names of attributes that another format has no place for."""
        usual = _WRITTEN - set(_TOLD) | {"pixelAspectRatio", "screenWindowCenter", "screenWindowWidth"}
        return [told for name in self.attributes if (told := in_letters(name)) not in usual]

    @property
    def is_placed(self) -> bool:
        """Whether the picture is a part of its frame, or reaches beyond it."""
        return self._window(b"dataWindow") != self._window(b"displayWindow")

    def _window(self, name: bytes) -> Box:
        value = self.attributes.get(name, (b"", b""))[1]
        left, top, right, bottom = _INTEGERS.unpack(value) if len(value) == _INTEGERS.size else (0, 0, 0, 0)
        return left, top, right, bottom

    def described(self, exr: bytes) -> bytes:
        """``exr``, an enlargement as imagecodecs writes it, with these attributes and in its place in the frame."""
        new, begins = _header(exr, _HEAD)
        place = self._window(b"dataWindow")
        size = _INTEGERS.unpack(new[b"dataWindow"][1])
        across = (size[2] + 1) / max(1, place[2] - place[0] + 1)
        down = (size[3] + 1) / max(1, place[3] - place[1] + 1)
        left, top = round(place[0] * across), round(place[1] * down)
        frame = self._window(b"displayWindow") if self.is_placed else place
        edges = (
            *(round(frame[0] * across), round(frame[1] * down)),
            *(round((frame[2] + 1) * across) - 1, round((frame[3] + 1) * down) - 1),
        )
        new |= {name: told for name, told in self.attributes.items() if in_letters(name) not in _WRITTEN}
        if len(self.channels) == 1:  # depth stays depth
            name = self.attributes[b"channels"][1].partition(b"\0")[0]
            kind, told = new[b"channels"]
            new[b"channels"] = kind, name + told[told.index(b"\0") :]
        new[b"dataWindow"] = b"box2i", _INTEGERS.pack(left, top, left + size[2], top + size[3])
        new[b"displayWindow"] = b"box2i", _INTEGERS.pack(*edges)
        head = b"".join(b"%s\0%s\0%s%s" % (n, k, struct.pack("<I", len(v)), v) for n, (k, v) in new.items()) + b"\0"
        version = int.from_bytes(exr[4:8], "little") | self.version & _LONG_NAMES
        (first,) = struct.unpack_from("<Q", exr, begins)
        offsets = struct.unpack_from(f"<{(first - begins) // 8}Q", exr, begins)
        moved = _HEAD + len(head) - begins
        body = bytearray(exr[first:])
        for offset in offsets:  # every block begins with its first line's place
            (line,) = struct.unpack_from("<i", body, offset - first)
            struct.pack_into("<i", body, offset - first, line + top)
        table = struct.pack(f"<{len(offsets)}Q", *(offset + moved for offset in offsets))
        return exr[:4] + struct.pack("<I", version) + head + table + body


def read_exr(exr: bytes) -> ExrFile:
    """What a file says; parts behind the first by their names."""
    version = int.from_bytes(exr[4:8], "little")
    attributes, at = _header(exr, _HEAD)
    parts: list[str] = []
    while version & _PARTS and exr[at : at + 1] != b"\0" and at < len(exr) and len(parts) < _MOST:
        further, at = _header(exr, at)
        parts.append(in_letters(further.get(b"name", (b"", b"?"))[1]))
    return ExrFile(version, attributes, tuple(parts))


def _header(exr: bytes, at: int) -> tuple[dict[bytes, tuple[bytes, bytes]], int]:
    """The attributes of a part, and where what follows begins."""
    found: dict[bytes, tuple[bytes, bytes]] = {}
    for name, kind, value, end in _attributes(exr, at):
        found[name] = kind, value
        at = end
    return found, at + 1


def _attributes(exr: bytes, at: int) -> Iterator[tuple[bytes, bytes, bytes, int]]:
    for _ in range(_MOST):
        name, _, rest = exr[at : at + 600].partition(b"\0")
        kind, _, _ = rest.partition(b"\0")
        at += len(name) + len(kind) + 2
        if not name or at + 4 > len(exr):
            return
        (size,) = struct.unpack_from("<I", exr, at)
        at += 4 + size
        yield name, kind, exr[at - size : at], at


def _is_further(layer: str) -> tuple[int, str]:
    last = layer.rpartition(".")[2].lower()
    return (_MAIN_LAYERS.index(last) if last in _MAIN_LAYERS else len(_MAIN_LAYERS)), layer


def in_few(names: Sequence[str], most: int = 8) -> str:
    """The first names of a list, and how many there are."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"

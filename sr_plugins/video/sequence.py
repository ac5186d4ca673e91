"""Films that are numbered pictures, such as ``frame_%05d.png``: found, read by ffmpeg as one film, and written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import Container

DEFAULT_RATE = Fraction(25)  # ffmpeg's
FIRST = 1  # number of the first picture that is written, as ffmpeg counts
# The place of the number among other letters; %% is a % of the name.
_PLACE = re.compile(r"((?:[^%]|%%)*)%(?:0(\d+))?d((?:[^%]|%%)*)")
_NAME = re.compile(r"(.*?)(\d+)(\D*\.\w+)")
# How pictures are written, by their ending.
_ENCODERS: dict[str, tuple[str, ...]] = {
    "png": ("png",),
    "jpg": ("mjpeg", "-q:v", "2"),
    "jpeg": ("mjpeg", "-q:v", "2"),
    "tif": ("tiff",),
    "tiff": ("tiff",),
    "bmp": ("bmp",),
    "dpx": ("dpx",),
}
_READ = {*_ENCODERS, "webp", "exr", "tga", "jp2", "ppm", "pgm"}


def is_picture(path: Path) -> bool:
    """Whether a file of this name can be one of numbered pictures."""
    return path.suffix.lower().removeprefix(".") in _READ


def is_sequence(path: Path) -> bool:
    """Whether this names numbered pictures; a file that is really called so is itself."""
    return is_picture(path) and _PLACE.fullmatch(path.name) is not None and not path.exists()


def picture_container(pattern: Path) -> Container:
    """How numbered pictures are written.

    Raises:
        PipeError: not this kind.
    """
    ending = pattern.suffix.lower().removeprefix(".")
    if ending not in _ENCODERS:
        raise PipeError(f"{pattern}: such pictures are not written here: use .{', .'.join(_ENCODERS)}")
    return Container(muxer="image2", codecs=frozenset(), encoder=_ENCODERS[ending])


@dataclass(frozen=True)
class Numbered:
    """Pictures of one pattern, without a gap from the number ``first`` on, shown ``rate`` times a second."""

    pattern: Path
    first: int
    count: int
    rate: Fraction

    @classmethod
    def found(cls, pattern: Path, rate: Fraction) -> Numbered:
        """Look for the pictures.

        Raises:
            PipeError: there is none, or one is missing among them.
        """
        numbers = sorted(_matching(pattern))
        if not numbers:
            raise PipeError(f"{pattern}: there is no such picture")
        if missing := next((a + 1 for a, b in pairwise(numbers) if b != a + 1), None):
            told = f"{picture(pattern, missing)} is missing among {len(numbers)} pictures"
            raise PipeError(f"{told}: put it there, or number the others without a gap")
        return cls(pattern, numbers[0], len(numbers), rate)

    @property
    def given(self) -> dict[str, str]:
        """Options with which ffmpeg reads them."""
        rate = f"{self.rate.numerator}/{self.rate.denominator}"
        first = str(self.first)
        return {"format": "image2", "pattern_type": "sequence", "framerate": rate, "start_number": first}

    def digest(self) -> str:
        """A hash of all pictures, in order."""
        state = hashlib.blake2b()
        for number in range(self.first, self.first + self.count):
            with picture(self.pattern, number).open("rb") as file:
                state.update(hashlib.file_digest(file, "blake2b").digest())
        return state.hexdigest()[:32]


def film_name(pattern: Path) -> str:
    """What a film of these pictures is called, without an ending: the letters before the number."""
    parts = _PLACE.fullmatch(pattern.name)
    return (parts[1].replace("%%", "%").rstrip("_-. ") if parts else pattern.stem) or "film"


def picture(pattern: Path, number: int) -> Path:
    """The picture of this number."""
    return pattern.with_name(pattern.name % number)


def existing(pattern: Path) -> Path | None:
    """The first picture of this pattern that is there."""
    return next((picture(pattern, number) for number in sorted(_matching(pattern))), None)


def pattern_of(pictures: Iterable[Path]) -> Path:
    """The pattern that names exactly these pictures of one folder.

    Raises:
        PipeError: they are not numbered alike, or others beside them are numbered so too.
    """
    files = sorted(pictures)
    found: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        if (parts := _NAME.fullmatch(path.name)) is None:
            raise PipeError(f"{path} has no number: the pictures of a film are called like frame_00001.png")
        found.setdefault((parts[1], parts[3]), []).append(path)
    if len(found) > 1:
        one, other = [paths[0] for paths in found.values()][:2]
        raise PipeError(f"{one} and {other} are not numbered alike: name the pictures of one film")
    ((before, after),) = found
    digits = {len(path.name) - len(before) - len(after) for path in files}
    padded = any(path.name[len(before)] == "0" and len(path.name) > len(before + after) + 1 for path in files)
    place = f"%{f'0{min(digits)}' if padded else ''}d"
    pattern = files[0].with_name(place.join(part.replace("%", "%%") for part in (before, after)))
    if {picture(pattern, number) for number in _matching(pattern)} != set(files):
        raise PipeError(f"{pattern}: more pictures are numbered so, or some otherwise: --start and --end take a part")
    return pattern


def _matching(pattern: Path) -> list[int]:
    """Numbers of the pictures that are there."""
    parts = _PLACE.fullmatch(pattern.name)
    if parts is None or not pattern.parent.is_dir():
        return []
    before, after = (re.escape(part.replace("%%", "%")) for part in (parts[1], parts[3]))
    name = re.compile(f"{before}(\\d+){after}")
    found = [(int(n[1]), path) for path in pattern.parent.iterdir() if (n := name.fullmatch(path.name))]
    return [number for number, path in found if path.name == pattern.name % number]

"""What becomes of all picture files in folders: ``python benchmarks/many_pictures.py FOLDER... [--model nearest]``.

Every file that is a picture by its ending is enlarged into a temporary folder. The table counts
what was done, refused with one line, and what no program should do: a traceback, no answer in time, or a tag
of exiftool's that is gone or changed without a line about it. ``--list`` names every file that is not simply done.

What is asked is what becomes of files, not how good they look: ``--model nearest`` does it quickest. Pictures of more
than ``--most-pixels`` in all frames are counted as left out.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import SRError, one_line
from sr_plugins.images.files import count_pictures, open_image, upscale_file
from sr_plugins.images.formats import format_of
from sr_plugins.images.further_formats import cure_for, register

# what says how pixels are stored or how large they are, and what must change: orientation, thumbnails, sizes
STORED = (
    *("File:", "System:", "Composite:", "ExifTool:", "SourceFile", "IFD1:", "PNG:", "GIF:", "ICC", "MPF", "MPImage"),
    "Track",
    *(
        "JFIF:",
        "RIFF:",
        "Meta:",
        "Adobe:",
        "AdobeCM:",
        "PNG-pHYs:",
        "QuickTime:",
        "Jpeg2000:",
        "Photoshop:",
        "OpenEXR:",
    ),
    *("XMP-GPano:", "XMP-mwg-rs:", "Ducky:Quality"),
)
CHANGES = {
    *("ImageWidth", "ImageHeight", "ImageLength", "Orientation", "Compression", "StripOffsets", "StripByteCounts"),
    *("RowsPerStrip", "Predictor", "BitsPerSample", "SamplesPerPixel", "PhotometricInterpretation", "ExtraSamples"),
    *("PlanarConfiguration", "SampleFormat", "TileWidth", "TileLength", "TileOffsets", "TileByteCounts", "FillOrder"),
    *("ExifImageWidth", "ExifImageHeight", "RelatedImageWidth", "RelatedImageHeight", "SubfileType", "ColorMap"),
    *("FocalPlaneXResolution", "FocalPlaneYResolution", "SubjectArea", "SubjectLocation", "PixelScale"),
    *("ThumbnailImage", "ThumbnailTIFF", "ThumbnailOffset", "ThumbnailLength", "PreviewImage", "PreviewImageStart"),
    *("XMPToolkit", "HasExtendedXMP", "DirectoryItemLength", "JPEGTables", "T4Options", "T6Options"),
    *("PreviewImageLength", "InkSet", "ReferenceBlackWhite", "ModelTransform", "ModelTiePoint", "PageNumber"),
    *(
        "MinSampleValue",
        "MaxSampleValue",
        "SMinSampleValue",
        "SMaxSampleValue",
        "YCbCrPositioning",
        "YCbCrSubSampling",
        "YCbCrCoefficients",
        "OldSubfileType",
    ),
}


class Lines(logging.Handler):
    """What the run says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def pictures(folder: Path) -> Iterator[Path]:
    """Files whose ending Pillow, or a plug-in of it, knows, and those that ``srp image`` refuses by name."""
    register()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (path.suffix.lower() in Image.EXTENSION or cure_for(path)):
            yield path


class ExifTool:
    """Metadata by exiftool's word, from one process; none where it is not installed."""

    def __init__(self) -> None:
        command = ["exiftool", "-stay_open", "True", "-@", "-"]
        pipe = subprocess.PIPE
        self._process = (
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            if shutil.which("exiftool")
            else None
        )

    def tags_of(self, path: Path) -> dict[str, Any]:
        if self._process is None:
            return {}
        assert self._process.stdin
        assert self._process.stdout
        asked = f"-j\n-n\n-G1\n{path}\n-execute\n"
        self._process.stdin.write(os.fsencode(asked))
        self._process.stdin.flush()
        told = bytearray()
        while not told.endswith(b"{ready}\n"):
            line = self._process.stdout.readline()
            if not line:
                raise SystemExit("exiftool has ended")
            told += line
        told = told.removesuffix(b"{ready}\n")
        return _in_inches(json.loads(told.decode("utf-8", "replace"))[0]) if told.strip() else {}

    def changed(self, source: Path, target: Path) -> list[str]:
        """Tags that are gone or say something else."""
        before, after = self.tags_of(source), self.tags_of(target)
        kept = {k: v for k, v in before.items() if not k.startswith(STORED) and k.split(":")[-1] not in CHANGES}
        by_name = {k.split(":")[-1]: v for k, v in after.items()}
        return [
            name
            for name, value in kept.items()
            if after.get(name, by_name.get(name.split(":")[-1])) != value
            and not str(value).startswith('{"shape"')  # tifffile's note of how it laid the samples out
        ]


def _in_inches(tags: dict[str, Any]) -> dict[str, Any]:
    """Resolutions in dots per inch, without those that say nothing."""
    for unit in [name for name in tags if name.endswith(":ResolutionUnit")]:
        group = unit.split(":")[0]
        if tags[unit] == 3:
            tags[unit] = 2
            for name in (f"{group}:XResolution", f"{group}:YResolution"):
                tags[name] = value * 2.54 if isinstance(value := tags.get(name), int | float) else value
        if tags.get(f"{group}:XResolution") in (0, 1):  # which says nothing
            del tags[unit]
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in tags.items()
        if not (name.endswith(("XResolution", "YResolution")) and value in (0, 1))
    }


def pixels_of(path: Path) -> int:
    """Pixels in all frames by what the file says; 0 where it cannot be told, which is found out when it is read."""
    try:
        with open_image(path) as image:
            return image.width * image.height * count_pictures(image)
    except Exception:
        return 0


def one(
    path: Path, folder: Path, upscaler: Upscaler, lines: Lines, exiftool: ExifTool, seconds: int
) -> tuple[str, str]:
    """What became of a file, and in words how."""
    lines.lines.clear()
    suffix = path.suffix.lower()
    try:
        format_of(Path("x" + suffix))
    except SRError:
        suffix = ".png"
    target = folder / f"out{suffix}"
    target.unlink(missing_ok=True)
    outcome: list[tuple[str, str]] = []

    def work() -> None:
        try:
            upscale_file(path, target, upscaler)
            outcome.append(("done", ""))
        except SRError as error:
            outcome.append(("refused", one_line(error)))
        except BaseException:
            outcome.append(("traceback", traceback.format_exc(limit=-3)))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        return "no answer", f"within {seconds} s"
    if outcome[0][0] == "done":
        differs = exiftool.changed(path, target)
        if differs and not lines.lines:
            return "changed in silence", ", ".join(differs[:8])
        return ("done, with a line" if lines.lines else "done"), "; ".join(lines.lines)
    return outcome[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--most-pixels", type=int, default=1 << 30)
    parser.add_argument("--seconds", type=int, default=60, help="after which a picture has given no answer")
    parser.add_argument("--list", action="store_true", help="name every file that is not simply done")
    chosen = parser.parse_args()
    lines, exiftool = Lines(), ExifTool()
    logging.getLogger("sr_plugins").addHandler(lines)
    logging.getLogger("sr_plugins").propagate = False
    counts: Counter[tuple[str, str]] = Counter()
    outcomes = ["done", "done, with a line", "refused", "changed in silence", "traceback", "no answer", "left out"]
    with Upscaler(chosen.model) as upscaler, tempfile.TemporaryDirectory() as temporary:
        for folder in chosen.folders:
            for path in pictures(folder):
                if pixels_of(path) > chosen.most_pixels:
                    counts[folder.name, "left out"] += 1
                    continue
                outcome, words = one(path, Path(temporary), upscaler, lines, exiftool, chosen.seconds)
                counts[folder.name, outcome] += 1
                if chosen.list and outcome != "done":
                    print(f"{outcome}: {path}: {words}", flush=True)
    print("| folder | files | " + " | ".join(outcomes) + " |")
    print("|---|---|" + "---|" * len(outcomes))
    for folder in [folder.name for folder in chosen.folders]:
        found = [counts[folder, outcome] for outcome in outcomes]
        print(f"| {folder} | {sum(found)} | " + " | ".join(map(str, found)) + " |")


if __name__ == "__main__":
    main()

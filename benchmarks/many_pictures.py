"""What becomes of all picture files in a folder: ``python benchmarks/many_pictures.py FOLDER [--model tiny]``.

Every file that is one by its ending, and every file without one, is enlarged into a temporary folder. The table counts
what was done, refused with one line, and what no program should do: a traceback, no answer within a minute, or a tag
of exiftool's that is gone or changed without a line about it. Lists of refused and changed files follow with --list.
"""

from __future__ import annotations

import argparse
import json
import logging
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
from sr_plugins.images.files import upscale_file
from sr_plugins.images.formats import format_of
from sr_plugins.images.further_formats import cure_for, register

SECONDS = 60
# what says how pixels are stored or how large they are, and what must change: orientation, thumbnails, sizes
STORED = (
    *("File:", "System:", "Composite:", "ExifTool:", "SourceFile", "IFD1:", "PNG:", "GIF:", "ICC", "MPF", "MPImage"),
    *("JFIF:", "RIFF:", "Meta:", "APP14:", "PNG-pHYs:", "QuickTime:", "Jpeg2000:", "Photoshop:"),
)
CHANGES = (
    *("ImageWidth", "ImageHeight", "ImageLength", "Orientation", "Compression", "StripOffsets", "StripByteCounts"),
    *("RowsPerStrip", "Predictor", "BitsPerSample", "SamplesPerPixel", "PhotometricInterpretation", "ExtraSamples"),
    *("PlanarConfiguration", "SampleFormat", "TileWidth", "TileLength", "TileOffsets", "TileByteCounts", "FillOrder"),
    *("ExifImageWidth", "ExifImageHeight", "RelatedImageWidth", "RelatedImageHeight", "SubfileType", "ColorMap"),
    *(
        "FocalPlaneXResolution",
        "FocalPlaneYResolution",
        "SubjectArea",
        "SubjectLocation",
        "PixelScale",
        "ThumbnailImage",
    ),
    *("ThumbnailOffset", "ThumbnailLength", "XMPToolkit", "PreviewImage", "PreviewImageStart", "YCbCrPositioning"),
    *("YCbCrSubSampling", "YCbCrCoefficients", "OldSubfileType", "JPEGTables", "T4Options", "T6Options"),
)


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


def tags_of(path: Path) -> dict[str, Any]:
    """Metadata by exiftool's word; none where it is not installed."""
    if not shutil.which("exiftool"):
        return {}
    told = subprocess.run(["exiftool", "-j", "-n", "-G1", str(path)], capture_output=True, check=False).stdout
    return dict(json.loads(told)[0]) if told else {}


def changed(source: Path, target: Path) -> list[str]:
    """Tags that are gone or say something else."""
    before, after = tags_of(source), tags_of(target)
    kept = {k: v for k, v in before.items() if not k.startswith(STORED) and k.split(":")[-1] not in CHANGES}
    by_name = {k.split(":")[-1]: v for k, v in after.items()}
    return [k for k, v in kept.items() if after.get(k, by_name.get(k.split(":")[-1])) != v]


def one(path: Path, folder: Path, upscaler: Upscaler, lines: Lines) -> tuple[str, str]:
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
    thread.join(SECONDS)
    if not outcome:
        return "no answer", f"within {SECONDS} s"
    if outcome[0][0] == "done":
        differs = changed(path, target)
        if differs and not lines.lines:
            return "changed in silence", ", ".join(differs[:8])
        return ("done, with a line" if lines.lines else "done"), "; ".join(lines.lines)
    return outcome[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--list", action="store_true", help="name every file that is not simply done")
    chosen = parser.parse_args()
    lines = Lines()
    logging.getLogger("sr_plugins").addHandler(lines)
    logging.getLogger("sr_plugins").propagate = False
    counts: Counter[tuple[str, str]] = Counter()
    with Upscaler(chosen.model) as upscaler, tempfile.TemporaryDirectory() as folder:
        for path in pictures(chosen.folder):
            outcome, words = one(path, Path(folder), upscaler, lines)
            counts[path.suffix.lower(), outcome] += 1
            if chosen.list and outcome != "done":
                print(f"{outcome}: {path.relative_to(chosen.folder)}: {words}", flush=True)
    outcomes = ["done", "done, with a line", "refused", "changed in silence", "traceback", "no answer"]
    print("| ending | " + " | ".join(outcomes) + " |")
    print("|---|" + "---|" * len(outcomes))
    for ending in sorted({ending for ending, _ in counts}):
        print(f"| {ending} | " + " | ".join(str(counts[ending, outcome]) for outcome in outcomes) + " |")
    print(
        "| all | "
        + " | ".join(str(sum(n for (_, o), n in counts.items() if o == outcome)) for outcome in outcomes)
        + " |"
    )


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# The flat picture of a PSD in run-length code (PackBits, what Photoshop writes) begins with the packed length of each row of
# all channels, selections and spot colours among them; then come the rows (Adobe Photoshop File Formats Specification, "Image
# Data Section"). Pillow reads the lengths of its colours alone, and takes those of the further channels for packed samples:
# a document with a saved selection, a common thing, comes out scrambled.
#
# Seen with Pillow 13.0.0 on gray with a selection, and R'G'B' with two, of 64 rows of one value each: no row of any band is
# right, and nothing is raised. Gray 10, 13, 16, 19 comes as 4, 10, 13, 16, red as 4, 4, 10, 13.
# psd-tools 1.26.0 and OpenImageIO 3.2.2 read both as they are; so does Pillow if they are not packed, or have no selections.
# Expected: the samples that were stored. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install pillow==13.0.0 psd-tools==1.26.0 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import struct
import sys
from itertools import pairwise

import numpy as np
import PIL
from PIL import Image
from psd_tools import PSDImage

HEIGHT, WIDTH = 64, 64
GRAY, RGB = 1, 3  # colour modes
rows = np.arange(10, 10 + 3 * HEIGHT, 3, np.uint8)
bands = np.stack([rows, rows + 1, rows + 2]).repeat(WIDTH, 1).reshape(3, HEIGHT, WIDTH)
selection = np.zeros((HEIGHT, WIDTH), np.uint8)
selection[:, WIDTH // 2 :] = 255


def packed(row: bytes) -> bytes:
    """PackBits: runs of one byte."""
    starts = [0, *(n for n in range(1, len(row)) if row[n] != row[n - 1]), len(row)]
    return b"".join(bytes([257 - (end - n) & 255, row[n]]) for n, end in pairwise(starts))


def write(name: str, mode: int, channels: list[np.ndarray], selections: int, pack: bool) -> None:
    """A flat document without layers; the selections have their names (resource 1006), as Photoshop gives them."""
    names = b"".join(b"\x07Alpha %d" % (n + 1) for n in range(selections))
    resources = b"8BIM" + struct.pack(">HHI", 1006, 0, len(names)) + names + bytes(len(names) % 2) if names else b""
    coded = [packed(row.tobytes()) for channel in channels for row in channel]
    if pack:
        data = b"".join(struct.pack(">H", len(row)) for row in coded) + b"".join(coded)
    else:
        data = b"".join(channel.tobytes() for channel in channels)
    with open(name, "wb") as file:
        file.write(b"8BPS" + struct.pack(">H6xHIIHH", 1, len(channels), HEIGHT, WIDTH, 8, mode))
        file.write(struct.pack(">II", 0, len(resources)) + resources + struct.pack(">IH", 0, pack) + data)


def read(mode: int, selections: int, pack: bool) -> tuple[bool, list[int], list[int]]:
    """Whether psd-tools gives what was stored; how many rows of each band Pillow does; how its first column begins."""
    colours = bands[:mode]  # 1 or 3 of them
    write("a.psd", mode, [*colours, *[selection] * selections], selections, pack)
    outside = np.rint(PSDImage.open("a.psd").numpy("color") * 255).transpose(2, 0, 1)
    with Image.open("a.psd") as picture:
        found = np.asarray(picture).reshape(HEIGHT, WIDTH, -1).transpose(2, 0, 1)
    return np.array_equal(outside, colours), (found == colours).all(2).sum(1).tolist(), found[0, :4, 0].tolist()


print("Pillow", PIL.__version__, "of rows that begin", rows[:4].tolist())
same = True
for mode in (GRAY, RGB):
    for selections in (0, mode // 2 + 1):
        for pack in (False, True):
            outside, right, begin = read(mode, selections, pack)
            print(f"{mode} colours, {selections} selections, packed {pack}: psd-tools right {outside}", end=", ")
            print("right rows by Pillow", right, "which begin", begin)
            same &= outside and right == [0 if selections and pack else HEIGHT] * mode
sys.exit(not same)
PYTHON

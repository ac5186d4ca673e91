#!/usr/bin/env bash
# TIFF may hold whole numbers of 24 bits. In a big-endian file ("MM") TIFF 6.0 leaves no doubt how they lie there: the most
# significant byte first, whether one thinks of bytes in the file's order or of bits packed from high to low.
# tifffile gives them as uint32 with their bytes turned round and shifted: neither the numbers nor their order survive, and
# nothing is raised. In a little-endian file it reads the bytes as big-endian ones, where libtiff takes them in the file's order.
#
# Seen with tifffile 2026.11.8, imagecodecs 2026.10.10: 0, 2^23, 2^24 - 1, 77 of a big-endian file come out as 0x0, 0x8000,
# 0xffffff00, 0x4d000000: 77 is larger than 2^23. Expected: the numbers, in 32 bits.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install tifffile==2026.11.8 imagecodecs==2026.10.10
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import struct
import sys

import tifffile

print("tifffile", tifffile.__version__)
VALUES = [0, 1 << 23, (1 << 24) - 1, 77]


def read(order: str) -> list[int]:
    """One row of the values, gray, not compressed; every field a LONG."""
    samples = b"".join(value.to_bytes(3, "big" if order == ">" else "little") for value in VALUES)
    fields = {256: 4, 257: 1, 258: 24, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 12}
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 20)
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in fields.items())
    with open("in.tif", "wb") as file:
        file.write(head + samples + struct.pack(order + "H", len(fields)) + entries + bytes(4))
    return tifffile.imread("in.tif").ravel().tolist()


found = {order: read(order) for order in "><"}
for order, values in found.items():
    print(order, "read:", [hex(value) for value in values], "written:", [hex(value) for value in VALUES])
sys.exit(found[">"] != [0, 0x8000, 0xFFFFFF00, 0x4D000000] or found["<"] == VALUES)
PYTHON

#!/usr/bin/env bash
# Frames of an APNG may be interlaced as its IHDR says (PNG, third edition, 8.2 and 11.3.6.3). Pillow reads the first such frame and
# refuses every other with a TypeError: each load appends "interlaced" to the decoder's settings once more, and the decoder takes it
# as an argument too many. The same file without interlacing opens.
#
# Seen with Pillow 13.0.0: "function takes at most 3 arguments (4 given)". ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) reads both frames.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install pillow==13.0.0 imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import struct
import subprocess
import sys
import zlib

import imageio_ffmpeg
import PIL
from PIL import Image

SIDE = 8
PASSES = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))  # width and height of each, of a picture of 8 x 8


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def control(number):
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, SIDE, SIDE, 0, 0, 1, 10, 0, 0))


def pixels(value, interlaced):
    passes = PASSES if interlaced else ((SIDE, SIDE),)
    return zlib.compress(b"".join((b"\0" + bytes([value]) * width) * height for width, height in passes))


def written(name, interlaced):
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, interlaced))
    content += chunk(b"acTL", struct.pack(">II", 2, 0)) + control(0) + chunk(b"IDAT", pixels(50, interlaced))
    content += control(1) + chunk(b"fdAT", struct.pack(">I", 2) + pixels(200, interlaced)) + chunk(b"IEND", b"")
    open(name, "wb").write(content)


def by_pillow(name):
    image = Image.open(name)
    found = []
    for number in range(2):
        try:
            image.seek(number)
            found.append(image.convert("L").getpixel((4, 4)))
        except TypeError as error:
            found.append(str(error))
    return found


written("whole.png", 0)
written("interlaced.png", 1)
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "apng", "-i", "interlaced.png", "-fps_mode", "passthrough"]
raw = subprocess.run([*command, "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
plain, interlaced, by_ffmpeg = by_pillow("whole.png"), by_pillow("interlaced.png"), [raw[0], raw[SIDE * SIDE]]
print(f"Pillow {PIL.__version__}: {plain}; interlaced: {interlaced}; ffmpeg, interlaced: {by_ffmpeg}")
sys.exit(not (plain == by_ffmpeg == [50, 200] and interlaced[0] == 50 and "at most 3 arguments" in str(interlaced[1])))
PYTHON

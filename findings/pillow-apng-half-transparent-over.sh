#!/usr/bin/env bash
# An APNG frame with blend_op OVER is composed onto what is there (PNG, third edition, 11.3.6.2: as alpha blending in 13.16), so
# that something half transparent over something opaque is opaque. Pillow's reader pastes it with its own alpha as the mask,
# which mixes the alphas as it mixes colours: the pixel becomes half transparent, and shows the page behind it.
#
# Seen with Pillow 13.0.0: opaque red, then blue of alpha 128 by OVER: (127, 0, 128, 191). ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1):
# alpha 255.
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


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def control(number, blend):
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, SIDE, SIDE, 0, 0, 1, 10, 0, blend))


def pixels(colour):
    return zlib.compress((b"\0" + bytes(colour) * SIDE) * SIDE)


content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 6, 0, 0, 0))
content += chunk(b"acTL", struct.pack(">II", 2, 0))
content += control(0, 0) + chunk(b"IDAT", pixels((255, 0, 0, 255)))
content += control(1, 1) + chunk(b"fdAT", struct.pack(">I", 2) + pixels((0, 0, 255, 128)))
open("a.png", "wb").write(content + chunk(b"IEND", b""))

image = Image.open("a.png")
image.seek(1)
by_pillow = image.convert("RGBA").getpixel((4, 4))
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "apng", "-i", "a.png", "-fps_mode", "passthrough"]
raw = subprocess.run([*command, "-pix_fmt", "rgba", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
by_ffmpeg = tuple(raw[4 * SIDE * SIDE :][:4])
print(f"Pillow {PIL.__version__}: {by_pillow}; ffmpeg: {by_ffmpeg}")
sys.exit(not (by_pillow[3] < 200 and by_ffmpeg[3] == 255))
PYTHON

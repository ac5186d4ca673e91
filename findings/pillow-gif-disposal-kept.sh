#!/usr/bin/env bash
# In a GIF a frame whose disposal is 0, or which has no graphic control at all, is left where it is. Pillow's reader keeps the
# disposal of the frame before for it: behind a frame that is to be cleared (disposal 2), it clears the next one as well.
#
# Seen with Pillow 13.0.0: of four frames, all of them 8x8 or parts of it, disposals 0, 2, 0, 0, the third one draws a
# square that must still be there in the fourth, and is not. ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) shows it.
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

import imageio_ffmpeg
import PIL
from PIL import Image


def frame(index, box, disposal):
    """A rectangle of one colour, in codes of 3 bits: a clear code before each pair keeps them so short."""
    left, top, width, height = box
    bits, count = 0, 0
    codes = []
    for i in range(width * height):
        codes += [4] * (i % 2 == 0) + [index]
    for code in [*codes, 5]:
        bits |= code << count
        count += 3
    data = bits.to_bytes(-(-count // 8), "little")
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | 1, 10, 3, 0)
    image = struct.pack("<BHHHHB", 0x2C, left, top, width, height, 0)
    return control + image + b"\x02" + bytes([len(data)]) + data + b"\0"


palette = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
content = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x91, 0, 0) + palette
content += frame(0, (0, 0, 8, 8), 0) + frame(1, (0, 0, 4, 4), 2) + frame(2, (4, 4, 2, 2), 0) + frame(1, (0, 6, 2, 2), 0)
open("a.gif", "wb").write(content + b";")

image = Image.open("a.gif")
image.seek(3)
by_pillow = image.convert("RGB").getpixel((4, 4))
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "a.gif", "-fps_mode", "passthrough"]
raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
by_ffmpeg = tuple(raw[3 * 192 :][(4 * 8 + 4) * 3 :][:3])
print("Pillow", PIL.__version__, by_pillow, "ffmpeg", by_ffmpeg)
sys.exit(not (by_ffmpeg == (0, 255, 0) and by_pillow != by_ffmpeg))
PYTHON

#!/usr/bin/env bash
# Pillow shows X bitmaps (XBM) as negatives: it reads ones as white, where X11 draws them in the foreground. It writes
# them the same way round, so that nobody notices within Pillow.
#
# Seen with Pillow 13.0.0: of the byte 0x01 it makes one white pixel and seven black ones. ffmpeg (of imageio-ffmpeg
# 0.6.0), and netpbm's xbmtopbm and ImageMagick 7.1.2 (by hand), make one black pixel and seven white ones.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install pillow==13.0.0 imageio-ffmpeg==0.6.0
cd "$folder"
printf '#define a_width 8\n#define a_height 1\nstatic char a_bits[] = {\n 0x01 };\n' > a.xbm
venv/bin/python - <<'PYTHON'
import subprocess
import sys

import imageio_ffmpeg
import PIL
from PIL import Image

by_pillow = [Image.open("a.xbm").getpixel((x, 0)) for x in range(8)]
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "a.xbm", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
by_ffmpeg = list(subprocess.run(command, capture_output=True, check=True).stdout)
print("Pillow", PIL.__version__, by_pillow, "ffmpeg", by_ffmpeg)
sys.exit(not (by_pillow == [255] + [0] * 7 and by_ffmpeg == [0] + [255] * 7))
PYTHON

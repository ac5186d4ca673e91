#!/usr/bin/env bash
# Pillow reads no SGI picture as ffmpeg writes them by default, run-length coded: "buffer overrun when reading image file", of
# 8 and of 16 bits, gray and RGB, small and large. With "-rle 0" it reads them. ffmpeg reads its own back.
#
# Seen with Pillow 13.0.0 and ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1). Expected: the picture.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install pillow==13.0.0 imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
make() { "$ffmpeg" -v error -f lavfi -i testsrc=s=32x24 -frames:v 1 -pix_fmt "$1" -rle "$2" "$3"; }
make rgb24 1 rle8.sgi
make rgb24 0 raw8.sgi
make rgb48be 1 rle16.sgi
for file in rle8 raw8 rle16; do "$ffmpeg" -v error -i $file.sgi -pix_fmt rgb24 -f framemd5 - | tail -1 | cut -d, -f6; done
venv/bin/python - <<'PYTHON'
import sys

import PIL
from PIL import Image

found = {}
for name in ("rle8", "raw8", "rle16"):
    try:
        Image.open(f"{name}.sgi").load()
        found[name] = "read"
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
print("Pillow", PIL.__version__, found)
sys.exit(not (found["raw8"] == "read" and "overrun" in found["rle8"] and "overrun" in found["rle16"]))
PYTHON

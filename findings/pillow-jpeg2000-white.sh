#!/usr/bin/env bash
# Pillow makes black of white in colour JPEG 2000 of more than 8 bits: it adds one half before it drops the further bits,
# and what is then 256 is kept modulo 256. Gray of 16 bits (mode I;16) is right.
#
# Seen with Pillow 13.0.0: samples 65535, 65408 and 65407 of a file without loss come as 0, 0 and 255.
# Expected (ISO 15444-1; opj_decompress and imagecodecs give the samples as they are): 255, 254 or 255, 254 or 255.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install pillow==13.0.0 numpy==2.5.5 imagecodecs==2026.10.10
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import imagecodecs
import numpy as np
import PIL
from PIL import Image

samples = np.array([65535, 65408, 65407], np.uint16).repeat(256).reshape(3, 256, 1).repeat(16, 0).repeat(3, 2)
jp2 = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat="jp2")
exact = bool((imagecodecs.jpeg2k_decode(jp2) == samples).all())
with Image.open(io.BytesIO(jp2)) as picture:
    found = [int(v) for v in np.asarray(picture)[::16, 0, 0]]
print("Pillow", PIL.__version__, "makes", found, "of 65535, 65408, 65407; imagecodecs reads them exactly:", exact)
sys.exit(not (exact and found == [0, 0, 255]))
PYTHON

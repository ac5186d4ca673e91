#!/usr/bin/env bash
# Pillow scrambles an uncompressed gray TIFF that says it lies on its side (Orientation 5 to 8): it maps the file into
# memory with width and height exchanged. Modes L, P, I;16 and CMYK do it; RGB, and a file without a name, are right.
#
# Seen with Pillow 13.0.0: of the rows [0 1 2] [3 4 5] with Orientation 6 come [4 2 0] [5 3 1].
# Expected (TIFF 6.0): [3 0] [4 1] [5 2], as from a BytesIO.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install pillow==13.0.0 numpy==2.5.5 tifffile==2026.11.8
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image

rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
tifffile.imwrite("turned.tif", rows, photometric="minisblack", metadata=None, extratags=[(274, 3, 1, 6)])
by_name = np.asarray(Image.open("turned.tif")).tolist()
by_file = np.asarray(Image.open(io.BytesIO(open("turned.tif", "rb").read()))).tolist()
print("Pillow", PIL.__version__, "by name:", by_name, "from memory:", by_file)
sys.exit(not (by_file == [[3, 0], [4, 1], [5, 2]] and by_name != by_file))
PYTHON

#!/usr/bin/env bash
# imagecodecs gives JPEG XL of 9 to 15 bits as 16-bit numbers that are not scaled: white of 10 bits is 1023, nearly black for
# all that takes the array by its type. Nothing in what comes back tells it.
#
# Seen with imagecodecs 2026.10.10 (libjxl 0.12.0): a lossless gray picture of 10 bits, values 0, 512, 1023, decodes to
# uint16 0, 512, 1023; of 16 bits, 0, 32768, 65535 to 0, 32768, 65535. No argument or result of the decoder says how many
# bits there were. Expected: the full range of the type, or the bits beside it. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imagecodecs==2026.10.10 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys
from importlib.metadata import version

import imagecodecs
import numpy as np

found = {}
for bits, values in ((10, [0, 512, 1023]), (16, [0, 32768, 65535])):
    picture = np.tile(np.array(values, np.uint16), (8, 4))
    decoded = imagecodecs.jpegxl_decode(imagecodecs.jpegxl_encode(picture, lossless=True, bitspersample=bits))
    found[bits] = (str(decoded.dtype), decoded[0, :3].tolist())
print("imagecodecs", version("imagecodecs"), imagecodecs.jpegxl_version(), found)
sys.exit(found != {10: ("uint16", [0, 512, 1023]), 16: ("uint16", [0, 32768, 65535])})
PYTHON

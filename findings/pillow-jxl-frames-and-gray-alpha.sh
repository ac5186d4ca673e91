#!/usr/bin/env bash
# pillow-jxl-plugin (libjxl for Pillow) and two kinds of JPEG XL. Of an animation Image.open() gives the last frame, not the
# first one, and says nothing. Of gray with alpha in 16 bits it gives mode LA with samples that are in neither channel of
# the file: alpha is 65535 everywhere, and does not come out as 255. Gray, RGB and RGBA of 16 bits are right.
#
# Seen with pillow-jxl-plugin 1.3.8, Pillow 13.0.0; imagecodecs 2026.10.10 (libjxl, too) wrote the files and reads them whole:
# "animation: the first frame False, the last frame True", "LA16: mode LA, alpha right False".
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 pillow-jxl-plugin==1.3.8 imagecodecs==2026.10.10 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import io

import imagecodecs
import numpy as np
import pillow_jxl  # noqa: F401
from PIL import Image

rng = np.random.default_rng(0)
frames = rng.integers(0, 256, (3, 12, 16, 3)).astype(np.uint8)
data = imagecodecs.jpegxl_encode(frames, lossless=True)
assert (imagecodecs.jpegxl_decode(data) == frames).all()
seen = np.asarray(Image.open(io.BytesIO(data)))
first, last = bool((seen == frames[0]).all()), bool((seen == frames[-1]).all())
print(f"animation: the first frame {first}, the last frame {last}")

samples = rng.integers(0, 65536, (12, 16, 2)).astype(np.uint16)
samples[..., 1] = 65535
data = imagecodecs.jpegxl_encode(samples, lossless=True)
assert (imagecodecs.jpegxl_decode(data) == samples).all()
image = Image.open(io.BytesIO(data))
right = bool((np.asarray(image)[..., 1] == 255).all())
print(f"LA16: mode {image.mode}, alpha right {right}")
raise SystemExit(0 if (first, last, image.mode, right) == (False, True, "LA", False) else 1)
PYTHON

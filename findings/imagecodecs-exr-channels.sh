#!/usr/bin/env bash
# imagecodecs gives the channels of an OpenEXR file as R, G, B only where they are called exactly that. With a further
# channel (Z), or a layer's name before them (Blender's ViewLayer.Combined.R), they come in the order of the file, which is
# that of the alphabet: B, G, R. Nothing in what it returns says which.
#
# Seen with imagecodecs 2026.10.10 on files that OpenEXR 3.4 wrote: samples R 1, G 2, B 3 (Z 4) come as
# [1 2 3], with Z as [3 2 1 4], and as layer v as [3 2 1].
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imagecodecs==2026.10.10 numpy==2.5.5 "OpenEXR==3.4.*"
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys
from importlib.metadata import version

import imagecodecs
import numpy as np
import OpenEXR

VALUES = {"R": 1, "G": 2, "B": 3, "Z": 4}
found = []
for names in ("R G B", "R G B Z", "v.R v.G v.B"):
    channels = {name: np.full((2, 2), VALUES[name[-1]], np.float16) for name in names.split()}
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, channels).write("a.exr")
    found.append(imagecodecs.exr_decode(open("a.exr", "rb").read())[0, 0].astype(int).tolist())
print("imagecodecs", version("imagecodecs"), "OpenEXR", version("OpenEXR"), found)
sys.exit(found != [[1, 2, 3], [3, 2, 1, 4], [3, 2, 1]])
PYTHON

#!/usr/bin/env bash
# NUT, the container that ffmpeg's documentation recommends for raw video in pipes, tells the pixel format by a tag of four letters.
# For nv16, p010le, p210le and grayf32le ffmpeg has none: it writes the tag of "no format", without a warning, and reads it as
# rgb555le. The next program sees pictures of 15-bit RGB of the right size. nv12, yuv422p and yuv420p10le come back as they are;
# Matroska refuses the others when they are written.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1). Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import re
import subprocess
import sys

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LOST, KEPT = ("nv16", "p010le", "p210le", "grayf32le"), ("nv12", "yuv422p", "yuv420p10le")


def through_nut(name):
    made = [FFMPEG, "-v", "warning", "-y", "-f", "lavfi", "-i", "testsrc=s=64x48:d=0.1", "-c:v", "rawvideo"]
    done = subprocess.run([*made, "-pix_fmt", name, "a.nut"], capture_output=True, text=True, check=True)
    told = subprocess.run([FFMPEG, "-hide_banner", "-i", "a.nut"], capture_output=True, text=True).stderr
    return re.search(r"Video: rawvideo \([^)]*\), (\w+)", told)[1], done.stderr.strip()


seen = {name: through_nut(name) for name in LOST + KEPT}
for name, (found, said) in seen.items():
    print(f"{name}: {found}" + (f" ({said})" if said else ""))
right = all(seen[name] == ("rgb555le", "") for name in LOST) and all(seen[name] == (name, "") for name in KEPT)
sys.exit(not right)
PYTHON

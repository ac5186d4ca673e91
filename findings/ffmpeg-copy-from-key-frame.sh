#!/usr/bin/env bash
# ffmpeg -ss T -i film -c copy, with T exactly the time of a key frame, begins with that frame in MP4, and in Matroska if nothing is
# reordered. In Matroska with B-frames it begins one group of pictures earlier: where frames are reordered it asks for a time a little
# before T. So cutting at the times that ffprobe lists as key frames cuts elsewhere.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1), x264 with key frames every 10 of 50 frames, T = 0.8 s, the 21st: 40 frames are copied
# from Matroska with B-frames, 30 otherwise.
# Exits with 1 where this has changed.
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
QUIET = [FFMPEG, "-v", "error", "-y"]


def copied(suffix, reordered):
    film, part = f"film.{suffix}", f"part.{suffix}"
    coding = ["-c:v", "libx264", "-g", "10", "-keyint_min", "10", "-sc_threshold", "0", "-bf", str(reordered)]
    subprocess.run([*QUIET, "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=2", *coding, film], check=True)
    keys = subprocess.run([*QUIET, "-skip_frame", "nokey", "-i", film, "-fps_mode", "passthrough", "-f", "framecrc", "-"],
                          capture_output=True, text=True, check=True).stdout
    subprocess.run([*QUIET, "-ss", "0.8", "-i", film, "-c", "copy", part], check=True)
    counted = subprocess.run([FFMPEG, "-i", part, "-c", "copy", "-f", "null", "-"], capture_output=True, text=True).stderr
    return sum(not line.startswith("#") for line in keys.splitlines()), int(re.findall(r"frame=\s*(\d+)", counted)[-1])


seen = {(suffix, reordered): copied(suffix, reordered) for suffix in ("mkv", "mp4") for reordered in (0, 2)}
for (suffix, reordered), (keys, frames) in seen.items():
    print(f".{suffix}, {reordered} B-frames: {keys} key frames in the film, {frames} frames copied from the third one on")
sys.exit({name: frames for name, (_, frames) in seen.items()} != {("mkv", 0): 30, ("mkv", 2): 40, ("mp4", 0): 30, ("mp4", 2): 30})
PYTHON

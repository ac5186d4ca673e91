#!/usr/bin/env bash
# Matroska has no place for the layout of PCM's channels, and ffmpeg writes such a track without a word: what was quad comes back
# as 4.0 (its rear pair as a centre and a back centre), 3.0 as 2.1 (its centre as the bass). Samples are equal, so that no
# comparison of samples tells it; players send them to other speakers. MOV and WAV keep both layouts, FLAC in Matroska quad.
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


def made(layout, name, codec):
    sound = ["-f", "lavfi", "-i", f"anullsrc=cl={layout}:r=48000", "-t", "0.2"]
    done = subprocess.run([FFMPEG, "-v", "warning", *sound, "-c:a", codec, name], capture_output=True, text=True, check=True)
    told = subprocess.run([FFMPEG, "-hide_banner", "-i", name], capture_output=True, text=True).stderr
    return re.search(r"48000 Hz, ([^,]+),", told)[1], done.stderr.strip()


seen = {
    (layout, name): made(layout, name, codec)
    for layout in ("quad", "3.0")
    for name, codec in ((f"{layout}.mkv", "pcm_s16le"), (f"{layout}.mov", "pcm_s16le"), (f"{layout}.wav", "pcm_s16le"))
}
seen["quad", "flac.mkv"] = made("quad", "flac.mkv", "flac")
for (layout, name), (found, said) in seen.items():
    print(f"{layout} in {name}: {found}" + (f" ({said})" if said else ""))
changed = {key: found for key, (found, _) in seen.items() if found != key[0]}
sys.exit(changed != {("quad", "quad.mkv"): "4.0", ("3.0", "3.0.mkv"): "2.1"} or any(said for _, said in seen.values()))
PYTHON

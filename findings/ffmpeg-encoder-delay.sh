#!/usr/bin/env bash
# By how much an encoder of ffmpeg's delays sound, as its first time stamp tells, is not what its decoder gives back: of WMA the
# first 2048 samples of the sound are lost where 2048 are told, Vorbis is in time where 128 are, DTS late by 512 where 0 are.
# Who puts such packets where no times are (AVI counts samples) and corrects by what is told is wrong by 85, 3 and 11 ms.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1), 48 kHz, a tone that swells from 0.5 s on. MP3, AAC and AC-3 tell rightly (1105, 1024,
# 256). Expected: all as these. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess
import sys

import imageio_ffmpeg
import numpy

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
print(subprocess.run([ffmpeg, "-version"], capture_output=True, text=True).stdout.splitlines()[0])
# A tone that swells within 0.1 s.
sound = "aevalsrc='0.8*sin(2*PI*1000*(t-0.5))*(0.5-0.5*cos(2*PI*(t-0.5)/0.1))*between(t,0.5,0.6)':s=48000:d=1.2"
t = numpy.arange(4800) / 48000
wanted = numpy.sin(2 * numpy.pi * 1000 * t) * numpy.hanning(4800)


def run(*words: str) -> bytes:
    return subprocess.run([ffmpeg, "-v", "error", "-y", *words], capture_output=True, check=True).stdout


seen = {}
for encoder in ("libmp3lame", "aac", "ac3", "wmav2", "libvorbis", "dca"):
    encode = ["-f", "lavfi", "-i", sound, "-c:a", encoder, "-strict", "-2", "-avoid_negative_ts", "disabled"]
    lines = run(*encode, "-f", "framecrc", "-").decode().splitlines()
    told = next(int(line.split(",")[2]) for line in lines if not line.startswith("#"))
    run(*encode, "out.avi")
    heard = numpy.frombuffer(run("-i", "out.avi", "-f", "f32le", "-ac", "1", "-"), numpy.float32)
    late = int(numpy.argmax(numpy.correlate(heard, wanted, "valid"))) - 24000
    seen[encoder] = -told, late
    print(f"{encoder}: tells {-told} samples, comes {late} late")
right = all(abs(told - late) <= 2 for told, late in (seen[name] for name in ("libmp3lame", "aac", "ac3")))
wrong = {name: late for name, (_, late) in seen.items() if name in ("wmav2", "libvorbis", "dca")}
sys.exit(not (right and wrong == {"wmav2": -2048, "libvorbis": 0, "dca": 512}))
PYTHON

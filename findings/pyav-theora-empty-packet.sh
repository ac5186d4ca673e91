#!/usr/bin/env bash
# In Theora a packet without bytes says: the frame before, once more. libtheora writes such packets for pictures that rest.
# PyAV's container.decode() hands them to libavcodec, for which no bytes are the end of the stream: it raises at the first
# packet behind them. The film is whole: the ffmpeg program goes on to its end, without a word of the repeated frames.
#
# Seen with PyAV 19.0.2 (libavcodec 63.1) and ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1): five frames, the first three alike, are
# five packets (two of them empty); PyAV decodes 2 frames and raises ArgumentError (22); ffmpeg gives 3. Packet by packet,
# empty ones left out, PyAV decodes all that hold a picture. Expected: frames until the end, as ffmpeg.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1 av==19.0.2
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
"$ffmpeg" -v error -f lavfi -i "testsrc2=s=64x48:r=10:d=0.2,tpad=start=3:start_mode=clone" -pix_fmt yuv420p -c:v libtheora in.ogv
echo "ffmpeg: $("$ffmpeg" -v error -i in.ogv -f framecrc - | grep -vc '^#') frames"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import av

print("PyAV", av.__version__, "libavcodec", av.library_versions["libavcodec"])
with av.open("in.ogv") as film:
    sizes = [packet.size for packet in film.demux(video=0) if packet.pts is not None]
print("bytes of its packets:", sizes)
decoded, error = 0, None
with av.open("in.ogv") as film:
    try:
        for _ in film.decode(video=0):
            decoded += 1
    except av.FFmpegError as raised:
        error = raised
print(f"container.decode: {decoded} frames, then {error!r}")
with av.open("in.ogv") as film:
    pictures = [frame for packet in film.demux(video=0) if packet.size or packet.pts is None for frame in packet.decode()]
print("packet by packet, without the empty ones:", len(pictures), "frames")
sys.exit(not (0 in sizes and error is not None and decoded < len(pictures) == len([s for s in sizes if s])))
PYTHON

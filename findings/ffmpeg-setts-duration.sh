#!/usr/bin/env bash
# ffmpeg's bitstream filter setts, given an expression for the duration alone, also sets every presentation time to the
# decoding time: "setts=duration=DURATION" is no copy. In MP4 all frames that B-frames delay are then hidden.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) and Debian's 5.1.9: 10 frames before, 8 after, and 10 with
# "setts=pts=PTS:dts=DTS:duration=DURATION". Expected: times that no expression names stay as they are.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
shown() { "$ffmpeg" -v error -i "$1" -f framecrc - | grep -vc '^#'; }
"$ffmpeg" -v error -f lavfi -i testsrc2=s=64x48:r=10:d=1 -c:v libx264 -bf 2 -x264-params b-pyramid=none in.mp4
"$ffmpeg" -v error -i in.mp4 -c copy -bsf:v setts=duration=DURATION duration.mp4
"$ffmpeg" -v error -i in.mp4 -c copy -bsf:v setts=pts=PTS:dts=DTS:duration=DURATION all.mp4
echo "frames shown: $(shown in.mp4) in the source, $(shown duration.mp4) after setts=duration=DURATION, $(shown all.mp4) with pts and dts named"
[ "$(shown in.mp4)" = 10 ] && [ "$(shown all.mp4)" = 10 ] && [ "$(shown duration.mp4)" -lt 10 ]

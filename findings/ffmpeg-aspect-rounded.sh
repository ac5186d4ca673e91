#!/usr/bin/env bash
# ffmpeg's option -aspect takes "num:den" and rounds it to terms of at most 255, without a word and without the manual saying
# so: 12800:8991 becomes 205:144. The filter setsar rounds to terms of at most 100 (the manual says so; max= lifts it) even
# where the numbers given are whole and Matroska, MP4 and NUT can hold them: 3200/2997 becomes 63/59. Such shapes are what
# enlarged films have whose sides had to be rounded. These two are off by less than 0.01 %; -aspect can be by 0.2 %, setsar by 0.5 %.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) and Debian 12's 5.1.9. A shape that is copied from the source stays as it is.
# Expected: whole numbers are taken as they are given. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
shape() { # of pixels and picture, in a film of 64x48 pixels made with these options
    "$ffmpeg" -v error -y -f lavfi -i testsrc2=s=64x48:d=0.2 "$@" -c:v ffv1 out.mkv
    { "$ffmpeg" -hide_banner -i out.mkv 2>&1 || true; } | sed -n 's/.*SAR \([0-9:]*\) DAR \([0-9:]*\).*/\1 \2/p'
}
option=$(shape -aspect 12800:8991)
filter=$(shape -vf setsar=3200/2997)
exact=$(shape -vf setsar=3200/2997:max=100000)
echo "-aspect 12800:8991: pixels and picture $option"
echo "setsar=3200/2997: $filter; with max=100000: $exact"
[ "$option" = "205:192 205:144" ] && [ "$filter" = "63:59 84:59" ] && [ "$exact" = "3200:2997 12800:8991" ]

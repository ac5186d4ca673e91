#!/usr/bin/env bash
# A film whose picture begins half a second later than its sound, copied into AVI by ffmpeg: the first frame is put at zero,
# all others stay at their times. The first one is shown for 0.6 s instead of 0.1, and no message says so.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) and Debian's 5.1.9: frames of 10 a second at 0.5, 0.6, 0.7 ... s become
# 0.0, 0.6, 0.7 ... s. AVI can hold empty chunks for such a beginning, and the muxer writes them between later frames.
# Expected: the first frame at its time, or all of them moved. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
"$ffmpeg" -v error -f lavfi -i testsrc2=s=64x48:r=10:d=1 -f lavfi -i sine=d=2 -vf setpts=PTS+0.5/TB -c:v mpeg4 -c:a mp2 in.mkv
"$ffmpeg" -v error -i in.mkv -c copy out.avi
times() { "$ffmpeg" -v error -copyts -i "$1" -map 0:v -f framecrc - | grep -v '^#' | cut -d, -f3 | tr -d ' ' | head -4 | paste -sd' '; }
echo "tenths of a second: $(times in.mkv) before, $(times out.avi) after"
[ "$(times in.mkv)" = "5 6 7 8" ] && [ "$(times out.avi)" = "0 6 7 8" ]

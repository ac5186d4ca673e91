#!/usr/bin/env bash
# ffmpeg's ASF (.wmv) gives a stream whose language it has no two-letter code for the language of another stream. MP4 tells
# of every stream a language, "und" where there is none, so this befalls the picture of most films that are copied into .wmv.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) and Debian's 5.1.9: a picture of "und" or "mul" (several) beside German sound
# comes back as German, one without a language as without. Expected: no language, as without. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
found() { "$ffmpeg" -hide_banner -i "$1" 2>&1 | grep -oE 'Stream #0:[01][^:]*' | tr '\n' ' ' || true; }
for told in und mul ''; do
    "$ffmpeg" -v error -f lavfi -i testsrc2=s=64x48:r=10:d=1 -f lavfi -i sine=d=1 -c:v wmv2 -c:a wmav2 \
        -metadata:s:v "language=$told" -metadata:s:a language=ger "picture-$told.wmv"
    echo "picture '$told', sound 'ger': $(found "picture-$told.wmv")"
done
[[ "$(found picture-und.wmv)" == *'#0:0'*'(ger)'*'#0:1'*'(ger)'* ]] &&
    [[ "$(found picture-mul.wmv)" == *'#0:0'*'(ger)'*'#0:1'*'(ger)'* ]] &&
    [[ "$(found picture-.wmv)" != *'#0:0'*'(ger)'*'#0:1'* ]]

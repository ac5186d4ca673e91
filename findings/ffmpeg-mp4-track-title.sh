#!/usr/bin/env bash
# A track's title does not survive a copy from MP4 to MP4 by ffmpeg. The muxer writes the tag "title" into the track's
# user data as its name; the demuxer reads that name as the tag "name", which the muxer does not write. In Matroska it
# becomes a tag NAME, and the track has no title there either.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1): "Commentary" is in the first file, in none of its copies in MP4, and in
# Matroska only as NAME. With -metadata:s:a:0 title=Commentary named again it is kept.
# Expected: what the muxer wrote the demuxer reads. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
"$ffmpeg" -v error -f lavfi -i sine=d=1 -c:a aac -metadata:s:a title=Commentary first.mp4
"$ffmpeg" -v error -i first.mp4 -c copy copy.mp4
"$ffmpeg" -v error -i first.mp4 -c copy copy.mkv
"$ffmpeg" -v error -i first.mp4 -c copy -metadata:s:a:0 title=Commentary named.mp4
tags() { { "$ffmpeg" -hide_banner -i "$1" 2>&1 || true; } | sed -n 's/^ *\([A-Za-z]*\) *: Commentary$/\1/p' | paste -sd' '; }
for file in first.mp4 copy.mp4 copy.mkv named.mp4; do echo "$file: the word is in tag '$(tags $file)'"; done
[ "$(tags first.mp4)" = name ] && [ -z "$(tags copy.mp4)" ] && [ "$(tags copy.mkv)" = NAME ] && [ "$(tags named.mp4)" = name ]

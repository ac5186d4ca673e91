#!/usr/bin/env bash
# ffmpeg opens a DASH list only by its bare name or an absolute path. By a relative path with a folder in it the names of
# segments get that folder twice: "dash/film.mpd" makes it look for dash/dash/init-stream0.m4s. HLS lists have no such rule.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) and Debian's 5.1.9: "Error when loading first fragment of playlist", exit
# status not 0, of a list that the same program wrote; by an absolute path, or from within the folder, it reads all frames.
# Expected: the same file by any of its paths. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cd "$folder"
mkdir dash hls
for kind in dash/film.mpd hls/film.m3u8; do
    "$ffmpeg" -v error -f lavfi -i testsrc2=s=64x48:r=10:d=1 -c:v libx264 -pix_fmt yuv420p "$kind"
done
reads() { if "$ffmpeg" -v error -i "$1" -f null - 2>"$folder/said"; then echo yes; else echo "no: $(head -1 "$folder/said")"; fi; }
inside=$(cd dash && reads film.mpd)
relative=$(reads dash/film.mpd)
absolute=$(reads "$folder/dash/film.mpd")
hls=$(reads hls/film.m3u8)
printf '%s\n' "film.mpd: $inside" "dash/film.mpd: $relative" "/.../dash/film.mpd: $absolute" "hls/film.m3u8: $hls"
[ "$inside" = yes ] && [ "$absolute" = yes ] && [ "$hls" = yes ] && [ "$relative" != yes ]

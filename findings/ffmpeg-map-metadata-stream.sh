#!/usr/bin/env bash
# ffmpeg -map_metadata:s -1, which is to leave out the tags of streams, leaves out those of the whole file as well, and so does
# -map_metadata:c -1 for those of chapters. The manual says that the default mappings "are disabled by creating any mapping of
# the relevant type". -map_metadata:g -1 keeps to it: the tags of streams stay.
#
# Seen with ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) and 7.0.2 (0.6.0); Debian 12's 5.1.9 keeps the file's tags.
# Naming them again (-map_metadata 0) is a way round. Expected: the file's title is kept. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for release in 0.6.0 0.8.1; do
    python3 -m venv "$folder/$release"
    "$folder/$release/bin/pip" -q install imageio-ffmpeg==$release
done
cd "$folder"
titles() { # of the file and of its stream, when it is copied with these options
    "$ffmpeg" -v error -y -i in.mkv -c copy "$@" out.mkv
    { "$ffmpeg" -hide_banner -i out.mkv 2>&1 || true; } | sed -n 's/^ *title *: //p' | paste -sd' '
}
for release in 0.6.0 0.8.1; do
    ffmpeg=$("$release/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
    "$ffmpeg" -version | head -1
    "$ffmpeg" -v error -y -f lavfi -i sine=d=1 -metadata title=Film -metadata:s:a title=Sound -c:a pcm_s16le in.mkv
    seen=""
    for option in :g :s :c; do
        found=$(titles "-map_metadata$option" -1)
        echo "-map_metadata$option -1: '$found' stay"
        seen+="$option $found, "
    done
    again=$(titles -map_metadata:s -1 -map_metadata 0)
    echo "-map_metadata:s -1 -map_metadata 0: '$again' stay"
done
[ "$seen" = ":g Sound, :s , :c Sound, " ] && [ "$again" = Film ]

"""Upscale every film of a folder, one after the other; go on after a bad one, and continue where a kill left off.

    python examples/transcode_folder.py season1/ larger/ --scale 2 --model fast

A film that is whole in the target folder is left alone. What could not be done is told at the end; the exit status is
then 1.
"""

import argparse
import sys
from pathlib import Path

from sr_plugins import SRError, Upscaler, upscale_video

ENDINGS = {".mkv", ".mp4", ".mov", ".avi", ".webm", ".ts"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--scale", type=float, default=2)
    arguments = parser.parse_args()
    arguments.target.mkdir(parents=True, exist_ok=True)
    failed = []
    films = sorted(p for p in arguments.source.iterdir() if p.suffix.lower() in ENDINGS)
    with Upscaler(arguments.model, arguments.scale) as upscaler:
        for film in films:
            target = arguments.target / f"{film.stem}.mkv"  # Matroska holds everything
            if target.exists() and not target.with_name(f"{target.name}.parts").exists():
                continue
            try:
                result = upscale_video(film, target, upscaler, options=["-c:v", "libx264", "-crf", "18"])
            except SRError as error:
                failed.append(f"{film}: {error}")
                continue
            print(f"{target}: {result.frames} frames, {result.reused} of them taken from the one before")
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Containers, codecs and kinds of streams: what is kept, changed and refused, as the tables of docs/ffmpeg.md.

    python benchmarks/containers.py [--ffmpeg PATH ...]

For the first table a film of ten gray frames is encoded and joined in every container, as before any real work. For
the second a film with nine streams, a font, a cover, chapters, names and marks is made and read back. By default with
the system's ffmpeg and the one of imageio-ffmpeg; where they differ, a cell names the versions.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import av

from sr_plugins import Upscaler, upscale_video
from sr_plugins.errors import SRError
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.ffmpeg_process import bundled_ffmpeg, find_ffmpeg, version, version_number
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.plan import outline_film, plan_film
from sr_plugins.video.probe import probe
from sr_plugins.video.rehearsal import rehearse
from sr_plugins.video.ways import Here

TARGETS = ("mkv", "mp4", "mov", "webm", "ts", "avi", "mpg", "wmv", "ogv", "gif", "webp", "apng", "h264", "hevc", "m2v")
ENCODERS = {
    "none named": "",
    "x264": "-c:v libx264 -preset ultrafast",
    "x265": "-c:v libx265 -preset ultrafast",
    "AV1": "-c:v libsvtav1 -preset 12",
    "VP9": "-c:v libvpx-vp9 -deadline realtime",
    "MPEG-2": "-c:v mpeg2video -q:v 2",
    "MPEG-4": "-c:v mpeg4 -q:v 2",
    "ProRes": "-c:v prores_ks",
    "FFV1": "-c:v ffv1",
    "Ut Video": "-c:v utvideo",
    "MJPEG": "-c:v mjpeg -q:v 2",
    "Theora": "-c:v libtheora -q:v 9",
    "WMV 8": "-c:v wmv2 -q:v 2",
}
SOUND = ("aac", "ac3", "mp3", "flac", "opus", "vorbis", "pcm_s16le")
HEAD = [*SOUND, "srt", "ass", "fonts", "covers", "chapters", "title", "titles of streams", "forced"]


def clip(folder: Path, maker: str) -> tuple[Path, Path]:
    """A film of pictures alone, and one with everything."""
    plain, full = folder / "plain.mkv", folder / "full.mkv"
    moving = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1"]
    quiet = [maker, "-v", "error", "-y"]
    subprocess.run([*quiet, *moving, "-pix_fmt", "yuv420p", "-c:v", "ffv1", plain], check=True)
    (folder / "s.srt").write_text("1\n00:00:00,000 --> 00:00:00,500\nhello\n")
    (folder / "m.txt").write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=one\n")
    (folder / "f.ttf").write_bytes(bytes(100))
    subprocess.run([*quiet, *moving, "-frames:v", "1", folder / "c.png"], check=True)
    words: list[str | Path] = [*moving]
    for _ in SOUND:
        words += ["-f", "lavfi", "-i", "sine=d=1:r=48000"]
    words += ["-i", folder / "s.srt", "-i", folder / "s.srt", "-i", folder / "m.txt"]
    for number in range(len(SOUND) + 3):
        words += ["-map", str(number)]
    encoders = {"mp3": "libmp3lame", "opus": "libopus", "vorbis": "libvorbis"}
    for number, name in enumerate(SOUND):
        words += [f"-c:a:{number}", encoders.get(name, name)]
    words += ["-ac", "2", "-c:s:0", "srt", "-c:s:1", "ass", "-pix_fmt", "yuv420p", "-c:v", "libx264"]
    words += ["-map_chapters", str(len(SOUND) + 3), "-metadata", "title=Film", "-metadata:s:a", "title=Sound"]
    words += ["-disposition:s:0", "forced", "-attach", folder / "f.ttf", "-metadata:s:t:0", "mimetype=font/ttf"]
    words += ["-attach", folder / "c.png", "-metadata:s:t:1", "mimetype=image/png", "-metadata:s:t:1", "filename=c.png"]
    subprocess.run([*quiet, *words, full], check=True)
    return plain, full


def made(source: Path, target: Path, words: str, executable: str, upscaler: Upscaler) -> str:
    """Whether a film's beginning can be encoded, joined and read back."""
    try:
        options, decode = OutputOptions.parse(words.split()), DecodeOptions()
        outline = outline_film(source, target, options, (None, None), decode, 100, executable, overwrite=True)
        plan = plan_film(outline, Here(upscaler))
        names = plan.side_files
        rehearse(plan, target.with_name(names[1]), target.with_name(names[0]))
    except SRError:
        return "no"
    return "yes"


def streams(source: Path, target: Path, executable: str, upscaler: Upscaler) -> list[str]:
    """How each stream and mark of the full film came out."""
    try:
        upscale_video(source, target, upscaler, ffmpeg=executable, notice=lambda _: None)
    except SRError as error:
        return [f"refused: {error}"] * len(HEAD)
    film = probe(target)
    with av.open(str(target)) as container:
        chapters = len(container.chapters())
    kinds = {
        kind: [s.codec for s in film.streams if s.kind == kind and not s.is_cover] for kind in ("audio", "subtitle")
    }
    cells = [kept(kinds["audio"], name) for name in SOUND]
    cells += [kept(kinds["subtitle"], name, place) for place, name in enumerate(("subrip", "ass"))]
    cells += [word(any(s.kind == "attachment" for s in film.streams)), word(any(s.is_cover for s in film.streams))]
    titles = any("Sound" in (s.tags.get("title"), s.tags.get("handler_name")) for s in film.streams)
    marks = any("forced" in s.disposition for s in film.streams)
    return [*cells, word(chapters > 0), word(film.metadata.get("title") == "Film"), word(titles), word(marks)]


def kept(found: list[str], name: str, place: int | None = None) -> str:
    """Whether a codec is among those found, or what stands in its place."""
    if name in found:
        return "kept"
    return f"as {found[place]}" if place is not None and place < len(found) else "-"


def word(yes: bool) -> str:
    return "kept" if yes else "-"


def table(head: list[str], rows: dict[str, list[dict[str, str]]]) -> None:
    """A Markdown table; each cell holds one word for each version, which are named where they differ."""
    print("| target | " + " | ".join(head) + " |\n" + "|---" * (len(head) + 1) + "|")
    for name, cells in rows.items():
        shown = []
        for cell in cells:
            words = set(cell.values())
            shown.append(words.pop() if len(words) == 1 else ", ".join(f"{text} ({v})" for v, text in cell.items()))
        print(f"| `.{name}` | " + " | ".join(shown) + " |", flush=True)


def gather(executables: list[str], ask: Callable[[str], list[str]]) -> list[dict[str, str]]:
    """The answers of each version, cell by cell."""
    answers = {".".join(map(str, version_number(e))): ask(e) for e in executables}
    count = len(next(iter(answers.values())))
    return [{name: cells[number] for name, cells in answers.items()} for number in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ffmpeg", nargs="*", help="executables to compare")
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--encoders", nargs="*", default=list(ENCODERS), help="columns of the first table")
    arguments = parser.parse_args()
    bundled = bundled_ffmpeg() or find_ffmpeg()
    executables = arguments.ffmpeg or [e for e in (shutil.which("ffmpeg"), bundled) if e]
    with tempfile.TemporaryDirectory() as name, Upscaler("tiny", 2, device="cpu", backend="torch") as upscaler:
        folder = Path(name)
        plain, full = clip(folder, bundled)
        rows, asked = {}, [ENCODERS[name] for name in arguments.encoders]
        for suffix in arguments.targets:
            target = folder / f"out.{suffix}"
            rows[suffix] = gather(executables, lambda e, t=target: [made(plain, t, w, e, upscaler) for w in asked])
        table(arguments.encoders, rows)
        print()
        for suffix in arguments.targets:
            target = folder / f"full.{suffix}"
            rows[suffix] = gather(executables, lambda e, t=target: streams(full, t.with_stem(version(e)), e, upscaler))
        refused = {suffix: cells[0] for suffix, cells in rows.items() if "refused" in "".join(cells[0].values())}
        table(HEAD, {suffix: cells for suffix, cells in rows.items() if suffix not in refused})
        for suffix, told in refused.items():
            print("\n".join(f"`.{suffix}` ({number}): {error}" for number, error in told.items()))


if __name__ == "__main__":
    main()

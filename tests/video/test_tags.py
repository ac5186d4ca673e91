"""What a result tells of itself: tags of streams, kept where the container can and told where not."""

from pathlib import Path

import av
import pytest
from video_clips import both_ffmpegs, by_turns, ffmpeg_run, moving, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film whose streams say something of themselves."""
    path = tmp_path_factory.mktemp("tags") / "in.mkv"
    picture = {"language": "fre", "author": "Ann", "comment": "from the loft"}
    sound = {"language": "ger", "title": "Ton", "HANDLER_NAME": "Boom mic", "mixed_by": "Bo"}
    said = [w for kind, tags in (("v", picture), ("a", sound)) for t in tags.items() for w in (kind, "=".join(t))]
    words = [f"-metadata:s:{word}" if place % 2 == 0 else word for place, word in enumerate(said)]
    ffmpeg_run(*moving("64x48", 0.4), *tone(0.4), "-c:v", "ffv1", "-c:a", "aac", *words, path)
    return path


def _tags(path: Path, kind: str) -> dict[str, str]:
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return {key.lower(): value for key, value in stream.metadata.items()}


@both_ffmpegs
@pytest.mark.parametrize(
    ("suffix", "languages", "lost"),
    [
        ("mkv", ("fre", "ger"), None),
        ("mp4", ("fre", "ger"), ("author, comment", "handler_name, mixed_by")),
        ("mov", ("fra", "ger"), ("author, comment", "handler_name, mixed_by")),
        ("ts", (None, "ger"), ("author, comment", "handler_name, mixed_by")),
        ("avi", (None, None), ("author, comment", "handler_name, mixed_by")),
    ],
)
def test_tags_of_streams(
    ffmpeg: str,
    suffix: str,
    languages: tuple[str | None, str | None],
    lost: tuple[str, str] | None,
    film: Path,
    tmp_path: Path,
    doubled: Upscaler,
) -> None:
    target, said = tmp_path / f"out.{suffix}", list[str]()
    options = [] if suffix == "avi" else FAST
    upscale_video(film, target, doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    assert (_tags(target, "video").get("language"), _tags(target, "audio").get("language")) == languages
    silent = [name for name, told in zip(("video", "audio"), languages, strict=True) if told is None]
    left_out = [line for line in said if "the language of stream" in line]
    assert ["video" if "(video" in line else "audio" for line in left_out] == silent
    muxer = "mpegts" if suffix == "ts" else suffix
    assert [line for line in said if "tags of streams" in line] == (
        []
        if lost is None
        else [
            f"in.mkv: tags of streams are left out (stream 0 (video, ffv1, fre): {lost[0]}; stream 1 (audio, aac, "
            f"ger): {lost[1]}): {muxer} cannot hold them; .mkv can"
        ]
    )
    if lost is None:
        assert _tags(target, "video")["comment"] == "from the loft"
        assert _tags(target, "audio")["handler_name"] == "Boom mic"


@both_ffmpegs
def test_names_of_tracks_in_quicktimes_family(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Those that its muxers write by themselves tell nothing, those of a person are kept, or told."""
    source, said = tmp_path / "in.mp4", list[str]()
    ffmpeg_run(*moving(seconds=0.4), *tone(0.4), "-c:v", "libx264", "-metadata:s:a", "handler_name=Boom mic", source)
    for suffix in ("mov", "ts"):
        target = tmp_path / f"out.{suffix}"
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert _tags(tmp_path / "out.mov", "audio")["handler_name"] == "Boom mic"
    assert said == [
        "in.mp4: tags of streams are left out (stream 1 (audio, aac, und): handler_name): mpegts cannot hold them; "
        ".mkv can"
    ]


@both_ffmpegs
def test_what_a_person_says_of_streams_is_no_loss(ffmpeg: str, film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    said: list[str] = []
    own = ["-metadata:s:a:0", "mixed_by=Cy", "-metadata:s:v", "language=", "-metadata:s:v", "Comment="]
    options = [*FAST, *own]
    upscale_video(film, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    assert said == []
    assert _tags(tmp_path / "out.mkv", "audio")["mixed_by"] == "Cy"
    upscale_video(
        film, tmp_path / "bare.mp4", doubled, ffmpeg=ffmpeg, options=[*FAST, "-map_metadata", "-1"], notice=said.append
    )
    assert [line for line in said if "tags" in line] == []


@by_turns(own=[["-metadata", "Title=New"], ["-metadata:g", "title="], ["-map_metadata:s:a", "-1"]])
def test_tags_that_a_person_replaces_are_no_loss(
    ffmpeg: str, own: list[str], tmp_path: Path, doubled: Upscaler
) -> None:
    """No container is to blame for them."""
    source, said = tmp_path / "in.mkv", list[str]()
    told = ["-metadata", "title=Old", "-metadata:s:a", "mood=blue", "-metadata:s:a", "language=fra"]
    ffmpeg_run(*moving("64x48", 0.4), *tone(0.4), "-c:v", "libx264", "-c:a", "aac", *told, source)
    upscale_video(source, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=[*FAST, *own], notice=said.append)
    assert said == []


@both_ffmpegs
@pytest.mark.parametrize(("told", "found"), [("und", None), ("mul", "ger")])
def test_a_language_that_the_container_makes_up(
    ffmpeg: str, told: str, found: str | None, tmp_path: Path, doubled: Upscaler
) -> None:
    """Streams of ASF whose language it has no name for come back in that of another."""
    source, said = tmp_path / "in.mp4", list[str]()
    languages = ["-metadata:s:v", f"language={told}", "-metadata:s:a", "language=ger"]
    ffmpeg_run(*moving(seconds=0.4), *tone(0.4), "-c:v", "libx264", "-c:a", "aac", *languages, source)
    upscale_video(source, tmp_path / "out.wmv", doubled, ffmpeg=ffmpeg, notice=said.append)
    assert _tags(tmp_path / "out.wmv", "video").get("language") == found
    line = f"in.mp4: stream 0 (video, h264, {told}) will be taken for ger: asf cannot hold another language; .mkv can"
    assert [said for said in said if "taken for" in said] == ([line] if found else [])


@pytest.fixture(scope="module")
def chaptered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that says something everywhere, with a font."""
    folder = tmp_path_factory.mktemp("chaptered")
    path, chapters, font = folder / "in.mkv", folder / "chapters", folder / "a.ttf"
    chapters.write_text(";FFMETADATA1\ntitle=Film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=One\n")
    font.write_bytes(bytes(64))
    said = ["-metadata:s:v", "title=Picture", "-metadata:s:a", "title=Sound", "-metadata:s:a", "language=ger"]
    attached = ["-attach", str(font), "-metadata:s:t", "mimetype=font/ttf"]
    maps = ["-map", "0", "-map", "1", "-map_metadata", "2", "-map_chapters", "2", "-c:v", "libx264", "-c:a", "aac"]
    ffmpeg_run(*moving(seconds=0.4), *tone(0.4), "-i", chapters, *maps, *said, *attached, path)
    return path


# What is left of the tags of the film, of its streams and of its chapters.
_ALL = "Film", ["Picture", "Sound"], "One"
_LEFT = {
    ("", "-1"): (None, [None, None], None),
    (":g", "-1"): (None, *_ALL[1:]),
    (":s", "-1"): ("Film", [None, None], "One"),
    (":s:a", "-1"): ("Film", [None, None], "One"),
    (":c", "-1"): (*_ALL[:2], None),
    (":g", "0:s:1"): ("Sound", [None, None], "One"),
    (":s:v", "0:s:a"): ("Film", ["Sound", None], "One"),
    (":g", "0"): _ALL,
}


@both_ffmpegs
@pytest.mark.parametrize("where", list(_LEFT))
def test_a_person_chooses_where_tags_come_from(
    ffmpeg: str, where: tuple[str, str], chaptered: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    """As ffmpeg 5 to 8 do it: what is said of one stream goes for all. An attachment is nothing without its name."""
    target = tmp_path / "out.mkv"
    upscale_video(chaptered, target, doubled, ffmpeg=ffmpeg, options=[f"-map_metadata{where[0]}", where[1]])
    with av.open(str(target)) as container:
        film, (picture, sound, font) = container.metadata, [stream.metadata for stream in container.streams]
        chapter = container.chapters()[0]["metadata"]
    streams = [picture.get("title"), sound.get("title")]
    assert (film.get("title"), streams, chapter.get("title")) == _LEFT[where]
    assert (font["filename"], font["mimetype"]) == ("a.ttf", "font/ttf")


def test_there_is_one_input_to_take_tags_from(chaptered: Path, tmp_path: Path, doubled: Upscaler) -> None:
    for option in ("-map_metadata", "-map_metadata:s:a", "-map_chapters"):
        with pytest.raises(PipeError, match=rf"^{option} 1: there is one input, the film, and its number is 0$"):
            upscale_video(chaptered, tmp_path / "out.mkv", doubled, options=[option, "1"])

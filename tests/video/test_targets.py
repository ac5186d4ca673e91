"""What each container is given without being asked, and what is said of what it cannot hold."""

import stat
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import BUNDLED, both_ffmpegs, by_turns, ffmpeg_run, moving, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video import join_plan
from sr_plugins.video.maps import mapped_streams
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.probe import probe
from sr_plugins.video.source import Light
from sr_plugins.video.streams import plan_streams
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven frames of full colour, of which one rests."""
    path = tmp_path_factory.mktemp("targets") / "in.mkv"
    rest = ["-vf", "select='not(eq(n,3))',scale=out_color_matrix=bt709,format=yuv444p,setparams=colorspace=bt709"]
    ffmpeg_run(*moving("64x48", 0.8, "10"), *rest, "-fps_mode", "passthrough", "-c:v", "ffv1", path)
    return path


def _colours(path: Path) -> np.ndarray:
    """The last frame as RGB."""
    shown = path.with_suffix(".png")
    ffmpeg_run("-i", path, "-vf", "scale=in_color_matrix=bt709,reverse", "-frames:v", "1", shown)
    with av.open(str(shown)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)


@both_ffmpegs
@pytest.mark.parametrize(
    ("suffix", "codec", "loss"), [("gif", "gif", 12), ("webp", "webp_anim", 8), ("apng", "apng", 5), ("webm", "vp9", 8)]
)
def test_a_target_without_options(
    ffmpeg: str, suffix: str, codec: str, loss: float, uneven: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    target = tmp_path / f"out.{suffix}"
    upscale_video(uneven, target, doubled, ffmpeg=ffmpeg, chunk_frames=3, notice=lambda _: None)
    assert probe(target).streams[0].codec == codec
    assert [round(float(t), 2) for t in times(target)] == [round(float(t), 2) for t in times(uneven)]
    assert len(pictures(target)) == 7
    want = _colours(uneven).repeat(2, 0).repeat(2, 1)
    assert np.abs(_colours(target) - want).mean() < loss
    if suffix in ("gif", "apng"):
        with av.open(str(target)) as container:
            assert container.format.name == suffix
        told = target.read_bytes()
        assert b"NETSCAPE2.0\3\1\0\0" in told or told[told.index(b"acTL") + 8 :][:4] == bytes(4)  # for ever


def test_another_encoder_than_the_containers_own_is_refused(uneven: Path, tmp_path: Path, doubled: Upscaler) -> None:
    for suffix, encoder in (("gif", "libsvtav1"), ("apng", "png"), ("webp", "libx264")):
        with pytest.raises(PipeError, match=f"{suffix} holds nothing that {encoder} makes: leave -c:v out"):
            upscale_video(uneven, tmp_path / f"out.{suffix}", doubled, options=["-c:v", encoder])


@both_ffmpegs
def test_theora_without_options(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.ogv"
    ffmpeg_run(*moving("64x48", 0.8, "10"), *tone(0.8), "-c:a", "libvorbis", "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, chunk_frames=3)
    assert [s.codec for s in probe(target).streams] == ["theora", "vorbis"]
    assert len(pictures(target)) == 8


def test_theora_as_source_with_a_repeated_frame_at_its_beginning(tmp_path: Path, doubled: Upscaler) -> None:
    """It is an empty packet, which libavcodec takes for the end of the stream."""
    source, target = tmp_path / "in.ogv", tmp_path / "out.mkv"
    still = "testsrc2=s=64x48:r=10:d=0.6,select='eq(n,0)+gte(n,3)',loop=2:1:0,setpts=N/10/TB"
    ffmpeg_run("-f", "lavfi", "-i", still, "-pix_fmt", "yuv420p", "-c:v", "libtheora", source)
    with av.open(str(source)) as container:
        sizes = [packet.size for packet in container.demux() if packet.pts is not None]
    assert sizes.index(0) == 2
    said = list[str]()
    upscale_video(source, target, doubled, options=FAST, ffmpeg=BUNDLED, notice=said.append)
    # ffmpeg gives no frame for it: the one before comes once more
    assert [float(time) for time in times(target)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5], abs=0.001)
    assert said == []


@pytest.mark.parametrize("suffix", ["mkv", "ogv"])
def test_theora_that_repeats_frames_up_to_its_end(suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.ogv", tmp_path / f"out.{suffix}"
    resting = "testsrc2=s=64x48:r=10:d=0.3,tpad=start=3:start_mode=clone:stop=4:stop_mode=clone"
    ffmpeg_run("-f", "lavfi", "-i", resting, "-pix_fmt", "yuv420p", "-c:v", "libtheora", source)
    said = list[str]()
    result = upscale_video(source, target, doubled, ffmpeg=BUNDLED, chunk_frames=3, notice=said.append)
    assert (said, result.frames) == ([], 10)
    made = probe(target)  # which sees Theora's repeats, too
    seconds = [float(time * made.time_base) for time in made.timeline]
    assert seconds == pytest.approx([n / 10 for n in range(10)], abs=0.001)


@both_ffmpegs
def test_theora_tells_no_uneven_times(ffmpeg: str, uneven: Path, tmp_path: Path, doubled: Upscaler) -> None:
    """Of a gap ffmpeg's reader of Ogg says that the frame behind it comes at once."""
    with pytest.raises(PipeError, match=r"out.ogv: its frames come at uneven times, which this container cannot tell"):
        upscale_video(uneven, tmp_path / "out.ogv", doubled, ffmpeg=ffmpeg)


@pytest.mark.parametrize(("sound", "kept"), [("libopus", True), ("libvorbis", False)])
def test_chapters_that_ogg_loses_are_said(sound: str, kept: bool, tmp_path: Path, doubled: Upscaler) -> None:
    source, target, said = tmp_path / "in.mkv", tmp_path / "out.ogv", list[str]()
    told = tmp_path / "told.txt"
    told.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=200\ntitle=One\n")
    ffmpeg_run(*moving("64x48", 0.4), *tone(0.4), "-i", told, "-map_chapters", "2", "-c:a", sound, source)
    upscale_video(source, target, doubled, notice=said.append)
    assert probe(target).chapters == kept
    assert (kept, "in.mkv: 1 chapters are left out: ogg cannot hold them with this sound; .mkv can" in said) in (
        (True, False),
        (False, True),
    )


def test_a_gif_keeps_its_transparency(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.gif"
    hole = ["-vf", "format=gbrap,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*gt(X,15)',format=bgra"]
    ffmpeg_run(*moving("32x32", 0.3, "10"), *hole, "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, notice=lambda _: None)
    with av.open(str(target)) as container:
        alpha = [p.to_ndarray(format="rgba")[..., 3] for p in container.decode(video=0)][-1]
    assert (alpha[:, :28].max(), alpha[:, 36:].min()) == (0, 255)


@by_turns(suffix=["mp4", "mov", "m4v"], tag=["hvc1", "hev1"])
def test_hevc_is_hvc1_in_apples_containers(
    ffmpeg: str, suffix: str, tag: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    ffmpeg_run(*moving(seconds=0.2), "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", source)
    asked = ["-tag:v", tag] if tag == "hev1" else []
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*FAST, *asked])
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag


# -- names, marks and tags ---------------------------------------------------------------------------------------------

LOST = {
    "mkv": [],
    "mp4": [],
    "mov": ["(audio, aac, fra) is no longer marked comment", "(subtitle, subrip) is no longer marked forced and heari"],
    "webm": ["is no longer marked comment", "is no longer marked hearing_impaired"],
    "ts": ["the titles of streams are left out", "is no longer marked comment", "the film's title and tags are left"],
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    path = folder / "in.mkv"
    (folder / "s.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nhello\n")
    words = ["-metadata", "title=Film", "-metadata:s:v", "title=Main feature", "-metadata:s:a", "title=Commentary"]
    words += ["-metadata:s:a", "language=fra", "-disposition:a", "comment", "-disposition:s", "forced+hearing_impaired"]
    inputs = [*moving(seconds=0.4), *tone(0.4), "-i", folder / "s.srt", "-map", "0", "-map", "1", "-map", "2"]
    ffmpeg_run(*inputs, "-c:a", "aac", "-c:s", "srt", *words, path)
    return path


@both_ffmpegs
@pytest.mark.parametrize(
    ("layout", "suffix", "taken"),
    [("3.0", "mkv", "2.1"), ("quad", "mkv", "4.0"), ("5.1", "mkv", ""), ("3.0", "mov", "")],
)
def test_sound_that_is_taken_for_that_of_other_speakers_is_said(
    ffmpeg: str, layout: str, suffix: str, taken: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """Matroska does not tell where the speakers of PCM stand; FLAC does by itself."""
    source, target, said = tmp_path / "in.mov", tmp_path / f"out.{suffix}", list[str]()
    sound = ["-f", "lavfi", "-i", f"sine=d=0.4:r=48000,aformat=channel_layouts={layout}", "-c:a", "pcm_s16le"]
    ffmpeg_run(*moving(seconds=0.4), *sound, source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    line = (
        f"in.mov: stream 1 (audio, pcm_s16le) is for the speakers {layout}, and will be taken for {taken} in matroska"
    )
    assert said == [f"{line}: -- -c:a flac keeps them"] * bool(taken)
    upscale_video(source, tmp_path / "flac.mkv", doubled, options=[*FAST, "-c:a", "flac"], notice=said.append)
    with av.open(str(tmp_path / "flac.mkv")) as container:
        assert container.streams.audio[0].layout.name == layout
    assert len(said) == bool(taken)


@both_ffmpegs
def test_transparency_that_mp4_leaves_out_costs_no_chroma(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """An x265 that holds transparency does so in 4:2:0 alone, and players of MP4 show none."""
    source, target, said = tmp_path / "in.mov", tmp_path / "out.mp4", list[str]()
    ffmpeg_run(*moving("64x48", 0.2), "-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert probe(target).pix_fmt == "yuv444p12le"
    assert ["which loses transparency" in line for line in said] == [True]


@pytest.mark.parametrize(("suffix", "lost"), LOST.items(), ids=LOST)
def test_lost_titles_marks_and_tags_are_said(suffix: str, lost: list[str], named: Path) -> None:
    words = {"webm": "-c:v libvpx-vp9 -c:a libopus", "ts": "-map -0:s"}.get(suffix, "")
    source, options = probe(named), OutputOptions.parse(words.split())
    mapped = mapped_streams(BUNDLED, source, options)
    plan = plan_streams(source, Path(f"o.{suffix}"), options, BUNDLED, mapped)
    said = [line for line in plan.notices if "rewritten" not in line]
    assert len(said) == len(lost)
    assert all(part in line for part, line in zip(lost, said, strict=True))


@both_ffmpegs
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_titles_and_marks_that_are_kept(
    ffmpeg: str, suffix: str, named: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    target = tmp_path / f"out.{suffix}"
    upscale_video(named, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=lambda _: None)
    film = probe(target)
    place = "title" if suffix == "mkv" else "handler_name"
    assert [s.tags.get(place) for s in film.streams][:2] == ["Main feature", "Commentary"]
    assert {"forced", "hearing_impaired"} <= set(film.streams[2].disposition)
    assert "comment" in film.streams[1].disposition
    assert film.metadata["title"] == "Film"


@by_turns(suffix=["mkv", "mp4", "mov", "ts", "nut"])
def test_marks_of_sound_are_kept_or_said(ffmpeg: str, suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    marks = ["dub", "original", "lyrics", "karaoke"]
    source, target, said = tmp_path / "in.nut", tmp_path / f"out.{suffix}", list[str]()
    sound = [word for number, mark in enumerate(marks) for word in ("-map", "1", f"-disposition:a:{number}", mark)]
    ffmpeg_run(*moving(seconds=0.4), *tone(0.4), "-map", "0", *sound, "-c:v", "libx264", "-c:a", "aac", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    kept = [s.disposition for s in probe(target).streams if s.kind == "audio"]
    for mark, found in zip(marks, kept, strict=True):
        assert (mark in found) != any(f"no longer marked {mark}" in line for line in said)


def test_a_time_code_is_no_stream_of_a_broadcast(tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    ffmpeg_run(*moving(seconds=0.2), "-timecode", "01:02:03:04", source)
    plan = plan_streams(probe(source), Path("o.ts"), OutputOptions(), BUNDLED)
    assert len(plan.kept) == 1
    assert any("(data" in line and "left out" in line for line in plan.notices)


# -- HDR10, and turned films -------------------------------------------------------------------------------------------


@both_ffmpegs
def test_x264_writes_hdr10(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target, said = tmp_path / "in.mkv", tmp_path / "out.mkv", list[str]()
    light = "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):cll=1000,400"
    ffmpeg_run(*moving(seconds=0.2), "-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-x264-params", light, source)
    options = ["-c:v", "libx264", *FAST]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    assert probe(target).light == probe(source).light != Light()
    assert not any("HDR10" in line for line in said)


def test_a_matrix_that_a_muxer_only_takes_is_found(
    tmp_path: Path, doubled: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ffmpeg 6.0 does with Matroska: it takes the option and writes nothing."""
    plain, source, target = (tmp_path / name for name in ("plain.mp4", "in.mp4", "out.mkv"))
    ffmpeg_run(*moving("64x48", 0.2), plain)
    ffmpeg_run("-display_rotation", "90", "-i", plain, "-c", "copy", source)
    script = tmp_path / "ffmpeg"
    forget = 'import os, sys\na = sys.argv[1:]\nwhile "-display_rotation" in a:\n    i = a.index("-display_rotation")\n'
    run = f"    del a[i : i + 2]\nos.execv({BUNDLED!r}, ['ffmpeg', *a])\n"
    script.write_text(f"#!{sys.executable}\n{forget}{run}")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(join_plan, "bundled_ffmpeg", lambda: None)
    upscale_video(source, target, doubled, ffmpeg=script, options=FAST)
    assert pictures(target)[0][0].shape == (128, 96)
    assert not probe(target).turned
    upscale_video(source, target, doubled, options=FAST, overwrite=True, ffmpeg=BUNDLED)
    assert (pictures(target)[0][0].shape, probe(target).turned) == ((96, 128), True)
    assert times(target)[0] == Fraction(0)

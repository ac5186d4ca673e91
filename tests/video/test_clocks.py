"""Containers with clocks of their own: AVI, which counts frames, and program streams, which time but some of them."""

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import both_ffmpegs, ffmpeg_run, moving, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.containers import container_named
from sr_plugins.video.languages import language_in
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]
_EXACT = ["-c:v", "libx264", "-qp", "0", *FAST]


def _rates(path: Path) -> tuple[Fraction, Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate is not None
        assert stream.time_base is not None
        return stream.average_rate, 1 / stream.time_base


@both_ffmpegs
@pytest.mark.parametrize(
    ("suffix", "rate", "sound"),
    [("avi", "25", True), ("mkv", "24000/1001", False), ("avi", "24000/1001", True), ("mp4", "30", False)],
)
def test_avi_has_the_rate_of_the_film(
    ffmpeg: str, suffix: str, rate: str, sound: bool, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / f"in.{suffix}", tmp_path / "out.avi"
    ffmpeg_run(*moving(rate=rate), *(tone() if sound else ()), "-c:v", "mpeg4", "-c:a", "libmp3lame", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "ffv1"], notice=lambda _: None)
    assert _rates(target) == (Fraction(rate), Fraction(rate))
    shown = times(source)
    assert times(target) == pytest.approx(shown, abs=0.001)


@both_ffmpegs
def test_avi_keeps_the_times_of_an_uneven_film(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.avi"
    uneven = ["-vf", "setpts='(N*0.04+0.013*mod(N,3))/TB'", "-fps_mode", "passthrough"]
    ffmpeg_run(*moving(), *uneven, "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "ffv1"], notice=lambda _: None)
    assert times(target) == pytest.approx(times(source), abs=0.011)


@both_ffmpegs
def test_avi_by_the_default_encoder_shows_frames_as_they_are_decoded(
    ffmpeg: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """It has no other times: frames that are reordered would be shown at others."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.avi"
    uneven = ["-vf", "select='not(eq(n,1)+eq(n,7))'", "-fps_mode", "passthrough"]
    ffmpeg_run(*moving("64x48", 0.6), *tone(0.6), *uneven, "-c:v", "ffv1", "-c:a", "pcm_s16le", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    with av.open(str(target)) as container:
        assert not container.streams.video[0].codec_context.has_b_frames
        found = [p.dts * p.time_base for p in container.demux(video=0) if p.size]  # type: ignore[operator]
    assert found == pytest.approx(times(source), abs=0.001)


@both_ffmpegs
@pytest.mark.parametrize("late", [0.04, 0.6])
def test_avi_begins_with_a_frame(ffmpeg: str, late: float, tmp_path: Path, doubled: Upscaler) -> None:
    """A film that begins later, as Xvid's of reordered frames do: all others come at their times beside the sound."""
    source, target, said = tmp_path / "in.avi", tmp_path / "out.avi", list[str]()
    if late == 0.04:
        ffmpeg_run(*moving("64x48"), *tone(), "-c:v", "mpeg4", "-bf", "2", "-c:a", "mp3", source)
    else:
        source = source.with_suffix(".mkv")
        sound = [*tone(2), "-c:v", "ffv1", "-c:a", "pcm_s16le"]
        ffmpeg_run("-itsoffset", str(late), *moving("64x48"), *sound, source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert said == [
        f"{source.name}: the first frame is shown {late:.3f} s early, from the beginning on: .avi begins with one"
    ]
    with av.open(str(target)) as container:
        found = [p.dts * p.time_base for p in container.demux(video=0) if p.size]  # type: ignore[operator]
    assert found == pytest.approx([0, *(late + n / 25 for n in range(1, 25))], abs=0.001)
    assert times(target, 1)[0] == 0


def _with_still_chunks(film: Path, count: int) -> None:
    """An AVI with empty chunks behind its last frame, as programs that capture write them."""
    data, chunks, place = film.read_bytes(), list[tuple[bytes, bytes]](), 12
    while place < len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        chunks.append((data[place : place + 4], data[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    body, at = b"", 0
    for name, held in chunks:
        if held[:4] == b"movi":
            at, held = len(held), held + b"00dc\0\0\0\0" * count
        if name == b"idx1":
            held += b"".join(struct.pack("<4s3I", b"00dc", 0, at + 8 * n, 0) for n in range(count))
        body += name + len(held).to_bytes(4, "little") + held + b"\0" * (len(held) % 2)
    film.write_bytes(b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"AVI " + body)


@both_ffmpegs
@pytest.mark.parametrize("still", [0, 3, 40])
def test_an_avi_that_rests_on_its_last_frame(ffmpeg: str, still: int, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.avi", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", 0.4), "-c:v", "mpeg4", source)
    _with_still_chunks(source, still)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    assert times(target) == [Fraction(n, 25) for n in range(10)]
    with av.open(str(target)) as container:
        assert container.duration == pytest.approx((10 + still) * 40_000, abs=1000)


@both_ffmpegs
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_reordered_films_of_quicktime_have_one_rate(
    ffmpeg: str, suffix: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """The time of decoding is in even steps, too, or players and editors take the rate for a variable one."""
    source, target = tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    ffmpeg_run(*moving("64x48"), "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*_EXACT, "-bf", "3"], chunk_frames=10)
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        found = [(packet.pts, packet.dts) for packet in container.demux(stream) if packet.size]
        assert stream.average_rate == 25
        assert stream.duration * stream.time_base == 1  # type: ignore[operator]
        steps = {(b[1] - a[1]) * stream.time_base for a, b in pairwise(found)}  # type: ignore[operator]
    assert steps == {Fraction(1, 25)}
    assert times(target) == times(source)


@both_ffmpegs
def test_a_thousand_frames_a_second(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Frames one tick apart, reordered; what a container's clock cannot tell apart is refused."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.mp4"
    ffmpeg_run(*moving("64x48", 0.016, "1000"), "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*_EXACT, "-bf", "3"], chunk_frames=10)
    assert times(target) == times(source) == [Fraction(n, 1000) for n in range(16)]
    for was, now in zip(pictures(source), pictures(target), strict=True):
        assert np.array_equal(now[0], was[0].repeat(2, 0).repeat(2, 1))
    fast = tmp_path / "fast.mp4"
    ffmpeg_run(*moving("64x48", 0.008, "2000"), "-c:v", "libx264", fast)
    with pytest.raises(PipeError, match=r"/out\.mkv: two frames would be shown at 0\.001 s: .* \.mov as target keeps"):
        upscale_video(fast, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=FAST)


@both_ffmpegs
def test_streams_that_are_listed_as_they_come(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.flv", tmp_path / "out.flv"
    ffmpeg_run("-itsoffset", "0.1", *moving(), *tone(), "-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100", source)
    with av.open(str(source)) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*FAST, "-bf", "0"])
    assert [_begin(target, kind) for kind in ("video", "audio")] == [
        _begin(source, kind) for kind in ("video", "audio")
    ]


def _begin(path: Path, kind: str) -> Fraction:
    with av.open(str(path)) as container:
        return times(path, next(stream.index for stream in container.streams if stream.type == kind))[0]


@both_ffmpegs
@pytest.mark.parametrize("bframes", [0, 3])
def test_program_streams_that_time_but_some_frames(
    ffmpeg: str, bframes: int, tmp_path: Path, doubled: Upscaler
) -> None:
    source, whole, cut = tmp_path / "in.vob", tmp_path / "out.mp4", tmp_path / "cut.mkv"
    coding = ["-c:v", "libx264", "-bf", bframes, "-g", 20, "-c:a", "mp2"]
    ffmpeg_run(*moving(seconds=2), *tone(2), *map(str, coding), source)
    film = probe(source)
    first = film.timeline[0]
    assert [time - first for time in film.timeline] == [3600 * number for number in range(50)]
    assert (film.rate, film.finish - first * film.time_base) == (25, 2)
    upscale_video(source, whole, doubled, ffmpeg=ffmpeg, options=_EXACT, chunk_frames=20)
    shown = times(whole)
    assert [time - shown[0] for time in shown] == pytest.approx([number / 25 for number in range(50)], abs=1e-4)
    with av.open(str(whole)) as container:
        assert container.streams.video[0].duration * container.streams.video[0].time_base == 2  # type: ignore[operator]
    for was, now in zip(pictures(source), pictures(whole), strict=True):
        assert np.array_equal(was[0].repeat(2, 0).repeat(2, 1), now[0])
    start = float(first * film.time_base - film.start) + 1
    assert upscale_video(source, cut, doubled, ffmpeg=ffmpeg, options=FAST, start=start).frames == 25


@both_ffmpegs
@pytest.mark.parametrize(
    ("suffix", "kept", "lost"),
    [
        ("mov", {"deu": "ger", "fre": "fra", "jpn": "jpn", "swe": "sve"}, ["haw", "pt-BR"]),
        ("mp4", {"deu": "deu", "fre": "fre", "jpn": "jpn", "haw": "haw"}, ["pt-BR"]),
        ("mkv", {"deu": "deu", "pt-BR": "pt-BR"}, []),
        ("avi", {}, ["deu"]),
    ],
)
def test_languages(
    ffmpeg: str, suffix: str, kept: dict[str, str], lost: list[str], tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    codes = [*kept, *lost]
    maps = [word for _ in codes for word in ("-map", "1")]
    told = [w for n, code in enumerate(codes) for w in (f"-metadata:s:a:{n}", f"language={code}")]
    sound = "pcm_s16le" if suffix == "avi" else "mp3"
    ffmpeg_run(*moving(seconds=0.2), *tone(0.2), "-map", "0", *maps, "-c:v", "ffv1", "-c:a", sound, *told, source)
    said: list[str] = []
    options = ["-c:v", "mpeg4"] if suffix == "avi" else FAST
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    with av.open(str(target)) as container:
        found = [stream.metadata.get("language", "und") for stream in container.streams.audio]
    assert found == [*kept.values(), *("und" for _ in lost)]
    assert [line for line in said if "language" in line] == [
        f"in.mkv: the language of stream {1 + codes.index(code)} (audio, {sound}, {code}) is left out: .{suffix} "
        "cannot hold it; .mkv can"
        for code in lost
    ]


def test_languages_that_have_two_codes() -> None:
    mov = container_named("mov")
    assert [language_in(mov, code) for code in ("deu", "ger", "zho", "ron", "rum", "und", None)] == [
        *("ger", "ger", "chi", "ron", "ron"),
        *(None, None),
    ]


@both_ffmpegs
@pytest.mark.parametrize(
    ("suffix", "gap", "said"),
    [
        ("avi", 0.0001, r"/out\.avi: frame 14 would be shown at 0\.52\d* s, not 0\.52\d* s: .* \.mkv does"),
        ("avi", 0.002, None),
        ("mov", 0.0001, None),
        ("mkv", 0.0001, None),
    ],
)
def test_frames_far_on_that_a_clock_cannot_tell_apart_are_refused_before_work(
    ffmpeg: str, suffix: str, gap: float, said: str | None, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / "in.mov", tmp_path / f"out.{suffix}"
    # Every second frame from the fourteenth on comes shortly after the one before.
    shown = f"setpts='if(lt(N,13),N*0.04,0.521+floor((N-13)/2)*0.08+mod(N-13,2)*{gap})/TB'"
    often = ["-enc_time_base", "1/90000", "-video_track_timescale", "90000"]
    ffmpeg_run(*moving(), "-vf", f"settb=1/90000,{shown}", "-fps_mode", "passthrough", *often, "-c:v", "ffv1", source)
    begun: list[int] = []
    options = ["-c:v", "ffv1"]
    if said is None:
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, notice=lambda _: None)
        assert times(target) == pytest.approx(times(source), abs=0.0009)
        return
    with pytest.raises(PipeError, match=said):
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, progress=lambda p: begun.append(p.done))
    assert not begun
    assert [path.name for path in tmp_path.iterdir()] == ["in.mov"]

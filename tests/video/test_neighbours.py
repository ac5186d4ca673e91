"""Films through models that see neighbouring frames: chunks, resumed jobs, parts and machines give the same frames."""

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fakes import mixing
from shots import LIMITED, film
from video_clips import ffmpeg_run

from sr_plugins import Frame, Upscaler
from sr_plugins.video.chunk_worker import ChunkWorker
from sr_plugins.video.chunks import Chunk, Film, FrameReader, digest, frame_before
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.ffmpeg_process import find_ffmpeg
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.pace import pace
from sr_plugins.video.pipe import upscale_pipe
from sr_plugins.video.plan import outline_film, plan_film
from sr_plugins.video.preview import Stills
from sr_plugins.video.transcode import FilmProgress, upscale_video
from sr_plugins.video.ways import Here

LENGTHS = [9, 1, 14, 2, 12]
WINDOW = (2, 1)
LOSSLESS = ["-c:v", "ffv1"]
SIZE = (72, 40)


@pytest.fixture(scope="module")
def upscaler() -> Iterator[Upscaler]:
    with Upscaler(mixing(WINDOW), device="cpu", backend="torch") as upscaler:
        yield upscaler


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shots in open groups of pictures of 8, whose borders are no cuts."""
    folder = tmp_path_factory.mktemp("neighbours")
    raw, path = folder / "raw", folder / "in.mkv"
    raw.write_bytes(b"".join(frame.planes[0].tobytes() for frame in film(LENGTHS, SIZE)))
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "72x40", "-r", "25", "-i", str(raw)]
    groups = ["-bf", "3", "-qp", "12", "-x264-params", "keyint=8:min-keyint=8:open-gop=1:scenecut=0"]
    ffmpeg_run(*source, "-pix_fmt", "yuv420p", "-c:v", "libx264", *groups, path)
    return path


def luma(path: Path) -> list[np.ndarray[Any, Any]]:
    with av.open(str(path)) as container:
        return [np.asarray(p.to_ndarray())[: p.height] for p in container.decode(video=0)]


@pytest.fixture(scope="module")
def expected(clip: Path, upscaler: Upscaler) -> list[np.ndarray[Any, Any]]:
    """What the stream makes of the decoded frames."""
    return [f.planes[0] for f in upscaler.stream(Frame([np.ascontiguousarray(y)], LIMITED) for y in luma(clip))]


def same(found: list[np.ndarray[Any, Any]], wanted: list[np.ndarray[Any, Any]]) -> bool:
    return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


@pytest.mark.parametrize("chunk", [500, 50, 7])
def test_chunks_of_any_length(chunk: int, clip: Path, expected: list[Any], upscaler: Upscaler, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    result = upscale_video(clip, target, upscaler, options=LOSSLESS, chunk_frames=chunk)
    assert result.frames == sum(LENGTHS)
    assert same(luma(target), expected)


@pytest.mark.parametrize("stop", [8, 30])
def test_interrupted_and_resumed(
    stop: int, clip: Path, expected: list[Any], upscaler: Upscaler, tmp_path: Path
) -> None:
    target = tmp_path / "out.mkv"

    def end(progress: FilmProgress) -> None:
        if progress.done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_video(clip, target, upscaler, options=LOSSLESS, chunk_frames=7, progress=end)
    result = upscale_video(clip, target, upscaler, options=LOSSLESS, chunk_frames=7)
    assert result.resumed == stop // 7 * 7
    assert same(luma(target), expected)


def test_a_decoder_that_began_in_the_middle_is_trusted_by_all_frames_of_the_window(
    clip: Path, upscaler: Upscaler, tmp_path: Path
) -> None:
    """It gives the hash that the reader which came from the beginning gave, wherever it begins."""
    film_of = _plan(clip, tmp_path, upscaler)
    reader = FrameReader(film_of, WINDOW)
    reader.begin(-(1 << 62))
    known = [(when, digest(seen)) for when, seen in reader.take(None)]
    reader.close()
    for when, told in known[::5]:
        other = FrameReader(film_of, WINDOW)
        assert other.enter(when) == told
        other.close()
    assert len({told for _, told in known}) == len(known)


def _plan(clip: Path, folder: Path, upscaler: Upscaler) -> Film:
    options = OutputOptions.parse(LOSSLESS)
    outline = outline_film(
        clip, folder / "o.mkv", options, (None, None), DecodeOptions(), 7, find_ffmpeg(None), overwrite=True
    )
    return plan_film(outline, Here(upscaler)).film


def test_two_machines_make_the_frames_of_one(
    clip: Path, expected: list[Any], upscaler: Upscaler, tmp_path: Path
) -> None:
    """What Ray runs on each machine, chunks by turns, each beginning in the middle."""
    film_of = _plan(clip, tmp_path, upscaler)
    timeline = film_of.source.timeline
    places = [*range(0, len(timeline), 7), len(timeline)]
    chunks = [
        Chunk(i, timeline[a] if a else -(1 << 62), timeline[b] if b < len(timeline) else None, b - a)
        for i, (a, b) in enumerate(pairwise(places))
    ]
    workers = [ChunkWorker(), ChunkWorker()]
    for worker in workers:
        worker.open({"model": mixing(WINDOW), "device": "cpu", "backend": "torch"}, None)
    made, previous = [], None
    for chunk in chunks:
        part = workers[chunk.index % 2].make(film_of, chunk, frame_before(timeline, chunk))
        assert part.entered is not None or chunk.index == 0
        assert part.follows(previous)
        previous = part.record
        path = tmp_path / f"{chunk.index}.{film_of.encoding.container}"
        path.write_bytes(part.encoded)
        made += luma(path)
    for worker in workers:  # in Ray they end with their process
        for held in ("_upscaler", "_reader"):
            vars(worker)[held].close()
    assert same(made, expected)


def test_a_part_of_a_film_is_that_part_of_the_whole(
    clip: Path, expected: list[Any], upscaler: Upscaler, tmp_path: Path
) -> None:
    for first, last in ((4, 8), (8, 13), (20, 21)):
        target = tmp_path / f"{first}.mkv"
        upscale_video(
            clip, target, upscaler, options=LOSSLESS, chunk_frames=3, start=first / 25 - 0.01, end=last / 25 - 0.01
        )
        assert same(luma(target), expected[first:last]), (first, last)


def test_stills_repeat_exactly_and_cost_nothing(upscaler: Upscaler, tmp_path: Path) -> None:
    """Ten equal frames in a moving film: those whose whole window rests are taken from the frame before."""
    frames = film([8], SIZE)
    frames[5:5] = [frames[5]] * 10
    raw, source, target = tmp_path / "raw", tmp_path / "in.mkv", tmp_path / "out.mkv"
    raw.write_bytes(b"".join(frame.planes[0].tobytes() for frame in frames))
    ffmpeg_run("-f", "rawvideo", "-pix_fmt", "gray", "-s", "72x40", "-r", "25", "-i", raw, "-c:v", "ffv1", source)
    result = upscale_video(source, target, upscaler, options=LOSSLESS)
    assert result.reused == 7  # 11 equal frames; the first two and the last of them see others
    assert same(luma(target), [frame.planes[0] for frame in upscaler.stream(frames)])


def test_the_pipe_gives_what_the_stream_gives(upscaler: Upscaler) -> None:
    frames = film([3, 4], SIZE, LIMITED)
    stream = b"YUV4MPEG2 W72 H40 F25:1 Ip A1:1 Cmono\n"
    stream += b"".join(b"FRAME\n" + frame.planes[0].tobytes() for frame in frames)
    out = BytesIO()
    assert upscale_pipe(BytesIO(stream), out, upscaler) == 7
    parts = out.getvalue().split(b"FRAME\n")[1:]
    for part, wanted in zip(parts, upscaler.stream(frames), strict=True):
        assert part == wanted.planes[0].tobytes()


def test_the_preview_shows_the_films_own_frames(clip: Path, expected: list[Any], upscaler: Upscaler) -> None:
    places = [0.0, 8 / 25, 9 / 25, 12 / 25, 37 / 25]
    found = Stills(clip, places, DecodeOptions(), find_ffmpeg(None)).seen(WINDOW)
    results, _ = pace(upscaler, [still.seen for still in found])
    assert same([result.planes[0] for result in results], [expected[round(t * 25)] for t in places])

"""What colours become in another kind of pixels, and that what they are is written down."""

from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import both_ffmpegs, by_turns, ffmpeg_run, moving, pictures

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same bars in several matrices and ranges, tagged."""
    folder = tmp_path_factory.mktemp("bars")
    made = {}
    for name, matrix, range_ in (("bt709", "bt709", "tv"), ("bt601", "smpte170m", "tv"), ("full", "bt709", "pc")):
        made[name] = folder / f"{name}.mkv"
        scale = f"scale=out_range={range_}:out_color_matrix={matrix}:flags=accurate_rnd"
        tags = f"setparams=range={range_}:colorspace={matrix}:color_primaries=bt709:color_trc=bt709"
        bars = ["-f", "lavfi", "-i", "smptehdbars=s=64x48:r=10:d=0.3"]
        # ffmpeg 9 squeezes what FFV1 is given in full range
        ffmpeg_run(*bars, "-vf", f"{scale},format=yuv444p,{tags}", "-c:v", "libx264", "-qp", "0", made[name])
    made["rgb"] = folder / "rgb.mkv"
    ffmpeg_run(*bars, "-c:v", "libx264rgb", "-crf", "0", made["rgb"])
    return made


def _shown(path: Path) -> np.ndarray:
    """Mean R, G and B of the first frame as a player with these tags shows it."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        matrix = "bt709" if int(frame.colorspace) in (1, 2) else "smpte170m"
        graph = av.filter.Graph()
        source = graph.add_buffer(template=container.streams.video[0])
        options = (
            ""
            if frame.format.is_rgb
            else f"in_color_matrix={matrix}:in_range={'pc' if int(frame.color_range) == 2 else 'tv'}"
        )
        scale = graph.add("scale", f"{options}:flags=accurate_rnd".removeprefix(":"))
        last = graph.add("format", "rgb24")
        sink = graph.add("buffersink")
        for a, b in ((source, scale), (scale, last), (last, sink)):
            a.link_to(b)
        graph.configure()
        source.push(frame)
        return sink.pull().to_ndarray().mean((0, 1))


@by_turns(
    source=["bt709", "bt601", "full"],
    encoding=[
        ["libx264rgb", "-crf", "1"],
        ["png"],
        ["mjpeg", "-q:v", "1"],
        ["libx265", "-pix_fmt", "gbrp", "-crf", "1"],
    ],
)
def test_into_rgb_and_jpeg_by_the_sources_matrix_and_range(
    ffmpeg: str, source: str, encoding: list[str], bars: dict[str, Path], tmp_path: Path, doubled: Upscaler
) -> None:
    target = tmp_path / "out.mkv"
    upscale_video(bars[source], target, doubled, ffmpeg=ffmpeg, options=["-c:v", *encoding])
    assert np.abs(_shown(target) - _shown(bars["rgb"])).max() < 2.2
    if encoding[0] == "mjpeg":
        assert (probe(target).colors.matrix, probe(target).colors.range) == (5, 2)


_TAGS = "the colour tags are left out (matrix, transfer, primaries): {} cannot hold them; .mkv can"
_BY_DEFINITION = "libvpx is BT.601 by definition: converted from bt709"


@by_turns(
    source=["full"],
    encoding=[
        ("out.mov", ["-c:v", "prores_ks"], ""),
        ("out.mkv", ["-c:v", "mpeg2video", "-q:v", "1"], ""),
        ("out.avi", ["-c:v", "ffv1"], _TAGS.format("ffv1 in avi")),
        ("out.ogv", ["-q:v", "10"], _TAGS.format("libtheora in ogg")),
        ("out.webm", ["-c:v", "libvpx", "-b:v", "4M"], _BY_DEFINITION),
        ("out.mkv", ["-c:v", "ffv1"], ""),
    ],
)
def test_codecs_and_containers_that_tell_no_range_or_matrix(
    ffmpeg: str,
    source: str,
    encoding: tuple[str, list[str], str],
    bars: dict[str, Path],
    tmp_path: Path,
    doubled: Upscaler,
) -> None:
    """What a player shows is the source; FFV1 in Matroska tells both."""
    name, options, line = encoding
    target, said = tmp_path / name, list[str]()
    upscale_video(bars[source], target, doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    assert np.abs(_shown(target) - _shown(bars["rgb"])).max() < 2.2
    told = "\n".join(said)
    assert line in told
    keeps = name == "out.mkv" and options[1] == "ffv1"
    assert ("cannot tell here that its range is full: converted to limited" in told) != (
        keeps or options[1] == "libvpx"  # which is that by definition, too
    )
    if keeps:
        assert not said
        assert probe(target).colors.range == 2


@by_turns(pix_fmt=["yuv420p", "yuv444p"], name=["out.mkv", "out.mp4"])
def test_gray_becomes_limited_and_is_tagged_so(
    ffmpeg: str, pix_fmt: str, name: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / name
    ffmpeg_run(*moving("64x48", 0.3, "10"), "-vf", "format=gray", "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-pix_fmt", pix_fmt, "-crf", "1"])
    want = 16 + pictures(source)[0][0].astype(float) * 219 / 255
    assert np.abs(pictures(target)[0][0][::2, ::2] - want).mean() < 1.5
    assert probe(target).colors.range in (0, 1)


@both_ffmpegs
@pytest.mark.parametrize("options", [["-pix_fmt", "yuv420p"], ["-vf", "hue=s=1,format=yuv420p"], ["-c:v", "libx264"]])
def test_rgb_becomes_what_was_asked_for(
    ffmpeg: str, options: list[str], bars: dict[str, Path], tmp_path: Path, doubled: Upscaler
) -> None:
    target, said = tmp_path / "out.mp4", list[str]()
    upscale_video(bars["rgb"], target, doubled, ffmpeg=ffmpeg, options=[*options, "-crf", "1"], notice=said.append)
    film = probe(target)
    assert (film.streams[0].codec, film.pix_fmt) == ("h264", "yuv444p" if "-c:v" in options else "yuv420p")
    assert (film.colors.matrix, film.colors.range) == (6, 1)
    assert sum("smpte170m, and is tagged so" in line for line in said) == 1
    assert np.abs(_shown(target) - _shown(bars["rgb"])).max() < 2.2


def test_a_format_that_an_encoder_does_not_take_is_said(
    bars: dict[str, Path], tmp_path: Path, doubled: Upscaler
) -> None:
    for words, said in (
        (["-c:v", "libx264rgb", "-pix_fmt", "yuv420p"], "libx264rgb does not take yuv420p: it takes .*rgb24"),
        (["-pix_fmt", "yuv42op"], "knows no pixel format 'yuv42op'"),
    ):
        with pytest.raises(PipeError, match=said):
            upscale_video(bars["rgb"], tmp_path / "out.mkv", doubled, options=words)


@both_ffmpegs
@pytest.mark.parametrize(("size", "matrix"), [("640x360", 6), ("720x480", 6), ("320x180", 2), ("1040x584", 2)])
def test_untagged_films_are_tagged_where_players_would_guess_otherwise(
    ffmpeg: str, size: str, matrix: int, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target, said = tmp_path / "in.mp4", tmp_path / "out.mp4", list[str]()
    ffmpeg_run(*moving(size, 0.1, "10"), "-pix_fmt", "yuv420p", source)
    assert probe(source).colors.matrix == 2
    fast = ["-preset", "ultrafast"]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=fast, notice=said.append)
    assert probe(target).colors.matrix == matrix
    assert said == ["in.mp4: untagged: taken as smpte170m, as players do at its size, and tagged so"] * (matrix == 6)


@both_ffmpegs
@pytest.mark.parametrize("pix_fmt", ["gray", "monow"])
def test_gray_pictures_are_not_tagged_as_rgb(ffmpeg: str, pix_fmt: str, tmp_path: Path, doubled: Upscaler) -> None:
    """The decoder of PNG says RGB also of what has one channel."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", 0.2, "10"), "-pix_fmt", pix_fmt, "-c:v", "png", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-preset", "ultrafast", "-crf", "1"])
    assert probe(target).colors.matrix == 2
    was, now = _shown(source).mean(), _shown(target).mean()
    assert abs(was - now) < 2


@by_turns(target=[("out.mkv", "libx264", True), ("out.mkv", "mpeg4", False), ("out.mp4", "libvpx-vp9", False)])
def test_where_chroma_lies_is_kept_or_said(
    ffmpeg: str, target: tuple[str, str, bool], tmp_path: Path, doubled: Upscaler
) -> None:
    name, encoder, kept = target
    source, result, said = tmp_path / "in.mkv", tmp_path / name, list[str]()
    tagged = ["-c:v", "ffv1", "-pix_fmt", "yuv420p", "-vf", "setparams=chroma_location=topleft"]
    ffmpeg_run(*moving("64x48", 0.2), *tagged, source)
    assert probe(source).colors.chroma_location == 3
    upscale_video(source, result, doubled, ffmpeg=ffmpeg, options=["-c:v", encoder], notice=said.append)
    assert (probe(result).colors.chroma_location == 3) == kept
    assert any("the colour tags are left out (chroma location)" in line for line in said) != kept


def test_every_hardware_encoder_is_planned() -> None:
    """Their lists of formats name surfaces of graphics cards, which are no pixels."""
    from sr_plugins.video.encode import nearest_format
    from sr_plugins.video.pixel_formats import PixelLayout

    offered = ("yuv420p", "nv12", "p010le", "yuv444p", "p016le", "bgr0", "gbrp", "cuda", "d3d11", "vaapi", "qsv")
    assert nearest_format(PixelLayout.of("yuv420p"), offered) == "yuv420p"
    assert nearest_format(PixelLayout.of("yuv420p10le"), offered) == "p010le"

"""What is decided before work begins: options, pixel formats, chunks, and what the journal trusts."""

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sr_plugins.errors import FrameError, PipeError
from sr_plugins.pixels.frame import ChromaLocation
from sr_plugins.video.chunks import plan_chunks
from sr_plugins.video.encode import nearest_format
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.pixel_formats import Colors, PixelLayout, frame_format, pipe_format
from sr_plugins.video.timeline import apart, nominal_rate


def test_options_are_sorted() -> None:
    words = "-c:v libx265 -crf 18 -c:a libopus -b:a 96k -movflags +faststart -map -0:s -an -metadata a=b -vf unsharp"
    options = OutputOptions.parse(words.split())
    assert options.encoder == "libx265"
    assert options.encode == ("-crf", "18", "-vf", "unsharp")
    assert options.join == ("-c:a", "libopus", "-b:a", "96k", "-movflags", "+faststart", "-metadata", "a=b")
    assert options.maps == ("0", "-0:s", "-0:a")
    assert OutputOptions.parse(["-map", "0:a", "-sn", "-map", "0:s:1"]).maps == ("0:a", "0:s:1", "-0:s")
    shaped = OutputOptions.parse(["-aspect", "2:1", "-tag:v", "hvc1"])
    assert (shaped.encode, shaped.join) == (("-aspect", "2:1"), ("-aspect", "2:1", "-tag:v", "hvc1"))
    assert shaped.own_aspect
    assert not OutputOptions.parse(["-crf", "18"]).own_aspect
    assert OutputOptions.parse(["-pix_fmt:v", "yuv444p", "-g", "-1"]).value("pix_fmt") == "yuv444p"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("out.mkv", "'out.mkv' is none"),
        ("-crf", "lacks its value"),
        ("-c:v copy", "has to be encoded"),
        ("-c copy", "has to be encoded"),
        ("-r 25", "keeps its time"),
        ("-to 5", "--end"),
        ("-pass 1", "single pass"),
        ("-y", "--overwrite"),
        ("-n", "--overwrite"),
        ("-vf reverse", "reverse looks across frames"),
        ("-filter:v scale=2*iw:-2,setpts=2*PTS", "setpts looks across frames"),
        ("-vf subtitles=film.srt", "subtitles looks .* at their time"),
        ("-filter format=yuv420p,hqdn3d", "hqdn3d looks across frames"),
        ("-filter:1 volume=0", "-filter:a:0 the first sound"),
        ("-c:1 flac", "-c:v the picture"),
        ("-b:m:language:eng 64k", "by their kind"),
        ("-shortest", "--end"),
        ("-vf rotate=PI*t/6", "rotate looks .* at their time"),
        ("-vf unsharp,hue=H='2*PI*n/25'", "hue looks .* at their time"),
        ("-vf geq=lum='p(X,Y)*T/2'", "geq looks .* at their time"),
        ("-vf drawtext=text='%{pts}'", "drawtext looks .* at their time"),
        ("-vf negate=enable='between(t,1,2)'", "enable works at some times only"),
        ("-filter_script:v film.txt", "behind -vf"),
    ],
)
def test_options_that_cannot_be(words: str, said: str) -> None:
    with pytest.raises(PipeError, match=said):
        OutputOptions.parse(words.split())


@pytest.mark.parametrize(
    "filters",
    [
        *(
            "scale=iw/2:-2:flags=lanczos,format=yuv420p",
            "crop=iw-16:ih:8:0",
            "unsharp=5:5:0.5",
            "noise=alls=4:allf=t+u",
        ),
        *(
            "drawbox=x=1:y=1:w=9:h=9:t=fill",
            "hue=s=0",
            "eq=gamma=1.1,lut3d=/n/t.cube",
            "geq=lum='p(X,Y)':cb=128:cr=128",
        ),
        *("drawtext=text='turn t'", "movie=logo.png[a];[in][a]overlay=W-w-8:8", "pad=iw:ih+16:0:8,setsar=1", "nlmeans"),
    ],
)
def test_filters_of_single_frames_pass(filters: str) -> None:
    assert OutputOptions.parse(["-vf", filters]).value("vf") == filters
    assert OutputOptions.parse(["-filter:a", "afade"]).sound_filter(1) == "afade"


@pytest.mark.parametrize(
    ("pix_fmt", "carrier"),
    [
        *(("yuv420p", "yuv420p"), ("yuvj420p", "yuvj420p"), ("nv12", "yuv420p"), ("p010le", "yuv420p10le")),
        *(("yuv420p10be", "yuv420p10le"), ("yuyv422", "yuv422p"), ("y210le", "yuv422p10le"), ("gray12be", "gray12le")),
        *(("rgb24", "gbrp"), ("bgr0", "gbrp"), ("rgb48be", "gbrp16le"), ("bgra", "rgba"), ("rgba64le", "gbrap16le")),
        *(("ya8", "rgba"), ("pal8", "rgba"), ("yuva420p", "yuva420p"), ("yuva444p12le", "yuva444p16le")),
        *(("monow", "gray"), ("x2rgb10le", "gbrp10le"), ("yuv440p", "yuv440p"), ("yuv410p", "yuv410p")),
    ],
)
def test_what_travels_through_the_pipe(pix_fmt: str, carrier: str) -> None:
    assert pipe_format(pix_fmt) == carrier


def test_frame_formats() -> None:
    tagged = frame_format("yuv422p10le", Colors(matrix=9, range=2, chroma_location=3))
    assert (tagged.family, tagged.bits, tagged.subsampling) == ("yuv", 10, (1, 0))
    assert (tagged.matrix, tagged.full_range, tagged.chroma_location) == (9, True, ChromaLocation.TOP_LEFT)
    assert frame_format("yuvj420p", Colors()).full_range is True
    assert frame_format("yuv420p", Colors()).full_range is False
    assert frame_format("rgb24", Colors(range=1)).full_range is True
    assert frame_format("gray", Colors(range=1)).full_range is False
    with pytest.raises(FrameError, match="not known"):
        pipe_format("nonsense")


@pytest.mark.parametrize(
    ("words", "kind", "number", "codec"),
    [
        *(("-c:a flac", "audio", 3, "flac"), ("-acodec flac", "audio", 0, "flac"), ("-c:s srt", "subtitle", 0, "srt")),
        *(("-codec:a:1 flac", "audio", 1, "flac"), ("-codec:a:1 flac", "audio", 0, None)),
        *(("-c:a flac -c:a:0 aac", "audio", 0, "aac"), ("-c:a flac", "subtitle", 0, None)),
    ],
)
def test_codec_that_was_named(words: str, kind: str, number: int, codec: str | None) -> None:
    assert OutputOptions.parse(words.split()).codec(kind, number) == codec


X264 = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le")


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        *(
            ("yuv420p", X264, "yuv420p"),
            ("gray", X264, "gray"),
            ("yuv411p", X264, "yuv422p"),
            ("yuv440p", X264, "yuv444p"),
        ),
        *(("yuv420p9le", X264, "yuv420p10le"), ("yuv422p12le", X264, "yuv422p10le"), ("gbrp", X264, "yuv444p")),
        *(("gray", ("yuv420p", "yuv444p"), "yuv420p"), ("yuva420p", X264, "yuv420p")),
        *((name, ("rgb8", "bgr8", "rgb4_byte", "gray", "pal8"), "rgb8") for name in ("yuv420p", "gbrp", "rgba")),
        *(("gray", ("rgb8", "gray"), "gray"), ("yuv420p", ("gray", "rgb24"), "rgb24")),
        *((name, ("rgb555le", "rgb565le", "bgr24"), "bgr24") for name in ("yuv420p", "gbrp", "yuv420p10le")),
        *(("gbrp", ("bgr0", "bgr24", "rgb24"), "bgr0"), ("gbrap16le", ("gbrap16le", "rgba64le"), "gbrap16le")),
    ],
)
def test_nearest_format(wanted: str, offered: tuple[str, ...], chosen: str) -> None:
    assert nearest_format(PixelLayout.of(wanted), offered) == chosen


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    times=st.lists(st.integers(-2, 12), min_size=1, max_size=40),
    length=st.integers(1, 9),
    start=st.none() | st.fractions(-3, 14, max_denominator=3).map(lambda ticks: ticks / 90),
    end=st.none() | st.fractions(-3, 14, max_denominator=3).map(lambda ticks: ticks / 90),
)
def test_chunks_take_every_frame_once(
    times: list[int], length: int, start: Fraction | None, end: Fraction | None
) -> None:
    base = Fraction(1, 90)
    timeline = sorted(times)
    kept = [t for t in timeline if (start is None or t * base >= start) and (end is None or t * base < end)]
    chunks = plan_chunks(timeline, base, length, start, end)
    parts = [[t for t in timeline if c.first <= t and (c.end is None or t < c.end)] for c in chunks]
    assert [t for part in parts for t in part] == kept
    assert [len(part) for part in parts] == [c.frames for c in chunks]
    # a chunk ends where it is full and the next frame keeps its time: of those that share one, the later are moved
    keep, place = [now == was for now, was in zip(apart(kept), kept, strict=True)], 0
    for part in parts:
        assert keep[place]
        assert not any(keep[place + length : place + len(part)])
        assert len(part) >= length or part is parts[-1]
        place += len(part)


MKV = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("times", "base", "declared", "rate"),
    [
        ([round(i * 1001 / 24) for i in range(40)], MKV, [Fraction(24000, 1001)], Fraction(24000, 1001)),
        ([*range(0, 400, 40), *range(90_000, 90_400, 40)], MKV, [Fraction(25)], Fraction(25)),  # a pause
        ([*range(0, 400, 40), *range(90_000, 90_400, 40)], MKV, [Fraction(3, 79), Fraction(0)], Fraction(25)),
        ([0, 33, 67, 100, 133, 167], MKV, [], Fraction(1000 * 5, 167).limit_denominator(1001)),
        ([0, 20_000_000, 40_000_000], MKV, [], Fraction(1, 20_000)),
        ([0, 94_944_000_000], MKV, [Fraction(25)], Fraction(1, 94_944_000)),
        ([0, 1, 4, 5], Fraction(1, 10), [Fraction(10)], Fraction(10)),  # repeats left out
        ([*range(0, 1200, 40)], MKV, [Fraction(24)], Fraction(25)),  # what is declared is not so
        ([*range(0, 1200, 40), *range(1400, 1800, 40)], MKV, [], Fraction(25)),  # a short pause
        (
            [*range(0, 401_200, 4012)],
            Fraction(1, 100_000),
            [Fraction(25)],
            Fraction(25_000, 1003).limit_denominator(1001),
        ),
        ([*range(0, 400_400, 4004)], Fraction(1, 100_000), [Fraction(25)], Fraction(25)),  # it is, but for the clock
        ([7], MKV, [Fraction(90_000), Fraction(30)], Fraction(30)),
        ([7, 7], MKV, [], Fraction(25)),
    ],
)
def test_nominal_rates(times: list[int], base: Fraction, declared: list[Fraction], rate: Fraction) -> None:
    assert nominal_rate(times, base, declared) == rate

"""Codes of languages: what a container is said to hold is what libavformat reads out of what it wrote."""

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import batched

import av
import numpy as np
import pytest

from sr_plugins.video.containers import CONTAINERS, Container
from sr_plugins.video.languages import language_in

# those of ISO 639-2 that QuickTime has numbers for, both of languages that have two, and others that it has none for
TOLD = """
alb amh ara arm asm aym aze baq bel ben bod bul bur cat ces chi cym cze dan deu dut dzo ell eng epo est eus fas fin
fra fre geo ger gre grn guj heb hin hun hye ice ind iri isl ita jav jpn kan kas kat kaz khm kin kir kor kur lao lat
lav lit mac mal mao mar may mkd mlg mlt mol mon mri msa mya nep nld nor nya ori orm per pol por pus que ron rum run
rus san sin slk slo slv smi snd som spa sqi sve swa swe tam tat tel tgk tgl tha tib tir tuk tur uig ukr urd uzb vie
wel yid zho haw gla tlh nob nno sco
"""
CODES = TOLD.split()
AT_ONCE = 24  # streams of a file: a transport stream holds no more of them
SOUND = {"mov": "pcm_s16le", "mp4": "aac", "ipod": "aac", "matroska": "pcm_s16le", "nut": "pcm_s16le", "mpegts": "mp2"}


def read_back(container: Container, codes: Sequence[str]) -> list[str | None]:
    """Written as the languages of as many streams of sound, and what is read of each."""
    file = io.BytesIO()
    with av.open(file, "w", format=container.muxer) as target:
        streams = []
        for code in codes:
            stream = target.add_stream(SOUND[container.muxer], rate=48000, layout="mono")
            stream.metadata["language"] = code
            streams.append(stream)
        for stream in streams:
            samples = np.zeros((1, stream.codec_context.frame_size or 1152), np.int16)
            kind = stream.codec_context.format.name if stream.codec_context.format else "s16"
            frame = av.AudioFrame.from_ndarray(samples, "s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            frames = av.AudioResampler(kind, "mono", 48000).resample(frame)
            for packet in [p for f in frames for p in stream.encode(f)] + stream.encode(None):
                target.mux(packet)
    file.seek(0)
    with av.open(file) as source:
        return [stream.metadata.get("language") for stream in source.streams.audio]


@pytest.mark.parametrize("name", SOUND)
def test_what_is_kept_is_read_back_and_what_is_not_would_not_be(name: str) -> None:
    container = next(c for c in CONTAINERS if c.muxer == name)
    kept = {code: language_in(container, code) for code in CODES}
    held = [code for code in kept.values() if code is not None]
    for some in batched(held, AT_ONCE):
        assert read_back(container, some) == list(some)
    lost = [code for code, told in kept.items() if told is None]
    assert (container.languages == "quicktime") == bool(lost)
    for some in batched(lost, AT_ONCE):
        assert {code for code in read_back(container, some) if code not in (None, "und")} == set()


@pytest.mark.parametrize("languages", ["all", "three letters", "quicktime", "none"])
def test_what_is_no_code_of_three_letters(languages: str) -> None:
    container = Container(muxer="any", languages=languages)  # type: ignore[arg-type]
    for code in ("pt-BR", "de", "DEU", "deutsch", "", "d3u"):
        assert language_in(container, code) == (code if languages == "all" else None)
    assert language_in(container, None) is None

"""What containers say of the language of a stream, in codes of ISO 639."""

from __future__ import annotations

import re

from sr_plugins.video.containers import Container

UNKNOWN = "und"
# The codes that ffmpeg finds a number for in QuickTime's own list, as its muxer writes and its demuxer reads them.
_CODES = """
alb amh ara arm asm aym aze baq bel ben bul bur cat ces chi dan dut dzo eng epo est fin fra geo ger gre grn guj heb hin
hun ice ind iri ita jav jpn kan kas kaz khm kin kir kor kur lao lat lav lit mac mal mar may mlg mlt mol mon nep nor nya
ori orm per pol por pus que ron run rus san sin slk slv smi snd som spa sve swa tam tat tel tgk tgl tha tib tir tuk tur
uig ukr urd uzb vie wel yid
"""
_QUICKTIME = frozenset(_CODES.split())
# Languages that ISO 639-2 has two codes for, and Swedish, which QuickTime calls otherwise.
_SAME = (
    *("alb sqi", "arm hye", "baq eus", "bur mya", "chi zho", "cze ces", "dut nld", "fre fra", "geo kat", "ger deu"),
    *("gre ell", "ice isl", "mac mkd", "mao mri", "may msa", "per fas", "rum ron", "slo slk", "tib bod", "wel cym"),
    "swe sve",
)
_OTHER = {one: other for a, b in map(str.split, _SAME) for one, other in ((a, b), (b, a))}


def same_language(one: str, other: str) -> bool:
    """Whether two codes mean the same."""
    return other in (one, _OTHER.get(one))


def language_in(container: Container, code: str | None) -> str | None:
    """The code under which this container tells a language; ``None``: it cannot.

    Examples: ``deu`` is ``ger`` in QuickTime; none holds ``pt-BR`` but Matroska and its like.
    """
    if code is None or container.languages == "all":
        return code
    if container.languages == "none" or re.fullmatch("[a-z]{3}", code) is None:
        return None
    if container.languages == "three letters":
        return code
    return next((name for name in (code, _OTHER.get(code)) if name in _QUICKTIME), None)

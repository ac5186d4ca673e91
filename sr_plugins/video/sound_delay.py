"""How late an encoder of sound is, for containers that cannot tell it: they count samples from zero on."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fractions import Fraction

from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import as_words, local_url
from sr_plugins.video.join_plan import Join

_BASE = "#tb "
_LOOKED_AT = "1"  # seconds


def sound_delays(join: Join, settings: Sequence[str]) -> list[Fraction]:
    """Seconds before zero at which each stream of the result begins: of sound that these ``settings`` encode, and let
    begin at zero, what its encoder puts before it. Measured by the ffmpeg that joins, on the film's own first second.

    Raises:
        PipeError: ffmpeg cannot do it.
    """
    maps = [word for kept in join.kept for word in ("-map", f"0:{kept.stream.index}")]
    only = ["-t", _LOOKED_AT, "-f", "framecrc", "-avoid_negative_ts", "disabled", "-"]
    given, input = as_words(join.given), ["-i", local_url(join.source.path)]
    command = [join.executable, "-v", "error", "-nostdin", *given, *input, *maps, *settings, *join.options.join, *only]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-1:]
        raise PipeError(f"{join.source.path}: its sound cannot be encoded: {''.join(last)}")
    bases, first = dict[int, Fraction](), dict[int, int]()
    for line in ended.stdout.splitlines():
        if line.startswith(_BASE):
            stream, _, base = line.removeprefix(_BASE).partition(":")
            bases[int(stream)] = Fraction(base.strip())
        elif line and not line.startswith("#"):
            stream, _, shown = line.split(",")[:3]
            first.setdefault(int(stream), int(shown))
    return [max(Fraction(0), -first.get(n, 0) * bases.get(n, Fraction(1))) for n in range(len(join.kept))]

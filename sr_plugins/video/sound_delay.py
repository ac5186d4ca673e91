"""Sound that is encoded anew, in step: encoders count samples, and put some before the sound or lose the first.

A container that counts samples from zero on (AVI) cannot say by how much, nor do all encoders say it rightly (DTS says
nothing): it is measured, by a signal that is encoded and decoded again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import container_named
from sr_plugins.video.ffmpeg_process import Child, as_words, local_url
from sr_plugins.video.join_plan import Join
from sr_plugins.video.source import opened
from sr_plugins.video.streams import EXPERIMENTAL, Kept

_BEGINS, _LASTS = 0.5, 0.1  # seconds: the signal in what is encoded
_LENGTH = "1.2"
_LIFTED = 10  # seconds
_TOLD = 0.0005  # seconds that nobody hears
# A tone that rises from 300 to 1500 Hz and swells: its own echo at no other time. Any rate from 4000 Hz on holds it.
_SIGNAL = (
    f"between(t,{_BEGINS},{_BEGINS + _LASTS})*0.25*sin(2*PI*(300*(t-{_BEGINS})+6000*(t-{_BEGINS})^2))"
    f"*(0.5-0.5*cos(2*PI*(t-{_BEGINS})/{_LASTS}))"
)


class _Timed:
    """Sound in containers that tell times: those of its encoder, which need not be right. NUT passes them on as they
    are, but none below zero."""

    trial: Sequence[str] = ("-output_ts_offset", str(_LIFTED), "-f", "nut")
    before_signal: Sequence[str] = ("asetpts=PTS-STARTPTS",)
    from_zero: Sequence[str] = ()  # what fills the time before the sound
    exact: tuple[str, ...] = ("pcm_",)  # how encoders are called that need not be measured

    def corrected(self, delay: float) -> list[str]:
        """Filters that make up for so many seconds."""
        ahead = [f"atrim=start={delay:.6f}"] if delay > 0 else []
        return [*ahead, f"asetpts=PTS-{delay:.6f}/TB"] if abs(delay) > _TOLD else []

    def begins(self, frame: av.AudioFrame) -> float:
        """When the trial's first sound is heard, in seconds."""
        return 0.0 if frame.time is None else frame.time - _LIFTED


class _Counted(_Timed):
    """Sound in containers that count samples, from zero on: what its encoder puts first makes all the rest late."""

    before_signal = ()
    from_zero = ("aresample=async=1:first_pts=0",)
    exact = ()

    def __init__(self, muxer: str) -> None:
        self.trial = ("-avoid_negative_ts", "disabled", "-f", muxer)

    def corrected(self, delay: float) -> list[str]:
        """What comes first gives way to what the encoder puts first, and silence stands for what it loses."""
        if delay > 0:
            return [f"atrim=start={delay:.6f}"]
        return [f"adelay=delays={-1000 * delay:.3f}:all=1"] if delay < 0 else []

    def begins(self, frame: av.AudioFrame) -> float:
        return 0.0


def sound_settings(join: Join) -> list[str]:
    """Filters of sound that is encoded anew: the person's own, with silence in pauses, no sound twice where an edit
    list cuts within a packet, and in step where the container cannot tell what the encoder does. They stand behind the
    person's options.

    Raises:
        PipeError: ffmpeg cannot encode it.
    """
    muxer = join.plan.muxer
    clock = _Counted(muxer) if container_named(muxer).counts else _Timed()
    sounds = [kept for kept in join.kept if kept.stream.kind == "audio"]
    steady = {place: _filters(join, kept, place, clock) for place, kept in enumerate(sounds) if kept.codec != "copy"}
    delays = _delays(join, sounds, steady, clock)
    said: list[str] = []
    for place, filters in steady.items():
        number = join.kept.index(sounds[place])
        if filters := [*filters, *clock.corrected(delays.get(place, 0.0))]:
            said += [f"-filter:{number}", ",".join(filters)]
    return said


def _filters(join: Join, kept: Kept, place: int, clock: _Timed) -> list[str]:
    own, span = join.options.sound_filter(place), join.source.spans.get(kept.stream.index)
    cuts, pauses = (span.cuts, span.pauses) if span is not None else (0, 0)
    exact = ":min_hard_comp=0.001" if cuts else ""
    steady = [f"aresample=async=1{exact}"] if cuts or pauses or clock.from_zero else []
    return [*steady, *([own] if own else []), *clock.from_zero]


def _delays(join: Join, sounds: Sequence[Kept], steady: dict[int, list[str]], clock: _Timed) -> dict[int, float]:
    """Seconds by which each of these streams comes late from a decoder; below zero: so much of its beginning is lost.
    Measured by the ffmpeg that joins, with a signal in the place of the film's sound."""
    filters = {place: chain for place, chain in steady.items() if not sounds[place].codec.startswith(clock.exact)}
    if not filters:
        return {}
    words = [word for kept in sounds for word in ("-map", f"0:{kept.stream.index}")]
    words += ["-c", "copy", *(EXPERIMENTAL if join.plan.experimental else ())]
    for place in filters:
        words += [f"-c:a:{place}", sounds[place].codec]
    words += join.options.of_sound
    for place, chain in filters.items():
        # As many channels as come, the last filter makes of them what the encoder gets: aeval's c=same cannot.
        signal = [*chain, *clock.before_signal, "apad", f"aeval='{_SIGNAL}':c=same", "aresample"]
        words += [f"-filter:a:{place}", ",".join(signal)]
    given = [*as_words(join.given), "-i", local_url(join.source.path)]
    with tempfile.TemporaryDirectory(prefix="sr-plugins-") as folder:
        file = Path(folder, "signal")
        ends = ["-t", _LENGTH, *clock.trial, str(file)]
        try:
            Child([join.executable, *given, *words, *ends], f"encoding the sound of {join.source.path}").finish()
            return {place: _late(file, place, clock) for place in filters}
        except PipeError:
            if clock.from_zero:
                raise
            return {}  # NUT cannot hold it; whether the film can, the rehearsal says


def _late(file: Path, place: int, clock: _Timed) -> float:
    """Seconds by which the signal comes late from this stream of sound; 0 where there is none."""
    with opened(file) as container:
        rate = container.streams.audio[place].rate
        mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
        begins, parts = 0.0, list[NDArray[np.float32]]()
        for frame in container.decode(audio=place):
            if not parts:
                begins = clock.begins(frame)
            parts += [out.to_ndarray().ravel().astype(np.float32, copy=False) for out in mono.resample(frame)]
    heard = np.concatenate([np.zeros(1, np.float32), *parts])[1:]
    t = np.arange(round(_LASTS * rate)) / rate
    signal = np.sin(2 * np.pi * (300 * t + 6000 * t**2)) * (0.5 - 0.5 * np.cos(2 * np.pi * t / _LASTS))
    found = heard.size > signal.size and heard.any()
    return begins + _place(heard, signal) / rate - _BEGINS if found else 0.0


def _place(heard: NDArray[np.float32], signal: NDArray[np.float64]) -> int:
    """Where the signal begins: the highest correlation."""
    size = heard.size + signal.size
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(signal, size))
    return int(np.argmax(np.fft.irfft(spectrum, size)[: heard.size]))

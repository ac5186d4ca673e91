"""Sound that is encoded anew for a container that counts samples and cannot say what an encoder puts before them."""

from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import both_ffmpegs, by_turns, ffmpeg_run, moving, times

from sr_plugins import Upscaler
from sr_plugins.video.transcode import upscale_video

_BURST = "0.8*sin(2*PI*1000*(t-0.5))*(0.5-0.5*cos(2*PI*(t-0.5)/0.1))*between(t,0.5,0.6)"


def _film(path: Path, late: float = 0, sound: str = "flac") -> Path:
    """A picture from zero on, and a burst of sound half a second after the sound begins."""
    burst = ["-itsoffset", str(late), "-f", "lavfi", "-i", f"aevalsrc='{_BURST}':s=48000:d=1"]
    ffmpeg_run(*moving("64x48", 1.6), *burst, "-c:v", "libx264", "-c:a", sound, path)
    return path


def _burst(path: Path) -> float:
    """When the burst begins, counted in samples from the beginning as AVI's players do: by correlation."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        heard = [f.to_ndarray().reshape(-1, f.samples)[0].astype(float) for f in container.decode(audio=0)]
    length = round(rate / 10)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(length) / rate) * np.hanning(length)
    return float(np.argmax(np.correlate(np.concatenate(heard), wanted, "valid"))) / rate


@both_ffmpegs
@pytest.mark.parametrize("encoder", ["libmp3lame", "aac", "ac3", "mp2", "pcm_s16le"])
def test_encoded_sound_is_in_step_in_avi(ffmpeg: str, encoder: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = _film(tmp_path / "in.mkv"), tmp_path / "out.avi"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "mpeg4", "-c:a", encoder])
    assert times(target)[0] == 0
    assert _burst(target) == pytest.approx(0.5, abs=0.001)


@by_turns(
    case=[
        (0.37, None, "flac", [], 0.87),
        (0.37, 0.4, "aac", [], 0.47),
        (-0.2, None, "aac", [], 0.3),
        (0, None, "ac3", ["-ar", "22050", "-ac", "2"], 0.5),
    ]
)
def test_wherever_it_begins_and_at_any_rate(
    ffmpeg: str, case: tuple[float, float | None, str, list[str], float], tmp_path: Path, doubled: Upscaler
) -> None:
    """Silence stands before sound that begins after the picture."""
    late, start, sound, more, burst = case
    source, target = _film(tmp_path / "in.mp4", late, sound), tmp_path / "out.avi"
    options = ["-c:v", "mpeg4", "-c:a", "libmp3lame", *more]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, start=start, notice=lambda _: None)
    assert _burst(target) == pytest.approx(burst, abs=0.001)

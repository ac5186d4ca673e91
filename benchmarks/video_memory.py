"""Memory of a long transcode: the resident size of the process at the end of every chunk, as a table.

    python benchmarks/video_memory.py [--frames 20000] [--chunk 1000]

The clip is small and made with ffmpeg's own test source; what is measured is whether anything grows with its length.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from sr_plugins import Upscaler
from sr_plugins.video.ffmpeg_process import find_ffmpeg
from sr_plugins.video.transcode import FilmProgress, upscale_video


def resident() -> float:
    """Resident size of this process in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20000)
    parser.add_argument("--chunk", type=int, default=1000)
    arguments = parser.parse_args()
    sizes: list[float] = []

    def note(progress: FilmProgress) -> None:
        if progress.done % arguments.chunk == 0 or progress.done == progress.total:
            sizes.append(resident())
            print(f"{progress.done:>8} frames  {sizes[-1]:8.1f} MiB  {progress.fps:7.1f} fps", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.mkv"), Path(folder, "out.mkv")
        clip = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-frames:v", str(arguments.frames)]
        subprocess.run([find_ffmpeg(), "-loglevel", "error", *clip, "-preset", "ultrafast", source], check=True)
        with Upscaler("realtime", 2, device="cpu") as upscaler:
            result = upscale_video(
                source, target, upscaler, options=["-preset", "ultrafast"], chunk_frames=arguments.chunk, progress=note
            )
        size = target.stat().st_size / 2**20
    print(f"{result.frames} frames in {result.seconds:.0f} s, {result.reused} reused; result {size:.1f} MiB")
    print(f"resident size after the first chunk {sizes[0]:.1f} MiB, at the end {sizes[-1]:.1f} MiB")


if __name__ == "__main__":
    main()

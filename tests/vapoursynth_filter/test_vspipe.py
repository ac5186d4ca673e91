"""The filter under vspipe, as people run it: a script, a pipe, a decoder at the other end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from fakes import blur
from warm_python import python

import sr_plugins
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.pixels.frame import Plane

TESTS = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
FRAMES, WIDTH, HEIGHT = 12, 48, 32

# Frame n is noise of seed n, made here and in the test alike, and stands for n + 1 forty-eighths of a second.
SCRIPT = """
import numpy as np
import vapoursynth as vs

def fill(n, f):
    g = f.copy()
    for i in range(3):
        plane = np.asarray(g[i])
        plane[:] = np.random.default_rng((n, i)).integers(0, 1 << {bits}, plane.shape)
    g.props.update(_DurationNum=n + 1, _DurationDen=48, _SARNum=n + 1, _SARDen=3)
    return g

blank = vs.core.std.BlankClip(format=vs.YUV420P{bits}, width={width}, height={height}, length={frames})
source = blank.std.ModifyFrame(blank, fill)
{body}
"""
OURS = "from fakes import blur, model_of, nearest\nfrom vapoursynth_filter import upscale\n"
UPSCALE = 'upscale(source, blur(), device="cpu", batch=2).set_output()'


def script(folder: Path, body: str = UPSCALE, *, bits: int = 8, imports: str = OURS) -> Path:
    path, body = folder / "script.vpy", imports + body
    path.write_text(SCRIPT.format(bits=bits, width=WIDTH, height=HEIGHT, frames=FRAMES, body=body))
    return path


def start(environment: dict[str, str], *arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [BIN / "vspipe", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(environment: dict[str, str], *arguments: str | Path) -> tuple[int, bytes, str]:
    """(exit status, stdout, stderr)"""
    process = start(environment, *arguments)
    out, talk = process.communicate(timeout=120)
    return process.returncode, out, talk.decode()


def source_frame(n: int, bits: int) -> Frame:
    kind = np.uint8 if bits == 8 else np.uint16
    shapes = [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2)]
    planes = [
        np.random.default_rng((n, i)).integers(0, 1 << bits, shape).astype(kind) for i, shape in enumerate(shapes)
    ]
    return Frame(planes, FrameFormat(family="yuv", bits=bits, subsampling=(1, 1)))


def decoded(stream: Path, bits: int) -> list[list[Plane]]:
    """Planes of every frame of a video file, rows without their padding."""
    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    with av.open(str(stream)) as container:
        return [
            [np.frombuffer(p, kind).reshape(p.height, p.line_size // kind.itemsize)[:, : p.width] for p in frame.planes]
            for frame in container.decode(video=0)
        ]


def upscaled(bits: int) -> list[list[Plane]]:
    """What the core makes of all frames."""
    with Upscaler(blur(), device="cpu") as upscaler:
        return [list(upscaler.upscale(source_frame(n, bits)).planes) for n in range(FRAMES)]


def test_y4m_decodes_to_what_the_upscaler_makes_with_the_sources_properties_and_times(
    vspipe: dict[str, str], tmp_path: Path
) -> None:
    """Of 10 bits; those of 8 come in chunks below."""
    times, props = tmp_path / "times", tmp_path / "props"
    written = []
    for body, imports in (("source.set_output()", ""), (UPSCALE, OURS)):
        path = script(tmp_path, body, bits=10, imports=imports)
        status, out, talk = run(vspipe, "-c", "y4m", "-t", times, "-j", props, path, "-")
        assert status == 0, talk
        written.append((times.read_text(), json.loads(props.read_text())))
    assert written[0] == written[1]
    lines = written[1][0].splitlines()
    assert [float(t) for t in lines[1:4]] == pytest.approx([0, 1000 / 48, 3000 / 48])  # uneven, to the frame
    stream = tmp_path / "out.y4m"
    stream.write_bytes(out)
    frames = decoded(stream, 10)
    for n, (planes, expected) in enumerate(zip(frames, upscaled(10), strict=True)):
        assert all(np.array_equal(a, b) for a, b in zip(planes, expected, strict=True)), n
    # nothing but the stream: one header line, then "FRAME\n" and the samples, frame after frame
    samples = 2 * WIDTH * 2 * HEIGHT * 3 // 2 * 2
    assert len(out) == out.index(b"\n") + 1 + FRAMES * (len(b"FRAME\n") + samples)


def test_chunks_in_processes_of_their_own_and_any_number_of_requests(vspipe: dict[str, str], tmp_path: Path) -> None:
    path = script(tmp_path)
    chunks = [
        start(vspipe, "-s", str(first), "-e", str(first + 5), "-r", str(requests), path, "-")
        for first, requests in ((0, 1), (6, 16))
    ]
    outputs = [chunk.communicate(timeout=120)[0] for chunk in chunks]
    assert [chunk.returncode for chunk in chunks] == [0, 0]
    assert b"".join(outputs) == b"".join(plane.tobytes() for planes in upscaled(8) for plane in planes)


PRINTS = """
import logging, sys, threading
from fakes import Nearest
class Chatty(Nearest):
    def __deepcopy__(self, memo):
        print("loading ...")
        return self
    def forward(self, x):
        print("lane")
        sys.stdout.buffer.write(b"bytes\\n")
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
        for log in ("a_library.inside", "sr_plugins"):  # as compilers do at a first frame
            logging.getLogger(log).debug("%s tells details", log)
            logging.getLogger(log).info("%s informs", log)
            logging.getLogger(log).warning("%s warns", log)
        return super().forward(x)
def callback(n, f):
    print("callback")
    return f
print("script", file=sys.stderr)
larger = upscale(source, model_of(Chatty), device="cpu", reuse=False)
logging.getLogger("the_script").info("the script informs")
larger.std.ModifyFrame(larger, callback).set_output()
"""


def test_what_is_printed_stays_out_of_the_video(vspipe: dict[str, str], tmp_path: Path) -> None:
    """By a model while it loads and in its lane, by a thread it starts, by bytes, by a callback of the script. Of what
    libraries log in lanes, which VSScript lets through at every level, warnings are shown."""
    status, out, talk = run(vspipe, "-c", "y4m", script(tmp_path, PRINTS), "-")
    assert status == 0, talk
    samples = 2 * WIDTH * 2 * HEIGHT * 3 // 2
    assert len(out) == out.index(b"\n") + 1 + FRAMES * (len(b"FRAME\n") + samples)
    assert "loading ..." in talk
    for word in ("lane", "bytes", "thread", "callback"):
        assert talk.count(word) >= FRAMES, talk
    assert talk.count("a_library.inside warns") == talk.count("sr_plugins informs") == FRAMES, talk
    assert "a_library.inside informs" not in talk
    assert "a_library.inside tells" not in talk
    assert talk.count("the script informs") == 1


OUTPUT = """
import sys
import vapoursynth as vs
from fakes import Nearest, model_of
from vapoursynth_filter import upscale
class Chatty(Nearest):
    def forward(self, x):
        print("lane")
        return super().forward(x)
clip = vs.core.std.BlankClip(format=vs.GRAY8, width=8, height=8, length=5)
upscale(clip, model_of(Chatty), device="cpu", reuse=False).output(sys.stdout, y4m=True)
print("own words", flush=True)
"""


def test_a_program_that_writes_frames_to_its_stdout_may_print_and_a_model_may_not() -> None:
    path = os.pathsep.join([str(TESTS), str(Path(sr_plugins.__file__).parent.parent)])
    done = python("-c", OUTPUT, env={**os.environ, "PYTHONPATH": path}, timeout=200, whole_end=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == done.stdout.index("\n") + 1 + 5 * (len("FRAME\n") + 256) + len("own words\n")
    assert done.stdout.endswith("own words\n")
    assert done.stderr.count("lane") >= 5


def test_an_interlaced_frame_stops_vspipe_with_its_number(vspipe: dict[str, str], tmp_path: Path) -> None:
    body = (
        "interlaced = source[5].std.SetFieldBased(2)\n"  # one: of several in flight, any may be told
        'upscale(source[:5] + interlaced + source[6:], blur(), device="cpu", batch=4).set_output()'
    )
    status, out, talk = run(vspipe, script(tmp_path, body), "-")
    assert status != 0
    assert "sr_plugins: frame 5: the frame is interlaced" in talk
    assert len(out) <= 5 * 2 * WIDTH * 2 * HEIGHT * 3 // 2  # no frame after it, and none in its place


def test_a_mistake_stops_vspipe(vspipe: dict[str, str], tmp_path: Path) -> None:
    filter_alone = "from vapoursynth_filter import upscale\n"
    status, out, talk = run(vspipe, script(tmp_path, 'upscale(source, "fats").set_output()', imports=filter_alone), "-")
    assert (status != 0, out) == (True, b"")
    assert "sr_plugins: no model called 'fats': did you mean 'fast'" in talk

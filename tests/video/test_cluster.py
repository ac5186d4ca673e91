"""Films made by several machines: Ray nodes of their own, on this one. What comes out is what one machine makes."""

import os
import socket
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import ray
import warm_python
from click.testing import CliRunner
from ray.cluster_utils import Cluster as RayNodes
from video_clips import BUNDLED, SYSTEM, open_groups, picture_hash, times

from sr_plugins import Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import DeviceError, PipeError, UnknownModelError
from sr_plugins.video.choosing import choose_for_film
from sr_plugins.video.chunks import Chunk
from sr_plugins.video.cluster import Cluster
from sr_plugins.video.ffmpeg_process import find_ffmpeg, version
from sr_plugins.video.source import Source
from sr_plugins.video.transcode import FilmProgress, upscale_video

CHUNK = 5
FAST = ["-preset", "ultrafast", "-bf", "2"]
MODEL = {"model": "film", "device": "cpu", "backend": "torch", "precision": "float32"}
FFMPEG = find_ffmpeg()
OTHER = next((path for path in (BUNDLED, SYSTEM) if path and version(path) != version(FFMPEG)), "")


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    """Two machines, the second of which finds another ffmpeg than the first, unless it is told which to take."""
    # so it is called; else whatever else runs here comes first
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    nodes = RayNodes()
    for more in ({"include_dashboard": False}, {"env_vars": {"SR_PLUGINS_FFMPEG": OTHER or FFMPEG}}):
        for left in reversed(range(3)):
            try:
                nodes.add_node(num_cpus=1, **more)
                break
            except Exception:  # Ray's own, of no class: it gives a machine 30 s to begin, too little for a busy one
                if not left:
                    raise
    nodes.wait_for_nodes(timeout=200)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 40 frames in open groups of pictures of 8: decoding cannot begin just anywhere."""
    return open_groups(tmp_path_factory.mktemp("cluster") / "in.mkv", 2)


@pytest.fixture(scope="module")
def expected(clip: Path) -> Path:
    """The film that this machine makes alone."""
    target = clip.with_name("alone.mkv")
    with Upscaler(**MODEL) as upscaler:
        upscale_video(clip, target, upscaler, options=FAST, chunk_frames=CHUNK)
    return target


def same_film(first: Path, second: Path) -> bool:
    return times(first) == times(second) and picture_hash(first) == picture_hash(second)


@pytest.mark.skipif(not OTHER, reason="there is one ffmpeg only")
def test_machines_that_would_differ_are_refused(nodes: RayNodes) -> None:
    """With the cure that is named they are not: so all other tests here use them."""
    with pytest.raises(DeviceError, match=r"has ffmpeg .*: name the same with --ffmpeg"):
        Cluster(**MODEL)


def test_by_the_command_machines_take_the_model_that_the_film_chooses(
    nodes: RayNodes, clip: Path, tmp_path: Path
) -> None:
    target, alone = tmp_path / "out.mkv", tmp_path / "alone.mkv"
    options = ["--device", "cpu", "--backend", "torch", "--precision", "float32", "--chunk", "5", "--end", "0.8"]
    options += ["--ffmpeg", FFMPEG]
    result = CliRunner().invoke(
        srp, ["video", str(clip), "-o", str(target), "--jobs", "ray", *options, "--", *FAST], standalone_mode=False
    )
    assert result.exception is None
    chosen = choose_for_film(clip).model
    assert f"{clip.name}: {choose_for_film(clip).line()}" in result.stderr
    assert f"2 at work: {chosen} x2 on torch, cpu, float32" in result.stderr
    with Upscaler(**{**MODEL, "model": chosen}) as upscaler:
        upscale_video(clip, alone, upscaler, options=FAST, chunk_frames=CHUNK, end=0.8)
    assert same_film(target, alone)


class TestOneCluster:
    """What the same two machines do, one film after the other, until one is lost."""

    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls, nodes: RayNodes) -> Iterator[Cluster]:
        with Cluster(**MODEL, ffmpeg=FFMPEG) as cluster:
            yield cluster

    def test_two_machines_make_the_film_of_one(
        self, cluster: Cluster, clip: Path, expected: Path, tmp_path: Path
    ) -> None:
        told: list[FilmProgress] = []
        assert cluster.workers == 2
        target = tmp_path / "out.mkv"
        result = upscale_video(clip, target, cluster, options=FAST, chunk_frames=CHUNK, progress=told.append)
        assert same_film(target, expected)
        assert result.frames == len(times(expected))
        assert result.resumed == 0
        assert [p.done for p in told] == sorted(p.done for p in told)
        assert not target.with_name("out.mkv.parts").exists()

    def test_what_one_machine_began_others_end(
        self, cluster: Cluster, clip: Path, expected: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "out.mkv"

        def stop(progress: FilmProgress) -> None:
            if progress.done == 3 * CHUNK + 2:
                raise KeyboardInterrupt

        with Upscaler(**MODEL) as upscaler, pytest.raises(KeyboardInterrupt):
            upscale_video(clip, target, upscaler, options=FAST, chunk_frames=CHUNK, progress=stop)
        result = upscale_video(clip, target, cluster, options=FAST, chunk_frames=CHUNK)
        assert result.resumed == 3 * CHUNK
        assert same_film(target, expected)

    def test_a_decoder_that_lost_its_place_is_found_out(
        self, cluster: Cluster, clip: Path, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def one_too_early(timeline: Sequence[int], chunk: Chunk) -> int | None:
            place = bisect_left(timeline, chunk.first)
            return timeline[place - 2] if chunk.index else None

        monkeypatch.setattr("sr_plugins.video.cluster.frame_before", one_too_early)
        target = tmp_path / "out.mkv"
        upscale_video(clip, target, cluster, options=FAST, chunk_frames=CHUNK)
        assert same_film(target, expected)

    def test_after_a_film_that_fails_the_next_is_made(
        self, cluster: Cluster, clip: Path, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "out.mkv"
        with monkeypatch.context() as patched:
            patched.setattr(Source, "digest", lambda self: "of the file as this machine sees it")
            with pytest.raises(PipeError, match=r"in.mkv is another file on .*: all machines must see the same one"):
                upscale_video(clip, target, cluster, options=FAST, chunk_frames=CHUNK)
        assert not target.exists()
        upscale_video(clip, target, cluster, options=FAST, chunk_frames=CHUNK, restart=True)
        assert same_film(target, expected)

    def test_a_lost_machine_costs_no_frame(
        self, nodes: RayNodes, cluster: Cluster, clip: Path, expected: Path, tmp_path: Path
    ) -> None:
        lost: list[int] = []

        def pull_the_plug(progress: FilmProgress) -> None:
            if not lost:
                lost.append(progress.done)
                (doomed,) = nodes.worker_nodes
                nodes.remove_node(doomed, allow_graceful=False)

        target = tmp_path / "out.mkv"
        assert cluster.workers == 2
        upscale_video(clip, target, cluster, options=FAST, chunk_frames=CHUNK, progress=pull_the_plug)
        assert cluster.workers == 1
        assert lost
        assert same_film(target, expected)


def test_what_a_machine_cannot_do_is_said_in_one_line(nodes: RayNodes) -> None:
    with pytest.raises(DeviceError, match="device 'cuda:7' cannot be used"):
        Cluster("tiny", device="cuda:7")
    with pytest.raises(UnknownModelError, match="tiny"):
        Cluster("tinny")


@pytest.mark.parametrize("there", [True, False], ids=["ray answers", "ray is gone"])
@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), 9)", "sys.exit(1)"])
def test_where_ray_ends_the_command_a_line_says_so(end: str, there: bool) -> None:
    """Past all that Python does at its end; who ends it himself is told nothing."""
    script = f"import os, sys; from sr_plugins.video.ray_watch import _watch; _watch(sys.argv[1]); {end}"
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        if not there:
            head.close()
        ended = subprocess.run([sys.executable, "-c", script, address], capture_output=True, text=True)
    assert ended.returncode == (-9 if "kill" in end else 1)
    said = "srp: Ray on this machine, or the cluster's head, was ended, and Ray ended this command: finished chunks are"
    assert ended.stderr.startswith(said) == (not there and end != "sys.exit(1)")
    assert ended.stderr.count("\n") == ended.stderr.startswith(said)


def test_a_cluster_that_is_not_there(clip: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # free again in a moment
    environment = os.environ | {"RAY_ADDRESS": f"127.0.0.1:{port}"}
    ended = warm_python.srp("video", clip, "-o", tmp_path / "out.mkv", "--jobs", "ray", env=environment)
    assert ended.returncode == 1
    assert "the Ray cluster cannot be reached" in ended.stderr
    assert "RAY_ADDRESS" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []

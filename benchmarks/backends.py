"""The core beside the runtimes by themselves: the same exported network, the same frames, in turns.

python benchmarks/backends.py [--model realtime] [--size 640x360] [--seconds 3] [--rounds 5] [--precision auto]

"core" is Upscaler.stream() from 8-bit YUV 4:2:0 planes to planes, conversions included. The runtimes by themselves get
float32 tensors that are ready and hand out float32: OpenVINO and ONNX Runtime at the best of their settings (streams
and threads), and where installed (pip install ncnn pnnx, pip install opencv-python-headless) ncnn and OpenCV's dnn
on the same ONNX file. "ratio" is the median over the rounds of core against that row in the same round.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch

from sr_plugins import Frame, Upscaler
from sr_plugins.backends.onnx_graph import INPUT
from sr_plugins.evaluation.speed import noise_pictures
from sr_plugins.exporters.files import export
from sr_plugins.plugins import plugins
from sr_plugins.weights.without_telemetry import import_onnxruntime, import_openvino

Rate = Callable[[], float]  # frames a second


def core(model: str, backend: str, precision: str, width: int, height: int, seconds: float) -> tuple[str, Rate]:
    """``Upscaler.stream`` in steady state."""
    upscaler = Upscaler(model, backend=backend, precision=precision)
    pictures = noise_pictures(width, height)
    upscaler.upscale(pictures[0])

    return f"core: {upscaler.description}", lambda: streamed(upscaler, pictures, seconds)


def streamed(upscaler: Upscaler, pictures: list[Frame], seconds: float) -> float:
    """Frames a second of ``Upscaler.stream``, the pictures in turn."""
    stop = time.perf_counter() + seconds

    def frames():  # type: ignore[no-untyped-def]
        i = 0
        while i < 3 or time.perf_counter() < stop:
            yield pictures[i % len(pictures)]
            i += 1

    start = time.perf_counter()
    done = sum(1 for _ in upscaler.stream(frames()))
    return done / (time.perf_counter() - start)


def called(calls: int, once: Callable[[], object], seconds: float) -> Rate:
    """``once`` by ``calls`` threads at the same time."""

    def rate() -> float:
        counts = [0] * calls

        def work(lane: int) -> None:
            stop = time.perf_counter() + seconds
            while counts[lane] < 2 or time.perf_counter() < stop:
                once()
                counts[lane] += 1

        threads = [threading.Thread(target=work, args=(lane,)) for lane in range(calls)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - start)

    return rate


def openvino_alone(path: Path, x: np.ndarray, precision: str, seconds: float) -> dict[str, Rate]:  # type: ignore[type-arg]
    openvino = import_openvino()
    rows = {}
    available = openvino.Core()
    model = available.read_model(path)
    model.reshape(list(x.shape))  # fixed sizes are faster
    threads = torch.get_num_threads()
    for streams in sorted({1, threads}):
        for requests in sorted({streams, 2 * streams}):
            compiled = available.compile_model(
                model,
                "CPU",
                {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads},
            )
            queue = openvino.AsyncInferQueue(compiled, requests)

            def rate(queue: openvino.AsyncInferQueue = queue) -> float:
                start, done = time.perf_counter(), 0
                while done < 3 or time.perf_counter() - start < seconds:
                    queue.start_async({0: x}, share_inputs=True)
                    done += 1
                queue.wait_all()
                return done / (time.perf_counter() - start)

            rows[f"OpenVINO alone, {precision}, streams {streams}, requests {requests}"] = rate
    return rows


def onnxruntime_alone(path: Path, x: np.ndarray, seconds: float) -> dict[str, Rate]:  # type: ignore[type-arg]
    onnxruntime = import_onnxruntime()
    rows = {}
    threads = torch.get_num_threads()
    for calls in sorted({1, threads}):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads // calls
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        once = lambda session=session: session.run(None, {INPUT: x})  # noqa: E731
        rows[f"ONNX Runtime alone, f32, {calls} calls of {threads // calls} threads"] = called(calls, once, seconds)
    return rows


def opencv_alone(path: Path, x: np.ndarray, seconds: float) -> dict[str, Rate]:  # type: ignore[type-arg]
    import cv2

    cv2.setNumThreads(torch.get_num_threads())
    network = cv2.dnn.readNetFromONNX(str(path))

    def once() -> object:
        network.setInput(x)
        return network.forward()

    once()
    return {"OpenCV dnn alone, f32": called(1, once, seconds)}


def ncnn_alone(path: Path, x: np.ndarray, seconds: float) -> dict[str, Rate]:  # type: ignore[type-arg]
    import subprocess

    import ncnn
    import pnnx

    shape = f"[{','.join(map(str, x.shape))}]"
    subprocess.run([pnnx.EXEC_PATH, path, f"inputshape={shape}"], cwd=path.parent, check=True, capture_output=True)
    network = ncnn.Net()
    network.opt.num_threads = torch.get_num_threads()
    network.load_param(str(path.with_suffix(".ncnn.param")))
    network.load_model(str(path.with_suffix(".ncnn.bin")))

    def once() -> object:
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(x[0]))
        return extractor.extract("out0")

    once()
    return {"ncnn alone": called(1, once, seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="realtime")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    seconds = asked.seconds
    loaded = Upscaler(asked.model, backend="torch").loaded
    x = np.random.default_rng(1).random((1, 1 if loaded.spec.channels == "luma" else 3, height, width), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export(loaded, path)
        rows: dict[str, Rate] = {}
        backend = "openvino" if plugins().backend("openvino").missing() is None else "torch"
        name, rate = core(asked.model, backend, asked.precision, width, height, seconds)
        rows[name] = rate
        hint = "f32" if name.endswith("float32") else "bf16"
        peers: dict[str, Callable[[], dict[str, Rate]]] = {
            "openvino": lambda: openvino_alone(path, x, hint, seconds),
            "onnxruntime": lambda: onnxruntime_alone(path, x, seconds),
            "cv2": lambda: opencv_alone(path, x, seconds),
            "ncnn pnnx": lambda: ncnn_alone(path, x, seconds),
        }
        for packages, make in peers.items():
            if all(map(find_spec, packages.split())):
                rows |= make()
            else:
                print(f"{packages}: not installed, left out")
        rounds = [{row: rate() for row, rate in rows.items()} for _ in range(asked.rounds)]
    print(f"\n{loaded.spec.label}, {asked.size}, {torch.get_num_threads()} threads, {asked.rounds} rounds\n")
    print("| | fps | core / this |\n|---|---:|---:|")
    for row in rows:
        print(f"| {row} | {median(r[row] for r in rounds):.2f} | {median(r[name] / r[row] for r in rounds):.2f} |")


if __name__ == "__main__":
    main()

"""Calls of one network that OpenVINO compiled: each result is known to be of its own call, or there is none.

``InferRequest.infer()`` of OpenVINO returns without an exception where it cannot have memory, and its outputs keep what
the call before left there (seen with 2026.4.1 and one thread). So a call is started and waited for, which does raise;
and it gets memory of its own for its outputs, in which every cache line starts with a number drawn for this call. A
number that is still there afterwards was not overwritten; that a result holds it by chance is as likely as 2 ** -64 for
each line.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from queue import LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.backends.memory_room import check_call
from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import openvino

Size = tuple[int, int]  # height, width
WORD = 8  # bytes of a number
LINE = 8  # numbers from one mark to the next: a cache line
TRIES = 16  # for outputs of less than a number, which may hold their mark by chance
BESIDE = 48 << 20  # bytes of a call beside its layers: graph, primitives
MOST_SIZES = 64  # whose output shapes are remembered

_numbers = random.Random()  # of our own: who seeds the common one must not find it moved


class NotWrittenError(MemoryError):
    """A call came back without having written its result."""


class Output:
    """Memory for one output of one call, marked."""

    def __init__(self, shape: Sequence[int], dtype: np.dtype[Any], number: int) -> None:
        self.size = math.prod(shape) * dtype.itemsize
        whole = np.empty(max(1, -(-self.size // WORD)), np.uint64)
        bytes_ = whole.view(np.uint8)[: self.size]
        self.array: NDArray[Any] = bytes_.view(dtype).reshape(shape)
        self._number = np.uint64(number)
        # the first number of every line, and the last bytes
        self._lines, self._end = whole[: self.size // WORD : LINE], bytes_[-WORD:]
        self._mark = np.frombuffer(number.to_bytes(WORD, "little"), np.uint8)[: len(self._end)]
        self._lines[:] = self._number
        self._end[:] = self._mark

    @property
    def written(self) -> bool:
        """Whether no mark is left."""
        left = bool((self._lines == self._number).any()) or bool(np.array_equal(self._end, self._mark))
        return not left


class Requests:
    """A compiled network and its requests, one for each lane; any number of threads may call it."""

    def __init__(self, model: openvino.Model, compiled: openvino.CompiledModel, lanes: int) -> None:
        self._model, self._compiled = model, compiled
        self._shapes: dict[Size, list[tuple[tuple[int, ...], np.dtype[Any]]]] = {}
        self._free: LifoQueue[openvino.InferRequest | None] = LifoQueue()
        for _ in range(lanes):
            self._free.put(None)
        self._make: Callable[[], openvino.InferRequest] = compiled.create_infer_request
        self.output_names: set[str] = set(model.output(0).names)

    def __call__(self, array: NDArray[np.float32]) -> list[NDArray[Any]]:
        """What the network puts out for (1, C, H, W), each in memory of its own.

        Raises:
            NotWrittenError: the runtime returned without an error, and without a result.
            MemoryError: there is too little for the call.
            RuntimeError: what the runtime raises. The request is thrown away then.
        """
        check_call(array.shape[2], array.shape[3], BESIDE)
        expected = self._expected(array)
        for _ in range(TRIES):
            outputs = [Output(shape, dtype, _numbers.getrandbits(64)) for shape, dtype in expected]
            self._call(array, outputs)
            left = [output.size for output in outputs if not output.written]
            if not left:
                return [output.array for output in outputs]
            if max(left) >= WORD:
                break
        raise NotWrittenError("OpenVINO returned without having written its result")

    def _call(self, array: NDArray[np.float32], outputs: Sequence[Output]) -> None:
        openvino = import_openvino()

        request = self._free.get()
        used = None
        try:
            if request is None:
                request = self._make()
            for i, output in enumerate(outputs):
                request.set_output_tensor(i, openvino.Tensor(output.array, shared_memory=True))
            request.start_async([openvino.Tensor(array, shared_memory=True)], share_inputs=True)
            request.wait()
            used = request
        finally:
            self._free.put(used)

    def _expected(self, array: NDArray[np.float32]) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and type of each output for a picture of this size."""
        size = array.shape[2], array.shape[3]
        found = self._shapes.get(size)
        if found is None:
            model = self._model
            if model.is_dynamic():
                model = model.clone()
                model.reshape(array.shape)
            found = [(tuple(output.shape), output.element_type.to_dtype()) for output in model.outputs]
            if len(self._shapes) >= MOST_SIZES:
                self._shapes.clear()
            self._shapes[size] = found
        return found

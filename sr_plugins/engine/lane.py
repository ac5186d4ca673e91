"""One lane: a thread that takes frames from the queue, serves one device, and sets their futures."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

from sr_plugins.engine.computation import Computation
from sr_plugins.engine.device_state import DeviceState
from sr_plugins.engine.job import Job
from sr_plugins.engine.job_queue import JobQueue
from sr_plugins.engine.lack_of_memory import lacks_memory
from sr_plugins.engine.memory import within_memory
from sr_plugins.engine.shared_tiles import SharedTiles
from sr_plugins.engine.threads import compute_in_this_thread_alone
from sr_plugins.engine.transfer import lane_stream
from sr_plugins.errors import DeviceError, SRError
from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.frame import Frame
from sr_plugins.pixels.resampling import resized_frame, with_hidden


class Lane(threading.Thread):
    """Takes jobs from the queue and runs them on a device until the queue is closed."""

    def __init__(self, queue: JobQueue, spec: ModelSpec, state: DeviceState) -> None:
        super().__init__(name=f"sr_plugins-{state.name}", daemon=True)
        self.queue = queue
        self._spec, self._state = spec, state

    def run(self) -> None:
        """The thread's body."""
        if self._state.lanes > 1:
            compute_in_this_thread_alone()
        with lane_stream(self._state.name):
            while (taken := self.queue.take(self._state)) is not None:
                if isinstance(taken, SharedTiles):
                    taken.run()
                else:
                    self.serve(taken)
                del taken  # keep no frame alive while waiting
        self._state.forget()
        del self._state  # here, not after the thread's end, which nobody can wait for

    def serve(self, jobs: Sequence[Job]) -> None:
        """Set the future of every job, whatever happens; jobs that were cancelled meanwhile are left out."""
        jobs = [job for job in jobs if job.future.running() or job.future.set_running_or_notify_cancel()]
        if not jobs:
            return
        state = self._state
        try:
            computation = state.computation(
                jobs[0].kind, lambda: Computation(self._spec, state, self.queue, jobs[0].kind)
            )
            for job, result in zip(jobs, within_memory(computation, jobs), strict=True):
                self._finish(job, result)
        except BaseException as error:
            if len(jobs) > 1:  # find the one it belongs to
                for job in jobs:
                    if not job.future.done():
                        self.serve([job])
            else:
                jobs[0].future.set_exception(self._explained(error))

    def work_off(self, future: Future[Frame]) -> Frame:
        """The result of ``future``, for a call from this very thread (a callback), which must not wait for itself."""
        while not future.done() and (job := self.queue.withdraw(future)) is not None:
            self.serve([job])
        return future.result()

    def _finish(self, job: Job, result: Frame) -> None:
        """Hand out the frame, or send it through the network again, or resize it to what was asked."""
        width, height = job.target
        if self._spec.scale > 1 and (result.width < width or result.height < height):
            job.source = job.source or job.frames[self._spec.window[0]]
            job.frames, job.rounds = (result,) * len(job.frames), job.rounds + 1
            self.queue.put_back(job)
            return
        if (result.width, result.height) != job.target:
            result = resized_frame(result, width, height)
        result = with_hidden(job.source or job.frames[self._spec.window[0]], result)
        job.future.set_result(result)

    def _explained(self, error: BaseException) -> BaseException:
        """Lack of memory beside the network, such as for a frame's last resize, in a line."""
        if isinstance(error, SRError) or not lacks_memory(error, self._state.network.backend):
            return error
        told = DeviceError(f"{self._state.name} is out of memory beside the network: close other programs on it")
        told.__cause__ = error
        return told

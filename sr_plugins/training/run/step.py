"""One step of training: forward, loss, backward, optimizers; on CUDA recorded and from then on launched as one.

A step of a small network is some two thousand kernels, and launching them from Python takes several times as long as
they run.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from sr_plugins.training.losses.weighted_sum import WeightedSum

logger = logging.getLogger(__name__)

WARM = 8  # ordinary steps before one is recorded: they choose algorithms and make the optimizers' memory


class Step:
    """Steps of one network on one device.

    Args:
        model: what is trained; ``network`` the same, perhaps shared by several processes.
        optimizers: of its parameters.
        scale: of the pictures that ``network`` makes when it is told none.
        clip: largest norm of the gradient.
        bfloat16: whether the forward pass computes so.
    """

    def __init__(
        self,
        model: nn.Module,
        network: nn.Module,
        optimizers: Sequence[Optimizer],
        *,
        scale: int,
        clip: float,
        bfloat16: bool,
    ) -> None:
        self.model, self.network, self.optimizers = model, network, optimizers
        self.scale, self.clip, self.bfloat16 = scale, clip, bfloat16
        self._records = model is network and next(model.parameters()).is_cuda
        self._stream = torch.cuda.Stream() if self._records else None  # type: ignore[no-untyped-call]
        self._kind: Hashable = None
        self._times = 0
        self._recorded: _Recorded | None = None

    def __call__(self, losses: WeightedSum, scale: int, x: Tensor, target: Tensor, kind: Hashable = None) -> Tensor:
        """Learn from a batch; returns its loss.

        ``kind`` tells steps apart that look alike: all with one kind, scale and shapes must do the same.
        """
        if self._stream is None:
            return self._compute(losses, scale, x, target)
        now = torch.cuda.current_stream()
        self._stream.wait_stream(now)
        with torch.cuda.stream(self._stream):
            loss = self._on_stream(losses, scale, x, target, (kind, id(losses), scale, x.shape, target.shape))
        now.wait_stream(self._stream)
        for tensor in (x, target):
            tensor.record_stream(self._stream)
        return loss

    def _on_stream(self, losses: WeightedSum, scale: int, x: Tensor, target: Tensor, kind: Hashable) -> Tensor:
        if kind != self._kind:
            self._kind, self._times, self._recorded = kind, 0, None
        self._times += 1
        if self._recorded is None and self._times > WARM and self._records and not losses.learn:
            try:
                self._recorded = _Recorded(self, losses, scale, x, target)
            except RuntimeError as error:
                logger.warning("steps are not recorded, which is slower: %s", str(error).strip().partition("\n")[0])
                self._records = False
        if self._recorded is not None:
            return self._recorded.launch(x, target)
        return self._compute(losses, scale, x, target)

    def _compute(self, losses: WeightedSum, scale: int, x: Tensor, target: Tensor) -> Tensor:
        # what a network adds its residual to is float32, and TensorFloat-32 would round it to 11 bits
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bfloat16):
                output = self.network(x) if scale == self.scale else self.network(x, scale)
            loss, picture = _loss(losses, output, target)
            self.model.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        losses.update(picture, target)
        return loss.detach()


class _Recorded:
    """A step, where it reads and where it leaves the loss."""

    def __init__(self, step: Step, losses: WeightedSum, scale: int, x: Tensor, target: Tensor) -> None:
        self._inputs = [t.clone(memory_format=torch.preserve_format) for t in (x, target)]
        self._graph = torch.cuda.CUDAGraph()
        step.model.zero_grad(set_to_none=True)  # gradients in the graph's memory
        with torch.cuda.graph(self._graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
            self._loss = step._compute(losses, scale, *self._inputs)

    def launch(self, *tensors: Tensor) -> Tensor:
        for place, tensor in zip(self._inputs, tensors, strict=True):
            place.copy_(tensor, non_blocking=True)
        self._graph.replay()
        return self._loss.clone()


def _loss(losses: WeightedSum, output: Tensor | list[Tensor], target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and the largest picture; smaller ones, if any, are held to the target shrunk to their size."""
    pictures = [p.float() for p in (output if isinstance(output, list) else [output])]
    loss = losses(pictures[-1], target)
    for picture in pictures[:-1]:
        shrunk = F.interpolate(target, size=picture.shape[-2:], mode="bicubic", antialias=True)
        loss = loss + losses(picture, shrunk)
    return loss, pictures[-1]

"""The arithmetic of an ncnn graph as a torch module."""

from __future__ import annotations

from torch import Tensor, nn

from sr_plugins.weights.ncnn_layers import Step, computed


class NcnnGraph(nn.Module):
    """Runs ``steps`` in order; float (N, ``planes``, H, W) to what ``target`` holds at the end."""

    def __init__(
        self, steps: tuple[Step, ...], tensors: list[Tensor], source: str, target: str, *, planes: int
    ) -> None:
        super().__init__()
        self.steps, self.source, self.target, self.planes = steps, source, target, planes
        for i, tensor in enumerate(tensors):
            self.register_buffer(f"t{i}", tensor)
        left: dict[str, int] = {}
        for step in steps:
            for name in step.inputs:
                left[name] = left.get(name, 0) + 1
        self.reads = tuple(left.items())  # how often each blob is read
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Values 0..1 to values of the same range, larger."""
        blobs, left = {self.source: x}, dict(self.reads)
        for step in self.steps:
            values = [blobs[name] for name in step.inputs]
            for name in step.inputs:  # what nobody reads any more is let go
                left[name] -= 1
                if not left[name] and name != self.target:
                    del blobs[name]
            made = computed(step, values, [self.get_buffer(f"t{i}") for i in step.tensors])
            del values
            for name, blob in zip(step.outputs, made, strict=True):
                if name in left or name == self.target:
                    blobs[name] = blob
        return blobs[self.target]

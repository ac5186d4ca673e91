"""The one network call: a network made ready for a device, its promises checked.

Values that are not finite in half precision are computed again in float32.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from sr_plugins.backends.trial import made_ready, network_for
from sr_plugins.engine.lack_of_memory import lacks_memory
from sr_plugins.errors import ModelOutputError, PluginError, SRError, described, others_code
from sr_plugins.interface.backend import BackendSpec, Coding, CodingRunner, Placement, Runner
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import Precision
from sr_plugins.pixels.resampling import mirrored_to

logger = logging.getLogger("sr_plugins")

FINEST = Coding(0.0, 65535.0, 16)
KEPT_SHAPES = 9  # runners of a backend whose runners take one shape each

Shape = tuple[int, int]  # height, width


class PlacedNetwork:
    """A model's network on one device; any number of lanes may call it.

    Args:
        loaded: the model.
        backend: what runs it.
        placement: where, in which precision and for how many pictures at most.

    Raises:
        PluginError: the backend takes no form of the network that there is, or cannot make it ready.
    """

    def __init__(
        self, loaded: LoadedModel, backend: BackendSpec, placement: Placement, offered_by: tuple[str, ...] = ()
    ) -> None:
        self.loaded, self.backend, self.placement = loaded, backend, placement
        self._offered_by = offered_by
        self._network = network_for(backend, loaded)
        self._runners: OrderedDict[tuple[Shape | None, Precision], Runner] = OrderedDict()
        self._building = threading.Lock()
        half = placement.precision != "float32" and "float32" in backend.precisions(placement.device)
        self._precisions: tuple[Precision, ...] = (placement.precision, "float32") if half else (placement.precision,)
        self._said = False
        if not backend.fixed_shapes:
            self.runner(placement.precision)

    def __call__(self, x: Tensor, coding: Coding | None = None) -> Tensor:
        """``x`` through the network: float32 values, or codes where the runner can make them.

        ``x`` is float32 (N, C, H, W), or (N, T, C, H, W) for a model that sees neighbouring frames, which runners take
        one after the other as channels; the result (N, C', H * scale, W * scale). Sides that the network does not take
        are mirrored to some that it does, and cropped.

        Raises:
            ModelOutputError: the result has another shape than promised, or is not finite in float32 either.
            PluginError: the model or the backend raised something of its own.
        """
        height, width = x.shape[-2:]
        x = mirrored_to(_as_channels(x), self._taken(height), self._taken(width))
        for precision in self._precisions:
            runner = self._runner_for(x, precision)
            y, finite = self._called(runner, x, coding)
            if finite:
                scale = self.loaded.spec.scale
                picture: Tensor = y[..., : height * scale, : width * scale]
                return picture
            if precision != "float32" and not self._said:
                self._said = True
                label = self.loaded.spec.label
                logger.warning(f"model {label} overflows in {precision}: running such frames in float32")
        raise ModelOutputError(f"{self._names} returned values that are not finite, also in float32")

    def runner(self, precision: Precision, shape: Shape | None = None) -> Runner:
        """The runner in a precision, and where the backend's runners take one shape each, for that (height, width)."""
        key = (shape, precision)
        with self._building:
            if key not in self._runners:
                shapes = () if shape is None else (shape,)
                where, most = self.placement.device, self.placement.batch
                placement = Placement(device=where, precision=precision, batch=most, shapes=shapes)
                try:
                    with others_code():
                        self._runners[key] = made_ready(self.backend, self._network, placement)
                except Exception as error:
                    raise self._explained(error) from error
                if len(self._runners) > KEPT_SHAPES:
                    self._runners.popitem(last=False)
            self._runners.move_to_end(key)
            return self._runners[key]

    def finest(self, coding: Coding | None) -> Callable[[Tensor], Tensor]:
        """The call that shows best whether two computations agree: values, or where codes are asked the finest."""

        def call(x: Tensor) -> Tensor:
            x = _as_channels(x)
            runner = self._runner_for(x, self.placement.precision)
            y, finite = self._called(runner, x, None if coding is None else FINEST)
            return y if finite else torch.full(x.shape, torch.nan)  # equal to nothing

        return call

    def _called(self, runner: Runner, x: Tensor, coding: Coding | None) -> tuple[Tensor, bool]:
        """What the runner returns, checked, and whether it is finite; codes where it can make them."""
        try:
            with others_code():
                codes = coding is not None and isinstance(runner, CodingRunner)
                y = runner.codes(x, coding) if codes else runner(x)  # type: ignore[attr-defined]
                return y, self._is_finite(y, x, coding if codes else None)
        except Exception as error:
            raise self._explained(error) from error

    def _runner_for(self, x: Tensor, precision: Precision) -> Runner:
        shape = (x.shape[-2], x.shape[-1]) if self.backend.fixed_shapes else None
        return self.runner(precision, shape)

    def _is_finite(self, y: object, x: Tensor, coding: Coding | None) -> bool:
        """Whether what a runner returned is finite; ``ModelOutputError`` if it is not what was promised."""
        spec = self.loaded.spec
        if y is None and coding is not None:  # how a runner of codes tells it
            return False
        if not isinstance(y, Tensor):
            raise ModelOutputError(f"{self._names} returned {type(y).__name__} instead of a torch tensor")
        expected = (x.shape[0], spec.planes_out, x.shape[-2] * spec.scale, x.shape[-1] * spec.scale)
        if y.shape != expected:
            raise ModelOutputError(
                f"{self._names} returned shape {tuple(y.shape)} for {tuple(x.shape)}, expected {expected}"
            )
        wanted = torch.float32 if coding is None else torch.uint8 if coding.bits == 8 else torch.uint16
        if y.dtype != wanted:
            raise ModelOutputError(f"{self._names} returned {y.dtype}, expected {wanted}")
        if y.device != x.device or y.layout != torch.strided:
            raise ModelOutputError(
                f"{self._names} returned a {y.layout} tensor on {y.device}: plain on {x.device} was due"
            )
        return coding is not None or bool(torch.isfinite(y.sum(dtype=torch.float32)))

    def _taken(self, side: int) -> int:
        """The length of a side that the network takes instead of ``side``."""
        spec = self.loaded.spec
        return -(-max(side, spec.minimum_size) // spec.size_multiple) * spec.size_multiple

    @property
    def _names(self) -> str:
        plugin = f" (plugin {', '.join(self._offered_by)})" if self._offered_by else ""
        return f"model {self.loaded.spec.label} on backend {self.backend.name}{plugin}"

    def _explained(self, error: Exception) -> Exception:
        """What a model or a backend raised of its own, with the names of both; lack of memory stays as it is."""
        if isinstance(error, SRError) or lacks_memory(error, self.backend):
            return error
        return PluginError(f"{self._names} failed ({described(error)}): use another model or backend")


def _as_channels(x: Tensor) -> Tensor:
    return x if x.ndim == 4 else x.flatten(1, 2)

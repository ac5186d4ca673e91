"""The precision that a backend runs a model in."""

from __future__ import annotations

from sr_plugins.backends.availability import check_runs_on, no_precision
from sr_plugins.devices import int8_is_faster
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import Precision

INT8_LOSS = 0.02  # dB of PSNR by its card, up to which a network runs in 8-bit integers without being asked


def precision_for(backend: BackendSpec, loaded: LoadedModel, device: str, asked: str) -> Precision:
    """The precision to run in: the one asked for, or for ``auto`` the backend's best in which the model stays right.

    Raises:
        DeviceError: the backend does not run on the device.
        UnknownNameError: not in the precision asked for.
    """
    check_runs_on(backend, device)
    chosen = precision_here(backend, loaded, device, asked)
    if chosen is None:
        whose = f" of backend {backend.name} on {device} for {loaded.spec.label}"
        raise no_precision(whose, device, asked, precisions(backend, loaded, device))
    return chosen


def precision_here(backend: BackendSpec, loaded: LoadedModel, device: str, asked: str) -> Precision | None:
    return next((p for p in precisions(backend, loaded, device) if asked in ("auto", p)), None)


def precisions(backend: BackendSpec, loaded: LoadedModel, device: str) -> tuple[Precision, ...]:
    """In which the model stays right on this backend, best first.

    8-bit integers come first where the processor has instructions for them and the card says that they cost next to
    nothing, else where the backend has them: last.
    """
    stays = loaded.spec.precisions
    right = tuple(p for p in backend.precisions(device) if stays is None or p in stays)
    loss = loaded.int8_loss
    if "int8" in right and loss is not None and loss <= INT8_LOSS and int8_is_faster(device):
        return ("int8", *(p for p in right if p != "int8"))
    return right


def chosen_precision(backend: BackendSpec, loaded: LoadedModel, device: str, asked: str) -> Precision:
    chosen = precision_here(backend, loaded, device, asked)
    assert chosen is not None
    return chosen

"""What a plugin tells us about one model, and one opened weights file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sr_plugins.errors import PluginError
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Channels, Form, Precision, Purpose

if TYPE_CHECKING:
    from torch import nn

LARGEST_SIDE = 4096  # that a network may ask for
MOST_NEIGHBOURS = 128  # frames that a model may see beside its own: all of them are in memory at once


def _is_whole(value: object, least: int) -> bool:
    """Whether it is a whole number of at least ``least``; ``True`` is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_pair(value: object, least: int) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_is_whole(n, least) for n in value)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One network at one scale.

    ``build()`` returns the untrained inference network; it imports torch inside, so that listing models stays cheap.
    The contract of every module: ``module(x)`` takes float ``(N, C, H, W)`` with values in [0, 1], C = 1 for a
    ``luma`` model and 3 (R, G, B) for an ``rgb`` model, any H, W >= 1, and returns ``(N, C, H * scale, W * scale)``.
    The residual is added inside; the result may leave [0, 1] a little and is clamped by the caller.

    Attributes:
        name: what users type after ``--model``. Name and scale together identify a model.
        scale: upsampling factor, 1 (restoration) or more.
        channels: ``luma`` (Y' of the frame; chroma is interpolated) or ``rgb``.
        build: makes the inference network, without weights: what a weights file holds. Its module may have
            ``plain() -> nn.Module`` returning the equal network that runs faster.
        receptive_radius: an output pixel depends on input pixels at most this far (in input pixels, both axes) from
            the input pixel it lies in. Tiles overlap by it; :mod:`sr_plugins.testing` proves it by perturbing pixels.
            ``None``: the network mixes the whole picture (global attention, pooling), so that tiles can only be
            blended, not exact.
        overlap: where tiles blend (``receptive_radius`` is ``None``), by how many input pixels.
        tile_error: where tiles blend, the largest error of one that was seen, in codes of 8 bits; ``None``: not known.
        working_bytes: memory at work for each input pixel; ``None``: not known. Where tiles blend, frames are computed
            whole as long as they fit.
        margin: how far beyond itself a tile reads, where the radius is dearer than the difference is worth; ``None``:
            the radius. Then tiled equals untiled only to what was measured for it.
        averages: of those over the whole picture that the network takes on its way, beside which it reads no further
            than ``receptive_radius``: for each, how many pixels of what is averaged belong to an input pixel, as a
            fraction (1, 2). Frames in tiles are then computed in passes, each of which gathers one average for all
            tiles: exact in bounded memory, on backend ``torch``; elsewhere tiles blend.
        tile_multiple: tiles start at multiples of it (input pixels): windows of attention, blocks.
        size_multiple: input sides must be multiples of it; the edge is mirrored to that and the result cropped.
        minimum_size: input sides must be at least this long; likewise.
        input_channels: ``None``: 1 for ``luma``, 3 for ``rgb``; :attr:`planes_in` never is ``None``.
        output_channels: likewise, :attr:`planes_out`.
        precisions: in which the network stays right; ``None``: all that a backend offers.
        purpose: what the network does beside its scale.
        window: frames before and after the one to enlarge that the network sees, 128 at most; its module then takes
            (N, T, C, H, W) with T = before + 1 + after, in order of time.
        weights: the ``.safetensors`` file with the trained weights, or ``None`` where none are shipped (yet).
        needs_weights: ``False`` for a network that ``build()`` returns ready to use (fixed filters).
        build_for_training: makes the network to train, where it differs from ``build()`` (branches that fold). Its
            module has ``fold() -> nn.Module`` returning the equal inference network, and may have
            ``load_folded(tensors) -> list[str]`` to start from one. It may return a list of pictures, the smallest
            first, to train each; and where a recipe trains smaller scales too, the scale is its second argument.
            ``None``: ``build`` serves both.
        symmetry: how many positions of a picture the network treats alike: 1, 2 (mirrored left and right), 4 (up and
            down too) or 8 (transposed too). In those the result is the same one, moved.
        architecture: shape of the network in the field's terms, and the paper it follows.
        license: licence of the weights.
        replaces: the distribution whose model of the same name and scale this one stands in for; without it a second
            provider of a name is an error.

    Raises:
        ValueError: an attribute is not what is written above; the message names the model.
    """

    name: str
    scale: int
    channels: Channels
    build: Callable[[], nn.Module]
    receptive_radius: int | None
    overlap: int | None = None
    tile_error: float | None = None
    working_bytes: int | None = None
    margin: int | None = None
    averages: tuple[tuple[int, int], ...] = ()
    tile_multiple: int = 1
    size_multiple: int = 1
    minimum_size: int = 1
    input_channels: int | None = None
    output_channels: int | None = None
    precisions: tuple[Precision, ...] | None = None
    purpose: Purpose = "enlarge"
    window: tuple[int, int] = (0, 0)
    weights: Path | None = None
    needs_weights: bool = True
    build_for_training: Callable[[], nn.Module] | None = None
    symmetry: Literal[1, 2, 4, 8] = 1
    architecture: str = ""
    license: str = ""
    replaces: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name of a model is {self.name!r}: it is a text")
        least = {"scale": 1, "tile_multiple": 1, "size_multiple": 1, "minimum_size": 1}
        least |= {n: 0 for n in ("receptive_radius", "overlap", "margin") if getattr(self, n) is not None}
        least |= {n: 1 for n in ("input_channels", "output_channels", "working_bytes") if getattr(self, n) is not None}
        for name, smallest in least.items():
            value = getattr(self, name)
            if not _is_whole(value, smallest):
                raise self._wrong(name, f"a whole number of at least {smallest}")
        for name, words in (("channels", Channels), ("purpose", Purpose)):
            if getattr(self, name) not in get_args(words):
                raise self._wrong(name, f"one of {', '.join(get_args(words))}")
        if not _is_whole(self.symmetry, 1) or self.symmetry not in (1, 2, 4, 8):
            raise self._wrong("symmetry", "1, 2, 4 or 8")
        if self.overlap is not None and self.receptive_radius is not None:
            raise self._wrong("overlap", "for models whose receptive_radius is None: others read their radius")
        if not isinstance(self.averages, tuple) or not all(_is_pair(pair, 1) for pair in self.averages):
            raise self._wrong("averages", "fractions of whole numbers, such as ((1, 2),)")
        if self.weights is not None and not isinstance(self.weights, Path):
            raise self._wrong("weights", "a pathlib.Path, or None")
        for name in ("size_multiple", "minimum_size"):
            if getattr(self, name) > LARGEST_SIDE:
                raise self._wrong(name, f"at most {LARGEST_SIDE}: every picture is made as large")
        error = self.tile_error
        if error is not None and not (isinstance(error, int | float) and 0 <= error <= 255):
            raise self._wrong("tile_error", "a number of codes from 0 to 255, or None")
        if not _is_pair(self.window, 0):
            raise self._wrong("window", "(frames before, frames after)")
        if sum(self.window) > MOST_NEIGHBOURS:
            raise self._wrong(
                "window", f"at most {MOST_NEIGHBOURS} frames before and after, all of which are in memory"
            )
        if not isinstance(self.needs_weights, bool):
            raise self._wrong("needs_weights", "True or False")

    def _wrong(self, attribute: str, wanted: str) -> ValueError:
        return ValueError(f"{attribute} of model {self.name!r} is {getattr(self, attribute)!r}: it is {wanted}")

    @property
    def label(self) -> str:
        """Name and scale as people write them, for example ``fast x2``."""
        return f"{self.name} x{self.scale}"

    @property
    def usable(self) -> bool:
        """Whether it can upscale: its weights are there, or it needs none."""
        return self.weights is not None or not self.needs_weights

    @property
    def planes_in(self) -> int:
        """Channels of the network's input."""
        return self.input_channels or (1 if self.channels == "luma" else 3)

    @property
    def planes_out(self) -> int:
        """Channels of the network's output."""
        return self.output_channels or (1 if self.channels == "luma" else 3)

    @property
    def frames(self) -> int:
        """How many frames it sees at once, the one to enlarge included: T."""
        return sum(self.window) + 1

    @property
    def blends(self) -> bool:
        """Whether its tiles blend, because the network mixes the whole picture."""
        return self.receptive_radius is None

    @property
    def is_local(self) -> bool:
        """Whether what lies far away changes no pixel, so that parts of a picture may be kept and computed alone."""
        return self.receptive_radius is not None and not self.averages

    @property
    def reads(self) -> int:
        """How far beyond itself a tile reads for the network, in input pixels: the radius, or the overlap."""
        if self.receptive_radius is None:
            return self.overlap or 0
        return self.receptive_radius if self.margin is None else self.margin


@dataclass(frozen=True)
class LoadedModel:
    """A weights file that was read: the model it is for and its network.

    Attributes:
        spec: what is known of the model.
        network: as it was read.
        others: the same network in other forms (an ONNX file turned into torch).
        card: what the weights file tells of itself.
    """

    spec: ModelSpec
    network: Network
    others: tuple[Network, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def int8_loss(self) -> float | None:
        """How many dB of PSNR 8-bit integers cost, by the card: the most on any test set that was measured both ways.

        ``metrics`` of the card has them as ``"Set5"`` and ``"Set5 int8"``. ``None``: nobody measured it.
        """
        metrics = self.card.get("metrics")
        if not isinstance(metrics, dict):
            return None
        psnr = {name: values.get("psnr") for name, values in metrics.items() if isinstance(values, dict)}
        numbers = {name: value for name, value in psnr.items() if isinstance(value, int | float)}
        losses = [value - numbers[f"{name} int8"] for name, value in numbers.items() if f"{name} int8" in numbers]
        return max(losses, default=None)

    def form(self, forms: Sequence[Form]) -> Network | None:
        """The network in the first of ``forms`` there is."""
        there = {network.form: network for network in (*self.others, self.network)}
        return next((there[form] for form in forms if form in there), None)

    def torch(self) -> TorchNetwork:
        """The network as a torch module.

        Raises:
            PluginError: there is none, for example of an ncnn file.
        """
        found = self.form(("torch",))
        if not isinstance(found, TorchNetwork):
            raise PluginError(
                f"{self.spec.label} is a network in the form of {self.network.form}, not of torch: training, export "
                "and backend torch need its .safetensors or .pth file"
            )
        return found

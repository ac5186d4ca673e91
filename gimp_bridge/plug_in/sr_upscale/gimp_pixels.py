"""Pixels between GIMP's drawables and the worker.

They travel in the drawable's own colour space (a plain format name such as "R'G'B' u8" would convert to sRGB and clip),
in pieces of at most STRIP bytes. Results wait in GEGL buffers, which swap to disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp  # noqa: E402
from worker_client import AUTO, LARGEST_SIDE, Worker, WorkerError, middle  # type: ignore[import-not-found]  # noqa: E402

STRIP = 32 << 20  # bytes
MARGIN = 64  # pixels around a selection that the network sees, more than our networks' receptive radius


class Box(NamedTuple):
    """A part of a drawable, in its own pixels."""

    x: int
    y: int
    width: int
    height: int


class Network(NamedTuple):
    """What the user chose, under the names that the worker knows."""

    model: str
    scale: int
    self_ensemble: bool


class Encoding(NamedTuple):
    """How a drawable's pixels travel."""

    format: str  # a Babl format in the drawable's own space
    channels: int
    depth: str
    pixel: int  # bytes


def encoding_of(drawable: Any) -> Encoding:
    """8 and 16 bit travel as they are; linear, 32-bit and floating-point pixels as encoded (R'G'B') floats."""
    precision = drawable.get_image().get_precision()
    exact = {Gimp.Precision.U8_NON_LINEAR: ("u8", 1), Gimp.Precision.U16_NON_LINEAR: ("u16", 2)}
    depth, size = exact.get(precision, ("float", 4))
    colours, channels = ("Y'", 1) if drawable.is_gray() else ("R'G'B'", 3)
    if drawable.has_alpha():
        colours, channels = colours + "A", channels + 1
    space = Babl.format_get_space(drawable.get_format())
    format = Babl.get_name(Babl.format_with_space(f"{colours} {depth}", space))
    return Encoding(format, channels, depth, channels * size)


def leaves(items: list[Any]) -> Iterator[Any]:
    """Layers that hold pixels, also those in groups."""
    for item in items:
        if item.is_group():
            yield from leaves(item.get_children())
        else:
            yield item


def whole(drawable: Any) -> Box:
    return Box(0, 0, drawable.get_width(), drawable.get_height())


def grown(box: Box, drawable: Any) -> Box:
    """The box with MARGIN around it, as far as the drawable reaches."""
    x, y = max(0, box.x - MARGIN), max(0, box.y - MARGIN)
    right = min(drawable.get_width(), box.x + box.width + MARGIN)
    bottom = min(drawable.get_height(), box.y + box.height + MARGIN)
    return Box(x, y, right - x, bottom - y)


def looked_at(box: Box) -> Box:
    """The middle of a part, which is what shows the model that suits it."""
    (x, width), (y, height) = middle(box.width), middle(box.height)
    return Box(box.x + x, box.y + y, width, height)


def strips(box: Box, pixel: int) -> Iterator[Any]:
    """The box as rectangles of at most STRIP bytes."""
    rows = max(1, STRIP // (box.width * pixel))
    for y in range(0, box.height, rows):
        yield Gegl.Rectangle.new(box.x, box.y + y, box.width, min(rows, box.height - y))


def pixels_of(drawable: Any, box: Box, encoding: Encoding) -> Iterator[bytes]:
    buffer = drawable.get_buffer()
    for part in strips(box, encoding.pixel):
        yield buffer.get(part, 1.0, encoding.format, Gegl.AbyssPolicy.NONE)


def request_for(box: Box, encoding: Encoding, network: Network) -> dict[str, Any]:
    """The header of a message about a part of a drawable."""
    size = {"width": box.width, "height": box.height, "channels": encoding.channels, "depth": encoding.depth}
    return {**size, **network._asdict()}


def chosen(drawable: Any, box: Box, network: Network, worker: Any) -> tuple[Network, str]:
    """The network with the model that ``auto`` is for this part of a drawable, and why in a line."""
    part, encoding = looked_at(box), encoding_of(drawable)
    model, line = worker.choose(request_for(part, encoding, network), pixels_of(drawable, part, encoding))
    return Network(model, network.scale, network.self_ensemble), line


def process(jobs: list[tuple[Any, Box]], network: Network, bridge: Mapping[str, Any]) -> list[Any]:
    """Have parts of drawables upscaled; returns a GEGL buffer for each, at the origin. Touches no image.

    Raises WorkerError.
    """
    total = sum(box.width * box.height for _, box in jobs)
    done = 0
    results = []
    for drawable, box in jobs:
        if max(box.width, box.height) * network.scale > LARGEST_SIDE:
            raise WorkerError(f"{drawable.get_name()} would be larger than GIMP allows: choose a smaller scale")
    Gegl.init(None)
    Gimp.progress_init("Super-resolution: starting the worker")
    with Worker(bridge) as worker:
        why = ""
        if network.model == AUTO:  # the largest decides for all, so that they go on fitting each other
            network, line = chosen(*max(jobs, key=lambda job: job[1].width * job[1].height), network, worker)
            why = f"{line.partition(': ')[0]}: "
        for number, (drawable, box) in enumerate(jobs, 1):
            encoding = encoding_of(drawable)
            which = why + (f"layer {number} of {len(jobs)}: " if len(jobs) > 1 else "")

            own = box.width * box.height

            def tell(text: str, share: float | None, which: str = which, before: int = done, own: int = own) -> None:
                Gimp.progress_set_text(which + text)
                if share is None:  # the network is made ready, or the layer is one tile
                    Gimp.progress_pulse()
                else:
                    Gimp.progress_update((before + share * own) / total)

            Gimp.progress_set_text(f"{which}sending pixels")
            request = request_for(box, encoding, network)
            width, height = worker.upscale(request, pixels_of(drawable, box, encoding), tell)
            larger = Box(0, 0, width, height)
            result = Gegl.Buffer.new(encoding.format, *larger)
            for part in strips(larger, encoding.pixel):
                # GEGL answers a wrong length with a mere warning; read() returns all or raises.
                result.set(part, encoding.format, worker.read(part.width * part.height * encoding.pixel))
            results.append(result)
            done += own
            Gimp.progress_update(done / total)
    return results


def check_done(answer: Any, what: str) -> None:
    """GIMP's procedures answer False instead of raising; ``WorkerError`` says what it would not do."""
    if not answer:
        raise WorkerError(f"GIMP could not {what}: undo this step")


def put(result: Any, drawable: Any, around: Any = None) -> None:
    """Replace a drawable's pixels, with its size if need be; its centre is that of ``around``, or its own."""
    box = result.get_extent()
    make_pixels_its_own(drawable)
    with movable(drawable):
        if (drawable.get_width(), drawable.get_height()) != (box.width, box.height):
            check_done(drawable.scale(box.width, box.height, True), f"scale {drawable.get_name()}")
        if around is not None:
            x, y = around.get_offsets()[-2:]
            place = x - (box.width - around.get_width()) // 2, y - (box.height - around.get_height()) // 2
            check_done(drawable.set_offsets(*place), f"place {drawable.get_name()}")
    locked = locked_items(drawable)
    for item in locked:
        check_done(item.set_lock_content(False), f"unlock the pixels of {item.get_name()}")
    buffer = drawable.get_buffer()
    result.copy(box, Gegl.AbyssPolicy.NONE, buffer, box)
    buffer.flush()
    drawable.update(0, 0, box.width, box.height)
    for item in locked:
        check_done(item.set_lock_content(True), f"lock the pixels of {item.get_name()} again")


def make_pixels_its_own(drawable: Any) -> None:
    """GIMP 3.2's link and vector layers would draw themselves again over what is written into them."""
    rasterized = getattr(drawable, "is_rasterized", None)
    if hasattr(drawable, "rasterize") and not (rasterized and rasterized()):
        check_done(drawable.rasterize(), f"make pixels of {drawable.get_name()}")


def locked_items(drawable: Any) -> list[Any]:
    """Itself and its groups, as far as their pixels are locked; GIMP ends a plug-in that writes into such a layer."""
    return [item for item in with_groups(drawable) if item.get_lock_content()]


def with_groups(drawable: Any) -> list[Any]:
    items = [drawable]
    while (parent := items[-1].get_parent()) is not None:
        items.append(parent)
    return items


@contextmanager
def movable(drawable: Any) -> Iterator[None]:
    """Itself and its groups without a lock of their position, which GIMP neither scales nor moves."""
    locked = [item for item in with_groups(drawable) if item.get_lock_position()]
    for item in locked:
        check_done(item.set_lock_position(False), f"unlock the position of {item.get_name()}")
    yield
    for item in locked:
        check_done(item.set_lock_position(True), f"lock the position of {item.get_name()} again")

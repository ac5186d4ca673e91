#!/usr/bin/env python3
"""Super-resolution in GIMP 3: Image > Super-resolution upscale, and two siblings for single layers.

GIMP's Python has neither numpy nor PyTorch, so this file needs only gi and the standard library. It hands the pixels
to a worker, a process of the Python that ``srp gimp install`` recorded in bridge.json beside this file.

Pixels travel in the layer's own colour space (a plain format name such as "R'G'B' u8" would convert to sRGB and clip),
in pieces of at most STRIP bytes. Results wait in GEGL buffers, which swap to disk; the image is not touched before
all of them have arrived, so that cancel or an error leaves it as it was.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp, GLib, GObject  # noqa: E402
from worker_client import Worker, WorkerError  # type: ignore[import-not-found]  # noqa: E402

BRIDGE = Path(__file__).with_name("bridge.json")
STRIP = 32 << 20  # bytes
MARGIN = 64  # pixels around a selection that the network sees, more than our networks' receptive radius
SCALES = (2, 3, 4, 6, 8)

IMAGE, LAYER, RESTORE = "plug-in-sr-upscale", "plug-in-sr-upscale-layer", "plug-in-sr-restore"


class Box(NamedTuple):
    """A part of a drawable, in its own pixels."""

    x: int
    y: int
    width: int
    height: int


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


def strips(box: Box, pixel: int) -> Iterator[Any]:
    """The box as rectangles of at most STRIP bytes."""
    rows = max(1, STRIP // (box.width * pixel))
    for y in range(0, box.height, rows):
        yield Gegl.Rectangle.new(box.x, box.y + y, box.width, min(rows, box.height - y))


def pixels_of(drawable: Any, box: Box, encoding: Encoding) -> Iterator[bytes]:
    buffer = drawable.get_buffer()
    for part in strips(box, encoding.pixel):
        yield buffer.get(part, 1.0, encoding.format, Gegl.AbyssPolicy.NONE)


def process(jobs: list[tuple[Any, Box]], model: str, scale: int) -> list[Any]:
    """Have parts of drawables upscaled; returns a GEGL buffer for each, at the origin. Touches no image.

    Raises WorkerError.
    """
    total = sum(box.width * box.height for _, box in jobs)
    done = 0
    results = []
    Gimp.progress_init("Super-resolution: starting the worker")
    with Worker(read_bridge()) as worker:
        for number, (drawable, box) in enumerate(jobs, 1):
            encoding = encoding_of(drawable)
            title = f"{drawable.get_name()} ({number} of {len(jobs)})" if len(jobs) > 1 else drawable.get_name()

            def tell(text: str, title: str = title) -> None:
                Gimp.progress_set_text(f"{title}: {text}")
                # Only whole layers are counted; within one the bar moves to say that work goes on.
                Gimp.progress_pulse()

            Gimp.progress_set_text(f"{title}: sending pixels")
            request = {"width": box.width, "height": box.height, "channels": encoding.channels, "depth": encoding.depth}
            request.update(model=model, scale=scale)
            width, height = worker.upscale(request, pixels_of(drawable, box, encoding), tell)
            whole = Box(0, 0, width, height)
            result = Gegl.Buffer.new(encoding.format, *whole)
            for part in strips(whole, encoding.pixel):
                # GEGL answers a wrong length with a mere warning; read() returns all or raises.
                result.set(part, encoding.format, worker.read(part.width * part.height * encoding.pixel))
            results.append(result)
            done += box.width * box.height
            Gimp.progress_update(done / total)
    return results


def read_bridge() -> dict[str, Any]:
    """What ``srp gimp install`` recorded: argv, environment, models."""
    try:
        bridge: dict[str, Any] = json.loads(BRIDGE.read_text("utf-8"))
        if not bridge["argv"] or not all(isinstance(part, str) for part in bridge["argv"]):
            raise ValueError("argv is no command")
        return bridge
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkerError(f"{BRIDGE} is missing or damaged ({error}): run 'srp gimp install'") from None


@contextmanager
def undo_step(image: Any) -> Iterator[None]:
    """One step in the undo history. Keep it short: a plug-in killed inside leaves it open."""
    image.undo_group_start()
    Gimp.context_push()
    try:
        yield
        Gimp.displays_flush()
    finally:
        Gimp.context_pop()
        image.undo_group_end()


def leaves(items: list[Any]) -> Iterator[Any]:
    """Layers that hold pixels, also those in groups."""
    for item in items:
        if item.is_group():
            yield from leaves(item.get_children())
        else:
            yield item


def whole(drawable: Any) -> Box:
    return Box(0, 0, drawable.get_width(), drawable.get_height())


def put(result: Any, drawable: Any) -> None:
    """Replace a drawable's pixels, with its size if need be."""
    box = result.get_extent()
    if hasattr(drawable, "rasterize"):  # link and vector layers, since GIMP 3.2
        drawable.rasterize()
    if (drawable.get_width(), drawable.get_height()) != (box.width, box.height):
        drawable.scale(box.width, box.height, True)
    buffer = drawable.get_buffer()
    result.copy(box, Gegl.AbyssPolicy.NONE, buffer, box)
    buffer.flush()
    drawable.update(0, 0, box.width, box.height)


def upscale_image(image: Any, drawables: list[Any], model: str, scale: int) -> None:
    """Every layer through the network; offsets, masks, groups, guides and selection scaled by GIMP."""
    if image.get_floating_sel() is not None:
        raise WorkerError("the image has a floating selection: anchor it or make it a layer first")
    layers = list(leaves(image.get_layers()))
    if not layers:
        raise WorkerError("the image has no layer")
    results = process([(layer, whole(layer)) for layer in layers], model, scale)
    with undo_step(image):
        if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
            image.convert_rgb()
        Gimp.context_set_interpolation(Gimp.InterpolationType.CUBIC)  # masks and channels
        image.scale(image.get_width() * scale, image.get_height() * scale)
        for layer, result in zip(layers, results, strict=True):
            put(result, layer)


def upscale_layers(image: Any, drawables: list[Any], model: str, scale: int) -> None:
    """Each selected layer (or group, as it looks) into a new, larger layer above it, around the same centre."""
    layers = [d for d in drawables if isinstance(d, Gimp.Layer)]
    if not layers:
        raise WorkerError("select a layer first")
    results = process([(layer, whole(layer)) for layer in layers], model, scale)
    with undo_step(image):
        for layer, result in zip(layers, results, strict=True):
            if layer.is_group():
                size = result.get_extent()
                wider, higher = size.width - layer.get_width(), size.height - layer.get_height()
                kind = Gimp.ImageType.GRAYA_IMAGE if layer.is_gray() else Gimp.ImageType.RGBA_IMAGE
                larger = Gimp.Layer.new(
                    image, "", size.width, size.height, kind, layer.get_opacity(), Gimp.LayerMode.NORMAL
                )
                x, y = layer.get_offsets()[-2:]
                larger.set_offsets(x - wider // 2, y - higher // 2)
            else:
                larger = layer.copy()
            larger.set_name(f"{layer.get_name()} ({model} {scale}x)")
            image.insert_layer(larger, layer.get_parent(), image.get_item_position(layer))
            Gimp.context_set_interpolation(Gimp.InterpolationType.CUBIC)
            put(result, larger)


def restore(image: Any, drawables: list[Any], model: str, scale: int) -> None:
    """Through the network and back to the same size, inside the selection only."""
    parts = []
    for drawable in drawables:
        if drawable.is_group():
            raise WorkerError(f"{drawable.get_name()} is a group: select the layers inside it")
        some, x, y, width, height = drawable.mask_intersect()
        if some:
            parts.append((drawable, Box(x, y, width, height)))
    if not parts:
        raise WorkerError("nothing is selected: the selection does not touch the chosen layer")
    jobs = [(drawable, grown(box, drawable)) for drawable, box in parts]
    results = process(jobs, model, scale)
    with undo_step(image):
        for (drawable, box), (_, sent), result in zip(parts, jobs, results, strict=True):
            shadow = drawable.get_shadow_buffer()
            source = Gegl.Rectangle.new(box.x - sent.x, box.y - sent.y, box.width, box.height)
            result.copy(source, Gegl.AbyssPolicy.NONE, shadow, Gegl.Rectangle.new(*box))
            shadow.flush()
            drawable.merge_shadow(True)
            drawable.update(*box)


def grown(box: Box, drawable: Any) -> Box:
    """The box with MARGIN around it, as far as the drawable reaches."""
    x, y = max(0, box.x - MARGIN), max(0, box.y - MARGIN)
    right = min(drawable.get_width(), box.x + box.width + MARGIN)
    bottom = min(drawable.get_height(), box.y + box.height + MARGIN)
    return Box(x, y, right - x, bottom - y)


class Action(NamedTuple):
    run: Callable[[Any, list[Any], str, int], None]
    label: str
    menu: str
    types: str
    blurb: str


ACTIONS = {
    IMAGE: Action(
        upscale_image, "_Super-resolution upscale...", "<Image>/Image", "*", "Enlarge the image with all its layers"
    ),
    LAYER: Action(
        upscale_layers,
        "Super-resolution to ne_w layer...",
        "<Image>/Layer",
        "RGB*, GRAY*",
        "Enlarge the selected layers into new layers",
    ),
    RESTORE: Action(
        restore,
        "Super-resolution _restore...",
        "<Image>/Filters/Enhance",
        "RGB*, GRAY*",
        "Clean the selected area through the network, at the same size",
    ),
}


class SuperResolution(Gimp.PlugIn):  # type: ignore[misc]
    """What GIMP asks for: the procedures, and their runs."""

    def do_set_i18n(self, name: str) -> bool:
        return False

    def do_query_procedures(self) -> list[str]:
        return list(ACTIONS)

    def do_create_procedure(self, name: str) -> Any:
        action = ACTIONS[name]
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
        procedure.set_image_types(action.types)
        sensitive = Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES
        if name == IMAGE:
            sensitive |= Gimp.ProcedureSensitivityMask.NO_DRAWABLES
        procedure.set_sensitivity_mask(sensitive)
        procedure.set_menu_label(action.label)
        procedure.add_menu_path(action.menu)
        procedure.set_documentation(action.blurb, "Runs a super-resolution network in a worker process.", name)
        procedure.set_attribution("sr-plugins", "sr-plugins", "2026")
        models = Gimp.Choice.new()
        try:
            known = [(m["name"], m["label"], m["help"]) for m in read_bridge()["models"]]
        except (WorkerError, KeyError, TypeError):
            known = []  # running then tells how to cure it
        for number, (model, label, help) in enumerate(known or [("fast", "fast", "")]):
            models.add(model, number, label, help)
        default = "fast" if models.is_valid("fast") else known[0][0]
        writable = GObject.ParamFlags.READWRITE
        procedure.add_choice_argument("model", "_Model", "The network", models, default, writable)
        if name != RESTORE:
            scales = Gimp.Choice.new()
            for scale in SCALES:
                scales.add(str(scale), scale, f"{scale} times larger", "")
            procedure.add_choice_argument("scale", "_Scale", "How many times larger", scales, "2", writable)
        return procedure

    def run(self, procedure: Any, mode: Any, image: Any, drawables: list[Any], config: Any, data: object) -> Any:
        action = ACTIONS[procedure.get_name()]
        if mode == Gimp.RunMode.INTERACTIVE and not confirmed(procedure, config, action):
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
        scale = 1 if action is ACTIONS[RESTORE] else int(config.get_property("scale"))
        try:
            action.run(image, drawables, config.get_property("model"), scale)
        except WorkerError as error:
            return failed(procedure, str(error))
        except Exception as error:
            traceback.print_exc()
            return failed(procedure, f"a bug, please report it: {type(error).__name__}: {error}")
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def confirmed(procedure: Any, config: Any, action: Action) -> bool:
    """Show the dialog with the model and scale."""
    gi.require_version("GimpUi", "3.0")
    from gi.repository import GimpUi

    GimpUi.init("sr_upscale")
    dialog = GimpUi.ProcedureDialog.new(procedure, config, "Super-resolution")
    dialog.fill(None)
    answer: bool = dialog.run()
    dialog.destroy()
    return answer


def failed(procedure: Any, message: str) -> Any:
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), f"Super-resolution: {message}", 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


Gimp.main(SuperResolution.__gtype__, sys.argv)

#!/usr/bin/env python3
"""Super-resolution in GIMP 3: Image > Super-resolution upscale, and two siblings for single layers.

GIMP's Python has neither numpy nor PyTorch, so this file needs only gi and the standard library. It hands the pixels
to a worker, a process of the Python that ``srp gimp install`` recorded in bridge.json beside this file.
The image is not touched before all results have arrived, so that cancel or an error leaves it as it was.
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

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp, GLib, GObject  # noqa: E402
from gimp_pixels import Box, Network, check_done, grown, leaves, locked_items, make_pixels_its_own, process, put, whole  # type: ignore[import-not-found]  # noqa: E402
from worker_client import AUTO, LARGEST_SIDE, WorkerError  # type: ignore[import-not-found]  # noqa: E402

BRIDGE = Path(__file__).with_name("bridge.json")
SCALES = (2, 3, 4, 6, 8)

IMAGE, LAYER, RESTORE = "plug-in-sr-upscale", "plug-in-sr-upscale-layer", "plug-in-sr-restore"


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
        check_done(Gimp.context_set_interpolation(Gimp.InterpolationType.CUBIC), "scale masks smoothly")
        yield
        Gimp.displays_flush()
    finally:
        Gimp.context_pop()
        image.undo_group_end()


def upscale_image(image: Any, drawables: list[Any], network: Network) -> None:
    """Every layer through the network; offsets, masks, groups, guides and selection scaled by GIMP."""
    refuse_floating_selection(image)
    if not (layers := list(leaves(image.get_layers()))):
        raise WorkerError("the image has no layer")
    if max(image.get_width(), image.get_height()) * network.scale > LARGEST_SIDE:
        raise WorkerError(f"the image would have sides over {LARGEST_SIDE} pixels, GIMP's limit: scale by less")
    results = process([(layer, whole(layer)) for layer in layers], network, read_bridge())
    with undo_step(image):
        if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
            check_done(image.convert_rgb(), "convert the image to RGB")
        link = getattr(Gimp, "LinkLayer", None)  # since 3.2
        for layer in layers:
            if link and isinstance(layer, link):  # GIMP would scale its offset twice
                make_pixels_its_own(layer)
        width, height = image.get_width() * network.scale, image.get_height() * network.scale
        check_done(image.scale(width, height), f"scale the image to {width} x {height}")
        for layer, result in zip(layers, results, strict=True):
            put(result, layer)


def refuse_floating_selection(image: Any) -> None:
    """It is a layer for a while, and lies on another one: GIMP scales both as one, and adds no layer beside it."""
    if image.get_floating_sel() is not None:
        raise WorkerError("the image has a floating selection: anchor it or make it a layer first")


def refuse_what_holds_no_colours(image: Any) -> None:
    """GIMP greys the menu out; a procedure call comes here, and would be mapped to the palette."""
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        raise WorkerError("the image is indexed, and its palette cannot hold new colours: make it RGB first")


def upscale_layers(image: Any, drawables: list[Any], network: Network) -> None:
    """Each selected layer (or group, as it looks) into a new, larger layer above it, around the same centre."""
    refuse_what_holds_no_colours(image)
    refuse_floating_selection(image)
    layers = [d for d in drawables if isinstance(d, Gimp.Layer)]
    if any(isinstance(d, Gimp.LayerMask) for d in drawables):
        raise WorkerError("a layer mask is selected: select its layer instead")
    if not layers:
        raise WorkerError("select a layer first")
    results = process([(layer, whole(layer)) for layer in layers], network, read_bridge())
    with undo_step(image):
        for layer, result in zip(layers, results, strict=True):
            larger = stand_in(image, layer) if layer.is_group() else layer.copy()
            check_done(larger.set_name(f"{layer.get_name()} ({network.model} {network.scale}x)"), "name the new layer")
            place = image.get_item_position(layer)
            check_done(image.insert_layer(larger, layer.get_parent(), place), "add the new layer")
            if layer.is_group():
                take_over_looks(layer, larger)
            put(result, larger, layer if layer.is_group() else None)


def stand_in(image: Any, group: Any) -> Any:
    """An empty layer of a group's size and place that is mixed with what lies below as the group is."""
    kind = Gimp.ImageType.GRAYA_IMAGE if group.is_gray() else Gimp.ImageType.RGBA_IMAGE
    passes = group.get_mode() == Gimp.LayerMode.PASS_THROUGH  # for groups alone
    mode = Gimp.LayerMode.NORMAL if passes else group.get_mode()
    layer = Gimp.Layer.new(image, "", group.get_width(), group.get_height(), kind, group.get_opacity(), mode)
    check_done(layer.set_offsets(*group.get_offsets()[-2:]), "place the new layer")
    check_done(layer.set_visible(group.get_visible()), "show or hide the new layer")
    return layer


def take_over_looks(group: Any, layer: Any) -> None:
    """The mask and the effects of a group, whose own pixels are those before both."""
    if (mask := group.get_mask()) is not None:
        own = layer.create_mask(Gimp.AddMaskType.WHITE)
        check_done(layer.add_mask(own), "add the mask")
        buffer, box = own.get_buffer(), Gegl.Rectangle.new(*whole(own))
        mask.get_buffer().copy(box, Gegl.AbyssPolicy.NONE, buffer, box)
        buffer.flush()
        own.update(*whole(own))
        check_done(layer.set_apply_mask(group.get_apply_mask()), "apply the mask")
    for effect in reversed(group.get_filters()):
        copy = Gimp.DrawableFilter.new(layer, effect.get_operation_name(), effect.get_name())
        old, new = effect.get_config(), copy.get_config()
        for property in old.list_properties():
            if property.flags & GObject.ParamFlags.WRITABLE and not property.flags & GObject.ParamFlags.CONSTRUCT_ONLY:
                new.set_property(property.name, old.get_property(property.name))
        copy.set_opacity(effect.get_opacity())
        copy.set_blend_mode(effect.get_blend_mode())
        check_done(copy.set_visible(effect.get_visible()), f"show or hide the effect {effect.get_name()}")
        copy.update()
        layer.append_filter(copy)


def restore(image: Any, drawables: list[Any], network: Network) -> None:
    """Through the network and back to the same size, inside the selection only."""
    refuse_what_holds_no_colours(image)
    parts = []
    for drawable in drawables:
        if drawable.is_group():
            raise WorkerError(f"{drawable.get_name()} is a group: select the layers inside it")
        for item in locked_items(drawable):
            raise WorkerError(f"the pixels of {item.get_name()} are locked: unlock them first")
        some, x, y, width, height = drawable.mask_intersect()
        if some:
            parts.append((drawable, Box(x, y, width, height)))
    if not parts:
        raise WorkerError("nothing is selected: the selection does not touch the chosen layer")
    jobs = [(drawable, grown(box, drawable)) for drawable, box in parts]
    results = process(jobs, network, read_bridge())
    with undo_step(image):
        for (drawable, box), (_, sent), result in zip(parts, jobs, results, strict=True):
            make_pixels_its_own(drawable)
            shadow = drawable.get_shadow_buffer()
            source = Gegl.Rectangle.new(box.x - sent.x, box.y - sent.y, box.width, box.height)
            result.copy(source, Gegl.AbyssPolicy.NONE, shadow, Gegl.Rectangle.new(*box))
            shadow.flush()
            check_done(drawable.merge_shadow(True), f"write {drawable.get_name()}")
            drawable.update(*box)


class Action(NamedTuple):
    run: Callable[[Any, list[Any], Network], None]
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
        models, default = model_choice(restores=name == RESTORE)
        writable = GObject.ParamFlags.READWRITE
        procedure.add_choice_argument("model", "_Model", "The network", models, default, writable)
        if name != RESTORE:
            scales = Gimp.Choice.new()
            for scale in SCALES:
                scales.add(str(scale), scale, f"{scale} times larger", "")
            procedure.add_choice_argument("scale", "Scal_e", "How many times larger", scales, "2", writable)
        slower = "The mean of what the network makes of eight positions, mirrored and turned: up to eight times slower"
        procedure.add_boolean_argument(
            "self-ensemble", "_A little better, up to 8 times slower", slower, False, writable
        )
        return procedure

    def run(self, procedure: Any, mode: Any, image: Any, drawables: list[Any], config: Any, data: object) -> Any:
        action = ACTIONS[procedure.get_name()]

        def network_of(config: Any) -> Network:
            scale = 1 if action is ACTIONS[RESTORE] else int(config.get_property("scale"))
            return Network(config.get_property("model"), scale, config.get_property("self-ensemble"))

        try:
            layers = layers_for(procedure, image, drawables)
            if mode == Gimp.RunMode.INTERACTIVE and not confirmed(procedure, config, layers, network_of):
                return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
            action.run(image, drawables, network_of(config))
        except WorkerError as error:
            return failed(procedure, str(error))
        except Exception as error:
            traceback.print_exc()
            return failed(procedure, f"a bug, please report it: {type(error).__name__}: {error}")
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def model_choice(restores: bool) -> tuple[Any, str]:
    """The models that were there at installation, and the one to begin with.

    Every network can restore (its result is resized back), but one made for that comes first.
    """
    try:
        known = [(m["name"], m["label"], m["help"], m["scales"]) for m in read_bridge()["models"]]
    except (WorkerError, KeyError, TypeError):
        known = []
    fit = [model for model in known if restores or model[3] != [1]]
    fit = fit or [("fast", "fast", "", [2])]  # running then tells what is wrong
    choice = Gimp.Choice.new()
    for number, (name, label, help, _) in enumerate(fit):
        choice.add(name, number, label, help)
    made_for_it = [name for name, _, _, scales in fit if restores and 1 in scales]
    known_names = [name for name in (AUTO, "fast") if choice.is_valid(name)]
    return choice, (made_for_it or known_names or [fit[0][0]])[0]


def layers_for(procedure: Any, image: Any, drawables: list[Any]) -> list[Any]:
    """What a procedure works on."""
    return list(leaves(image.get_layers())) if procedure.get_name() == IMAGE else list(drawables)


def confirmed(procedure: Any, config: Any, layers: list[Any], network_of: Callable[[Any], Network]) -> bool:
    """Show the dialog; what it needs of GTK is loaded only now, because without a window there is none."""
    from gimp_dialog import Dialog  # type: ignore[import-not-found]

    enlarges = procedure.get_name() != RESTORE
    return bool(Dialog(procedure, config, layers, read_bridge(), network_of, tells_of_effects=enlarges).run())


def failed(procedure: Any, message: str) -> Any:
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), f"Super-resolution: {message}", 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


Gimp.main(SuperResolution.__gtype__, sys.argv)

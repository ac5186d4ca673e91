"""Runs inside GIMP: makes images from a list of cases, calls the plug-in, and writes down what became of them.

``CASES`` is the path of a JSON list (see test_gimp3.py for what a case holds); set before this file is executed.
Pixels go to ``<case>-before-<n>`` and ``<case>-after-<n>`` beside it, everything else to ``<case>.json``.
"""

import json
from pathlib import Path

from gi.repository import Babl, Gegl, Gimp

BASES = {"RGB": Gimp.ImageBaseType.RGB, "GRAY": Gimp.ImageBaseType.GRAY, "INDEXED": Gimp.ImageBaseType.RGB}
TYPES = {
    (False, False): Gimp.ImageType.RGB_IMAGE,
    (False, True): Gimp.ImageType.RGBA_IMAGE,
    (True, False): Gimp.ImageType.GRAY_IMAGE,
    (True, True): Gimp.ImageType.GRAYA_IMAGE,
}


def native(drawable, encoding):
    return Babl.get_name(Babl.format_with_space(encoding, Babl.format_get_space(drawable.get_format())))


def read(drawable, encoding):
    rect = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    return bytes(drawable.get_buffer().get(rect, 1.0, native(drawable, encoding), Gegl.AbyssPolicy.NONE))


def write(drawable, encoding, data):
    rect = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    buffer = drawable.get_buffer()
    buffer.set(rect, native(drawable, encoding), data)
    buffer.flush()


def make(case, folder):
    image = Gimp.Image.new_with_precision(
        *case["size"], BASES[case["base"]], getattr(Gimp.Precision, case["precision"])
    )
    image.set_resolution(300, 300)
    if case.get("profile") == "adobe":
        image.set_color_profile(Gimp.ColorProfile.new_rgb_adobe())
    groups, locked = {}, []
    for n, spec in enumerate(case["layers"]):
        parent = None
        if spec.get("group"):
            if spec["group"] not in groups:
                groups[spec["group"]] = Gimp.GroupLayer.new(image, spec["group"])
                image.insert_layer(groups[spec["group"]], None, 0)
            parent = groups[spec["group"]]
        kind = TYPES[case["base"] == "GRAY", spec["alpha"]]
        layer = Gimp.Layer.new(image, f"layer {n}", *spec["size"], kind, 100, Gimp.LayerMode.NORMAL)
        image.insert_layer(layer, parent, 0)
        layer.set_offsets(*spec.get("offset", (0, 0)))
        write(layer, spec["encoding"], (folder / spec["pixels"]).read_bytes())
        if spec.get("mask"):
            layer.add_mask(layer.create_mask(Gimp.AddMaskType.WHITE))
        if spec.get("lock"):
            locked.append(parent or layer)
    for item in locked:
        item.set_lock_content(True)
    if case["base"] == "INDEXED":
        image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, "")
    if case.get("select"):
        image.select_rectangle(Gimp.ChannelOps.REPLACE, *case["select"])
    if case.get("float"):
        Gimp.edit_copy([layer])
        Gimp.edit_paste(layer, False)
    return image


def leaves(items):
    for item in items:
        if item.is_group():
            yield from leaves(item.get_children())
        else:
            yield item


def describe(image, case, folder, when):
    layers = sorted(leaves(image.get_layers()), key=lambda layer: layer.get_name())
    described = []
    for n, layer in enumerate(layers):
        encoding = case["layers"][min(n, len(case["layers"]) - 1)]["encoding"]
        (folder / f"{case['id']}-{when}-{n}").write_bytes(read(layer, encoding))
        mask = layer.get_mask()
        described.append(
            {
                "name": layer.get_name(),
                "size": [layer.get_width(), layer.get_height()],
                "offset": list(layer.get_offsets())[-2:],
                "mask": [mask.get_width(), mask.get_height()] if mask else None,
                "mask_is_white": set(read(mask, "Y' u8")) == {255} if mask else None,
                "locked": layer.get_lock_content()
                or bool(layer.get_parent() and layer.get_parent().get_lock_content()),
                "group": layer.get_parent().get_name() if layer.get_parent() else None,
            }
        )
    profile = image.get_color_profile()
    return {
        "size": [image.get_width(), image.get_height()],
        "resolution": list(image.get_resolution())[-2:],
        "base": image.get_base_type().value_nick,
        "precision": image.get_precision().value_nick,
        "profile": profile.get_label() if profile else None,
        "layers": described,
    }


def run(case, folder):
    image = make(case, folder)
    before = describe(image, case, folder, "before")
    layers = list(leaves(image.get_layers()))
    if case.get("target"):
        layers = [image.get_layer_by_name(case["target"])]
    procedure = Gimp.get_pdb().lookup_procedure(case["procedure"])
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", layers[:1])
    for name, value in case["arguments"].items():
        config.set_property(name, value)
    result = procedure.run(config)
    # The enum's type differs between versions of PyGObject; its number does not.
    success = int(result.index(0)) == int(Gimp.PDBStatusType.SUCCESS)
    error = None if success else Gimp.get_pdb().get_last_error()
    after = describe(image, case, folder, "after")
    (folder / f"{case['id']}.json").write_text(json.dumps({"error": error, "before": before, "after": after}))
    image.delete()


cases = Path(CASES)  # noqa: F821
for one in json.loads(cases.read_text()):
    run(one, cases.parent)

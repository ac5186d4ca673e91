"""Runs inside GIMP: makes images from a list of cases, calls the plug-in, and writes down what became of them.

``CASES`` is the path of a JSON list (see test_gimp3.py for what a case holds); set before this file is executed.
Pixels go to ``<case>-before-<n>`` and ``<case>-after-<n>`` beside it, everything else to ``<case>.json``.
"""

import json
from pathlib import Path

from gi.repository import Babl, Gegl, Gimp, Gio

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


def look(image, place):
    """The colour at a place of the image as it looks."""
    copy = image.duplicate()
    copy.flatten()
    rect = Gegl.Rectangle.new(*place, 1, 1)
    found = list(copy.get_layers()[0].get_buffer().get(rect, 1.0, "R'G'B' u8", Gegl.AbyssPolicy.NONE))
    copy.delete()
    return found


def fill(drawable, encoding, pixel):
    write(drawable, encoding, bytes(pixel) * (drawable.get_width() * drawable.get_height()))
    drawable.update(0, 0, drawable.get_width(), drawable.get_height())


def make_special(group, what):
    """Let a group look otherwise than what is in it."""
    if what == "opacity":
        group.set_opacity(50)
    elif what == "mode":
        group.set_mode(Gimp.LayerMode.MULTIPLY)
    elif what == "mask":
        mask = group.create_mask(Gimp.AddMaskType.WHITE)
        group.add_mask(mask)
        fill(mask, "Y' u8", [100])
    elif what == "effect":
        effect = Gimp.DrawableFilter.new(group, "gegl:invert-linear", "")
        effect.update()
        group.append_filter(effect)
    elif what == "hidden":
        group.set_visible(False)


def add_link(image, folder):
    """A link layer of GIMP 3.2, 8 x 6 pixels, away from the corner; whether this GIMP has such layers."""
    if not hasattr(Gimp, "LinkLayer"):
        return False
    source = Gimp.Image.new(8, 6, Gimp.ImageBaseType.RGB)
    plain = Gimp.Layer.new(source, "source", 8, 6, Gimp.ImageType.RGBA_IMAGE, 100, Gimp.LayerMode.NORMAL)
    source.insert_layer(plain, None, 0)
    fill(plain, "R'G'B'A u8", [0, 120, 0, 255])
    file = Gio.File.new_for_path(str(folder / "linked.png"))
    Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, source, file, None)
    link = Gimp.LinkLayer.new(image, file)
    image.insert_layer(link, None, 0)
    link.set_offsets(3, 2)
    return True


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
        if spec.get("lock_position"):
            layer.set_lock_position(True)
            if parent:
                parent.set_lock_position(True)
    if case.get("special"):
        make_special(groups["pair"], case["special"])
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
                "lock_position": layer.get_lock_position(),
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
    links = add_link(image, folder) if case.get("link") else None
    before = describe(image, case, folder, "before")
    seen = [look(image, case["look"])] if case.get("look") else []
    layers = list(leaves(image.get_layers()))
    if case.get("target"):
        layers = [image.get_layer_by_name(case["target"])]
    if case.get("mask_selected"):
        layers = [layers[0].get_mask()]
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
    if case.get("look"):
        hidden = Gimp.Image.get_layer_by_name(image, case["target"])
        visible = [layer.get_visible() for layer in image.get_layers() if layer.get_name() != case["target"]]
        hidden.set_visible(False)
        seen += [look(image, case["look"]), visible]
    told = {"error": error, "before": before, "after": after, "seen": seen, "links": links}
    (folder / f"{case['id']}.json").write_text(json.dumps(told))
    image.delete()


cases = Path(CASES)  # noqa: F821
for one in json.loads(cases.read_text()):
    run(one, cases.parent)

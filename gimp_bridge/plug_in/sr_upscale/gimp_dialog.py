"""The dialog: the settings, what will not be as it was, and a piece of the picture as it will be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gegl, GimpUi, Gtk  # noqa: E402
from gimp_pixels import Network, whole  # type: ignore[import-not-found]  # noqa: E402
from gimp_preview import Preview  # type: ignore[import-not-found]  # noqa: E402


class Dialog:
    """GIMP's own dialog of a procedure, with a preview that follows its settings.

    Args:
        procedure, config: as GIMP gives them.
        layers: that will be worked on.
        bridge: what ``srp gimp install`` recorded.
        network_of: what the settings stand for.
        tells_of_effects: whether the layers will be larger, and their effects not.
    """

    def __init__(
        self,
        procedure: Any,
        config: Any,
        layers: list[Any],
        bridge: Mapping[str, Any],
        network_of: Callable[[Any], Network],
        *,
        tells_of_effects: bool,
    ) -> None:
        GimpUi.init("sr_upscale")
        Gegl.init(None)
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, "Super-resolution")
        self._dialog.fill(None)
        content = self._dialog.get_content_area()
        if tells_of_effects and (names := with_effects(layers)):
            told = f"Effects keep their size in pixels, and will look smaller: {', '.join(names)}"
            content.add(Gtk.Label(label=told, wrap=True, max_width_chars=60, visible=True))
        self._preview: Preview | None = None
        if layers:
            largest = max(layers, key=lambda layer: layer.get_width() * layer.get_height())
            preview = self._preview = Preview(largest, middle_of(largest), bridge)
            content.add(preview.widget)
            config.connect("notify", lambda *changed: preview.show(network_of(config)))
            preview.show(network_of(config))

    def run(self) -> bool:
        """Whether the work is wanted."""
        try:
            answer: bool = self._dialog.run()
            self._dialog.destroy()
            return answer
        finally:
            if self._preview is not None:
                self._preview.close()


def with_effects(layers: list[Any]) -> list[str]:
    """Names of layers with non-destructive effects, whose radii GIMP does not scale."""
    return [layer.get_name() for layer in layers if layer.get_filters()]


def middle_of(drawable: Any) -> tuple[int, int]:
    """The middle of what is selected of a drawable, or of all of it; in its own pixels."""
    some, x, y, width, height = drawable.mask_intersect()
    if not some:
        x, y, width, height = whole(drawable)
    return x + width // 2, y + height // 2

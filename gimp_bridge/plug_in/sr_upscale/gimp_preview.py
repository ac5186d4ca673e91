"""A piece of the picture as it will be, pixel for pixel, in the dialog and before the work.

The worker that computes it is one of its own, and ends with the dialog. GIMP and GTK are called on the main thread
alone; a thread waits for the worker.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import gi

gi.require_version("GdkPixbuf", "2.0")
gi.require_version("Gegl", "0.4")
gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, Gegl, GLib, Gtk  # noqa: E402
from gimp_pixels import Box, Encoding, Network, encoding_of, grown, looked_at, pixels_of, request_for  # type: ignore[import-not-found]  # noqa: E402
from worker_client import AUTO, Worker, WorkerError  # type: ignore[import-not-found]  # noqa: E402

SIDE = 256  # pixels of the result that are shown
DISPLAYED = "R'G'B'A u8"  # what a screen shows, converted from the drawable's own space


class Part(NamedTuple):
    """Pixels of a drawable, and the message about them."""

    request: dict[str, Any]
    pixels: list[bytes]


class Task(NamedTuple):
    """What to show: a piece with its surroundings, and what to look at first where the model is to be chosen."""

    piece: Part
    seen: Part | None
    encoding: Encoding
    cut: Box  # of the result


class Preview:
    """Widgets for a dialog: the piece enlarged as GIMP would, beside it by the network; made anew at each change.

    Args:
        drawable: what will be enlarged.
        about: (x, y) of the drawable that stand in the middle.
        bridge: what ``srp gimp install`` recorded.
    """

    def __init__(self, drawable: Any, about: tuple[int, int], bridge: Mapping[str, Any]) -> None:
        self._drawable, self._about, self._bridge = drawable, about, bridge
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6, margin=12)
        pictures = Gtk.Box(spacing=12, halign=Gtk.Align.CENTER)
        self._before, self._after = Gtk.Image(), Gtk.Image()
        self._beside = Gtk.Label(label="")
        for title, picture in ((self._beside, self._before), (Gtk.Label(label="Super-resolution, 1:1"), self._after)):
            picture.set_size_request(SIDE, SIDE)
            column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=4)
            column.add(picture)
            column.add(title)
            pictures.add(column)
        self._said = Gtk.Label(label="", wrap=True, max_width_chars=60)
        self.widget.add(pictures)
        self.widget.add(self._said)
        self.widget.show_all()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def show(self, network: Network) -> None:
        """Have the piece made by this network; what was asked for before and is not begun is dropped."""
        encoding = encoding_of(self._drawable)
        side = max(1, SIDE // network.scale)
        width, height = (min(side, length()) for length in (self._drawable.get_width, self._drawable.get_height))
        left = max(0, min(self._about[0] - width // 2, self._drawable.get_width() - width))
        top = max(0, min(self._about[1] - height // 2, self._drawable.get_height() - height))
        box = Box(left, top, width, height)
        sent, seen = (
            grown(box, self._drawable),
            looked_at(Box(0, 0, self._drawable.get_width(), self._drawable.get_height())),
        )
        scale = network.scale
        cut = Box((box.x - sent.x) * scale, (box.y - sent.y) * scale, width * scale, height * scale)
        parts = [
            Part(request_for(part, encoding, network), list(pixels_of(self._drawable, part, encoding)))
            for part in ([sent, seen] if network.model == AUTO else [sent])
        ]
        rectangle = Gegl.Rectangle.new(*box)
        plain = self._drawable.get_buffer().get(rectangle, 1.0, DISPLAYED, Gegl.AbyssPolicy.NONE)
        small = _pixbuf(plain, width, height)
        self._before.set_from_pixbuf(small.scale_simple(width * scale, height * scale, GdkPixbuf.InterpType.BILINEAR))
        self._beside.set_text("Interpolated" if scale > 1 else "As it is")
        self._after.clear()
        self._said.set_text("computing the piece in the middle of the selection or layer ...")
        self._tasks.put(Task(parts[0], parts[1] if len(parts) > 1 else None, encoding, cut))

    def close(self) -> None:
        """End the worker, and wait for nothing."""
        self._tasks.put(None)

    def _work(self) -> None:
        worker: Any = None
        try:
            while (task := self._newest()) is not None:
                try:
                    if worker is None:
                        worker = Worker(self._bridge)
                    result, line = _made(worker, task)
                    GLib.idle_add(self._shown, task, result, line)
                except WorkerError as error:
                    if worker is not None and worker.process.poll() is not None:
                        worker.close()
                        worker = None
                    GLib.idle_add(self._told, str(error))
        finally:
            if worker is not None:
                worker.process.kill()
                worker.close()

    def _newest(self) -> Task | None:
        task = self._tasks.get()
        while task is not None and not self._tasks.empty():
            task = self._tasks.get()
        return task

    def _shown(self, task: Task, result: tuple[int, int, bytes], line: str) -> None:
        width, height, pixels = result
        buffer = Gegl.Buffer.new(task.encoding.format, 0, 0, width, height)
        buffer.set(Gegl.Rectangle.new(0, 0, width, height), task.encoding.format, pixels)
        shown = buffer.get(Gegl.Rectangle.new(*task.cut), 1.0, DISPLAYED, Gegl.AbyssPolicy.NONE)
        self._after.set_from_pixbuf(_pixbuf(shown, task.cut.width, task.cut.height))
        self._said.set_text(line)

    def _told(self, text: str) -> None:
        self._said.set_text(text)


def _made(worker: Any, task: Task) -> tuple[tuple[int, int, bytes], str]:
    """(width, height, pixels) of the enlarged piece, and what was seen where the model was chosen."""
    request, line = task.piece.request, ""
    if task.seen is not None:
        model, line = worker.choose(task.seen.request, task.seen.pixels)
        request = {**request, "model": model}
    width, height = worker.upscale(request, task.piece.pixels)
    return (width, height, worker.read(width * height * task.encoding.pixel)), line


def _pixbuf(pixels: bytes, width: int, height: int) -> Any:
    colours = GdkPixbuf.Colorspace.RGB
    return GdkPixbuf.Pixbuf.new_from_bytes(GLib.Bytes.new(pixels), colours, True, 8, width, height, 4 * width)

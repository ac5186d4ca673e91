"""A picture that was opened from memory, of which Pillow forgets the file with its pixels, loses nothing by that."""

import io
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sr_plugins.images.files import save_like
from sr_plugins.images.gain_map import GainMap
from sr_plugins.images.pillow_filter import upscale_image

COLOURS = Image.fromarray(np.random.default_rng(9).integers(0, 256, (24, 32, 3), np.uint8))


def encoded(image: Image.Image, format: str, **arguments: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **arguments)
    return file.getvalue()


def with_gain_map() -> bytes:
    told = b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    made = GainMap(encoded(COLOURS.convert("L").reduce(2), "JPEG", xmp=told), None)
    return made.behind(encoded(COLOURS, "JPEG", extra=made.segments(), xmp=told))


def smooth_and_lossy() -> bytes:
    larger = COLOURS.resize((256, 192), Image.Resampling.BICUBIC)
    return encoded(larger, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[20])


def exact_jxl() -> bytes:
    pytest.importorskip("pillow_jxl", reason="the extra formats")
    return bytes(imagecodecs.jpegxl_encode(np.asarray(COLOURS), lossless=True))


@pytest.mark.parametrize(
    ("make", "ending", "holds"),
    [
        (with_gain_map, "jpg", lambda data: data.count(b"\xff\xd8\xff") == 2),
        (smooth_and_lossy, "jp2", lambda data: len(data) < 512 * 384 * 3 / 15),
        (exact_jxl, "jxl", lambda data: (imagecodecs.jpegxl_decode(data)[::2, ::2] == np.asarray(COLOURS)).all()),
    ],
)
def test_it_is_written_as_one_that_was_opened_by_name(
    make: Callable[[], bytes], ending: str, holds: Callable[[bytes], bool], tmp_path: Path
) -> None:
    data = make()
    (tmp_path / f"in.{ending}").write_bytes(data)
    written = []
    for opened in (tmp_path / f"in.{ending}", io.BytesIO(data)):
        out = io.BytesIO()
        with Image.open(opened) as source:
            save_like(upscale_image(source, 2, model="nearest"), out, source, format=ending)
        written.append(out.getvalue())
    assert holds(written[0])
    assert written[0] == written[1]

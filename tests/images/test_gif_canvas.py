"""GIF frames lie over each other as browsers show them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from gif_frames import GifFrame, by_ffmpeg, gif_of, seen_by_the_standard
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from sr_plugins import Upscaler
from sr_plugins.images.files import upscale_file
from sr_plugins.images.upright import settled_image


@given(data=st.data())
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("out", [".gif", ".png"])
def test_gif_frames_lie_over_each_other_as_browsers_show_them(out: str, data: st.DataObject) -> None:
    screen = data.draw(st.tuples(st.integers(3, 6), st.integers(3, 6)))
    frames: list[GifFrame] = []
    for _ in range(data.draw(st.integers(1, 4))):
        left, top = data.draw(st.integers(0, screen[0] - 1)), data.draw(st.integers(0, screen[1] - 1))
        width, height = data.draw(st.integers(1, screen[0] - left)), data.draw(st.integers(1, screen[1] - top))
        row = st.lists(st.integers(0, 3), min_size=width, max_size=width)
        rows = data.draw(st.lists(row, min_size=height, max_size=height))
        clear = data.draw(st.none() | st.integers(0, 3))
        frames.append(((left, top), rows, data.draw(st.integers(0, 3)), clear))
    expected = seen_by_the_standard(screen, frames)
    with Upscaler("nearest", scale=2) as repeat, TemporaryDirectory() as folder:
        (Path(folder) / "in.gif").write_bytes(gif_of(screen, frames))
        upscale_file(Path(folder) / "in.gif", Path(folder) / f"out{out}", repeat)
        target, size = Path(folder) / f"out{out}", (2 * screen[0], 2 * screen[1])
        found = by_ffmpeg(target, size) if out == ".gif" else read(target)
    wanted = iter([picture.repeat(2, 0).repeat(2, 1) for picture in expected])
    for result in found:  # equal ones in a row are one, shown as long
        assert any(same_to_the_eye(picture, result) for picture in wanted)


def same_to_the_eye(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Equal, what cannot be seen aside."""
    return bool((one * (one[..., 3:] > 0) == other * (other[..., 3:] > 0)).all())


def read(path: Path) -> list[NDArray[np.uint8]]:
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


def test_frames_of_a_gif_in_any_order(tmp_path: Path) -> None:
    frames: list[GifFrame] = [((1, 1), [[1]], 2, None), ((0, 0), [[2, 0]], 3, 0), ((2, 2), [[3]], 0, None)]
    (tmp_path / "in.gif").write_bytes(gif_of((3, 3), frames))
    expected = seen_by_the_standard((3, 3), frames)
    with Image.open(tmp_path / "in.gif") as image:
        for number in (2, 0, 1, 2, 1):
            image.seek(number)
            shown = np.asarray(settled_image(image).convert("RGBA"))
            assert same_to_the_eye(expected[number], shown)

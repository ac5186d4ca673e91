"""OpenEXR: colours are known by their channels' names, what is no colour is told, and the header goes along."""

import logging
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import open_image, upscale_file

HEIGHT, WIDTH = 6, 10
rng = np.random.default_rng(8)
R, G, B, A, Z = (rng.random((HEIGHT, WIDTH)).astype(np.float16) + 0.25 for _ in range(5))
ONE = struct.pack("<f", 1)
type Planes = Mapping[str, NDArray[np.float16]]


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler("nearest", scale=2) as upscaler:
        yield upscaler


def header(channels: Planes, data: tuple[int, ...], display: tuple[int, ...], further: bytes, name: bytes) -> bytes:
    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<I", len(value)) + value

    listed = b"".join(c.encode() + b"\0" + struct.pack("<IIii", 1, 0, 1, 1) for c in sorted(channels)) + b"\0"
    told = attribute(b"channels", b"chlist", listed) + attribute(b"compression", b"compression", b"\0")
    told += attribute(b"dataWindow", b"box2i", struct.pack("<4i", *data))
    told += attribute(b"displayWindow", b"box2i", struct.pack("<4i", *display))
    told += attribute(b"lineOrder", b"lineOrder", b"\0") + attribute(
        b"pixelAspectRatio", b"float", struct.pack("<f", 1)
    )
    told += attribute(b"screenWindowCenter", b"v2f", bytes(8)) + attribute(b"screenWindowWidth", b"float", b"\0\0\x80?")
    if name:
        told += attribute(b"name", b"string", name) + attribute(b"type", b"string", b"scanlineimage")
        told += attribute(b"chunkCount", b"int", struct.pack("<i", HEIGHT))
    return told + further + b"\0"


def exr(
    channels: Planes,
    left: int = 0,
    top: int = 0,
    display: tuple[int, ...] = (),
    further: bytes = b"",
    parts: tuple[bytes, ...] = (),
) -> bytes:
    """Half floats without compression, by OpenEXR File Layout; ``parts`` are names of several equal ones."""
    data = left, top, left + WIDTH - 1, top + HEIGHT - 1
    heads = [header(channels, data, display or data, further, name) for name in parts or (b"",)]
    start = b"v/1\x01" + struct.pack("<I", 0x1002 if parts else 2) + b"".join(heads) + (b"\0" if parts else b"")
    lines = []
    for part in range(len(heads)):
        for row in range(HEIGHT):
            samples = b"".join(channels[name][row].astype("<f2").tobytes() for name in sorted(channels))
            number = struct.pack("<i", part) if parts else b""
            lines.append(number + struct.pack("<iI", top + row, len(samples)) + samples)
    at, offsets = len(start) + 8 * len(lines), []
    for line in lines:
        offsets.append(at)
        at += len(line)
    return start + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(lines)


def by_ffmpeg(path: Path) -> NDArray[Any]:
    """R, G and B of the whole frame, by a decoder that is none of ours."""
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
    assert frame.format.name == "gbrpf16le"
    planes = [np.frombuffer(plane, "<f2").reshape(frame.height, -1)[:, : frame.width] for plane in frame.planes]
    return np.stack((planes[2], planes[0], planes[1]), axis=2)


LAYERS = {
    "alone": ({"R": R, "G": G, "B": B}, ""),
    "depth": ({"R": R, "G": G, "B": B, "Z": Z}, "channels Z are left out"),
    "a layer of Blender": ({f"ViewLayer.Combined.{c}": p for c, p in zip("RGB", (R, G, B), strict=True)}, ""),
    "two views": ({"R": R, "G": G, "B": B, "right.R": Z, "right.G": Z, "right.B": Z}, "right.B, right.G, right.R"),
    "passes": (
        {"Combined.R": R, "Combined.G": G, "Combined.B": B, "Albedo.R": Z, "Albedo.G": Z, "Albedo.B": Z},
        "Albedo.B",
    ),
    "normals": ({"R": R, "G": G, "B": B, "N.X": Z, "N.Y": Z, "N.Z": Z}, "N.X, N.Y, N.Z"),
    "small letters": ({"r": R, "g": G, "b": B}, ""),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_colours_are_those_of_that_name(
    kind: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    channels, told = LAYERS[kind]
    (tmp_path / "in.exr").write_bytes(exr(channels))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", repeat)
    expected = np.stack((R, G, B), axis=2).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(by_ffmpeg(tmp_path / "out.exr"), expected)
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


def test_alpha_is_that_of_the_colours(tmp_path: Path) -> None:
    (tmp_path / "in.exr").write_bytes(exr({"v.R": R, "v.G": G, "v.B": B, "v.A": A, "A": Z}))
    with open_image(tmp_path / "in.exr") as opened:
        np.testing.assert_array_equal(opened.samples, np.stack((R, G, B, A), axis=2))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("alpha", [np.nan, np.inf])
def test_alpha_that_is_no_number_stays_where_it_lay(alpha: float, tmp_path: Path) -> None:
    covering = A.copy()
    covering[2, 4] = alpha
    (tmp_path / "in.exr").write_bytes(exr({"R": R, "G": G, "B": B, "A": covering}))
    with Upscaler("tiny", scale=2) as upscaler:
        upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", upscaler)
    found = imagecodecs.exr_decode((tmp_path / "out.exr").read_bytes())
    strange = ~np.isfinite(covering)
    np.testing.assert_array_equal(~np.isfinite(found[..., 3]), strange.repeat(2, 0).repeat(2, 1))
    assert found[4:6, 8:10, 0].tolist() == [[R[2, 4]] * 2] * 2
    assert np.isfinite(found[..., :3]).all()


def test_gray_has_many_names(tmp_path: Path) -> None:
    for name in ("Y", "Z", "depth.V", "layer.Y"):
        (tmp_path / "in.exr").write_bytes(exr({name: Z}))
        with open_image(tmp_path / "in.exr") as opened:
            np.testing.assert_array_equal(opened.samples[..., 0], Z)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["Y", "Z", "depth.V", "layer.Y", "a_name_of_more_than_thirty-one_letters.Z"])
def test_a_single_channel_keeps_its_name(
    name: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.exr").write_bytes(exr({name: Z}, 5, 3, display=(0, 0, 19, 11)))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", repeat)
        assert caplog.text == ""
        upscale_file(tmp_path / "in.exr", tmp_path / "out.tif", repeat)
    assert (f"its channel {name} becomes gray" in caplog.text) == (not name.endswith("Y"))
    data = (tmp_path / "out.exr").read_bytes()
    channels = data[data.index(b"chlist\0") + 11 :]
    assert channels[: channels.index(b"\0")] == name.encode()
    np.testing.assert_array_equal(imagecodecs.exr_decode(data).squeeze(), Z.repeat(2, 0).repeat(2, 1))


def test_what_is_no_colour_is_refused(tmp_path: Path) -> None:
    unknown = r"none of its channels are colours .*: name them R, G and B"
    chroma = r"luminance and chroma \(Y, RY, BY\): convert it to R, G and B first"
    for names, why in ((("N.X", "N.Y", "N.Z"), unknown), (("u", "v"), unknown), (("Y", "RY", "BY"), chroma)):
        (tmp_path / "in.exr").write_bytes(exr(dict.fromkeys(names, Z)))
        with (
            pytest.raises(ImageError, match=why),
            open_image(tmp_path / "in.exr"),
        ):
            pass


def test_its_place_in_the_frame_stays_and_is_told_elsewhere(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.exr").write_bytes(exr({"R": R, "G": G, "B": B}, 5, 3, display=(0, 0, 19, 11)))
    upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", repeat)
    before, after = by_ffmpeg(tmp_path / "in.exr"), by_ffmpeg(tmp_path / "out.exr")
    assert before.shape == (12, 20, 3)
    np.testing.assert_array_equal(after, before.repeat(2, 0).repeat(2, 1))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.exr", tmp_path / "out.tif", repeat)
    assert "its place in the frame is left out" in caplog.text


def test_the_header_goes_along(tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture) -> None:
    owner = b"owner\0string\0" + struct.pack("<I", 6) + b"Moewen"
    preview = b"preview\0preview\0" + struct.pack("<III", 12, 1, 1) + bytes(4)
    (tmp_path / "in.exr").write_bytes(exr({"R": R, "G": G, "B": B}, further=owner + preview))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", repeat)
        assert caplog.text == ""
        upscale_file(tmp_path / "in.exr", tmp_path / "out.tif", repeat)
    data = (tmp_path / "out.exr").read_bytes()
    assert owner in data
    assert preview not in data  # of the smaller picture
    assert by_ffmpeg(tmp_path / "out.exr").shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert "owner, preview of its header are left out" in caplog.text


def test_further_parts_are_told(tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in.exr").write_bytes(exr({"R": R, "G": G, "B": B}, parts=(b"beauty", b"depth", b"normals")))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.exr", tmp_path / "out.exr", repeat)
    assert "further parts depth, normals are left out" in caplog.text
    expected = np.stack((R, G, B), axis=2).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(by_ffmpeg(tmp_path / "out.exr"), expected)


def test_deep_pictures_are_refused_with_a_cure(tmp_path: Path) -> None:
    data = bytearray(exr({"R": R, "G": G, "B": B}))
    data[4:8] = struct.pack("<I", 2 | 0x800)
    (tmp_path / "in.exr").write_bytes(bytes(data))
    with (
        pytest.raises(ImageError, match=r"in\.exr: it is a deep picture: flatten it first"),
        open_image(tmp_path / "in.exr"),
    ):
        pass

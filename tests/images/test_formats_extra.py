"""HEIF and JPEG XL in and out, with the extra ``formats``."""

import io
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from fakes import nearest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.images.files import upscale_file
from sr_plugins.images.further_formats import register

pillow_heif = pytest.importorskip("pillow_heif")
pytest.importorskip("pillow_jxl")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Acme"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    register()
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def smooth(width: int = 64, height: int = 48) -> np.ndarray:
    seed = np.random.default_rng(1).integers(30, 220, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(seed).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("ending", ["heic", "jxl"])
def test_a_photo_stays_one_with_what_it_carries(
    ending: str, orientation: int, tmp_path: Path, repeat: Upscaler
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Acme", orientation
    path = tmp_path / f"in.{ending}"
    Image.fromarray(smooth()).save(path, quality=95, exif=exif.tobytes(), xmp=XMP)
    with Image.open(path) as source:
        shown = np.asarray(source.convert("RGB"))  # upright: both formats say themselves how a picture lies
    upscale_file(path, tmp_path / f"out.{ending}", repeat, quality=95)
    with Image.open(tmp_path / f"out.{ending}") as result:
        assert result.format == {"heic": "HEIF", "jxl": "JXL"}[ending]
        assert result.getexif()[0x010F] == "Acme"
        assert result.getexif().get(0x0112, 1) == 1
        larger = np.asarray(result.convert("RGB"))
    expected = shown.repeat(2, 0).repeat(2, 1)
    assert larger.shape == expected.shape
    assert np.abs(larger.astype(int) - expected).mean() < 4
    assert b"Acme" in (tmp_path / f"out.{ending}").read_bytes()
    upscale_file(path, tmp_path / "out.png", repeat)
    with Image.open(tmp_path / "out.png") as png:
        np.testing.assert_array_equal(np.asarray(png.convert("RGB")), expected)
        assert b'CreatorTool="Acme"' in png.info["xmp"]


def test_heif_of_10_bits_stays_hdr(tmp_path: Path, repeat: Upscaler) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None].repeat(48, 0).repeat(3, 2)
    made = pillow_heif.from_bytes("RGB;16", (64, 48), ramp.tobytes())
    made.save(
        tmp_path / "in.heic", quality=95, chroma=444, color_primaries=9, transfer_characteristics=16,
        matrix_coefficients=9,
    )  # fmt: skip
    upscale_file(tmp_path / "in.heic", tmp_path / "out.heic", repeat, quality=95)
    result = pillow_heif.open_heif(tmp_path / "out.heic", convert_hdr_to_8bit=False, hdr_to_16bit=True)
    assert result.info["bit_depth"] == 10
    told = result.info["nclx_profile"]
    assert (told["color_primaries"], told["transfer_characteristics"]) == (9, 16)
    samples = np.asarray(result).astype(int)
    assert samples.shape == (96, 128, 3)
    assert np.abs(samples - ramp.repeat(2, 0).repeat(2, 1)).mean() < 1500
    assert len(np.unique(samples)) > 256 / 3
    upscale_file(tmp_path / "in.heic", tmp_path / "out.png", repeat)
    assert b"cICP" + bytes((9, 16, 0, 1)) in (tmp_path / "out.png").read_bytes()


@pytest.mark.parametrize("shape", [(12, 16, 3), (12, 16), (12, 16, 4)])
def test_jpeg_xl_of_16_bits_stays_so(shape: tuple[int, ...], tmp_path: Path, repeat: Upscaler) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    if len(shape) == 3 and shape[2] == 4:
        samples[..., 3] = 65535
    (tmp_path / "in.jxl").write_bytes(imagecodecs.jpegxl_encode(samples, lossless=True))
    upscale_file(tmp_path / "in.jxl", tmp_path / "out.jxl", repeat, quality=100)
    result = imagecodecs.jpegxl_decode((tmp_path / "out.jxl").read_bytes())
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, samples.repeat(2, 0).repeat(2, 1))


def test_an_animation_of_jpeg_xl_is_told(tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture) -> None:
    frames = np.stack([smooth(), smooth()[::-1]])
    (tmp_path / "in.jxl").write_bytes(imagecodecs.jpegxl_encode(frames))
    upscale_file(tmp_path / "in.jxl", tmp_path / "out.png", repeat)
    assert any("animation" in line for line in caplog.messages)


def test_png_into_both(tmp_path: Path, repeat: Upscaler) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (16, 24, 3)).astype(np.uint16)
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(deep))
    Image.fromarray(smooth()).save(tmp_path / "in.png")
    for ending in ("heic", "jxl"):
        upscale_file(tmp_path / "in.png", tmp_path / f"a.{ending}", repeat)
        upscale_file(tmp_path / "deep.png", tmp_path / f"b.{ending}", repeat)
        for name, size in (("a", (128, 96)), ("b", (48, 32))):
            with Image.open(io.BytesIO((tmp_path / f"{name}.{ending}").read_bytes())) as result:
                assert result.size == size

"""HEIF and JPEG XL in and out, with the extra ``formats``."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from fakes import nearest
from PIL import Image, ImageCms

from sr_plugins import Upscaler
from sr_plugins.images.color_profiles import matrix_profile
from sr_plugins.images.files import upscale_file
from sr_plugins.images.further_formats import register

pillow_heif = pytest.importorskip("pillow_heif")
pytest.importorskip("pillow_jxl")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Acme"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def gray_profile() -> bytes:
    """The least that ICC.1 asks of a gray profile: a curve, here gamma 1.8, and a white point."""
    curve, white = b"curv" + bytes(4) + struct.pack(">IHH", 1, 0x01CD, 0), b"XYZ " + bytes(4)
    white += struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    text = b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, 8, 28) + "gray".encode("utf-16-be")
    table, data = struct.pack(">I", 4), b""
    for name, body in ((b"desc", text), (b"cprt", text), (b"wtpt", white), (b"kTRC", curve)):
        table += name + struct.pack(">II", 128 + 4 + 48 + len(data), len(body))
        data += body
    head = struct.pack(">I4sI4s4s4s12s", 180 + len(data), b"", 0x04400000, b"mntr", b"GRAY", b"XYZ ", bytes(12))
    return (head + b"acsp" + bytes(28) + white[8:]).ljust(128, b"\0") + table + data


GRAY_PROFILE = gray_profile()


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


@pytest.mark.parametrize("quality", [90, 100])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_jpeg_xl_of_16_bits_says_that_it_is_srgb(bands: int, quality: int, tmp_path: Path, repeat: Upscaler) -> None:
    samples = np.full((12, 16, bands), 128 * 257, np.uint16)
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(samples.squeeze()))
    upscale_file(tmp_path / "in.png", tmp_path / "out.jxl", repeat, quality=quality)
    with Image.open(tmp_path / "out.jxl") as image:  # its samples are the concern of other tests
        profile = ImageCms.getOpenProfile(io.BytesIO(image.info["icc_profile"]))
    gray = Image.new("L" if bands < 3 else "RGB", (4, 4), "#808080")
    seen = ImageCms.profileToProfile(gray, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert seen is not None
    assert np.abs(np.asarray(seen).astype(int) - 128).max() <= 1


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


@pytest.mark.parametrize("quality", [None, 100])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "I;16", "RGB;16"])
def test_jpeg_xl_keeps_its_profile(mode: str, quality: int | None, tmp_path: Path, repeat: Upscaler) -> None:
    """libjxl, which pillow-jxl-plugin reads with, gives the profile back byte for byte, and the samples with it."""
    rgb = ImageCms.ImageCmsProfile(io.BytesIO(matrix_profile(12, 13) or b"")).tobytes()
    profile = GRAY_PROFILE if mode in ("L", "LA", "I;16") else rgb
    if mode == "RGB;16":
        tifffile.imwrite(tmp_path / "in.tif", smooth().astype(np.uint16) * 257, photometric="rgb", iccprofile=profile)
    elif mode == "I;16":
        tifffile.imwrite(tmp_path / "in.tif", smooth()[..., 0].astype(np.uint16) * 257, iccprofile=profile)
    else:
        image = Image.fromarray(smooth()).convert("L" if mode in ("L", "LA") else "RGB")
        if mode.endswith("A"):
            image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(tmp_path / "in.tif", icc_profile=profile)
    upscale_file(tmp_path / "in.tif", tmp_path / "out.jxl", repeat, quality=quality)
    with Image.open(tmp_path / "out.jxl") as result:
        assert result.info["icc_profile"] == profile
    expected = tifffile.imread(tmp_path / "in.tif").repeat(2, 0).repeat(2, 1)
    larger = imagecodecs.jpegxl_decode((tmp_path / "out.jxl").read_bytes())
    assert larger.dtype == expected.dtype
    exact = (quality == 100 or "16" in mode) and "A" not in mode  # alpha is enlarged by another kernel
    assert np.abs(larger.astype(int) - expected).mean() <= (0 if exact else 3)


def test_jpeg_xl_keeps_a_profile_with_large_tables(tmp_path: Path, repeat: Upscaler) -> None:
    """Those of printers and of measured screens have megabytes; here they are a tail that no tag points to."""
    small = matrix_profile(12, 13) or b""
    profile = struct.pack(">I", 2_000_000) + small[4:] + bytes(2_000_000 - len(small))
    Image.fromarray(smooth()).save(tmp_path / "in.png", icc_profile=profile)
    upscale_file(tmp_path / "in.png", tmp_path / "out.jxl", repeat)
    with Image.open(tmp_path / "out.jxl") as result:
        assert result.info["icc_profile"] == profile


def test_a_damaged_profile_is_told(tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture) -> None:
    profile = (matrix_profile(12, 13) or b"")[:140]
    Image.fromarray(smooth()).save(tmp_path / "in.png", icc_profile=profile)
    upscale_file(tmp_path / "in.png", tmp_path / "out.jxl", repeat)
    assert "its ICC profile is damaged and left out" in caplog.text
    with Image.open(tmp_path / "out.jxl") as result:
        result.load()


@pytest.mark.parametrize("with_exif", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "LA"])
def test_a_lossless_jpeg_xl_stays_one(mode: str, with_exif: bool, tmp_path: Path, repeat: Upscaler) -> None:
    image = Image.fromarray(smooth()).convert(mode)
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    told = {"exif": exif.tobytes(), "use_container": True} if with_exif else {}
    for kind in ({"lossless": True}, {"quality": 80}, {"quality": 80, "use_original_profile": True}):
        image.save(tmp_path / "in.jxl", **kind, **told)
        upscale_file(tmp_path / "in.jxl", tmp_path / "out.jxl", repeat)
        with Image.open(tmp_path / "in.jxl") as source, Image.open(tmp_path / "out.jxl") as result:
            expected, larger = np.asarray(source).repeat(2, 0).repeat(2, 1), np.asarray(result)
        assert np.array_equal(larger, expected) == ("lossless" in kind)


def test_what_was_a_jpeg_is_not_lossless(tmp_path: Path, repeat: Upscaler) -> None:
    """It can be one again, bit for bit, but its samples are no more exact than that was."""
    file = io.BytesIO()
    Image.fromarray(smooth()).save(file, "JPEG", quality=90)
    (tmp_path / "in.jxl").write_bytes(imagecodecs.jpegxl_encode_jpeg(file.getvalue()))
    upscale_file(tmp_path / "in.jxl", tmp_path / "out.jxl", repeat)
    upscale_file(tmp_path / "in.jxl", tmp_path / "exact.jxl", repeat, quality=100)
    assert (tmp_path / "out.jxl").stat().st_size < (tmp_path / "exact.jxl").stat().st_size / 2


def test_white_and_opaque_of_10_bits_are_white_and_opaque_of_16(tmp_path: Path, repeat: Upscaler) -> None:
    samples = np.full((32, 48, 4), 65535, np.uint16)
    whole = pillow_heif.from_bytes("RGBA;16", (48, 32), samples.tobytes())
    whole.save(tmp_path / "in.heic", quality=100, chroma=444)
    upscale_file(tmp_path / "in.heic", tmp_path / "out.png", repeat)
    found = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[..., 3], 65535)
    assert found[..., :3].min() >= 65535 * 1022 // 1023  # lossy
    assert found.max() == 65535


@pytest.mark.parametrize(
    ("urn", "told"),
    [
        (b"urn:com:maker:portraitmask", "auxiliary pictures (portraitmask) are left out"),
        (b"urn:com:maker:a:hdrgainmap", "the gain map (HDR) is left out"),
        (b"urn:mpeg:hevc:2015:auxid:1", ""),
    ],
)
def test_auxiliary_pictures_are_told(
    urn: bytes, told: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    alpha = b"urn:mpeg:hevc:2015:auxid:1"
    Image.new("RGBA", (64, 48), (200, 100, 50, 90)).save(tmp_path / "in.heic")
    data = (tmp_path / "in.heic").read_bytes()
    assert alpha in data
    (tmp_path / "in.heic").write_bytes(data.replace(alpha, urn))
    with caplog.at_level("WARNING"):
        upscale_file(tmp_path / "in.heic", tmp_path / "out.png", repeat)
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)

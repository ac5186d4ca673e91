"""Estimates against degradations whose truth is known; pictures that say nothing get a clear answer."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import fft, ndimage

from sr_plugins.cli.main import srp
from sr_plugins.errors import DataError, PipeError, RecipeError
from sr_plugins.estimation import compression as compression_estimation
from sr_plugins.estimation.compression import find_jpeg, video_compression
from sr_plugins.estimation.enlargement import find_enlargement
from sr_plugins.estimation.noise import estimate_noise
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.training.degradations.chain import read_chain
from sr_plugins.training.estimation import estimation
from sr_plugins.training.estimation.estimation import estimate, write_estimate
from sr_plugins.training.estimation.kernel import Blur, estimate_blur, gaussian_kernel_of
from sr_plugins.training.estimation.source import Rgb, Source, choose, luma, read_source, sources_in

NAMES = ("astronaut", "coffee", "chelsea", "motorcycle")


def photograph(name: str) -> Rgb:
    if name == "motorcycle":
        return np.asarray(skimage.data.stereo_motorcycle()[0])
    return np.asarray(getattr(skimage.data, name)())


def covariance(long: float, short: float, degrees: float) -> np.ndarray:
    """In small pixels squared, (y, x) order, from sigmas in large pixels at scale 2."""
    turn = np.radians(degrees)
    axis, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    return (long**2 * np.outer(axis, axis) + short**2 * np.outer(across, across)) / 4


def blurred(picture: Rgb, matrix: np.ndarray, noise: float = 2, seed: int = 0) -> Rgb:
    kernel = gaussian_kernel_of(matrix, 2)[..., None]
    small = ndimage.correlate(picture.astype(np.float64), kernel, mode="nearest")[::2, ::2]
    small += np.random.default_rng(seed).normal(0, 1, small.shape) * noise
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def source(picture: Rgb) -> Source:
    return Source("picture", [picture], None)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.4, 2), st.floats(0.4, 2), st.floats(0, 180), st.integers(2, 4))
def test_kernels_sum_to_one_are_positive_and_centred(a: float, b: float, degrees: float, scale: int) -> None:
    matrix = covariance(2 * a, 2 * b, degrees)
    kernel = gaussian_kernel_of(matrix, scale)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - kernel.shape[0] // 2
    center = np.array([(kernel * y).sum(), (kernel * x).sum()])
    np.testing.assert_allclose(center, (scale - 1) / 2, atol=0.02)
    found = [
        (kernel * (p - m) * (q - n)).sum()
        for p, m, q, n in ((y, center[0], y, center[0]), (y, center[0], x, center[1]))
    ]
    np.testing.assert_allclose(found, matrix[0] * scale**2, atol=0.03 * scale**2 * np.trace(matrix))


KERNELS = ((2.6, 1.2, 30), (2.0, 2.0, 0), (1.4, 1.0, 120), (2.8, 0.8, 95))


@pytest.mark.parametrize(  # each kernel in two pictures, each picture with two kernels
    ("name", "long", "short", "degrees"),
    [(name, *kernel) for i, name in enumerate(NAMES) for j, kernel in enumerate(KERNELS) if (i + j) % 2 == 0],
)
def test_gaussian_kernels_are_found(name: str, long: float, short: float, degrees: float) -> None:
    truth = covariance(long, short, degrees)
    blur = estimate_blur([luma(blurred(photograph(name), truth))])
    assert blur is not None
    assert blur.shape == "gaussian"
    found = np.array(blur.sigmas) * 2
    np.testing.assert_allclose(found, [long, short], rtol=0.3, atol=0.15)
    if long > 1.5 * short:
        assert abs((blur.angle - degrees + 90) % 180 - 90) < 15


def test_a_kernel_explains_the_picture_better_than_bicubic() -> None:
    high = photograph("coffee")
    truth = blurred(high, covariance(2.4, 1.3, 60), noise=0).astype(float)
    blur = estimate_blur([luma(blurred(high, covariance(2.4, 1.3, 60)))])
    assert blur is not None
    ours = np.mean((blurred(high, blur.covariance, noise=0) - truth) ** 2)
    theirs = np.mean((downscale_bicubic(high, 2)[: truth.shape[0], : truth.shape[1]] - truth) ** 2)
    assert ours < 0.05 * theirs


def test_turning_the_picture_turns_the_kernel() -> None:
    small = luma(blurred(photograph("astronaut"), covariance(2.6, 1.0, 20)))
    blur, turned = estimate_blur([small]), estimate_blur([np.ascontiguousarray(small.T)])
    assert blur is not None
    assert turned is not None
    np.testing.assert_allclose(turned.covariance, blur.covariance[::-1, ::-1], rtol=1e-3, atol=1e-3)


def test_no_blur_beyond_bicubic_is_an_answer() -> None:
    found = estimate([source(downscale_bicubic(photograph(name), 2)) for name in NAMES])
    assert found.kernel is None
    assert found.tables()[0] == {"name": "bicubic"}
    assert "no blur beyond bicubic found" in found.lines()[0]


@pytest.mark.parametrize("sigma", [0, 1.5, 4, 12])
def test_noise_level_is_found(sigma: float) -> None:
    smooth = ndimage.gaussian_filter(luma(photograph("chelsea")), 1.5)
    noisy = np.clip(np.rint(smooth + np.random.default_rng(1).normal(0, 1, smooth.shape) * sigma), 0, 255)
    found = estimate_noise([noisy.astype(np.float32)])
    assert found.sigma == pytest.approx(sigma, rel=0.1, abs=0.3)
    assert not found.signal_dependent


@pytest.mark.parametrize("name", NAMES)
def test_the_texture_of_a_sharp_picture_is_not_noise(name: str) -> None:
    sharp = luma(downscale_bicubic(photograph(name), 2))
    assert estimate_noise([sharp]).sigma < 1
    noisy = np.clip(np.rint(sharp + np.random.default_rng(2).normal(0, 4, sharp.shape)), 0, 255).astype(np.float32)
    assert estimate_noise([noisy]).sigma == pytest.approx(4, rel=0.15)


def test_noise_that_grows_with_brightness_is_told_from_noise_that_does_not() -> None:
    smooth = ndimage.gaussian_filter(luma(photograph("chelsea")), 3)
    smooth = np.interp(smooth, [smooth.min(), smooth.max()], [20, 235])
    noise = np.random.default_rng(1).normal(0, 1, smooth.shape)
    found = estimate_noise([np.clip(np.rint(smooth + noise * np.sqrt(1 + 0.15 * smooth)), 0, 255).astype(np.float32)])
    assert found.signal_dependent
    assert found.slope == pytest.approx(0.15, rel=0.3)
    assert not estimate_noise([(smooth + noise * 4).astype(np.float32)]).signal_dependent


@pytest.mark.parametrize("quality", [40, 70, 90])
def test_jpeg_quality_is_read_from_pixels_wherever_blocks_begin(quality: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photograph("astronaut")).save(buffer, "JPEG", quality=quality)
    decoded = luma(np.asarray(Image.open(buffer)))
    for top, left in ((0, 0), (3, 6)):
        found = find_jpeg(decoded[top:, left:])
        assert found.codec == "jpeg"
        assert found.quality[0] <= quality <= found.quality[1]
    assert find_jpeg(luma(photograph("astronaut"))).codec == "none"


def test_the_transform_and_table_are_the_standard_ones() -> None:
    block = np.random.default_rng(0).normal(0, 30, (8, 8))
    dct = compression_estimation.DCT
    np.testing.assert_allclose(dct @ block @ dct.T, fft.dctn(block, norm="ortho"), atol=1e-9)
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(buffer, "JPEG", quality=50)
    table = Image.open(buffer).quantization[0]  # type: ignore[attr-defined]
    assert table == compression_estimation.LUMA_TABLE.ravel().tolist()


def test_a_jpeg_file_tells_its_quality_and_subsampling(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    Image.fromarray(photograph("coffee")).save(path, quality=63, subsampling="4:4:4")
    compression = read_source(path).compression
    assert compression is not None
    assert compression.codec == "jpeg"
    assert compression.quality[0] <= 63 <= compression.quality[1]
    assert compression.tables()[0]["subsampling"] == "4:4:4"


@pytest.mark.parametrize("factor", [1.5, 2, 3])
@pytest.mark.parametrize("kernel", [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR])
def test_an_enlarged_picture_is_told_with_its_true_size(factor: float, kernel: Image.Resampling) -> None:
    small = Image.fromarray(photograph("astronaut")[100:300, 100:320]).convert("L")
    large = small.resize((round(small.width * factor), round(small.height * factor)), kernel)
    found = find_enlargement(np.asarray(large, np.float32))
    assert found.factor == pytest.approx(factor)
    assert found.confidence > 0.3
    assert find_enlargement(np.asarray(small, np.float32)).factor == 1


def test_a_film_is_read_with_its_quantiser(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    picture = photograph("astronaut")[:192, :256]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options={"qp": "27", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p"
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(picture, 3 * i, 1)), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    film = read_source(path, 6)
    assert len(film.frames) == 6
    assert film.compression is not None
    assert film.compression.codec == "h264"
    assert film.compression.quality[0] <= 27 <= film.compression.quality[1]


def test_without_a_quantiser_the_rate_is_a_hint_of_little_confidence() -> None:
    rich, poor = (video_compression("vp9", [], rate) for rate in (0.3, 0.02))
    assert rich.quality[1] < poor.quality[1]
    assert rich.confidence < 0.5
    assert rich.codec == "h265"


def test_frames_are_chosen_for_detail_and_difference() -> None:
    one, two = photograph("astronaut")[:120, :120], photograph("coffee")[:120, :120]
    flat = np.full_like(one, 90)
    assert choose([flat, one, one, two, flat], 2) == [1, 3]
    assert choose([one, one, one], 3) == [0]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((200, 300, 3), np.uint8),
        np.full((64, 64, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
    ],
    ids=["black", "white", "noise", "tiny", "pixel"],
)
def test_pictures_that_say_little_get_a_usable_answer(picture: Rgb, tmp_path: Path) -> None:
    found = estimate([source(picture)])
    write_estimate(found, tmp_path / "found.toml")
    chain = read_chain(tmp_path / "found.toml", 2)
    assert chain(np.zeros((64, 64, 3), np.uint8), np.random.default_rng(0)).shape == (32, 32, 3)
    assert len(found.lines()) == 4
    if picture.std() == 0 or min(picture.shape[:2]) <= 16:
        assert found.tables() == [{"name": "bicubic"}]
        assert "bicubic is assumed" in found.lines()[0]


def test_the_file_degrades_as_the_truth_does_and_is_the_same_every_time(tmp_path: Path) -> None:
    high = photograph("coffee")
    small = blurred(high, covariance(2.2, 1.5, 45), noise=3)
    for name in ("a.toml", "b.toml"):
        write_estimate(estimate([source(small)]), tmp_path / name)
    assert (tmp_path / "a.toml").read_bytes() == (tmp_path / "b.toml").read_bytes()
    again = read_chain(tmp_path / "a.toml", 2)(high, np.random.default_rng(0))
    difference = again.astype(float) - small
    # two draws of noise of sigma 3, and little else
    assert difference.std() < 1.15 * 3 * np.sqrt(2)
    with pytest.raises(RecipeError, match="the kernel is for scale 2"):
        read_chain(tmp_path / "a.toml", 3)


def test_the_command_says_what_it_found_and_draws_it(tmp_path: Path) -> None:
    small = blurred(photograph("coffee"), covariance(2.4, 2.4, 0))
    Image.fromarray(small).save(tmp_path / "in.png")
    recipe, plot = tmp_path / "out.toml", tmp_path / "plot.png"
    arguments = ["degradation", "estimate", str(tmp_path / "in.png"), "-o", str(recipe), "--plot", str(plot)]
    done = CliRunner().invoke(srp, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.strip() == str(recipe)
    assert "blur: Gaussian" in done.stderr
    with Image.open(plot) as image:
        assert image.width > 400


@pytest.mark.parametrize(
    ("output", "plot", "says"),
    [
        ("keep.toml", "keep.png", "one of the inputs and would be replaced: give --plot"),
        ("keep.toml", "new/../keep.png", "one of the inputs"),
        ("keep.toml", "link.png", "one of the inputs"),
        ("keep.png", None, "recipes are written as .toml"),
        ("film.toml", None, "one of the inputs and would be replaced: give -o"),
        ("a.toml", "a.toml", "the recipe that -o names"),
    ],
)
def test_no_result_replaces_an_input(output: str, plot: str | None, says: str, tmp_path: Path) -> None:
    Image.fromarray(photograph("coffee")[:64, :64]).save(tmp_path / "keep.png")
    (tmp_path / "link.png").hardlink_to(tmp_path / "keep.png")
    (tmp_path / "film.toml").write_bytes(b"a film of a strange name")
    (tmp_path / "new").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    arguments = [str(tmp_path / "keep.png"), str(tmp_path / "film.toml"), "-o", str(tmp_path / output)]
    more = [] if plot is None else ["--plot", str(tmp_path / plot)]
    done = CliRunner().invoke(srp, ["degradation", "estimate", *arguments, *more])
    assert isinstance(done.exception, DataError)
    assert says in str(done.exception)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "broken.mkv").write_bytes(b"no film")
    with pytest.raises(DataError, match=r"broken\.png"):
        read_source(tmp_path / "broken.png")
    with pytest.raises(PipeError, match=r"broken\.mkv"):
        read_source(tmp_path / "broken.mkv")
    with pytest.raises(DataError, match="no picture"):
        estimate([])


def test_what_is_near_bicubic_must_be_sure_to_count() -> None:
    def blur(shape: str, sigma: float, confidence: float) -> Blur:
        return Blur(shape, np.eye(2) * (sigma / 2) ** 2, confidence, np.zeros((0, 2, 2)))

    assert estimation.cautious(None) is None
    for unsure in (blur("gaussian", 1.0, 0.66), blur("area", 0.8, 0.35), blur("lanczos", 0.8, 0.38)):
        found = estimation.cautious(unsure)
        assert found is not None
        assert found.shape == "bicubic"
    for sure in (blur("gaussian", 1.0, 0.8), blur("gaussian", 1.3, 0.5), blur("area", 0.8, 0.5), blur("bicubic", 1, 0)):
        assert estimation.cautious(sure) is sure


def test_a_clean_picture_of_soft_things_is_not_taken_for_a_blurred_one(shared_data: Path) -> None:
    for path in sorted((shared_data / "benchmark" / "Set5" / "LRx2").glob("*.png")):
        assert estimate([read_source(path)]).tables()[0] == {"name": "bicubic"}, path.name


def test_a_folder_stands_for_the_pictures_and_films_in_it(tmp_path: Path) -> None:
    for name in ("b.MKV", "a.png", "._b.mkv", "note.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    alone = tmp_path / "a.png"
    assert sources_in([tmp_path, alone]) == [alone, tmp_path / "b.MKV", alone]
    with pytest.raises(DataError, match="holds no pictures and no films"):
        sources_in([tmp_path / "c.png"])

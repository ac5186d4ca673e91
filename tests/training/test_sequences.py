"""Scenes that move as they say, codecs that leave real frames, sequences that are the same every time."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from training_runs import drawing, log_of, recipe_file, same_weights

from sr_plugins.errors import DataError, RecipeError
from sr_plugins.models import flat_colours
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.training.run.recipe import read_recipe
from sr_plugins.training.run.run_folder import Progress
from sr_plugins.training.run.trainer import train
from sr_plugins.training.sequences.clips import draw_part, read_luma
from sr_plugins.training.sequences.coding import CODECS, code, coded_frames, draw_coding
from sr_plugins.training.sequences.scenes import Layer, Outline, draw_layer, draw_path, render
from sr_plugins.training.sequences.scenes import Path as Course
from sr_plugins.training.sequences.sequences import Sequences
from sr_plugins.training.sequences.settings import SequenceSettings

SIDE, FRAMES = 48, 9
SMALL = SequenceSettings(scenes=3, codings=2, codec=("h264", "none"), side=32, frames=7, targets=2, motion=2.0)


def waves(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(120 + 60 * np.sin(x / 9) + 40 * np.cos((x + 2 * y) / 13), np.float32)


def photograph(side: int = 240) -> NDArray[np.float32]:
    y, x = np.mgrid[:side, :side].astype(float)
    return waves(x, y)


@pytest.mark.parametrize(
    "course",
    [
        Course(velocity=(1.5, -0.37)),
        Course(turn=0.03),
        Course(zoom=0.02),
        Course(shake=(0.8, 0.5), period=7, phase=(1.0, 2.0)),
        Course(velocity=(-0.4, 0.9), shake=(0.3, 0.2), period=11, turn=-0.01, zoom=-0.01),
    ],
    ids=["pan", "turn", "zoom", "shake", "all"],
)
def test_a_layer_is_where_its_course_says(course: Course) -> None:
    layer = Layer(photograph(), middle=(118.0, 121.5), step=1.5, path=course)
    made = render([layer], SIDE, FRAMES)
    assert made.shape == (FRAMES, SIDE, SIDE)
    inner = slice(3, -3)  # the antialiasing filter reads beyond the edge
    for number in range(FRAMES):
        t = number - FRAMES // 2
        y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
        # what moves by (dx, dy), is then turned and enlarged around the place it has come to
        swing = [
            s * (np.sin(2 * np.pi * t / course.period + p) - np.sin(p))
            for s, p in zip(course.shake, course.phase, strict=True)
        ]
        at = (x - course.velocity[0] * t - swing[0]) + 1j * (y - course.velocity[1] * t - swing[1])
        at *= np.exp(-course.zoom * t - 1j * course.turn * t)
        expected = waves(118.0 + 1.5 * at.real, 121.5 + 1.5 * at.imag)
        np.testing.assert_allclose(made[number][inner, inner], expected[inner, inner], atol=1.2)


def test_frames_are_equally_sharp_wherever_pixels_fall() -> None:
    noise = np.random.default_rng(1).uniform(0, 255, (240, 240)).astype(np.float32)
    layer = Layer(noise, (120.0, 120.0), 1.6, Course(velocity=(0.25, 0.125)))
    spread = render([layer], SIDE, FRAMES).std((1, 2))
    assert spread.max() / spread.min() < 1.05


def test_the_nearer_layer_hides_what_it_passes_over() -> None:
    far = Layer(np.full((200, 200), 50, np.float32), (100.0, 100.0), 1.5, Course())
    outline = Outline((-8.0, 0.0), 6.0, ((0.0, 0.0),))
    near = Layer(np.full((200, 200), 200, np.float32), (100.0, 100.0), 1.5, Course(velocity=(2.0, 0.5)), outline)
    made = render([far, near], SIDE, FRAMES)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    for number, frame in enumerate(made):
        cover = (frame - 50) / 150
        t = number - FRAMES // 2
        assert cover.sum() == pytest.approx(np.pi * 36, rel=0.03)
        assert (cover * x).sum() / cover.sum() == pytest.approx(-8 + 2 * t, abs=0.1)
        assert (cover * y).sum() / cover.sum() == pytest.approx(0.5 * t, abs=0.1)
        assert frame[24, 16 + 2 * t] == pytest.approx(200, abs=0.5)


def test_drawn_layers_stay_in_their_picture_and_within_the_speed() -> None:
    picture = photograph()
    for seed in range(50):
        rng = np.random.default_rng(seed)
        layer = draw_layer(rng, picture, SIDE, 4.0, nearer=seed % 2 == 1)
        half = layer.step * SIDE / 2
        assert all(half <= at <= 240 - half for at in layer.middle)
        assert (layer.outline is not None) == (seed % 2 == 1)
        assert np.hypot(*draw_path(rng, 4.0).velocity) <= 4.0001
    resting = sum(draw_path(np.random.default_rng(seed), 4.0) == Course() for seed in range(200))
    assert 10 < resting < 60


@pytest.mark.parametrize("codec", list(CODECS))
def test_codecs_leave_frames_of_every_kind_the_same_each_time(codec: str) -> None:
    clip = np.rint(render([Layer(photograph(), (120.0, 120.0), 1.5, Course(velocity=(1.3, 0.4)))], 64, 12)).astype(
        np.uint8
    )
    clip = np.clip(clip + np.random.default_rng(2).integers(-4, 5, clip.shape), 16, 235).astype(np.uint8)
    options = draw_coding(np.random.default_rng(3), codec, 22)
    coded = code(clip, codec, options)
    assert coded.shape == clip.shape
    assert np.array_equal(coded, code(clip, codec, options))
    kinds = {frame.pict_type for frame in coded_frames(clip, codec, options)}
    assert kinds >= {av.video.frame.PictureType.I, av.video.frame.PictureType.P, av.video.frame.PictureType.B}
    errors = [
        float(
            np.square(
                code(clip, codec, draw_coding(np.random.default_rng(3), codec, quality)).astype(float) - clip
            ).mean()
        )
        for quality in (16, 24, 32)
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 200


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "large"
    folder.mkdir()
    for i in range(3):
        drawing(i, 160).save(folder / f"{i}.png")
    return sorted(folder.iterdir())


def sequences(
    paths: list[Path], folder: Path, settings: SequenceSettings = SMALL, seed: int = 5, window: tuple[int, int] = (1, 1)
) -> Sequences:
    return Sequences(settings, paths, [], 2, window, seed, folder)


def test_sequences_come_from_the_seed_and_fill_up_what_lacks(paths: list[Path], tmp_path: Path) -> None:
    first = sequences(paths, tmp_path / "a")
    low, high = first.scenes[0]
    assert (low.shape, high.shape) == ((2, 4, 32, 32), (2, 64, 64))
    written = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("*.npz")}
    assert sorted(written) == ["000000.npz", "000001.npz", "000002.npz"]
    (tmp_path / "a" / "000001.npz").unlink()
    (tmp_path / "a" / "000002.npz").write_bytes(written["000002.npz"][:5000])
    again = sequences(paths, tmp_path / "a")
    for before, after in zip(first.scenes, again.scenes, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").glob("*.npz")} == written
    other = sequences(paths, tmp_path / "b", seed=6)
    assert not np.array_equal(other.scenes[0][1], first.scenes[0][1])


def test_a_folder_of_other_sequences_is_refused(paths: list[Path], tmp_path: Path) -> None:
    sequences(paths, tmp_path / "a")
    for change in ({"seed": 6}, {"window": (2, 2)}, {"settings": replace(SMALL, scenes=4)}, {"paths": paths[:2]}):
        with pytest.raises(RecipeError, match="holds sequences of other settings"):
            sequences(**{"paths": paths, "folder": tmp_path / "a"} | change)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [(1, 1), (2, 0), (2, 2)])
def test_the_target_is_the_frame_the_window_is_about(
    paths: list[Path], tmp_path: Path, window: tuple[int, int]
) -> None:
    clean = replace(SMALL, codec=("none",), frames=8)
    made = sequences(paths, tmp_path / "a", clean, window=window)
    for low, high in made.scenes:
        for target, frame in enumerate(high):
            assert np.array_equal(low[0, target + window[0]], downscale_bicubic(frame, 2))
    whole = list(made.whole())
    assert len(whole) == 6
    frames, truth = whole[1]
    assert frames.shape == (sum(window) + 1, 1, 32, 32)
    assert truth.shape == (1, 64, 64)
    np.testing.assert_allclose(frames[window[0], 0] * 219 + 16, made.scenes[0][0][1, 1 + window[0]], atol=1e-4)


def test_batches_cut_the_same_place_of_all_frames(paths: list[Path], tmp_path: Path) -> None:
    clean = replace(SMALL, codec=("none",))
    made = sequences(paths, tmp_path / "a", clean)
    drawn = made.draw(np.random.default_rng(1), 12, 16)
    low, high = made.cut(drawn, 16)
    assert (low.shape, high.shape) == ((12, 3, 1, 16, 16), (12, 1, 32, 32))
    for small, large in zip(low, high, strict=True):
        codes = np.rint(large[0] * 219 + 16).astype(np.uint8)
        expected = downscale_bicubic(codes, 2)[2:-2, 2:-2]
        np.testing.assert_allclose(small[1, 0, 2:-2, 2:-2] * 219 + 16, expected, atol=1.01)
    on_device = made.copied_to(torch.device("cpu")).cut(drawn, 16)
    assert all(np.array_equal(a, b) for a, b in zip(on_device, (low, high), strict=True))
    shared = [made.cut(drawn[rank::2], 16)[0] for rank in (0, 1)]
    assert np.array_equal(np.stack(shared, 1).reshape(low.shape), low)


def test_some_scenes_are_of_one_colour_and_often_black(paths: list[Path], tmp_path: Path) -> None:
    """As coded ones too; what is beside a film's picture is black, and networks see it at every border."""
    flat = sequences(paths, tmp_path, replace(SMALL, scenes=24, codings=1, flat=1.0))
    levels = [int(high[0, 0, 0]) for _, high in flat.scenes]
    for level, (low, high) in zip(levels, flat.scenes, strict=True):
        assert (high == level).all()
        assert np.abs(low.astype(int) - level).max() <= 1
    assert 6 <= levels.count(16) <= 18
    assert all(16 <= level <= 235 for level in levels)
    assert len(set(levels)) > 4


def test_films_give_sequences_within_a_shot(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    shots = [
        np.clip(rng.normal(level, 30, (1, 80, 100)).repeat(12, 0), 16, 235).astype(np.uint8) for level in (60, 190)
    ]
    film = np.concatenate(shots)
    for seed in range(20):
        part = draw_part(np.random.default_rng(seed), film, 64, 8)
        assert part is not None
        assert part.shape == (8, 64, 64)
        assert np.ptp(part.astype(int), 0).max() == 0  # of one shot, in which nothing moves
    assert draw_part(np.random.default_rng(1), film, 90, 8) is None
    assert draw_part(np.random.default_rng(1), film, 64, 20) is None
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25, width=100, height=80, pix_fmt="yuv420p")
        for luma in film:
            frame = av.VideoFrame.from_ndarray(np.concatenate((luma, np.full((40, 100), 128, np.uint8))), "yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.array_equal(read_luma(path), film)
    assert np.array_equal(read_luma(path, 5), film[:5])
    (tmp_path / "none.mkv").write_bytes(b"no film")
    with pytest.raises(DataError, match=r"none\.mkv cannot be read as a film"):
        read_luma(tmp_path / "none.mkv")


RECIPE = """
seed = 3
validate_every = 2
optimizer = "muon"
[model]
name = "film"
scale = 2
start = "restore-x2.safetensors"
[data]
validation = 1
[sequences]
scenes = 2
codings = 1
codec = "h264"
side = 32
frames = 8
targets = 2
[[stage]]
iterations = 4
patch = 16
batch = 1
learning_rate = [1e-4, 1e-5]
"""


def test_a_run_on_sequences_resumes_as_the_uninterrupted_one(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        flat_colours, "CODE", 8 / 219
    )  # the curve from fewer flat pictures: of the last weights all the same
    recipe = read_recipe(recipe_file(tmp_path, RECIPE))
    whole = train(recipe, paths[0].parent, tmp_path / "whole", device="cpu")

    def interrupt(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(2):
        parts = train(recipe, paths[0].parent, tmp_path / "parts", device="cpu", resume=True, report=interrupt)
    assert [line["iteration"] for line in log_of(tmp_path / "whole")] == [2, 4]
    assert log_of(tmp_path / "parts")[-1]["psnr"] == log_of(tmp_path / "whole")[-1]["psnr"]
    assert same_weights(whole, parts)
    note = json.loads((tmp_path / "whole" / "sequences" / "train" / "sequences.json").read_text())
    kept = json.loads((tmp_path / "whole" / "sequences" / "validation" / "sequences.json").read_text())
    assert not set(note["sources"]) & set(kept["sources"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[sequences]", '[[degradation]]\nname = "bicubic"\n[sequences]'), "degradation is of recipes for pictures"),
        (('name = "film"', 'name = "restore"'), "restore x2 sees 1 frames and needs no [sequences]: it has them"),
        (('codec = "h264"', 'codec = "h263"'), "codec = 'h263' is none of none, h264, h265, mpeg2"),
        (("side = 32", "side = 33"), "side = 33 is odd"),
        (("targets = 2", "targets = 6"), "6 targets with 4 neighbours are 10 frames"),
        (("patch = 16", "patch = 40"), "patch = 40 is larger than sequences.side = 32"),
        (("codings = 1", "coding = 1"), "has no option coding"),
        (("scenes = 2", "scenes = 0"), "scenes = 0 is not a whole number of at least 1"),
    ],
)
def test_recipes_that_cannot_be_followed_are_told(
    paths: list[Path], tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        train(
            read_recipe(recipe_file(tmp_path, RECIPE.replace(*change))), paths[0].parent, tmp_path / "run", device="cpu"
        )
    assert message in str(caught.value)


def test_a_network_of_several_frames_needs_sequences(paths: list[Path], tmp_path: Path) -> None:
    text = RECIPE[: RECIPE.index("[sequences]")] + RECIPE[RECIPE.index("[[stage]]") :]
    with pytest.raises(RecipeError, match=r"film x2 sees 5 frames and needs \[sequences\]: it has none"):
        train(read_recipe(recipe_file(tmp_path, text)), paths[0].parent, tmp_path / "run", device="cpu")


def test_pictures_that_are_too_small_are_left_out(paths: list[Path], tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(paths[0])
    with pytest.raises(DataError, match="none of 1 pictures and 0 films gives a sequence"):
        sequences(paths[:1], tmp_path / "a")

"""``srp image`` as people call it: files, folders, formats, and one line for each thing that can go wrong."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import warm_python
from commands import picture, srp
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.cli.picture_tasks import tasks_for

Capture = pytest.CaptureFixture[str]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_file(tmp_path: Path, capfd: Capture) -> None:
    assert srp(picture(tmp_path / "a.png"), "-o", tmp_path / "b.png") == 0
    assert size_of(tmp_path / "b.png") == (40, 24)
    out, err = capfd.readouterr()
    assert out == ""
    assert "20x12" in err
    assert "40x24" in err
    assert "\x1b" not in err  # no bar where there is no terminal


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--scale", "1.5"], (30, 18)),
        (["--scale", "3"], (60, 36)),
        (["--size", "33x44"], (33, 44)),
        (["--size", "50x"], (50, 30)),
        (["--size", "x24"], (40, 24)),
        (["--tile", "64", "--device", "cpu", "--precision", "float32"], (40, 24)),
    ],
)
def test_sizes(options: list[str], size: tuple[int, int], tmp_path: Path) -> None:
    assert srp(picture(tmp_path / "a.png"), "-o", tmp_path / "b.png", *options) == 0
    assert size_of(tmp_path / "b.png") == size


def test_same_bytes_twice(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (90, 70))
    for name in ("b", "c"):
        assert srp(tmp_path / "a.png", "-o", tmp_path / f"{name}.png") == 0
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_several_files_and_a_folder(tmp_path: Path) -> None:
    one = picture(tmp_path / "one.png")
    picture(tmp_path / "in" / "two.jpg")
    picture(tmp_path / "in" / "deep" / "three.webp")
    picture(tmp_path / "in" / ".hidden" / "four.png")
    (tmp_path / "in" / "notes.txt").write_text("not a picture, and not meant as one")
    assert srp(one, tmp_path / "in", "-o", tmp_path / "out") == 0
    assert files(tmp_path / "out") == ["deep/three.webp", "one.png", "two.jpg"]


def test_output_inside_the_input_is_not_read_again(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    out = tmp_path / "out"
    assert srp(tmp_path, "-o", out) == 0
    assert srp(tmp_path, "-o", out, "--overwrite") == 0
    assert files(tmp_path) == ["a.png", "out/a.png"]
    assert size_of(out / "a.png") == (40, 24)


def test_earlier_results_are_known_under_every_name_of_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for out in ("out", tmp_path / "out", "./out/", tmp_path / "link" / "out"):
        assert srp(".", "-o", out, "--overwrite") == 0
    assert files(tmp_path) == ["a.png", "out/a.png"]


def test_a_folder_within_the_output_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "holiday" / "a.png")
    picture(tmp_path / "holiday" / "deep" / "b.png")
    monkeypatch.chdir(tmp_path)
    assert srp("holiday", "-o", ".") == 0
    assert files(tmp_path) == ["a.png", "deep/b.png", "holiday/a.png", "holiday/deep/b.png"]


def test_a_locked_folder_is_listed_and_the_others_are_done(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "open" / "a.png")
    locked = picture(tmp_path / "in" / "locked" / "b.png").parent
    locked.chmod(0)
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root reads locked folders, and there is no setpriv to lay that right down")
    command = [sys.executable, "-m", "sr_plugins.cli", "image", "--model", "tiny", str(tmp_path / "in")]
    if os.geteuid() == 0:  # root may read everything, unless it lays that right down
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all", *command]
    try:
        done = subprocess.run([*command, "-o", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    finally:
        locked.chmod(0o700)
    assert done.returncode == 1, done.stderr
    assert files(tmp_path / "out") == ["open/a.png"]
    assert "1 of 2 pictures failed:" in done.stderr
    assert f"{locked} cannot be read: Permission denied" in done.stderr


def test_every_line_about_a_picture_of_many_names_it(
    tmp_path: Path, capfd: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "in"
    picture(folder / "a.png")
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(folder / "float.tiff")
    Image.new("RGBA", (9, 9)).save(folder / "clear.png")
    assert srp(folder, "-o", tmp_path / "out", "--format", "jpg") == 1
    assert f"{folder}/float.tiff: JPEG cannot hold samples of 32 bits" in capfd.readouterr().err
    assert f"{tmp_path}/out/clear.jpg: JPEG holds no transparency" in caplog.text


def test_names_of_files_break_no_line_and_move_no_cursor(tmp_path: Path, capfd: Capture) -> None:
    for name in ("a\nb.png", "c\x1b[2Jd.png", "e\x9bf.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "g\x1b[31m\nh.png").write_bytes(b"x")
    assert srp(tmp_path / "in", "-o", tmp_path / "out") == 1
    err = capfd.readouterr().err
    assert not set(err) & {"\x1b", "\x9b"}
    for shown in ("a\\nb.png ", "c\\x1b[2Jd.png ", "e\\x9bf.png ", "g\\x1b[31m"):
        assert any(shown in line for line in err.splitlines()), shown
    assert files(tmp_path / "out") == ["a\nb.png", "c\x1b[2Jd.png", "e\x9bf.png"]


def test_names_that_are_not_utf_8_are_shown_by_letters(tmp_path: Path, capfd: Capture) -> None:
    if sys.platform == "darwin":
        pytest.skip("its file systems hold no such names")
    picture(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for name, what in ((b"caf\xe9.png", content), (b"Gr\xf6\xdfe\x85.jpg", b"x")):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(what)
    assert srp(tmp_path, "-o", tmp_path / "out") == 1
    err = capfd.readouterr().err
    assert f"{tmp_path}/café.png 20x12 -> {tmp_path}/out/café.png 40x24" in err
    assert f"{tmp_path}/Größe\\x85.jpg" in err
    assert "udc" not in err
    assert [os.fsencode(path.name) for path in (tmp_path / "out").glob("caf*")] == [b"caf\xe9.png"]


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    assert srp(tmp_path / "nothing.png", "-o", tmp_path / "new" / "folder/") == 1
    assert not (tmp_path / "new").exists()


def test_two_endings_of_one_format_do_not_contradict(tmp_path: Path) -> None:
    assert srp(picture(tmp_path / "a.png"), "-o", tmp_path / "b.jpeg", "--format", "jpg") == 0
    assert srp(tmp_path / "a.png", "-o", tmp_path / "c.png", "--format", "jpg") == 2


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff", "avif", "bmp", "gif"])
def test_formats(ending: str, tmp_path: Path) -> None:
    assert srp(picture(tmp_path / "a.png"), "-o", tmp_path / "out", "--format", ending.upper()) == 0
    assert files(tmp_path / "out") == [f"a.{ending}"]
    with Image.open(tmp_path / "out" / f"a.{ending}") as image:
        assert image.format == {"jpg": "JPEG"}.get(ending, ending.upper())


def test_what_cannot_be_written_becomes_png(tmp_path: Path) -> None:
    source = tmp_path / "a.fits"
    header = "".join(
        f"{line:80}" for line in ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 3", "END")
    )
    source.write_bytes(header.ljust(2880).encode() + bytes(2880))
    assert srp(source, "-o", tmp_path / "out/") == 0
    assert files(tmp_path / "out") == ["a.png"]


def test_quality(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (64, 64))
    for quality in (20, 90):
        assert srp(tmp_path / "a.png", "-o", tmp_path / f"{quality}.jpg", "--quality", quality) == 0
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "90.jpg").stat().st_size / 2


def test_overwrite_only_on_request(tmp_path: Path, capfd: Capture) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"precious")
    assert srp(tmp_path / "a.png", "-o", tmp_path / "b.png") == 1
    assert (tmp_path / "b.png").read_bytes() == b"precious"
    assert "--overwrite" in capfd.readouterr().err
    assert srp(tmp_path / "a.png", "-o", tmp_path / "b.png", "--overwrite") == 0
    assert size_of(tmp_path / "b.png") == (40, 24)
    assert srp(tmp_path / "a.png", "-o", tmp_path / "a.png", "--overwrite") == 1  # onto itself
    assert size_of(tmp_path / "a.png") == (20, 12)


def test_folder_goes_on_after_bad_files(tmp_path: Path, capfd: Capture) -> None:
    folder = tmp_path / "in"
    picture(folder / "a.png")
    (folder / "b.png").write_bytes(b"")
    (folder / "c.png").write_text("a text")
    (folder / "d.jpg").write_bytes(picture(tmp_path / "whole.jpg", (90, 90)).read_bytes()[:900])
    picture(folder / "e.png")
    assert srp(folder, "-o", tmp_path / "out") == 1
    assert files(tmp_path / "out") == ["a.png", "e.png"]
    err = capfd.readouterr().err
    listed = err[err.index("3 of 5 pictures failed:") :].splitlines()[1:]
    assert [Path(line.split()[0]).name for line in listed] == ["b.png", "c.png", "d.jpg"]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.png", b""),
        ("text.png", b"hello"),
        ("none.gif", b"GIF89a\0\0\0\0\0\0\0;"),
        ("missing.png", None),
        ("folder.txt", None),
    ],
)
def test_a_bad_file_is_one_line_and_status_1(name: str, content: bytes | None, tmp_path: Path, capfd: Capture) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert srp(tmp_path / name, "-o", tmp_path / "out.png") == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("srp: ")
    assert name in err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
def test_tiny_pictures(size: tuple[int, int], tmp_path: Path) -> None:
    assert srp(picture(tmp_path / "a.png", size), "-o", tmp_path / "b.png") == 0
    assert size_of(tmp_path / "b.png") == (2 * size[0], 2 * size[1])


def test_bombs(tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # restored afterwards
    Image.new("1", (14000, 14000)).save(tmp_path / "in.png")  # 196 megapixels in some 25 kB
    assert srp(tmp_path / "in.png", "-o", tmp_path / "out.png") == 1
    Image.new("1", (9000, 9000)).save(tmp_path / "out-bomb.png")
    assert srp(tmp_path / "out-bomb.png", "-o", tmp_path / "out.png", "--scale", "4") == 1
    assert srp(picture(tmp_path / "a.png"), "-o", tmp_path / "out.png", "--max-pixels", 100) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("srp: ")]
    assert len(lines) == 3
    assert "decompression bomb" in lines[0]
    assert "36000 x 36000" in lines[1]
    assert not (tmp_path / "out.png").exists()
    assert srp(tmp_path / "a.png", "-o", tmp_path / "out.png", "--max-pixels", 1000) == 0


def test_unwritable_place(tmp_path: Path, capfd: Capture) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "file").touch()
    assert srp(tmp_path / "a.png", "-o", tmp_path / "file" / "b.png") == 1
    assert srp(tmp_path / "a.png", "-o", tmp_path / ("n" * 300 + ".png")) == 1
    assert capfd.readouterr().err.count("srp: ") == 2
    assert files(tmp_path) == ["a.png", "file"]


@pytest.mark.parametrize(
    ("source", "arguments", "told"),
    [
        ("no.png", ["-o", "x.png"], "there is no such file"),
        ("a.png", ["-o", "a.png"], "is the source itself"),
        ("a.png", ["-o", "there.png"], "--overwrite replaces it"),
        ("a.png", ["-o", "/proc/x.png"], "cannot be written"),
        ("a.png", ["-o", "n" * 300 + ".png"], "cannot be written: File name too long"),
        ("a.png", ["-o", "new/" + "n" * 300 + ".png"], "cannot be written: File name too long"),
        ("large.png", ["-o", "x.png", "--scale", "16"], "the result would be 48000 x 48000 pixels"),
        ("large.png", ["-o", "x.png", "--size", "x99999"], "the result would be 99999 x 99999 pixels"),
        ("large.png", ["-o", "x.webp", "--scale", "6"], "WEBP holds at most 16383 pixels a side"),
        ("frames.gif", ["-o", "x.jpg"], "2 frames of an animation do not go into JPEG"),
        ("float.tif", ["-o", "x.jpg"], "JPEG cannot hold samples of 32 bits"),
        ("a.png", ["-o", "x.pgm"], "PGM holds no colours"),
        ("a.png", ["-o", "x.png", "--wrap", "--size", "33x44"], "--wrap needs a scale"),
        ("text.png", ["-o", "x.png"], "is not a picture that can be read"),
        ("empty.png", ["-o", "x.png"], "is empty"),
    ],
)
@pytest.mark.parametrize("model", ["tiny", "auto"])
def test_what_cannot_be_done_is_told_before_any_model_is_made_ready(
    model: str,
    source: str,
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    picture(tmp_path / "there.png")
    Image.new("1", (3000, 3000)).save("large.png")
    Image.new("L", (9, 9)).save("frames.gif", save_all=True, append_images=[Image.new("L", (9, 9), 90)])
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save("float.tif")
    (tmp_path / "text.png").write_text("a text")
    (tmp_path / "empty.png").touch()
    before = files(tmp_path)
    made: list[object] = []
    monkeypatch.setattr("sr_plugins.upscaler.Engine", lambda *a, **k: made.append(a))
    assert srp(source, *arguments, "--model", model) == 1
    assert told in capfd.readouterr().err
    assert not made
    assert files(tmp_path) == before


def test_unknown_model_offers_close_names(tmp_path: Path, capfd: Capture) -> None:
    assert srp(picture(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", "fats") == 1
    err = capfd.readouterr().err
    assert "did you mean 'fast'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["-o", "b.nope"],
        ["-o", "out/", "--format", "nope"],
        ["-o", "b.png", "--scale", "0.5"],
        ["-o", "b.png", "--scale", "2", "--size", "9x9"],
        ["-o", "b.png", "--quality", "101"],
        ["-o", "b.png", "--format", "jpg"],
    ],
)
def test_wrong_usage_is_status_2(wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    assert srp("a.png", *wrong) == 2
    assert files(tmp_path) == ["a.png"]


def test_several_pictures_need_a_folder(tmp_path: Path, capfd: Capture) -> None:
    one, two = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    (tmp_path / "c.png").touch()
    assert srp(one, two, "-o", tmp_path / "c.png") == 2
    (tmp_path / "empty").mkdir()
    assert srp(tmp_path / "empty", "-o", tmp_path / "out") == 2
    assert "no pictures in" in capfd.readouterr().err


def test_two_pictures_never_share_a_result(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "a.jpg", (8, 8))
    picture(tmp_path / "in" / "b.PNG")
    picture(tmp_path / "in" / "B.png", (8, 8))  # one file on systems that do not tell cases apart
    assert srp(tmp_path / "in", "-o", tmp_path / "out", "--format", "png") == 0
    names = files(tmp_path / "out")
    assert len({name.lower() for name in names}) == 4
    assert {size_of(tmp_path / "out" / name) for name in names} == {(40, 24), (16, 16)}


def test_what_is_there_is_skipped_on_request(tmp_path: Path, capfd: Capture) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "in" / name)
    assert srp(tmp_path / "in" / "a.png", "-o", tmp_path / "out" / "a.png") == 0
    before = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    assert srp(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing") == 0
    assert "1 picture is there already" in capfd.readouterr().err
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == before
    assert size_of(tmp_path / "out" / "b.png") == (40, 24)
    assert srp(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing") == 0  # nothing is left to do


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_stdin_to_stdout(ending: str, tmp_path: Path) -> None:
    words = ("-m", "sr_plugins.cli", "image", "-", "-o", "-", "--model", "tiny", "--device", "cpu")
    done = warm_python.called(*words, given=picture(tmp_path / f"a.{ending}").read_bytes(), timeout=250)
    assert done.returncode == 0, done.stderr
    (tmp_path / "out").write_bytes(done.stdout)
    with Image.open(tmp_path / f"a.{ending}") as before:
        format = before.format
    with Image.open(tmp_path / "out") as result:
        assert (result.format, result.size) == (format, (40, 24))


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", f"cat '{tmp_path}/a.png' > '{tmp_path}/pipe'"])
    assert srp(tmp_path / "pipe", "-o", tmp_path / "out.jpg") == 0
    assert writer.wait(60) == 0
    assert size_of(tmp_path / "out.jpg") == (40, 24)


def test_several_pictures_at_once_give_what_each_gives_alone(tmp_path: Path, capfd: Capture) -> None:
    for number in range(7):
        picture(tmp_path / "in" / f"{number}.png", (20 + number, 12))
    (tmp_path / "in" / "3.png").write_bytes(b"no picture")
    assert srp(tmp_path / "in", "-o", tmp_path / "out") == 1
    assert "1 of 7 pictures failed" in capfd.readouterr().err
    for number in (0, 1, 2, 4, 5, 6):
        assert srp(tmp_path / "in" / f"{number}.png", "-o", tmp_path / f"alone-{number}.png") == 0
        alone, together = (
            np.asarray(Image.open(p)) for p in (tmp_path / f"alone-{number}.png", tmp_path / "out" / f"{number}.png")
        )
        np.testing.assert_array_equal(alone, together)


def test_pixel_art_is_repeated_to_any_size(tmp_path: Path) -> None:
    art = np.random.default_rng(0).integers(0, 256, (7, 9, 4)).astype(np.uint8)
    art[..., 3] = np.where(art[..., 3] > 127, 255, 0)
    Image.fromarray(art).save(tmp_path / "a.png")
    assert srp(tmp_path / "a.png", "-o", tmp_path / "b.png", "--model", "nearest", "--scale", "5") == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), art.repeat(5, 0).repeat(5, 1))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> "Events":
    """What becomes of pictures, in order: "in" and "out" of the network, "written"."""
    events = Events()
    submit, save = Upscaler.submit, Image.SAVE["BMP"]

    def submitted(*arguments: Any) -> Future[Any]:
        events.note("in")
        future = submit(*arguments)
        future.add_done_callback(lambda _: events.note("out"))
        return future

    def saved(image: Image.Image, file: IO[bytes], name: str | bytes) -> None:
        events.before_writing()
        save(image, file, name)
        events.note("written")

    monkeypatch.setattr(Upscaler, "submit", submitted)
    monkeypatch.setitem(Image.SAVE, "BMP", saved)
    return events


class Events:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.changed = threading.Condition()
        self.wanted = 0  # that have left the network before one is written

    def note(self, what: str) -> None:
        with self.changed:
            self.seen.append(what)
            self.changed.notify_all()

    def before_writing(self) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.seen.count("out") >= self.wanted, 120), self.seen


def test_slow_writers_do_not_keep_the_network_waiting(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each processor is busy writing one, and two more have gone through the network all the same."""
    monkeypatch.setattr("sr_plugins.devices.processors", lambda: 4)
    for number in range(9):
        picture(tmp_path / "in" / f"{number}.png")
    events.wanted = 4 + 2
    assert srp(tmp_path / "in", "-o", tmp_path / "out", "--format", "bmp", "--model", "tiny") == 0
    assert len(files(tmp_path / "out")) == 9


def test_pictures_that_need_all_memory_go_alone(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_plugins.cli.image.most_pixels", lambda: 1)
    for number in range(4):
        picture(tmp_path / "in" / f"{number}.png")
    assert srp(tmp_path / "in", "-o", tmp_path / "out", "--format", "bmp", "--model", "tiny") == 0
    assert [event for event in events.seen if event != "out"] == ["in", "written"] * 4


def test_edges_of_a_texture_fit_together(tmp_path: Path) -> None:
    tile = np.asarray(Image.open(picture(tmp_path / "a.png", (24, 16))).convert("RGB"))
    Image.fromarray(np.tile(tile, (3, 3, 1))).save(tmp_path / "nine.png")
    assert srp(tmp_path / "a.png", "-o", tmp_path / "b.png", "--wrap") == 0
    assert srp(tmp_path / "nine.png", "-o", tmp_path / "c.png") == 0
    one, nine = np.asarray(Image.open(tmp_path / "b.png")).astype(int), np.asarray(Image.open(tmp_path / "c.png"))
    assert one.shape == (32, 48, 3)
    assert np.abs(one - nine[32:64, 48:96].astype(int)).max() <= 1
    assert srp(tmp_path / "a.png", "-o", tmp_path / "d.png", "--wrap", "--size", "33x44") == 1


def test_pictures_without_an_ending_are_found_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers' and messengers' caches keep them so; other files are none of ours."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.new("RGB", (6, 4), "red").save("in/portrait.2024", "JPEG")
    Image.new("RGB", (6, 4), "red").save("in/cached", "PNG")
    Image.new("RGB", (6, 4), "red").save("in/photo.jpg")
    Path("in/map.pam").write_bytes(b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n\0\xff")
    Path("in/notes.txt").write_text("words")
    Path("in/thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    tasks = tasks_for([Path("in")], "out", None, failures := [])
    assert {str(source): str(target) for source, target in tasks} == {
        "in/portrait.2024": "out/portrait.2024.png",
        "in/cached": "out/cached.png",
        "in/map.pam": "out/map.pam.png",
        "in/photo.jpg": "out/photo.jpg",
    }
    assert failures == []
    assert dict(tasks_for([Path("in/cached")], "out/", "jpg", []))[Path("in/cached")] == Path("out/cached.jpg")

"""What is in the way is told before anything takes long: no upscaler is made for what cannot be done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import warm_python
from click.testing import CliRunner
from PIL import Image

from sr_plugins.cli.files import obstacle
from sr_plugins.cli.main import srp

# A sitecustomize that ends the process when torch is imported: it would take seconds, measuring a minute.
GUARD = """
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            sys.stderr.write("torch was imported")
            sys.stderr.flush()
            import os
            os._exit(99)
sys.meta_path.insert(0, Guard())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("in.png", "-dash.png"):
        Image.new("RGB", (16, 12), "teal").save(tmp_path / name)
    (tmp_path / "in.mkv").write_bytes(b"a film")
    for name in ("there.png", "there.mkv"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "link.png").symlink_to(tmp_path / "in.png")
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    return tmp_path


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("gone", "new", "gone{}: there is no such file"),
        ("in", "there", "there{} exists: --overwrite replaces it"),
        ("in", "in", "in{} is the source itself: choose another name"),
        ("in", "file/x", "file/x{} cannot be written: Not a directory"),
        ("in", "/proc/x", "/proc/x{} cannot be written: "),
    ],
)
def test_obstacles_are_told_before_torch_is_imported(
    kind: str, source: str, target: str, says: str, folder: Path
) -> None:
    ending = {"image": ".png", "video": ".mkv"}[kind]
    before = {path.name for path in folder.iterdir()}
    overwrite = ["--overwrite"] if "source itself" in says else []
    done = subprocess.run(
        [sys.executable, "-m", "sr_plugins.cli", kind, source + ending, "-o", target + ending, *overwrite],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder / 'guard'}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("srp: " + says.format(ending)), done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in folder.iterdir()} == before
    assert (folder / "there.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "target", "size"),
    [
        (["in.png"], "in-2x.png", (32, 24)),
        (["image", "in.png"], "in-2x.png", (32, 24)),
        (["image", "in.png", "out.jpg"], "out.jpg", (32, 24)),
        (["image", "in.png", "--scale", "3x"], "in-3x.png", (48, 36)),
        (["in.png", "--size", "50x"], "in-50x.png", (50, 38)),
        (["image", "in.png", "--format", "webp"], "in-2x.webp", (32, 24)),
        (["image", "i?.p*g", "-o", "larger/"], "larger/in.png", (32, 24)),
        (["--scale", "3", "in.png"], "in-3x.png", (48, 36)),
        (["image", "in.png", "link.png", "both/"], "both/link.png", (32, 24)),
        (["image", "in.png", "link.png", "guard"], "guard/in.png", (32, 24)),
        (["in.png", "--output=~/larger.png"], "home/larger.png", (32, 24)),
        (["~/at-home.png"], "home/at-home-2x.png", (32, 24)),
        (["image", "in.png", "in-2x.png"], "in-2x.png", (32, 24)),
        (["-dash.png"], "-dash-2x.png", (32, 24)),
        (["image", "--scale", "3", "-dash.png", "-o", "larger/"], "larger/-dash.png", (48, 36)),
    ],
)
def test_pictures_as_people_ask_for_them(
    words: list[str], target: str, size: tuple[int, int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "home").mkdir()
    shutil.copy("in.png", folder / "home" / "at-home.png")
    monkeypatch.setenv("HOME", str(folder / "home"))
    done = CliRunner().invoke(srp, [*words, "--model", "tiny"])
    assert done.exit_code == 0, done.output
    with Image.open(folder / target) as image:
        assert image.size == size


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["image", "in.mkv", "-o", "x.mkv"], "in.mkv is a film: srp video in.mkv -o x.mkv"),
        (["image", "in.mkv"], "in.mkv is a film: srp video in.mkv"),
        (["image", "guard"], "guard is a folder: say with -o"),
        (["video", "guard"], "guard is a folder: say with -o"),
        (["guard"], "guard is a folder: srp image guard -o larger/"),
        (["in.txt"], "in.txt is no picture or film by its name: srp image in.txt or srp video in.txt"),
        (["imgae", "in.png"], "did you mean srp image?"),
        (["enlarge", "in.png"], "no command called 'enlarge': srp photo.jpg enlarges a picture, srp film.mkv a film"),
        (["estimate", "in.png"], "did you mean srp degradation estimate?"),
        (["instal"], "did you mean srp gimp install?"),
        (["image", "in.png", "other.png", "-o", "both.png"], "both.png is the name of one picture: -o both/ makes a"),
        (["image", "guard", "-o", "all.jpg"], "all.jpg is the name of one picture: -o all/ makes a folder"),
        (["in.mkv", "--preset", "slow"], "no option --preset; those of ffmpeg stand after --, as in: srp video"),
        (["-x"], "a command comes before -x: srp image -x"),
        (["in.png", "4x"], "4x is no file: did you mean --scale 4?"),
        (["in.png", "3.5"], "did you mean --scale 3.5?"),
        (["image", "fast", "in.png"], "did you mean --model fast?"),
        (["in.mkv", "1080p"], "did you mean --size 1080p?"),
        (["in.mkv", "4k"], "did you mean --size 3840x?"),
        (["in.png", "out"], "out is not there: -o out/ makes a folder"),
        (["in.png", "--size", "4k"], "3840x is 4k"),
        (["in.png", "--size", "1920"], "1920x is a width, x1920 a height"),
        (["in.png", "--size", "640*480"], "640x480"),
        (["in.png", "--size", "600 x 400"], "HEIGHTp: 600x400"),
        (["bench", "--size", "600 x 400"], "such as 600x400"),
        (["bench", "--sizes", "640x360,600*400"], "such as 640x360"),
        (["in.png", "--scale", "150%"], "1.5 is 150%"),
        (["image", "https://example.org/a.png"], "https://example.org/a.png is an address"),
        (["video", "in.png"], "in.png is a picture: srp image in.png"),
        (["video", "in.png", "-o", "x.mkv"], "in.png is a picture: srp image in.png"),
        (["in.mkv", "-o", "x.mp3"], "no film fits into .mp3: -o x.mkv"),
        (["in.mkv", "-c:v", "libx265"], "those of ffmpeg stand after --"),
        (["in.mkv", "--crf", "18"], "those of ffmpeg stand after --"),
        (["in.mkv", "--scal", "2"], "--scale"),
        (["image", "-i", "in.png", "-o", "x.png"], "no option -i: files need none, as in srp image FILE"),
        (["video", "-i", "in.mkv", "-o", "x.mkv"], "no option -i: files need none, as in srp video FILE"),
        (["in.png", "-s", "4"], "Did you mean '--scale'?"),
        (["in.png", "-x", "2"], "Did you mean '--scale' or '--self-ensemble'?"),
        (["in.png", "-n", "fast"], "Did you mean '--model'?"),
        (["in.png", "--model_name", "fast"], "Did you mean '--model'?"),
        (["in.png", "--tile_size", "64"], "Did you mean '--tile'?"),
        (["in.png", "--tta"], "Did you mean '--self-ensemble'?"),
        (["in.png", "--gpu"], "Did you mean '--device'?"),
        (["in.png", "--force"], "Did you mean '--overwrite'?"),
        (["in.mkv", "-y"], "Did you mean '--overwrite'?"),
        (["in.mkv", "--fp16"], "Did you mean '--precision'?"),
        (["in.png", "--verbose"], "No such option '--verbose'.\n"),
        (["in.png", "--precision", "fp16"], "'fp16' is called float16 here"),
        (["in.mkv", "--precision", "Half"], "'Half' is called float16 here"),
        (["in.png", "--size", "200%"], "--scale 2 is 200%"),
        (["--verison"], "no option --verison: did you mean srp --version?"),
        ([""], "a word is empty: perhaps a variable of the shell that is not set"),
        (["image", "in.png", "-o", ""], "a word is empty"),
        (["evaluate", "--data", ""], "a word is empty"),
        (["evaluate", "--data="], "--data= is empty"),
        (["image", "in.png", "--tile", "big"], "'big' is neither auto nor a whole number"),
        (["image", "in.png", "--batch", "-1"], "batch -1 is neither"),
        (["image", "in.png", "-o", "file"], "file is a file, and its name says no format"),
        (["in.mkv", "-o", "-"], "srp pipe takes frames from stdin"),
        (["video", "-"], "srp pipe takes frames from stdin"),
        (["pipe", "a.y4m"], "srp pipe < a.y4m > larger.y4m"),
        (["in.mkv", "--end", "0"], "--end is not after --start"),
        (["in.mkv", "--start", "1:00", "--end", "59"], "--end is not after --start"),
        (["in.mkv", "--resume", "--overwrite"], "--resume and --overwrite contradict each other"),
        (["in.mkv", "--deinterlace", "--progressive"], "contradict each other"),
        (["gimp", "instal"], "srp gimp has no command called 'instal': did you mean 'install'"),
        (["models", "delete", "x"], "srp models has no command called 'delete': did you mean 'remove'"),
        (["models", "info", "fast"], "srp models has no command called 'info': did you mean 'inspect'"),
        (["models", "LS"], "srp models has no command called 'LS': did you mean 'list'"),
        (["gimp", "remove"], "srp gimp has no command called 'remove': did you mean 'uninstall'"),
        (["rm", "x"], "no command called 'rm': did you mean srp models remove?"),
        (["models", "fast"], "srp models has no command called 'fast': did you mean srp models inspect fast?"),
        (["models", "4x-Any.pth"], "did you mean srp models inspect 4x-Any.pth?"),
        (["models", "nothing"], "srp models has no command called 'nothing': there is add, inspect, list, remove"),
        (["degradation", "in.mkv", "-o", "x.toml"], "did you mean srp degradation estimate in.mkv?"),
        (["gimp", "in.png"], "srp gimp has no command called 'in.png': there is install, status, uninstall"),
        (["help", "modles"], "no command called 'modles': did you mean srp models?"),
        (["help", "models", "fast"], "did you mean srp models inspect fast?"),
        (["in.png", "help"], "help is no file: did you mean --help?"),
        (["in.png", "--4x"], "No such option '--4x'. Did you mean '--scale 4'?"),
        (["in.mkv", "--1080p"], "No such option '--1080p'. Did you mean '--size 1080p'?"),
        (["image", "in.png", "--fast"], "No such option '--fast'. Did you mean '--model fast'?"),
        (["train", "fast-x2"], "--data is missing"),
        (["-V"], "no option -V: did you mean srp --version?"),
        (["--models"], "no option --models: did you mean srp models?"),
        (["in.png", "-o", ".png"], ".png is an ending without a name: name the file, or give --format png"),
        (["in.png", "-o", "/dev/null"], "/dev/null is a device and no file: - is stdout"),
        (["in.png", "-o", "  "], "a word is empty"),
        (["in.mkv", "-crf", "18"], "no option -crf; those of ffmpeg stand after --"),
        (["in.mkv", "-s", "2"], "no option -s: did you mean '--scale'? those of ffmpeg stand after --"),
    ],
)
def test_other_words_are_answered_with_what_to_type(
    words: list[str], says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = {path.name for path in folder.iterdir()}
    done = CliRunner().invoke(srp, words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("ending", [".png", ".mkv"])
def test_what_is_missing_is_told_as_what_was_typed(ending: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path(f"dead{ending}").symlink_to("gone")
    for name, says in (("holiday/*", "no file matches this pattern"), ("dead", "a link to gone, and there is no such")):
        command = "image" if ending == ".png" else "video"
        done = CliRunner().invoke(srp, [command, name + ending])
        assert f"{name}{ending}: {says}" in str(done.exception)


def test_an_earlier_result_is_not_enlarged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for _ in range(2):  # the second time the pattern matches what the first made
        done = CliRunner().invoke(srp, ["image", "in*.png", "--model", "nearest", "--overwrite"])
        assert done.exit_code == 0, done.output
    assert "in-2x.png is an earlier result: left out" in done.stderr
    assert not Path("in-2x-2x.png").exists()


def real_srp(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "sr_plugins.cli", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["imgae"], "srp: no command called 'imgae': did you mean srp image?"),
        (["image"], "srp: Missing argument 'IN...' (srp image --help)"),
        (["image", "in.mkv"], "srp: in.mkv is a film: srp video in.mkv"),
        (
            ["image", "in.png", "--scal", "2"],
            "srp: No such option '--scal'. Did you mean '--scale'? (srp image --help)",
        ),
        (["image", "in.png", "-o"], "srp: Option '-o' requires an argument (srp image --help)"),
        (
            ["image", "in.png", "--quality", "high"],
            "srp: Invalid value for '--quality': 'high' is no whole number (srp image --help)",
        ),
        (["gimp", "help"], None),
        (["help", "image"], None),
        (["help", "in.png"], None),
        (["help", "models", "inspect"], None),
        (["video", "help"], None),
        (["help"], None),
        (["version"], None),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], says: str | None, folder: Path) -> None:
    done = real_srp(folder, *words)
    assert (done.returncode, done.stderr.decode()) == ((0, "") if says is None else (2, f"{says}\n"))


def test_a_film_alone_goes_beside_its_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("in-2x.mkv").write_text("mine")
    done = CliRunner().invoke(srp, ["in.mkv"])
    assert "in-2x.mkv exists: --overwrite replaces it" in str(done.exception)


def test_two_results_have_two_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for ending in ("jpg", "bmp"):
        Image.new("RGB", (16, 12), "teal").save(f"in.{ending}")
    words = ["image", "in.png", "in.jpg", "./in.png", "in.bmp", "--format", "png", "--model", "nearest"]
    done = CliRunner().invoke(srp, words)
    assert done.exit_code == 0, done.output
    assert sorted(map(str, folder.glob("in-2x*"))) == [
        str(folder / name) for name in ("in-2x.bmp.png", "in-2x.jpg.png", "in-2x.png")
    ]
    assert done.stderr.count("in.png 16x12 -> ") == 1


def test_a_device_is_neither_picture_nor_target(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for words, says in (
        (["image", "/dev/zero"], "/dev/zero is a device and no picture"),
        (["in.mkv", "-o", "/dev/null", "--overwrite"], "/dev/null is a device and no file"),
    ):
        assert says in str(CliRunner().invoke(srp, words).exception)


def test_a_stream_is_called_by_its_name(folder: Path) -> None:
    words = ["image", "-", "-o", "out.png", "--overwrite", "--model", "nearest"]
    for given, status, says in (
        ((folder / "in.png").read_bytes(), 0, "stdin.png 16x12 -> out.png 32x24"),
        (b"hello", 1, "srp: stdin is not a picture that can be read\n"),
    ):
        done = warm_python.called("-m", "sr_plugins.cli", *words, given=given, cwd=folder)
        assert (done.returncode, done.stdout) == (status, b"")
        assert done.stderr.decode().startswith(says)


def test_films_that_cannot_be_made_are_told_before_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(srp, ["video", "in.mkv", "gone.mkv", "-o", "larger/", "--model", "nearest"])
    lines = done.stderr.splitlines()
    assert lines[0] == "srp: gone.mkv: there is no such file"
    assert lines[-3:] == [
        "srp: 0 done, 0 there already, 2 failed",
        "srp:   gone.mkv: there is no such file",
        "srp:   in.mkv: cannot be read as video, it is damaged or of another kind "
        "(Invalid data found when processing input)",
    ]


def test_what_can_be_done_has_no_obstacle(folder: Path) -> None:
    assert obstacle(folder / "in.png", folder / "new" / "deep" / "a.png", replace=False) is None
    assert not (folder / "new").exists()
    assert obstacle(folder / "in.png", folder / "there.png", replace=True) is None
    assert "source itself" in str(obstacle(folder / "in.png", folder / "link.png", replace=True))
    assert "cannot be read" in str(obstacle(folder / ("x" * 5000), folder / "a.png", replace=False))
    assert "is a folder" in str(obstacle(folder / "in.png", folder / "guard", replace=True))

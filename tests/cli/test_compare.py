"""``srp compare``: which pictures a browser gets as they are, and what is refused."""

import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import picture
from PIL import Image

from sr_plugins.cli.main import main

Capture = pytest.CaptureFixture[str]


def srp(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["srp", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def pictures(page: Path) -> list[dict[str, str]]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    shown: list[dict[str, str]] = json.loads(found[1])[0]["pictures"]
    return shown


def data(shown: dict[str, str]) -> bytes:
    return base64.b64decode(shown["data"].partition(",")[2])


def test_files_that_a_browser_reads_go_in_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [picture(tmp_path / name) for name in ("a.png", "b.jpg", "c.webp")]
    assert srp(monkeypatch, *files, "-o", tmp_path / "page.html") == 0
    shown = pictures(tmp_path / "page.html")
    assert [p["name"] for p in shown] == ["a", "b", "c"]
    assert [data(p) for p in shown] == [f.read_bytes() for f in files]


def test_others_become_what_they_look_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (12, 20), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.tiff")
    colours = Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8))
    colours.save(tmp_path / "colours.tiff")
    exif = Image.Exif()
    exif[274] = 6
    colours.save(tmp_path / "turned.png", exif=exif)
    Image.new("CMYK", (20, 12), (0, 255, 255, 0)).save(tmp_path / "ink.jpg")
    names = ("deep.tiff", "colours.tiff", "turned.png", "ink.jpg")
    assert srp(monkeypatch, *(tmp_path / n for n in names), "-o", tmp_path / "page.html") == 0
    shown = [np.asarray(Image.open(io.BytesIO(data(p)))) for p in pictures(tmp_path / "page.html")]
    assert np.abs(shown[0][..., 0].astype(int) - np.rint(deep / 257)).max() <= 1
    assert np.array_equal(shown[1], np.asarray(colours))
    assert np.array_equal(shown[2], np.rot90(np.asarray(colours), -1))
    assert tuple(shown[3][0, 0]) == (255, 0, 0)


def test_equal_stems_are_told_apart_and_names_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [picture(tmp_path / "a.png"), picture(tmp_path / "a.jpg")]
    assert srp(monkeypatch, *files, "-o", tmp_path / "page.html") == 0
    assert [p["name"] for p in pictures(tmp_path / "page.html")] == ["a.png", "a.jpg"]
    names = ("--name", "before", "--name", "after")
    assert srp(monkeypatch, *files, "-o", tmp_path / "page.html", "--overwrite", *names) == 0
    assert [p["name"] for p in pictures(tmp_path / "page.html")] == ["before", "after"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["a.png"], 2, "two pictures or more: srp compare a.png OTHER"),
        (["a.png", "missing.png"], 1, "missing.png: there is no such file"),
        (["a.png", "text.png"], 1, "text.png is not a picture"),
        (["a.png", "film.mkv"], 2, "film.mkv is a film"),
        (["a.png", "b.png", "-o", "there.html"], 1, "there.html exists: --overwrite replaces it"),
        (["a.png", "b.png", "-o", "b.png", "--overwrite"], 2, "its name ends in .html"),
        (["a.png", "b.png", "--name", "one"], 2, "--name for each"),
    ],
)
def test_refusals(
    arguments: list[str], status: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(Path("a.png"))
    picture(Path("b.png"))
    Path("text.png").write_text("a text")
    Path("there.html").write_text("precious")
    assert srp(monkeypatch, *arguments) == status
    assert told in " ".join(capfd.readouterr().err.split())
    assert Path("there.html").read_text() == "precious"
    assert not Path("compare.html").exists()

"""The cache: never believed where it is damaged, never fatal, and nothing deleted that it did not write."""

import os
from pathlib import Path

import pytest

from sr_plugins.backends.kept_speed import keep_speed, kept_speeds
from sr_plugins.folders import INDEX, KEPT, read_or_make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))
    return tmp_path


class Maker:
    """Counts how often something had to be made."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        return b"content" * 100


def test_what_was_made_once_is_read_again(cache: Path) -> None:
    make = Maker()
    assert [read_or_make("kind", "a.onnx", make) for _ in range(3)] == [make()] * 3
    assert make.calls == 2


def test_whatever_is_damaged_is_made_anew(cache: Path) -> None:
    make = Maker()
    expected = read_or_make("kind", "a", make)
    path = cache / "kind" / "a"
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[-1] ^= 1
    for bad in (
        b"",
        b"garbage\n",
        good[:-1],
        good[: len(good) // 2],
        good + b"x",
        bytes(flipped),
        expected,
        b"\0" * 900,
    ):
        path.write_bytes(bad)
        before = make.calls
        assert read_or_make("kind", "a", make) == expected
        assert make.calls == before + 1
        assert path.read_bytes() == good  # and kept again
    assert read_or_make("kind", "a", make) == expected


@pytest.mark.parametrize("break_it", ["file", "folder", "index", "home"])
def test_a_cache_that_cannot_be_used_costs_only_time(
    break_it: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if break_it == "file":
        (cache / "kind").write_text("no folder")
    elif break_it == "folder":
        (cache / "kind" / "a").mkdir(parents=True)
    elif break_it == "index":
        (cache / "kind" / INDEX).mkdir(parents=True)
    else:
        for name in ("SR_PLUGINS_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", "~")  # what pathlib cannot resolve, as where there is no HOME and no such user
        assert not kept_speeds()
    make = Maker()
    assert read_or_make("kind", "a", make) == read_or_make("kind", "a", make) == make()


@pytest.mark.parametrize(
    "told",
    ["[" * 100_000]
    + [f'{{"model": "fast x2", "megapixels": {n}}}' for n in ("NaN", "1e999", "-3", "0", "1" + "0" * 400, "null")],
    ids=lambda told: told[:60],
)
def test_a_speed_that_is_none_is_as_good_as_not_kept(told: str, cache: Path) -> None:
    keep_speed("tiny x2", 3.0)
    keep_speed("fast x2", 1.5)
    assert kept_speeds() == {"tiny x2": 3.0, "fast x2": 1.5}
    (damaged,) = (path for path in (cache / "speed").iterdir() if "fast" in path.read_text())
    damaged.write_text(told)
    assert kept_speeds() == {"tiny x2": 3.0}


def test_only_what_the_index_lists_is_deleted_and_the_oldest_first(cache: Path) -> None:
    folder = cache / "onnx"
    folder.mkdir()
    for n in range(KEPT + 16):
        foreign = folder / f"mine{n}.onnx"
        foreign.write_text("a person's own")
        os.utime(foreign, (0, 0))
    outside = cache / "outside.onnx"
    outside.write_text("not in this folder")
    (folder / INDEX).write_text("../outside.onnx\n\ngone.onnx\n.\n")
    for n in range(KEPT + 5):
        read_or_make("onnx", f"{n}.onnx", Maker())
        os.utime(folder / f"{n}.onnx", (1000 + n, 1000 + n))
    left = {path.name for path in folder.iterdir()}
    assert sum(name.startswith("mine") for name in left) == KEPT + 16
    assert outside.exists()
    assert {f"{n}.onnx" for n in range(5, KEPT + 5)} <= left
    assert not {f"{n}.onnx" for n in range(4)} & left
    listed = (folder / INDEX).read_text().split()
    assert len(listed) <= KEPT + 1
    assert set(listed) <= left

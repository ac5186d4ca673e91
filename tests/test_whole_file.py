"""The one writer: whole or not at all, through links, and nothing left behind."""

import os
import stat
import threading
from pathlib import Path

import pytest

from sr_plugins.whole_file import whole_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folders_are_made_and_the_ending_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "a.tar.gz"
    with whole_file(target) as temporary:
        assert temporary.suffix == ".gz"
        assert temporary.parent == target.parent
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.tar.gz"]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(target) as temporary:
        temporary.write_text(f"half{1 // 0}" if temporary.write_text("half") else "")
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "new" / "deep" / "b"):
        pass  # nothing was written
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "none" / "b", make_folders=False) as temporary:
        temporary.write_text("x")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    there = tmp_path / "real" / "b.txt"
    there.write_text("old")
    for name, to in (("link", there), ("dangling", tmp_path / "real" / "c.txt")):
        link = tmp_path / name
        link.symlink_to(to)
        with whole_file(link) as temporary:
            assert temporary.parent == to.parent
            temporary.write_text("new")
        assert link.is_symlink()
        assert to.read_text() == "new"
    assert names(tmp_path / "real") == ["b.txt", "c.txt"]


def test_a_folder_a_device_and_a_loop_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for path, says in ((tmp_path, "is a folder"), (tmp_path / "pipe", "no file"), (tmp_path / "loop", "links")):
        with pytest.raises(OSError, match=says), whole_file(path):
            raise AssertionError
    assert names(tmp_path) == ["loop", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_permissions_stay_and_new_files_are_as_others(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with whole_file(target) as temporary:
        temporary.write_text("1")
    (tmp_path / "plain").write_text("")
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    target.chmod(0o751)
    with whole_file(target) as temporary:
        temporary.write_text("2")
    assert stat.S_IMODE(target.stat().st_mode) == 0o751


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 125 + ".txt")
    with whole_file(target) as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == [target.name]


def test_writers_at_once_leave_one_of_their_files_whole(tmp_path: Path) -> None:
    target = tmp_path / "a"
    texts = [str(n) * 100_000 for n in range(8)]

    def write(text: str) -> None:
        with whole_file(target) as temporary:
            temporary.write_text(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_text() in texts
    assert names(tmp_path) == ["a"]

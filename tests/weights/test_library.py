"""Models that were added: known by name wherever a name works, by digest, and gone when they are removed."""

import errno
import json
import os
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from test_ncnn_files import TEXT, data, pair
from test_onnx_files import network

from gimp_bridge.worker import model_choices
from sr_plugins import Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import WeightsError
from sr_plugins.plugins import Plugins
from sr_plugins.weights import library


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SR_PLUGINS_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def fresh() -> Plugins:
    return Plugins(installed=False)


def test_a_file_that_was_added_is_a_name(tmp_path: Path) -> None:
    entry = library.add(pair(tmp_path, name="mine"), fresh(), license="MIT")
    again = library.add(tmp_path / "mine.bin", fresh())
    assert (again.digest, len(library.entries())) == (entry.digest, 1)
    for file in tmp_path.glob("mine.*"):
        file.unlink()
    found = fresh()
    [spec] = [spec for spec in found.models() if spec.name == "mine"]
    assert (spec.scale, spec.receptive_radius, spec.license, spec.purpose) == (2, 2, "MIT", "enlarge")
    with Upscaler("mine", device="cpu", plugins=found) as upscaler:
        assert upscaler.loaded.spec.label == "mine x2"
    assert "mine" in {choice["name"] for choice in model_choices(found.models())}
    library.remove("mine")
    assert library.entries() == []
    assert [p.name for p in (tmp_path / "data" / "models").rglob("*") if p.is_file()] == ["index.json"]


def test_all_files_of_a_network_go_along(tmp_path: Path) -> None:
    onnx.save(network(), str(tmp_path / "net.onnx"), save_as_external_data=True, location="net.data", size_threshold=0)
    entry = library.add(tmp_path / "net.onnx", fresh())
    assert set(entry.files) == {"net.onnx", "net.data"}
    (tmp_path / "net.data").unlink()
    assert fresh().open_weights(entry.path).spec.scale == 2


def test_tensors_in_a_folder_beside_a_graph_stay_there(tmp_path: Path) -> None:
    (tmp_path / "tensors").mkdir()
    onnx.save(
        network(), str(tmp_path / "net.onnx"), save_as_external_data=True, location="tensors/net.data", size_threshold=0
    )
    entry = library.add(tmp_path / "net.onnx", fresh())
    (tmp_path / "tensors" / "net.data").unlink()
    with Upscaler("net", device="cpu", plugins=fresh()) as upscaler:
        assert upscaler.loaded.spec.label == "net x2"
    library.remove("net")
    assert not entry.path.parent.exists()


def test_what_was_changed_afterwards_is_told(tmp_path: Path) -> None:
    entry = library.add(pair(tmp_path, name="mine"), fresh())
    entry.path.write_text(TEXT.replace("2=0.9", "2=0.8"))
    with pytest.raises(WeightsError, match="not the file that was added"):
        Upscaler("mine", plugins=fresh())


def test_names_that_are_taken_and_foreign_files_stay(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"called tiny x2 already; name it with --name"):
        library.add(pair(tmp_path, name="tiny"), fresh())
    assert library.add(tmp_path / "tiny.param", fresh(), name="other").name == "other"
    assert library.add(tmp_path / "tiny.param", fresh(), name="other").name == "other"
    with pytest.raises(WeightsError, match="is in the library already, as other x2: srp models remove other"):
        library.add(tmp_path / "tiny.param", fresh(), name="third")  # it was answered with the old name, as if done
    note = library.entries()[0].path.parent / "note.txt"
    note.write_text("mine")
    library.remove("other")
    assert note.read_text() == "mine"
    (tmp_path / "data" / "models" / "index.json").write_text("{")
    with pytest.raises(WeightsError, match="mend it, or move it away"):
        library.entries()
    assert any("index.json" in problem for problem in _problems()), "a broken index stops no other model"


def test_files_of_one_name_in_a_package_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    names = []
    for number, folder in enumerate(("cunet", "upconv", "photo")):
        (tmp_path / folder).mkdir()
        path = pair(tmp_path / folder, name="noise0")
        path.write_text(TEXT.replace("2=0.9", f"2=0.{number + 1}"))
        names.append(library.add(path, fresh(), source="package x", by_folder=True).label)
    assert names == ["noise0 x2", "upconv-noise0 x2", "photo-noise0 x2"]
    assert sorted(entry.label for entry in library.entries()) == sorted(names)


def test_what_cannot_be_kept_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(tmp_path, name="mine")

    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())
        if source.suffix == ".bin":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    bin, index = tmp_path / "mine.bin", tmp_path / "index.json"
    # a disk that is full at the second file, or at the index
    for name, stops in (("shutil.copyfile", full), ("_write", lambda listed: full(bin, index))):
        with monkeypatch.context() as patched:
            patched.setattr(f"sr_plugins.weights.library.{name}", stops)
            with pytest.raises(WeightsError, match=r"mine\.param cannot be kept in .*No space left.*SR_PLUGINS_DATA"):
                library.add(tmp_path / "mine.param", fresh())
        assert not [path for path in (tmp_path / "data").rglob("*") if path.name != "models"]
    library.add(tmp_path / "mine.param", fresh())
    with monkeypatch.context() as patched:
        patched.setattr(library, "whole_file", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied")))
        with pytest.raises(WeightsError, match="cannot be written"):
            library.remove("mine")
    assert library.entries()[0].path.is_file()


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": 7},
        {"name": ""},
        {"digest": 5},
        {"digest": "../../../../somewhere"},
        {"files": []},
        {"files": "mine.param"},
        {"files": [1]},
        {"files": ["mine.param", "../../../precious"]},
        {"files": ["mine.param", ""]},
        {"files": ["mine.param", "/etc/hostname"]},
        {"license": 5},
        {"source": None},
        {"told": {"scale": "2"}},
        None,
    ],
    ids=str,
)
def test_a_damaged_index_is_told_and_deletes_nothing(change: dict[str, Any] | None, tmp_path: Path) -> None:
    entry = library.add(pair(tmp_path, name="mine"), fresh())
    precious = tmp_path / "data" / "precious"
    precious.write_text("of somebody else")
    index = tmp_path / "data" / "models" / "index.json"
    listed = json.loads(index.read_text())
    index.write_text("[" * 100_000 if change is None else json.dumps([{**listed[0], **change}]))
    for use in (library.entries, lambda: library.remove("mine"), lambda: library.remove(entry.digest)):
        with pytest.raises(WeightsError, match=r"index\.json .*: mend it, or move it away"):
            use()
    assert precious.exists()
    assert entry.path.exists()


def test_a_user_without_a_home_has_no_library_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SR_PLUGINS_DATA")
    monkeypatch.delenv("SR_PLUGINS_CACHE")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "relative/is/not/valid")
    monkeypatch.setenv("HOME", "~")  # what pathlib cannot resolve, as where there is no HOME and no such user
    assert library.entries() == []
    assert not _problems()
    with pytest.raises(WeightsError, match=r"cannot be kept in .*SR_PLUGINS_DATA names another folder"):
        library.add(pair(tmp_path, name="mine"), fresh())
    assert not (tmp_path / "relative").exists()


def _problems() -> list[str]:
    found = fresh()
    assert found.model("tiny", 2).name == "tiny"
    return found.problems


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(tmp_path, name="net")
    (tmp_path / "pack").mkdir()
    pair(tmp_path / "pack", TEXT.replace("2=0.9", "2=0.7"), data(), name="other")
    (tmp_path / "pack" / "empty.pth").write_bytes(b"")
    info = tmp_path / "pack-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pack\nVersion: 1\nLicense: MIT\n")
    (info / "RECORD").write_text("pack/other.param,,\npack/other.bin,,\npack/empty.pth,,\n")
    monkeypatch.setattr(library, "distribution", lambda name: PathDistribution(info))

    def run(*words: str) -> str:
        done = CliRunner().invoke(srp, ["models", *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "net x2" in run("add", "net.param")
    told = CliRunner().invoke(srp, ["models", "add", "--package", "pack"])
    assert "other x2" in told.stdout
    assert "unknown (the package: MIT)" in told.stdout
    assert "empty.pth is empty" in told.output
    assert [line.split()[0] for line in run("list").splitlines()] == ["net", "other"]
    assert '"scale": 2' in run("inspect", "net.param", "--json", "--no-speed")
    assert "exact: read 2 pixels" in run("inspect", "net.bin")
    assert "licence" in run()
    assert "removed net x2" in run("remove", "net")

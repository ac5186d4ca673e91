"""The installer, on made-up home folders of every system, and ``srp gimp`` with the real worker."""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import gimp_bridge.install
from gimp_bridge.check import check_gimp, find_console
from gimp_bridge.install import (
    FILES,
    MANIFEST,
    SOURCE,
    Kind,
    Profile,
    find_profiles,
    install,
    make_bridge,
    problems,
    read_bridge,
    uninstall,
    warnings,
    worker_command,
)
from sr_plugins import __version__
from sr_plugins.cli.gimp import command
from sr_plugins.errors import PluginError

BRIDGE = {
    "argv": ["/home/me/venv/bin/python", "-P", "-m", "gimp_bridge.worker"],
    "environment": {},
    "version": __version__,
    "models": [{"name": "fast", "label": "fast", "help": "", "scales": [2]}],
}
ALL = {*FILES, "bridge.json", MANIFEST}


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(tmp_path / "GIMP" / "3.0", "native")


# -- finding profiles ------------------------------------------------------------------------------------------------


LINUX, FLATPAK, SNAP = (
    ".config/GIMP/3.0",
    ".var/app/org.gimp.GIMP/config/GIMP/3.2",
    "snap/gimp/current/.config/GIMP/3.0",
)


@pytest.mark.parametrize(
    ("platform", "environment", "folders", "expected"),
    [
        ("linux", {}, [LINUX, ".config/GIMP/2.10", ".config/GIMP/2.99"], {LINUX: "native"}),
        ("linux", {}, [LINUX, ".config/GIMP/3.2"], {LINUX: "native", ".config/GIMP/3.2": "native"}),
        ("linux", {}, [".config/GIMP/10.2", LINUX], {LINUX: "native", ".config/GIMP/10.2": "native"}),
        ("linux", {}, [LINUX, ".config/GIMP/3.0.bak", ".config/GIMP/3.2-old"], {LINUX: "native"}),
        ("linux", {}, [LINUX, FLATPAK, SNAP], {LINUX: "native", FLATPAK: "flatpak", SNAP: "snap"}),
        ("linux", {"XDG_CONFIG_HOME": "settings"}, [LINUX, "settings/GIMP/3.0"], {"settings/GIMP/3.0": "native"}),
        ("linux", {"GIMP3_DIRECTORY": "mine"}, [LINUX], {"mine": "given"}),
        ("win32", {"APPDATA": "Roaming"}, ["Roaming/GIMP/3.0"], {"Roaming/GIMP/3.0": "windows"}),
        ("win32", {}, ["AppData/Roaming/GIMP/3.0"], {"AppData/Roaming/GIMP/3.0": "windows"}),
        ("darwin", {}, ["Library/Application Support/GIMP/3.0"], {"Library/Application Support/GIMP/3.0": "macos"}),
    ],
)
def test_profiles_are_found(
    tmp_path: Path, platform: str, environment: Mapping[str, str], folders: list[str], expected: dict[str, Kind]
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    environment = {name: str(tmp_path / value) for name, value in environment.items()}
    found = find_profiles(home=tmp_path, environment=environment, platform=platform)
    assert found == [Profile(tmp_path / folder, kind) for folder, kind in expected.items()]


def test_old_gimp_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for version in ("2.8", "2.10", "2.9"):
        (tmp_path / ".config" / "GIMP" / version).mkdir(parents=True)
    with pytest.raises(PluginError, match=r"only GIMP 2\.10 was found .* too old: install GIMP 3\.0 or later"):
        find_profiles(home=tmp_path, environment={}, platform="linux")
    with pytest.raises(PluginError, match=r"belongs to GIMP 2\.10"):
        find_profiles(tmp_path / ".config" / "GIMP" / "2.10")


def test_no_gimp_at_all_says_what_to_do(tmp_path: Path) -> None:
    for copy in ("", "3.0.bak", "2.10-old"):  # which no GIMP reads
        (tmp_path / ".config" / "GIMP" / copy).mkdir(parents=True, exist_ok=True)
        with pytest.raises(PluginError, match=r"start GIMP once .* --gimp-dir"):
            find_profiles(home=tmp_path, environment={}, platform="linux")


# -- writing and removing ----------------------------------------------------------------------------------------------


def test_install_writes_what_gimp_needs(profile: Profile) -> None:
    assert install(profile, BRIDGE)
    folder = profile.folder / "plug-ins" / "sr_upscale"
    assert {path.name for path in folder.iterdir()} == ALL
    # GIMP wants a file named as its folder, executable, with a first line that names an interpreter.
    assert os.access(folder / "sr_upscale.py", os.X_OK)
    assert (folder / "sr_upscale.py").read_bytes().startswith(b"#!")
    assert b"\r" not in (folder / "sr_upscale.py").read_bytes()
    assert read_bridge(profile) == BRIDGE
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "sr_upscale.py"
    assert list(problems(profile, __version__)) == []


def test_install_again_touches_nothing(profile: Profile) -> None:
    install(profile, BRIDGE)
    before = {path: path.stat().st_mtime_ns for path in profile.plug_in.iterdir()}
    assert not install(profile, BRIDGE)
    assert {path: path.stat().st_mtime_ns for path in profile.plug_in.iterdir()} == before


def test_a_new_model_renews_the_script_gimp_looks_at(profile: Profile) -> None:
    install(profile, BRIDGE)
    script = profile.plug_in / "sr_upscale.py"
    os.utime(script, (0, 0))
    models = [*BRIDGE["models"], {"name": "quality", "label": "quality", "help": "", "scales": [2]}]
    assert install(profile, {**BRIDGE, "models": models})
    assert script.stat().st_mtime > 0


def test_install_repairs(profile: Profile) -> None:
    install(profile, BRIDGE)
    script, client = profile.plug_in / "sr_upscale.py", profile.plug_in / "worker_client.py"
    script.chmod(0o644)
    client.write_text("# edited")
    (profile.plug_in / "bridge.json").unlink()
    told = " ".join(problems(profile, __version__))
    for part in ("worker_client.py is changed", "bridge.json is missing", "not executable", "damaged"):
        assert part in told
    assert install(profile, BRIDGE)
    assert list(problems(profile, __version__)) == []


def test_another_version_is_told(profile: Profile) -> None:
    install(profile, BRIDGE)
    (problem,) = problems(profile, "99.0")
    assert f"is of version {__version__}, and sr-plugins is 99.0: run 'srp gimp install'" in problem


def test_files_of_an_older_version_go(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    install(profile, BRIDGE)
    monkeypatch.setattr(gimp_bridge.install, "FILES", ("worker_client.py", "sr_upscale.py"))
    assert install(profile, BRIDGE)
    assert {path.name for path in profile.plug_in.iterdir()} == ALL - {
        "gimp_pixels.py",
        "gimp_preview.py",
        "gimp_dialog.py",
    }


def test_uninstall_removes_all_of_ours(profile: Profile) -> None:
    install(profile, BRIDGE)
    (profile.plug_in / "__pycache__").mkdir()
    (profile.plug_in / "__pycache__" / "worker_client.cpython-313.pyc").write_bytes(b"")
    settings = profile.folder / "plug-in-settings"
    settings.mkdir()
    for name in ("plug-in-sr-upscale", "plug-in-another"):
        (settings / f"GimpProcedureConfigRun-{name}.last").touch()
    assert uninstall(profile) == []
    assert [path.name for path in settings.iterdir()] == ["GimpProcedureConfigRun-plug-in-another.last"]
    assert not profile.plug_in.exists()
    assert profile.plug_in.parent.is_dir()
    assert uninstall(profile) == []


def test_uninstall_leaves_what_others_compiled(profile: Profile) -> None:
    install(profile, BRIDGE)
    cache = profile.plug_in / "__pycache__"
    cache.mkdir()
    for name in ("worker_client.cpython-313.pyc", "gimp_pixels.cpython-313.opt-1.pyc", "mine.cpython-313.pyc", "notes"):
        (cache / name).write_bytes(b"")
    assert uninstall(profile) == [cache]
    assert sorted(path.name for path in cache.iterdir()) == ["mine.cpython-313.pyc", "notes"]


def test_uninstall_leaves_what_is_not_ours(profile: Profile) -> None:
    install(profile, BRIDGE)
    (profile.plug_in / "notes.txt").write_text("mine")
    (profile.plug_in / "bridge.json").write_text("{}")
    assert [path.name for path in uninstall(profile)] == ["bridge.json", "notes.txt"]
    assert (profile.plug_in / "notes.txt").read_text() == "mine"


def test_a_manifest_cannot_point_elsewhere(profile: Profile, tmp_path: Path) -> None:
    install(profile, BRIDGE)
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing
    (profile.plug_in / MANIFEST).write_text(f'{{"../../../../victim": "{digest}", "{victim}": "{digest}"}}')
    uninstall(profile)
    assert victim.exists()


def test_a_foreign_folder_is_not_overwritten(profile: Profile) -> None:
    profile.plug_in.mkdir(parents=True)
    (profile.plug_in / "sr_upscale.py").write_text("someone else's")
    with pytest.raises(PluginError, match="was not made by 'srp gimp install'"):
        install(profile, BRIDGE)
    assert (profile.plug_in / "sr_upscale.py").read_text() == "someone else's"


def test_a_folder_that_cannot_be_written_is_an_error(profile: Profile) -> None:
    profile.folder.mkdir(parents=True)
    (profile.folder / "plug-ins").write_text("a file in the way")
    with pytest.raises(PluginError, match="cannot write the plug-in"):
        install(profile, BRIDGE)


@pytest.mark.skipif(sys.platform != "linux", reason="only there a system's Python is GIMP's")
@pytest.mark.parametrize(("has_gimp", "has_gi", "first"), [(1, 1, "pinned"), (1, 0, "env"), (0, 1, "env")])
def test_the_systems_python_is_named_where_it_is_gimps(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_gimp: bool, has_gi: bool, first: str
) -> None:
    (tmp_path / "python3").write_text(f"#!/bin/sh\nexit {0 if has_gi else 1}\n")
    (tmp_path / "python3").chmod(0o755)
    if has_gimp:
        (tmp_path / "gimp").touch()
    monkeypatch.setattr(gimp_bridge.install, "SYSTEM", tmp_path)
    install(profile, BRIDGE)
    line = (profile.plug_in / "sr_upscale.py").read_text().splitlines()[0]
    assert line == (f"#!{tmp_path}/python3" if first == "pinned" else "#!/usr/bin/env python3")
    assert list(problems(profile, __version__)) == []


def test_what_a_sandbox_cannot_see_is_told(tmp_path: Path) -> None:
    system: dict[str, Any] = {**BRIDGE, "argv": ["/usr/bin/python3"]}
    (warning,) = warnings(Profile(tmp_path, "flatpak"), system)
    assert "under your home folder" in warning
    assert list(warnings(Profile(tmp_path, "flatpak"), BRIDGE)) == []
    assert list(warnings(Profile(tmp_path, "native"), system)) == []
    (warning,) = warnings(Profile(tmp_path, "snap"), BRIDGE)
    assert "confined" in warning


# -- with the real worker ----------------------------------------------------------------------------------------------


def test_the_plug_in_imports_only_what_gimp_has() -> None:
    allowed = {"gi", "gimp_dialog", "gimp_pixels", "gimp_preview", "worker_client", *sys.stdlib_module_names}
    for name in FILES:
        tree = ast.parse((SOURCE / name).read_text("utf-8"), feature_version=(3, 10))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] in allowed


def test_the_interpreter_is_recorded_as_given(tmp_path: Path) -> None:
    # A virtual environment's python is a link: what it points to has none of its packages.
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert worker_command(link, "auto") == [str(link), "-P", "-m", "gimp_bridge.worker"]
    assert worker_command(None, "cpu")[-2:] == ["--device", "cpu"]


def test_a_python_without_us_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho \"No module named 'gimp_bridge'\" >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(PluginError, match=r"does not work: .*No module named 'gimp_bridge'.*is sr-plugins installed"):
        make_bridge(worker_command(script, "auto"))


def test_the_command_from_beginning_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(gimp_bridge.__file__).parents[1]))
    monkeypatch.setenv("PATH", str(tmp_path))  # no gimp-console here
    profile = Profile(tmp_path / "GIMP" / "3.0", "given")
    profile.folder.mkdir(parents=True)
    given = ["--gimp-dir", str(profile.folder)]
    runner = CliRunner()
    result = runner.invoke(command, ["status", *given])
    assert isinstance(result.exception, PluginError)
    assert "run 'srp gimp install'" in str(result.exception)
    result = runner.invoke(command, ["install", *given, "--device", "cpu"], catch_exceptions=False)
    assert result.stdout == f"installed in {profile.plug_in}\n"
    bridge = read_bridge(profile)
    assert bridge["argv"] == [sys.executable, "-P", "-m", "gimp_bridge.worker", "--device", "cpu"]
    assert "fast" in [model["name"] for model in bridge["models"]]
    result = runner.invoke(command, ["install", *given, "--device", "cpu"], catch_exceptions=False)
    assert result.stdout == f"already up to date in {profile.plug_in}\n"
    result = runner.invoke(command, ["status", *given], catch_exceptions=False)
    assert f"worker: sr-plugins {__version__}, model fast" in result.stdout
    assert "gimp-console is not on PATH" in result.stdout
    (profile.plug_in / "sr_upscale.py").chmod(0o644)
    assert "not executable" in str(runner.invoke(command, ["status", *given]).exception)
    result = runner.invoke(command, ["uninstall", *given], catch_exceptions=False)
    assert result.stdout == f"removed from {profile.plug_in}\n"
    assert not profile.plug_in.exists()
    result = runner.invoke(command, ["uninstall", *given], catch_exceptions=False)
    assert result.stdout == "the plug-in is not installed\n"


def test_an_old_gimp_console_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = tmp_path / "gimp-console"
    console.write_text("#!/bin/sh\necho 'GNU Image Manipulation Program version 2.10.34'\n")
    console.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_console("linux") == console
    with pytest.raises(PluginError, match=r"is GIMP 2\.10\.34: the plug-in needs GIMP 3\.0"):
        check_gimp(console)


def console_that(says: str, path: Path, version: str = "3.0.4") -> Path:
    """A program that tells a version, and ``says`` this when it is to run a script."""
    told = f"echo 'GNU Image Manipulation Program version {version}'"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then {told}; else {says}; fi\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", ["3.0.0-RC2", "3.2", "5.0.2", "10.0.1"])
def test_every_gimp_from_3_on_is_tried(version: str, tmp_path: Path) -> None:
    assert check_gimp(console_that("echo 'srp-status: ok, GIMP'", tmp_path / "gimp", version)) == version


@pytest.mark.parametrize(
    ("says", "cure"),
    [
        (
            "echo 'srp-status: the worker failed: see srp gimp status'",
            r"^GIMP 3\.0\.4: the worker failed: see srp gimp",
        ),
        (
            "echo 'GIMP 3.0 (batch mode):'; echo no interpreter >&2; exit 1",
            "did not run the check; its last words: GIMP",
        ),
        ("echo no display >&2; exit 1", "did not run the check; its last words: no display"),
        ("true", "did not run the check; its last words: $"),
    ],
    ids=["failed", "half", "stderr", "silent"],
)
def test_what_gimp_says_instead_of_a_picture_is_told(says: str, cure: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=cure):
        check_gimp(console_that(says, tmp_path / "gimp"))


def test_a_console_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    console = console_that("true", tmp_path / "gimp")
    console.chmod(0o644)
    with pytest.raises(PluginError, match=f"{console} cannot be run: .*Permission denied"):
        check_gimp(console)


@pytest.mark.parametrize(
    ("version", "says"), [("", "GNU Image Manipulation Program version"), ("three", "version three")]
)
def test_what_is_no_gimp_is_told(version: str, says: str, tmp_path: Path) -> None:
    console = console_that("true", tmp_path / "gimp", version)
    with pytest.raises(PluginError, match=f"{console} is no GIMP: asked for its version it says .*{says}$"):
        check_gimp(console)


def test_srp_knows_the_command() -> None:
    line = "from sr_plugins.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", line, "gimp", "--help"], capture_output=True, text=True, check=True)
    for name in ("install", "status", "uninstall"):
        assert f"  {name} " in done.stdout

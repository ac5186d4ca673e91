"""Hints that name a command to install something: the right one for a clone, a wheel, pip, uv and pipx."""

import ast
import json
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from gimp_bridge.install import Profile, warnings
from sr_plugins import version
from sr_plugins.version import extra_command, package_command, temporary, torch_command

WHEEL = "/tmp/with blank/sr_plugins-1-py3-none-any.whl"
WHEELS_NOTE = {"url": f"file://{WHEEL.replace(' ', '%20')}", "archive_info": {}}
CPU = "https://download.pytorch.org/whl/cpu"
UV_PIP = f"uv pip install --python '{sys.executable}'"


class Installed:
    """A distribution as installers note it."""

    def __init__(self, told: Mapping[str, object]) -> None:
        self.told = json.dumps(told)

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.told


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that pip made from a wheel, and that is activated."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(version, "find_spec", lambda name: object())
    monkeypatch.setattr(version, "distribution", lambda name: Installed(WHEELS_NOTE))
    return tmp_path


@pytest.mark.parametrize(
    ("told", "command"),
    [
        ({"url": "file:///home/me/clone", "dir_info": {"editable": True}}, "pip install -e '/home/me/clone[plot]'"),
        ({"url": "file:///home/me/clone", "dir_info": {}}, "pip install '/home/me/clone[plot]'"),
        (WHEELS_NOTE, "pip install 'sr-plugins[plot] @ file:///tmp/with%20blank/sr_plugins-1-py3-none-any.whl'"),
        ({"url": "https://example.org/a.whl"}, "pip install 'sr-plugins[plot] @ https://example.org/a.whl'"),
    ],
)
def test_an_extra_comes_from_where_the_rest_came(
    told: Mapping[str, object], command: str, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "distribution", lambda name: Installed(told))
    assert extra_command("plot") == command


def test_where_another_pip_is_first_the_environments_own_is_named(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(environment / "bin" / "pip", environment / "pip")
    monkeypatch.setenv("PATH", str(environment))
    assert package_command("lpips") == f"'{sys.executable}' -m pip install lpips"
    monkeypatch.setattr(version, "find_spec", lambda name: None)  # an environment that uv made has none
    assert package_command("lpips") == f"{UV_PIP} lpips"
    assert torch_command("cpu") == f"{UV_PIP} --torch-backend cpu --reinstall-package torch torch"


@pytest.mark.parametrize(
    ("place", "mark", "extra", "package", "torch"),
    [
        (
            "venvs/sr-plugins",
            "pipx_metadata.json",
            "pipx runpip sr-plugins install 'sr-plugins[plot] @ file:///tmp/with%20blank/sr_plugins-1-py3-none-any.whl'",
            "pipx inject sr-plugins lpips",
            f"pipx runpip sr-plugins install --force-reinstall torch --index-url {CPU}",
        ),
        (
            ".cache/281e97fe8a9d374",
            "pipx_metadata.json",
            f"pipx run --spec '{WHEEL}[plot]' srp",
            f"pipx run --spec '{WHEEL}' --with lpips srp",
            f"pipx run --spec '{WHEEL}' --pip-args='--extra-index-url {CPU}' srp",
        ),
        (
            "archive-v0/abc",
            "pyvenv.cfg",
            f"uvx --from '{WHEEL}[plot]' srp",
            f"uvx --from '{WHEEL}' --with lpips srp",
            f"uvx --torch-backend cpu --from '{WHEEL}' srp",
        ),
        (
            "tools/sr-plugins",
            "uv-receipt.toml",
            f"uv tool install '{WHEEL}[openvino,plot]' --with matplotlib",
            f"uv tool install '{WHEEL}[openvino]' --with matplotlib --with lpips",
            f"uv tool install '{WHEEL}[openvino]' --with matplotlib --torch-backend cpu --reinstall-package torch",
        ),
    ],
)
def test_environments_that_a_tool_made_are_extended_by_it(
    place: str, mark: str, extra: str, package: str, torch: str, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = environment / place
    prefix.mkdir(parents=True)
    receipt = f'[tool]\nrequirements = [{{name = "sr-plugins", extras = ["openvino"], path = "{WHEEL}"}}, '
    (prefix / mark).write_text(receipt + '{name = "matplotlib"}]\n')
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert extra_command("plot") == extra
    assert package_command("lpips") == package
    assert torch_command("cpu") == torch


def test_gimp_is_not_sent_into_an_environment_that_goes_away_unwarned(environment: Path) -> None:
    for place, kept in (("archive-v0/abc", False), ("venv", True)):
        python = environment / place / "bin" / "python"
        profile = Profile(folder=environment, kind="native")
        told = list(warnings(profile, {"argv": [str(python)]}))
        assert bool(told) != kept
        assert bool(temporary(environment / place)) != kept


def test_a_python_that_is_too_old_can_say_so() -> None:
    """pip reads the version with the Python it has, before it finds that another one is asked for."""
    ast.parse(Path(version.__file__).read_text("utf-8"), feature_version=(3, 9))

"""The wheel: built offline, installed into an environment of its own, run there; what it says of itself and holds."""

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from source_tree import PACKAGES, ROOT

ADDRESS = "https://example.org/somebody/sr-plugins"
NEEDED = ("pyproject.toml", "setup.py", "README.md", "LICENSE", *PACKAGES)


def called(*command: object, **environment: str) -> str:
    """Its output; not in the clone, whose packages would be found first."""
    words, surroundings = [str(part) for part in command], {**os.environ, **environment}
    done = subprocess.run(words, cwd=sys.prefix, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / "tree").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / "tree" / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-q"]
    called(sys.executable, "-m", "pip", "wheel", folder / "tree", "-w", folder, *options, SR_PLUGINS_ADDRESS=ADDRESS)
    (made,) = folder.glob("*.whl")
    return made


def test_it_says_where_the_project_is_and_its_pictures_are_seen_from_anywhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(name))
    urls = dict(line.split(", ", 1) for line in told.get_all("Project-URL", []))
    assert urls["Homepage"] == ADDRESS
    assert set(urls) == {"Homepage", "Documentation", "Changes", "Issues"}
    description = told.get_payload()
    assert isinstance(description, str)
    links = re.findall(r"\]\(([^)\s]+)\)", description)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", description)
    assert pictures
    assert all(re.match(r"https?://|#", link) for link in links), links
    for link in links:  # the same files as README's own
        assert not link.startswith(ADDRESS) or (ROOT / link.split("/main/")[1].partition("#")[0]).exists(), link
    assert all(link.startswith(f"{ADDRESS}/raw/main/docs/pictures/") for link in pictures)
    assert told["Description-Content-Type"] == "text/markdown"
    assert told["License-Expression"] == "MIT"


def test_without_an_address_nothing_leads_nowhere(wheel: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(wheel.parent / "tree", tree, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    words = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    surroundings = {**os.environ, "SR_PLUGINS_ADDRESS": "", "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    subprocess.run(words, cwd=tree, env=surroundings, check=True, capture_output=True)
    told = email.message_from_string((tmp_path / "sr_plugins.egg-info" / "PKG-INFO").read_text("utf-8"))
    assert told.get_all("Project-URL") is None
    description = told.get_payload()
    assert isinstance(description, str)
    assert "models and how they compare" in description  # the words of a link stay
    assert all(re.match(r"https?://|#", link) for link in re.findall(r"\]\(([^)\s]+)\)", description))
    assert "docs/pictures" not in description


def test_all_files_of_ours_that_programs_read_are_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == ours
    suffixes = {Path(name).suffix for name in held}
    assert {".safetensors", ".glsl", ".toml", ".html", ".py", ".typed"} <= suffixes


def test_installed_it_runs_without_the_clone(wheel: Path, tmp_path: Path) -> None:
    called(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "-q"]
    called(sys.executable, "-m", "pip", "--python", python, "install", wheel, *options)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    # what it depends on is that of the environment that runs the tests; the clone's own entry there is not followed
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    alone = {"PYTHONPATH": "", "HOME": str(tmp_path), "SR_PLUGINS_CACHE": str(tmp_path / "cache")}
    where = called(python, "-c", "import sr_plugins, gimp_bridge; print(sr_plugins.__file__)", **alone)
    assert Path(where.strip()).is_relative_to(packages)
    srp = tmp_path / "venv" / "bin" / "srp"
    assert "Super-resolution for pictures and video" in called(srp, "--help", **alone)
    assert re.search(r"\bfast\b", called(srp, "models", **alone))
    hint = "from sr_plugins.version import extra_command; print(extra_command('plot'))"
    expected = f"'{python}' -m pip install 'sr-plugins[plot] @ {wheel.as_uri()}'"  # it is not activated
    assert called(python, "-c", hint, **alone).strip() == expected

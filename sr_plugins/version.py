"""The version, and how this very installation gets further packages: by pip, uv or pipx, from a clone or a wheel.

pyproject.toml reads the version from here; also a Python that is too old for the rest can, and then says so.
"""

import json
import shutil
import sys
import sysconfig
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

__version__ = "0.2.0"
NAME = "sr-plugins"


def extra_command(extra: str) -> str:
    """What to type for an optional part of sr-plugins, such as ``pip install 'sr-plugins[plot]'``."""
    place, how = _origin()
    by_place, by_name = f"'{place or NAME}[{extra}]'", f"'{NAME}[{extra}]'"
    if how == "wheel":
        address = Path(place).as_uri() if place.startswith("/") else place
        by_name = f"'{NAME}[{extra}] @ {address}'"
    way = _maker()
    if way == "uv tool":
        return _tool_command([extra])
    if way == "uvx":
        return f"uvx --from {by_place} srp"
    if way == "pipx run":
        return f"pipx run --spec {by_place} srp"
    if way == "pipx":  # its install makes the environment anew, and its inject forgets the extras of what is there
        return f"pipx runpip {NAME} install {by_name}"
    wanted = {"editable": f"-e {by_place}", "clone": by_place}.get(how, by_name)
    return f"{_installer()} {wanted}"


def package_command(*packages: str) -> str:
    """What to type for packages that are no part of sr-plugins."""
    place, _ = _origin()
    way = _maker()
    if way == "uv tool":
        return _tool_command([], *packages)
    if way in ("uvx", "pipx run"):
        beside = " ".join(f"--with {name}" for name in packages)
        return f"{'uvx --from' if way == 'uvx' else 'pipx run --spec'} '{place or NAME}' {beside} srp"
    return " ".join([f"pipx inject {NAME}" if way == "pipx" else _installer(), *packages])


def torch_command(build: str) -> str:
    """What to type for another build of PyTorch, by its name in PyTorch's index, such as ``cu126`` or ``cpu``."""
    index = f"https://download.pytorch.org/whl/{build}"
    place, _ = _origin()
    way = _maker()
    if way == "uv tool":
        return f"{_tool_command([])} --torch-backend {build} --reinstall-package torch"
    if way == "uvx":
        return f"uvx --torch-backend {build} --from '{place or NAME}' srp"
    if way == "pipx run":
        return f"pipx run --spec '{place or NAME}' --pip-args='--extra-index-url {index}' srp"
    if way == "" and find_spec("pip") is None:
        return f"{_installer()} --torch-backend {build} --reinstall-package torch torch"
    installer = f"pipx runpip {NAME} install" if way == "pipx" else _installer()
    return f"{installer} --force-reinstall torch --index-url {index}"


def temporary(prefix: Path) -> str:
    """Who made an environment that goes away by itself: ``uvx``, ``pipx run`` or nobody (empty)."""
    way = _maker(prefix)
    return way if way in ("uvx", "pipx run") else ""


def _maker(prefix: Path | None = None) -> str:
    """Who made the environment: ``pipx``, ``pipx run``, ``uv tool``, ``uvx``, or a person (empty)."""
    place = prefix or Path(sys.prefix)
    if (place / "pipx_metadata.json").is_file():
        return "pipx" if place.parent.name == "venvs" else "pipx run"
    if (place / "uv-receipt.toml").is_file():
        return "uv tool"
    # uv's cache, wherever somebody placed it
    return "uvx" if place.parent.name.startswith(("archive-v", "environments-v")) else ""


def _origin() -> tuple[str, str]:
    """Where it was installed from (a path or an address), and how: clone, editable, wheel, or unknown."""
    try:
        told = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    address = str(told.get("url", ""))
    place = unquote(urlsplit(address).path) if address.startswith("file:") else address
    if "dir_info" in told:
        return place, "editable" if told["dir_info"].get("editable") else "clone"
    clone = Path(__file__).resolve().parent.parent
    if not told and (clone / "pyproject.toml").is_file():
        return str(clone), "editable"
    return place, "wheel" if place else ""


def _installer() -> str:
    """The words before a package's name that reach the environment that runs, whichever is activated."""
    if find_spec("pip") is None:
        return f"uv pip install --python '{sys.executable}'"
    found = shutil.which("pip")
    if found and Path(found).parent == Path(sysconfig.get_path("scripts")):
        return "pip install"
    return f"'{sys.executable}' -m pip install"


def _tool_command(extras: list[str], *packages: str) -> str:
    """``uv tool install`` with all that the tool has already: it takes away what is not named."""
    place, _ = _origin()
    asked = tomllib.loads((Path(sys.prefix) / "uv-receipt.toml").read_text("utf-8"))["tool"]["requirements"]
    inside = dict.fromkeys([*(name for one in asked if one["name"] == NAME for name in one.get("extras", ())), *extras])
    beside = dict.fromkeys([*(one["name"] for one in asked if one["name"] != NAME), *packages])
    named = f"[{','.join(inside)}]" if inside else ""
    return " ".join(["uv tool install", f"'{place or NAME}{named}'", *(f"--with {name}" for name in beside)])

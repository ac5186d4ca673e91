"""The version, and how this very installation gets its extras; pyproject.toml reads the version from here."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

__version__ = "0.2.0"


def extra_command(extra: str) -> str:
    """What to type for an optional part: for a clone its folder, for a wheel its address, else the name alone."""
    name = "sr-plugins"
    try:
        told = json.loads(distribution(name).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    place = str(told.get("url", ""))
    clone = Path(__file__).resolve().parent.parent
    if "dir_info" in told or (not told and (clone / "pyproject.toml").is_file()):
        editable = "-e " if told.get("dir_info", {}).get("editable", True) else ""
        folder = place.removeprefix("file://") if "dir_info" in told else str(clone)
        return f"pip install {editable}'{folder}[{extra}]'"
    if place:
        return f"pip install '{name}[{extra}] @ {place}'"
    return f"pip install '{name}[{extra}]'"

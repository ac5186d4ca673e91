"""Put the plug-in into GIMP 3's profiles, and take it out again.

A profile is the folder of one GIMP version and one way to install it (``~/.config/GIMP/3.0``). The plug-in is a folder
``plug-ins/sr_upscale`` in it, with a manifest of what we wrote; nothing else is ever removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gimp_bridge.plug_in.sr_upscale.worker_client import Worker, WorkerError
from sr_plugins.errors import PluginError
from sr_plugins.folders import home_folder
from sr_plugins.version import temporary
from sr_plugins.whole_file import whole_file

Kind = Literal["native", "flatpak", "snap", "windows", "macos", "given"]

NAME = "sr_upscale"
SOURCE = Path(__file__).parent / "plug_in" / NAME
FILES = (
    "worker_client.py",
    "gimp_pixels.py",
    "gimp_preview.py",
    "gimp_dialog.py",
    "sr_upscale.py",
)  # in the order of writing: GIMP looks at the time of the last
MANIFEST = "manifest.json"
PROCEDURES = ("plug-in-sr-upscale", "plug-in-sr-upscale-layer", "plug-in-sr-restore")
RECORDED = ("PYTHONPATH", "SR_PLUGINS_WEIGHTS")  # settings of this shell that GIMP, started from a menu, does not have
FIRST = (3, 0)  # GIMP with the interface that the plug-in uses
SYSTEM = Path("/usr/bin")  # where a distribution puts GIMP and the Python it uses


@dataclass(frozen=True)
class Profile:
    """One GIMP profile folder."""

    folder: Path
    kind: Kind

    @property
    def plug_in(self) -> Path:
        """Where our plug-in's folder is or will be."""
        return self.folder / "plug-ins" / NAME

    @property
    def installed(self) -> bool:
        return (self.plug_in / MANIFEST).is_file()


def roots(home: Path, environment: Mapping[str, str], platform: str) -> Iterator[tuple[Path, Kind]]:
    """Where each way to install GIMP keeps its profiles, one folder per version."""
    if platform == "win32":
        yield Path(environment.get("APPDATA") or home / "AppData" / "Roaming") / "GIMP", "windows"
    elif platform == "darwin":
        yield home / "Library" / "Application Support" / "GIMP", "macos"
    else:
        yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "GIMP", "native"
        yield home / ".var" / "app" / "org.gimp.GIMP" / "config" / "GIMP", "flatpak"
        yield home / "snap" / "gimp" / "current" / ".config" / "GIMP", "snap"


def find_profiles(
    given: Path | None = None,
    *,
    home: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
) -> list[Profile]:
    """The GIMP 3 profiles of this user: the ``given`` one, that of $GIMP3_DIRECTORY, or all there are.

    Raises:
        PluginError: there is none; says whether that is because GIMP is too old.
    """
    given = given or (Path(environment["GIMP3_DIRECTORY"]) if environment.get("GIMP3_DIRECTORY") else None)
    if given is not None:
        version = version_of(given.name)
        if version is not None and version < FIRST:
            raise PluginError(f"{given} belongs to GIMP {given.name}: the plug-in needs GIMP 3.0 or later")
        return [Profile(given.absolute(), "given")]
    profiles: list[Profile] = []
    too_old: list[Path] = []
    for root, kind in roots(home or home_folder(), environment, platform):
        folders = root.glob("[0-9]*.[0-9]*") if root.is_dir() else ()
        # a copy that somebody put beside it ("3.0.bak", "2.10-old") is no profile of any GIMP
        found = sorted(
            (version, folder) for folder in folders if folder.is_dir() and (version := version_of(folder.name))
        )
        profiles += (Profile(folder, kind) for version, folder in found if version >= FIRST)
        too_old += (folder for version, folder in found if version < FIRST)
    if not profiles and too_old:
        newest = max(too_old, key=lambda folder: version_of(folder.name) or FIRST)
        raise PluginError(
            f"only GIMP {newest.name} was found ({newest}), which is too old: install GIMP 3.0 or later, "
            "start it once, and run this again"
        )
    if not profiles:
        raise PluginError(
            "no GIMP 3 profile was found: start GIMP once and run this again, or name the folder that GIMP shows under "
            "Preferences > Folders > Plug-ins (without its last part) with --gimp-dir"
        )
    return profiles


def version_of(text: str) -> tuple[int, int] | None:
    """Both numbers of a version like ``3.0``, as a profile is called; ``None`` where the text is no such version."""
    version = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(version[1]), int(version[2])) if version else None


def worker_command(python: Path | None, device: str) -> list[str]:
    """The command that starts the worker. The path of a virtual environment's python is kept, not what it links to."""
    interpreter = python or Path(sys.executable)
    # -P: GIMP's current folder is no place to import from.
    command = [str(interpreter.absolute()), "-P", "-m", "gimp_bridge.worker"]
    return command if device == "auto" else [*command, "--device", device]


def make_bridge(command: list[str], environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What the plug-in has to know. Starts the worker once, in the environment GIMP's child will have, and asks it.

    Raises:
        PluginError: the worker does not start, or has no model.
    """
    bridge: dict[str, Any] = {
        "argv": command,
        "environment": {name: environment[name] for name in RECORDED if environment.get(name)},
    }
    try:
        with Worker(bridge) as worker:
            bridge |= {"version": worker.hello["version"], "models": worker.hello["models"]}
    except WorkerError as error:
        raise PluginError(f"{' '.join(command)} does not work: {error}; is sr-plugins installed for it?") from error
    if not bridge["models"]:
        raise PluginError(f"{command[0]} has no model with weights: see 'srp models'")
    return bridge


def install(profile: Profile, bridge: Mapping[str, Any]) -> bool:
    """Write the plug-in into a profile; returns whether anything had to be written.

    Raises:
        PluginError: the folder cannot be written, or holds something that is not ours.
    """
    folder = profile.plug_in
    contents = {"bridge.json": json.dumps(bridge, indent=1).encode() + b"\n"}
    for name in FILES:
        contents[name] = (SOURCE / name).read_bytes().replace(b"\r\n", b"\n")
    contents["sr_upscale.py"] = _with_interpreter(contents["sr_upscale.py"], profile)
    if folder.exists() and not profile.installed:
        raise PluginError(f"{folder} exists and was not made by 'srp gimp install': move it away first")
    manifest = json.dumps({name: _digest(data) for name, data in contents.items()}, indent=1).encode() + b"\n"
    contents = {MANIFEST: manifest, **contents}
    outdated = [name for name in _manifest(folder) if name not in contents]
    up_to_date = not outdated and all(_holds(folder / name, data) for name, data in contents.items())
    if up_to_date and os.access(folder / FILES[-1], os.X_OK):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # GIMP remembers a plug-in's arguments, with its list of models, until sr_upscale.py is newer: it comes last.
        for name, data in contents.items():
            with whole_file(folder / name) as temporary:
                temporary.write_bytes(data)
            (folder / name).chmod(0o755 if name == FILES[-1] else 0o644)
        for name in outdated:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise PluginError(f"cannot write the plug-in: {error}") from error
    return True


def uninstall(profile: Profile) -> list[Path]:
    """Remove what :func:`install` wrote and is unchanged; returns what was left because someone changed or added it."""
    folder = profile.plug_in
    if not profile.installed:
        return []
    try:
        for name in [name for name, digest in _manifest(folder).items() if _state(folder / name, digest) == "ours"]:
            (folder / name).unlink()
        (folder / MANIFEST).unlink()
        _remove_compiled(folder / "__pycache__")
        left = sorted(folder.iterdir())
        if not left:
            folder.rmdir()
        for procedure in PROCEDURES:  # GIMP's memory of the last values
            for setting in (profile.folder / "plug-in-settings").glob(f"*-{procedure}.*"):
                setting.unlink()
    except OSError as error:
        raise PluginError(f"cannot remove {folder}: {error}; delete the folder by hand") from error
    return left


def _remove_compiled(folder: Path) -> None:
    """What Python made of our files; the folder too, if nothing else is in it."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in FILES:
        for compiled in folder.glob(f"{Path(name).stem}.*.pyc"):
            compiled.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def problems(profile: Profile, version: str) -> Iterator[str]:
    """What is wrong with an installed plug-in, in sentences."""
    cure = "run 'srp gimp install'"
    for name, digest in _manifest(profile.plug_in).items():
        if (state := _state(profile.plug_in / name, digest)) != "ours":
            yield f"{profile.plug_in / name} is {state}: {cure}"
    if not os.access(profile.plug_in / FILES[-1], os.X_OK):
        yield f"{profile.plug_in / FILES[-1]} is not executable, so that GIMP ignores it: {cure}"
    try:
        recorded = read_bridge(profile)["version"]
    except PluginError as error:
        yield str(error)
        return
    if recorded != version:
        yield f"{profile.plug_in} is of version {recorded}, and sr-plugins is {version}: {cure}"


def read_bridge(profile: Profile) -> dict[str, Any]:
    """What :func:`make_bridge` recorded in an installed plug-in; ``PluginError`` if it is damaged."""
    path = profile.plug_in / "bridge.json"
    try:
        bridge = json.loads(path.read_text("utf-8"))
        return {key: bridge[key] for key in ("argv", "environment", "version", "models")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PluginError(f"{path} is missing or damaged: run 'srp gimp install'") from error


def warnings(profile: Profile, bridge: Mapping[str, Any]) -> Iterator[str]:
    """What may not work in this profile, in sentences."""
    python = Path(bridge["argv"][0])
    if way := temporary(python.parent.parent):
        yield f"{way} keeps {python} for some days only: install sr-plugins for good, and run this again from there"
    if profile.kind == "flatpak" and _belongs_to_system(python):
        yield (
            f"GIMP from Flatpak does not see this system's {python}: use a Python that lies under your home folder, "
            "for example one that 'uv python install' made, and pass it with --python"
        )
    if profile.kind == "snap":
        yield "GIMP from Snap is confined and may not be allowed to start Python: prefer the native or Flatpak GIMP"


def _belongs_to_system(python: Path) -> bool:
    """Whether the interpreter, or the one its virtual environment links to, is the distribution's."""
    return python.resolve().is_relative_to("/usr")


def _with_interpreter(script: bytes, profile: Profile) -> bytes:
    """The plug-in with its first line naming the system's Python, where that is GIMP's.

    ``env python3`` finds whatever is first on PATH, often a conda or pyenv without gi, and GIMP would drop the plug-in.
    """
    if profile.kind not in ("native", "given") or sys.platform != "linux" or not (SYSTEM / "gimp").exists():
        return script
    check = [str(SYSTEM / "python3"), "-I", "-c", "import gi; gi.require_version('Gimp', '3.0')"]
    try:
        subprocess.run(check, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return script
    return script.replace(b"#!/usr/bin/env python3\n", f"#!{SYSTEM / 'python3'}\n".encode(), 1)


def _manifest(folder: Path) -> dict[str, str]:
    """File name -> digest of what we wrote; empty where we wrote nothing, or where it can no longer be told."""
    try:
        names = json.loads((folder / MANIFEST).read_text("utf-8"))
        return {name: digest for name, digest in names.items() if Path(name).name == name}
    except (OSError, ValueError, AttributeError):
        return {}


def _state(path: Path, digest: str) -> Literal["ours", "changed", "missing"]:
    if not path.is_file():
        return "missing"
    return "ours" if _digest(path.read_bytes()) == digest else "changed"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data

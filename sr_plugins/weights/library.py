"""The user's own models: weights files that were added once, and are then known by name wherever a name works.

They lie in ``models`` of the data folder, each in a folder named by the digest of its files; ``index.json`` tells what
was found of each, so that listing them reads no weights.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import UnknownNameError, WeightsError
from sr_plugins.folders import data_folder
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.version import package_command
from sr_plugins.weights.contents import SUFFIXES
from sr_plugins.weights.ncnn_files import pair_of
from sr_plugins.whole_file import whole_file

if TYPE_CHECKING:
    from torch import nn

    from sr_plugins.plugins import Plugins

# what of a spec the index keeps
TOLD = (
    "scale", "channels", "receptive_radius", "overlap", "tile_error", "working_bytes", "margin", "averages",
    "tile_multiple", "size_multiple", "minimum_size", "precisions", "purpose", "architecture",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One model of the library.

    Attributes:
        name: what users type.
        digest: SHA-256 of all its files.
        files: their names; the first is the one to open, and others may lie in folders beside it.
        license: of the weights, as far as it is known.
        source: the package it came from, or the path.
        told: of its spec, by attribute.
    """

    name: str
    digest: str
    files: tuple[str, ...]
    license: str
    source: str
    told: dict[str, Any]

    @property
    def path(self) -> Path:
        """The file to open."""
        return _folder() / self.digest[:16] / self.files[0]

    @property
    def label(self) -> str:
        """Name and scale."""
        return f"{self.name} x{self.told['scale']}"

    def spec(self) -> ModelSpec:
        """The model, without opening it."""
        told: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in self.told.items()}
        told["averages"] = tuple((up, down) for up, down in told["averages"])
        path = self.path

        def build() -> nn.Module:
            from sr_plugins.plugins import plugins

            return plugins().open_weights(path).torch().module

        return ModelSpec(name=self.name, build=build, weights=path, license=self.license, **told)


def entries() -> list[Entry]:
    """All models of the library, by name and scale.

    Raises:
        WeightsError: the index cannot be read.
    """
    index = _folder() / "index.json"
    try:
        listed = json.loads(index.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{index} cannot be read ({type(error).__name__}): mend it, or move it away") from error
    try:
        return sorted(map(_read, listed), key=lambda entry: (entry.name, entry.told["scale"]))
    except (TypeError, KeyError, ValueError) as error:
        raise WeightsError(f"{index} is no list of models: mend it, or move it away") from error


def _read(listed: dict[str, Any]) -> Entry:
    """One of the index: what it names is opened and, once removed, deleted, so that only names of ours will do."""
    entry = Entry(**{**listed, "files": tuple(listed["files"])})
    texts = (entry.name, entry.digest, entry.license, entry.source, *entry.files)
    if not isinstance(listed["files"], list) or not all(isinstance(text, str) for text in texts):
        raise TypeError("no texts")
    if not entry.name or not entry.files or not all(map(_within, entry.files)):
        raise ValueError("no names")
    if re.fullmatch("[0-9a-f]{64}", entry.digest) is None or type(entry.told["scale"]) is not int:
        raise ValueError("no digest or scale")
    return entry


def _within(file: str) -> bool:
    """Whether it names a file in the folder of its model or in one below."""
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in file


def files_of(path: Path) -> list[Path]:
    """All files of a network, the one to open first: the pair of ncnn, the tensors beside an ONNX graph."""
    if (pair := pair_of(path)) is not None:
        return list(pair)
    if path.suffix.lower() == ".onnx":
        import onnx

        from sr_plugins.weights.onnx_tensors import beside

        model = onnx.load(str(path), load_external_data=False)
        return [path, *(path.parent / name for name in beside(model))]
    return [path]


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 of the contents, in order, with their lengths."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        with file.open("rb") as content:
            while part := content.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def add(
    path: Path,
    plugins: Plugins,
    *,
    name: str | None = None,
    license: str = "",
    source: str = "",
    by_folder: bool = False,
) -> Entry:
    """Open a weights file, copy all its files into the library and remember what was found; once for each digest.

    Without a ``name`` it is called as its file is; ``by_folder``: where another has that name, as its folder and file.

    Raises:
        WeightsError: it cannot be opened or kept, another model has its name, or it is there under another one.
    """
    loaded = plugins.open_weights(path)
    files = files_of(path)
    digest, known = digest_of(files), entries()
    if (same := next((entry for entry in known if entry.digest == digest), None)) is not None:
        if name and name != same.name:
            cure = f"srp models remove {same.name}, then add it as {name}"
            raise WeightsError(f"{path} is in the library already, as {same.label}: {cure}")
        return same
    spec = loaded.spec
    taken = {model.name for model in plugins.models() if model.scale == spec.scale}
    taken |= {entry.name for entry in known if entry.told["scale"] == spec.scale}
    called = name or _printable(path.stem)
    if called in taken and by_folder and name is None:
        called = f"{_printable(path.parent.name)}-{called}"
    if not called or any(c in called for c in ",/\\"):
        raise WeightsError(f"{called!r} can be no name of a model: no comma and no separator of paths")
    if called in taken:
        raise WeightsError(f"{path}: there is a model called {called} x{spec.scale} already; name it with --name")
    told = {key: getattr(spec, key) for key in TOLD}
    entry = Entry(
        called,
        digest,
        tuple(f.relative_to(files[0].parent).as_posix() for f in files),
        license or spec.license or "unknown",
        source or str(path),
        told,
    )
    folder = entry.path.parent
    try:
        with ExitStack() as copies:  # all or none
            for file, kept in zip(files, entry.files, strict=True):
                shutil.copyfile(file, copies.enter_context(whole_file(folder / kept)))
        _write([*known, entry])
    except OSError as error:
        _delete(entry)
        cure = f"{error.strerror or error}; SR_PLUGINS_DATA names another folder"
        raise WeightsError(f"{path} cannot be kept in {folder}: {cure}") from error
    return entry


def remove(name: str) -> list[Entry]:
    """Forget the models of this name, label (``name x2``) or digest, and delete our copies of their files.

    Raises:
        UnknownNameError: there is none.
        WeightsError: the index cannot be written.
    """
    known = entries()
    named = [e for e in known if name in (e.name, e.label) or (len(name) >= 8 and e.digest.startswith(name))]
    if not named:
        raise UnknownNameError("model in the library", name, [entry.name for entry in known])
    try:
        _write([entry for entry in known if entry not in named])
    except OSError as error:
        raise WeightsError(f"{_folder()} cannot be written: {error.strerror or error}") from error
    for entry in named:
        _delete(entry)
    return named


def packaged(name: str) -> tuple[list[Path], str]:
    """The weights files that lie in an installed distribution, and the licence it declares for itself.

    Raises:
        WeightsError: it is not installed, or holds none.
    """
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise WeightsError(f"package {name} is not installed here: {package_command(name)}") from error
    paths = (Path(str(found.locate_file(file))) for file in found.files or ())
    # a pair is named by its graph
    files = [p for p in paths if p.suffix.lower() in SUFFIXES and not (p.suffix.lower() == ".bin" and pair_of(p))]
    if not files:
        raise WeightsError(f"package {name} holds no weights files ({', '.join(SUFFIXES)})")
    told = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    return sorted(files), told.splitlines()[0].strip()[:60] if told.strip() else ""


def opened(spec: ModelSpec, plugins: Plugins) -> LoadedModel | None:
    """A model of the library, by its spec; ``None`` where the spec is another's.

    Raises:
        WeightsError: its files are not those that were added.
    """
    if spec.weights is None or _folder() not in spec.weights.parents:
        return None
    loaded = plugins.open_weights(spec.weights)
    kept = spec.weights.parent.name
    if not digest_of(files_of(spec.weights)).startswith(kept):
        raise WeightsError(f"{spec.weights} is not the file that was added: srp models remove {spec.name}, and add it")
    return replace(loaded, spec=replace(loaded.spec, name=spec.name, license=spec.license))


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for entry in entries():
        yield entry.spec()


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() and c not in ",/\\" else "_" for c in name).strip()[:80]


def _folder() -> Path:
    return data_folder() / "models"


def _delete(entry: Entry) -> None:
    folder = entry.path.parent
    with suppress(OSError):  # a folder that holds other files stays
        for file in entry.files:
            (folder / file).unlink(missing_ok=True)
        below = {folder / parent for file in entry.files for parent in PurePosixPath(file).parents}
        for empty in sorted(below, key=lambda path: len(path.parts), reverse=True):
            empty.rmdir()


def _write(listed: list[Entry]) -> None:
    index = _folder() / "index.json"
    with whole_file(index) as temporary:
        temporary.write_text(json.dumps([asdict(entry) for entry in listed], indent=1), encoding="utf-8")

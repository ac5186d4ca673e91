"""Fixtures every test may use."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sr_plugins.plugins import plugins

REPOSITORY = Path(__file__).parent.parent

# Which backend is fastest depends on what else the machine does; tests of that choice unset it.
os.environ.setdefault("SR_PLUGINS_BACKEND", "torch")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with training pictures, test sets and clips; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("SR_PLUGINS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no test data: set SR_PLUGINS_TEST_DATA to a folder with benchmark/, train/ and video/")
    return folder


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution on the import path as pip would: its module, its metadata and its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def do(name: str, source: str, version: str = "1.0") -> None:
        module = name.replace("-", "_")
        # a module of the same name imported for an earlier test must not answer for this one
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[sr_plugins]\n{module} = {module}\n")

    return do


@pytest.fixture
def fresh_plugins() -> Iterator[None]:
    """The plugins of this process are found anew, now and after the test."""
    plugins.cache_clear()
    yield
    plugins.cache_clear()

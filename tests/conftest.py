"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest

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

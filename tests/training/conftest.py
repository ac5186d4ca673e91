"""Fixtures of the tests of training."""

from pathlib import Path

import pytest
from training_runs import drawings


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return drawings(tmp_path / "pictures")

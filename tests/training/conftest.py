"""Fixtures of the tests of training."""

from pathlib import Path

import pytest
from training_runs import drawing


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        drawing(i).save(folder / f"{i}.png")
    return folder

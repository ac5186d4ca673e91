"""vspipe as people run it, without touching the settings of whoever runs the tests."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sr_plugins


@pytest.fixture(autouse=True, scope="module")
def little_to_collect() -> None:
    """Tests that count lanes collect often: what is there before them, all of torch, stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def vspipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which vspipe finds this Python, our packages and the tests' models."""
    home = tmp_path_factory.mktemp("home")
    path = os.pathsep.join([str(Path(__file__).parent.parent), str(Path(sr_plugins.__file__).parent.parent)])
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": path}
    environment.pop("XDG_CONFIG_HOME", None)
    command = [Path(sys.executable).parent / "vapoursynth", "config"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return environment

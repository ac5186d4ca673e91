"""Calls of ``srp image`` in this process, and a picture for them."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sr_plugins.cli.main import main


def srp(*arguments: object) -> int:
    """The exit status of ``srp image ARGUMENTS``."""
    before = sys.argv
    sys.argv = ["srp", "image", *map(str, arguments)]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    raise AssertionError("srp ends by sys.exit")


def picture(path: Path, size: tuple[int, int] = (20, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(path)
    return path

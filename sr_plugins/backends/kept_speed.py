"""How fast models were when ``auto`` measured backends here: for people who ask what to take."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import suppress

from sr_plugins.folders import cache_folder
from sr_plugins.whole_file import whole_file

ENDING = ".measured.json"


def keep_speed(label: str, megapixels: float) -> None:
    """Note how many megapixels of its result a model makes in a second here; where nothing can be written, not."""
    name = hashlib.sha256(label.encode()).hexdigest()[:16]
    with suppress(OSError), whole_file(cache_folder() / "speed" / f"{name}{ENDING}") as temporary:
        temporary.write_text(json.dumps({"model": label, "megapixels": megapixels}), encoding="utf-8")


def kept_speeds() -> dict[str, float]:
    """Megapixels a second by model and scale (``fast x2``), of those that were measured here."""
    found: dict[str, float] = {}
    with suppress(OSError):
        for path in sorted((cache_folder() / "speed").glob(f"*{ENDING}")):
            with suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
                told = json.loads(path.read_text(encoding="utf-8"))
                if 0 < (megapixels := float(told["megapixels"])) < math.inf:
                    found[str(told["model"])] = megapixels
    return found

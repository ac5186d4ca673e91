"""The shaders that lie in the package, ready for players: made by ``make shaders``, each from the weights beside it.

``made_of.json`` says of which weights each was made, so that one is not handed out for others (a folder of the user's,
or a network trained anew).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sr_plugins.interface.exporter import Exported
from sr_plugins.interface.model import ModelSpec

SHADERS = Path(__file__).parent / "shaders"
MADE_OF = "made_of.json"
# by how much a GPU has to do; the others are larger than anybody would download to try, and are one command away
NAMES = {"nano": (2,), "tiny": (2,), "realtime": (2, 3, 4), "restore": (2,), "fast": (2,)}


def shipped(spec: ModelSpec) -> Exported | None:
    """The shader of a registered model that lies here, if it is of this model's weights; no torch is needed."""
    path = SHADERS / f"{spec.name}-x{spec.scale}.glsl"
    if spec.weights is None or not path.is_file() or not spec.weights.is_file():
        return None
    made_of = json.loads((SHADERS / MADE_OF).read_text())
    if made_of.get(path.name) != digest_of_file(spec.weights):
        return None
    content = path.read_bytes()
    return Exported({".glsl": content}, described(content.decode()))


def described(text: str) -> str:
    """What is told of a shader when it is written."""
    kind = next(line for line in text.splitlines() if line.startswith("// For luma with "))
    levels, _, rest = kind.removeprefix("// For luma with ").partition(" levels; ")
    return f"{text.count('//!HOOK')} passes, {rest.partition(',')[0]}, {levels} levels"


def digest_of_file(path: Path) -> str:
    """Of the tensors in a .safetensors file: what its header says, a model card among it, does not count."""
    content = path.read_bytes()
    tensors = content[8 + int.from_bytes(content[:8], "little") :]
    return hashlib.sha256(tensors).hexdigest()

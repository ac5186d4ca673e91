"""Values out of TOML files, checked: what recipes and chains of degradations are read with."""

from __future__ import annotations

import inspect
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sr_plugins.errors import RecipeError


def read_table(path: Path) -> dict[str, Any]:
    """A TOML file's top table; ``RecipeError`` names a file that cannot be read or is no TOML."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error


def is_number(value: object) -> bool:
    """A finite number; TOML's ``true`` is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def call_with(build: Callable[..., Any], what: str, given: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """``build(**given, **options)``; an option that it does not take is named in a ``RecipeError``."""
    parameters = inspect.signature(build).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        known = [name for name in parameters if name not in given]
        for key in options:
            if key not in known:
                raise RecipeError(f"{what} has no option {key}; there is {', '.join(known) or 'none'}")
        for name in known:
            if parameters[name].default is inspect.Parameter.empty and name not in options:
                raise RecipeError(f"{what} needs {name} = ...")
    return build(**given, **options)


def check_range(name: str, value: Any, least: float, most: float) -> None:
    """``ValueError`` unless ``value`` is a number, or a pair (low, high), between ``least`` and ``most``."""
    pair = value if isinstance(value, (list, tuple)) else [value, value]
    numbers = len(pair) == 2 and all(map(is_number, pair))
    if not numbers or not least <= pair[0] <= pair[1] <= most:
        raise ValueError(f"{name} = {value!r} is neither a number nor a pair [low, high] between {least} and {most}")


def draw(rng: np.random.Generator, value: Any) -> float:
    """A number as it is; from a pair, a uniform draw between its two."""
    if isinstance(value, (list, tuple)):
        return float(rng.uniform(value[0], value[1]))
    return float(value)

"""Values without their option, and sizes in other forms: what to type instead."""

from __future__ import annotations

import re

_WIDTHS = {
    "hd": "1280x",
    "fullhd": "1920x",
    "fhd": "1920x",
    "2k": "2048x",
    "4k": "3840x",
    "uhd": "3840x",
    "8k": "7680x",
}


def option_meant(word: str) -> str | None:
    """The option, with its value, that somebody may mean who typed the value alone."""
    if word.lower() == "help":
        return "--help"
    if found := re.fullmatch(r"x?(\d{1,2}(?:\.\d+)?)x?", word, re.IGNORECASE):
        return f"--scale {found[1]}"
    if re.fullmatch(r"\d+x\d*|x\d+|\d+p", word, re.IGNORECASE):
        return f"--size {word}"
    if sides := _WIDTHS.get(word.lower()):
        return f"--size {sides}"
    if re.fullmatch(r"\w+", word):
        from sr_plugins.plugins import plugins

        return f"--model {word}" if word in {"auto", *(spec.name for spec in plugins().models())} else None
    return None


def size_meant(word: str) -> str:
    """What to type instead of a size that is none; empty where nothing comes to mind."""
    if sides := _WIDTHS.get(word.lower()):
        return f"{sides} is {word}"
    if found := re.fullmatch(r"(\d+)(px)?", word, re.IGNORECASE):
        return f"{found[1]}x is a width, x{found[1]} a height"
    if found := re.fullmatch(r"(\d+)\s*\D\s*(\d+)", word):
        return f"{found[1]}x{found[2]}"
    if found := re.fullmatch(r"(\d+)\s*%", word):
        return f"--scale {int(found[1]) / 100:g} is {word}"
    return ""

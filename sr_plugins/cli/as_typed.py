"""Command lines as people type them: what a shell left to us, files without a command, words of no command."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from os.path import exists, isdir

import click

from sr_plugins.cli.files import is_film_name, is_picture_name
from sr_plugins.cli.other_words import command_meant
from sr_plugins.cli.values_meant import option_meant

# os.path asks without raising; a word may be anything.
# ruff: noqa: PTH110, PTH111, PTH112, PTH122

_ASKS = ("-h", "--help", "--version")
_MAY_BE_EMPTY = ("--name", "--license")
_IN_OTHER_WORDS = {"help": "--help", "version": "--version"}


def as_typed(words: Sequence[str], commands: Collection[str]) -> list[str]:
    """A whole command line with its command: ``photo.jpg`` is ``image photo.jpg``, ``-m fast a.mkv`` is for video.

    ``~/`` is the home folder also where a shell leaves it alone: within quotes, and in ``--output=~/larger``.
    """
    ours = list(words[: words.index("--")]) if "--" in words else list(words)
    rest = list(words[len(ours) :])
    for before, word in zip(["", *ours], ours, strict=False):
        if (not word.strip() and before not in _MAY_BE_EMPTY) or re.fullmatch(r"--(?!name|license)[\w-]+=", word):
            raise click.UsageError(
                f"{word.strip() or 'a word'} is empty: perhaps a variable of the shell that is not set"
            )
    ours = [_named(_at_home(word)) for word in ours]
    if ours[1:] == ["help"] and ours[0] in commands and not exists("help"):
        return [ours[0], "--help"]
    if not ours or ours[0] in (*commands, *_ASKS):
        return [*ours, *rest]
    if ours[0] == "help" and ours[1:] and ours[1] not in _IN_OTHER_WORDS:  # what is no command is told as without help
        return as_typed([*ours[1:], "--help"], commands)
    if ours[0] in _IN_OTHER_WORDS:
        return [_IN_OTHER_WORDS[ours[0]]]
    candidates = ours if ours[0].startswith("-") else ours[:1]
    for command, is_named in (("video", is_film_name), ("image", is_picture_name)):
        if any(os.path.splitext(word)[1] and is_named(word) for word in candidates):
            return [command, *ours, *rest]
    return [*ours, *rest]


def _at_home(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if value.startswith("~") and not exists(value):
        return option + equals + os.path.expanduser(value)
    return word


def _named(word: str) -> str:
    """A picture or film whose name begins with a dash, in a form that is no option."""
    is_file = word[:1] == "-" and os.path.splitext(word)[1] and exists(word)
    return os.path.join(os.curdir, word) if is_file and (is_picture_name(word) or is_film_name(word)) else word  # noqa: PTH118


def unknown_command(word: str, commands: Mapping[str, str]) -> str:
    """What to say to someone whose first word is no command and no picture's or film's name.

    ``commands``: what to type for each name, also of those that stand behind another (``estimate``).
    """
    if word.startswith("-"):
        asked = ["--version"] if word in ("-v", "-V") else get_close_matches(word, _ASKS, n=1, cutoff=0.7)
        if meant := next(iter(asked), None) or commands.get(word.lstrip("-")):
            return f"no option {word}: did you mean srp {meant}?"
        return f"a command comes before {word}: srp image {word} ..."
    if isdir(word):
        return (
            f"{word} is a folder: srp image {word} -o larger/ does its pictures, srp video {word} -o larger/ its films"
        )
    if exists(word) or os.path.splitext(word)[1] or os.sep in word:
        return f"{word} is no picture or film by its name: srp image {word} or srp video {word} looks into it"
    meant = command_meant(word, commands) or next(iter(get_close_matches(word.lower(), commands, n=1)), None)
    if meant:
        return f"no command called {word!r}: did you mean srp {commands[meant]}?"
    return (
        f"no command called {word!r}: srp photo.jpg enlarges a picture, srp film.mkv a film; srp --help lists the rest"
    )


def check_words(words: Sequence[str]) -> None:
    """Wrong usage where an input that is not there is what an option takes (``srp photo.jpg 4x``), or an address."""
    for word in words:
        if re.match(r"\w+://", word):
            raise click.UsageError(f"{word} is an address, and srp opens files: download it first, then srp FILE")
        if word != "-" and not exists(word) and (option := option_meant(word)):
            raise click.UsageError(f"{word} is no file: did you mean {option}?")


def target_among(words: Sequence[str], output: str | None) -> tuple[list[str], str | None]:
    """As with ``cp``: without ``-o`` the last of several names is where to, if it is a folder or not there yet.

    Returns what to read and where to; wrong usage where the last name is neither a file's nor plainly a folder's.
    """
    check_words(words)
    if output is not None and re.match(r"\w+://", output):
        raise click.UsageError(f"{output} is an address, and srp writes files: make a file first, then send it there")
    *before, last = words
    if output is not None or not before or words[0] == "-":
        return list(words), output
    if isdir(last):
        return before, os.path.join(last, "")  # noqa: PTH118
    if exists(last) or last == "-":
        return list(words), None
    if last.endswith(("/", os.sep)):
        return before, last
    if not os.path.splitext(last)[1] and not re.search(r"[*?\[]", last):
        raise click.UsageError(f"{last} is not there: -o {last}/ makes a folder of this name")
    return (before, last) if len(before) == 1 and not re.search(r"[*?\[]", last) else (list(words), None)

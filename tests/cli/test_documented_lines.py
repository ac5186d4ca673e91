"""Every line of README and docs that calls ``srp`` is one that ``srp`` takes: commands, options and their values."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest
from documented_commands import PAGES, commands

from sr_plugins.cli.as_typed import as_typed
from sr_plugins.cli.main import COMMANDS, srp

DOCUMENTED = [
    (line.page.name, text)
    for page in PAGES
    for line in commands(page)
    for text in (line.text, line.whole)
    if re.match(r"srp (?!.*\|)", text)
]


def examples(command: click.Command) -> list[str]:
    """What stands below the options of its help, to be copied."""
    return re.findall(r"^  (\S.*)$", (command.epilog or "").partition("Examples:\n")[2], re.MULTILINE)


WITHOUT = {"doctor", "completion"}  # take no options; say themselves what to type
EXAMPLES = {name: examples(import_module(where).command) for name, where in COMMANDS.items() if name not in WITHOUT}
SHOWN = [
    (name, part.strip())
    for name, lines in EXAMPLES.items()
    for line in lines
    for part in re.split(r"[|>]", line)
    if part.strip().startswith("srp ")
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_ends_with_three_examples(name: str) -> None:
    assert len(EXAMPLES[name]) >= 3
    assert max(map(len, EXAMPLES[name])) <= 76  # on 80 columns, with its margin


@pytest.mark.parametrize(("page", "line"), [*DOCUMENTED, *SHOWN])
def test_a_documented_line_is_one_that_srp_takes(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, *words = shlex.split(line, comments=True)
    words = as_typed(words, COMMANDS)
    for word in words:  # files that it names are there; what is in them is not looked at
        if re.fullmatch(r"[\w/.-]+\.\w+", word) and not Path(word).is_absolute():
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).touch()
        elif re.fullmatch(r"[\w.-]+/", word):
            (tmp_path / word).mkdir(exist_ok=True)
    group: click.Command = srp
    with click.Context(group, info_name="srp") as context:
        while isinstance(group, click.Group):
            if group.invoke_without_command and (not words or words[0].startswith("-")):
                group.make_context(group.name, list(words), parent=context)
                return
            name, command, words = group.resolve_command(context, words)
            assert command is not None, f"{page}: {name}"
            if isinstance(command, click.Group):
                context = command.make_context(name, [], parent=context, resilient_parsing=True)
                group = command
                continue
            command.make_context(name, list(words), parent=context)  # UsageError is the failure
            return


def test_there_are_such_lines() -> None:
    assert len(DOCUMENTED) > 25
    assert {"README.md", "ffmpeg.md", "models.md"} <= {page for page, _ in DOCUMENTED}

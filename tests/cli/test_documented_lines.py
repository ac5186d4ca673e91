"""Every line of README and docs that calls ``srp`` is one that ``srp`` takes: commands, options and their values."""

import re
import shlex
from pathlib import Path

import click
import pytest
from documented_commands import PAGES, commands

from sr_plugins.cli.main import srp

DOCUMENTED = [
    (line.page.name, text)
    for page in PAGES
    for line in commands(page)
    for text in (line.text, line.whole)
    if re.match(r"srp (?!.*\|)", text)
]


@pytest.mark.parametrize(("page", "line"), DOCUMENTED)
def test_a_documented_line_is_one_that_srp_takes(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, *words = shlex.split(line, comments=True)
    for word in words:  # files that it names are there; what is in them is not looked at
        if re.fullmatch(r"[\w/.-]+\.\w+", word) and not Path(word).is_absolute():
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).touch()
        elif re.fullmatch(r"[\w.-]+/", word):
            (tmp_path / word).mkdir(exist_ok=True)
    group: click.Command = srp
    with click.Context(group, info_name="srp") as context:
        while isinstance(group, click.Group):
            if not words and group.invoke_without_command:
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

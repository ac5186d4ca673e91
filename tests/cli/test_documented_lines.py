"""Every line of README and docs that calls ``srp`` is one that ``srp`` takes: commands, options and their values."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from source_tree import ROOT

from sr_plugins.cli.main import srp

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SYNOPSIS = re.compile(r"\[[-A-Za-z]|\.\.\.|\|")  # [--option], IN..., pipes: not lines to be typed


def lines(page: Path) -> Iterator[str]:
    for block in re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(\$ )?srp ", line) and not SYNOPSIS.search(line.partition("#")[0]):
                yield line.removeprefix("$ ")


DOCUMENTED = [(page.name, line) for page in PAGES for line in lines(page)]


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

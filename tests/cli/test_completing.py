"""What shells are offered: names for what takes names, files for what takes files, one after a comma."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.types import StringParamType

from sr_plugins.cli.main import srp

# words of one's own, sizes and times: nothing can be offered
FREE = {"size", "sizes", "tile", "batch", "overlap", "scale", "start", "end", "rate", "at", "ways"}
FREE |= {"license", "package", "name", "names", "hwaccel", "files"}


def offered(*words: str) -> list[tuple[str, str]]:
    """(kind, value) of all that a shell is told for the last word."""
    found = ShellComplete(srp, {}, "srp", "_SRP_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [(item.type, item.value) for item in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("image --backend ", {"auto", "torch", "openvino"}),
        ("image --device c", {"cpu", "cuda"}),
        ("image --model tiny,re", {"tiny,realtime", "tiny,restore"}),
        ("export re", {"realtime", "restore"}),
        ("export fast --format ", {"onnx", "glsl", "ncnn"}),
        ("bench --models ti", {"tiny"}),
        ("bench --model ti", {"tiny"}),
        ("bench --backends torch,open", {"torch,openvino"}),
        ("evaluate --metrics psnr,ss", {"psnr,ssim"}),
        ("adapt --model ti", {"tiny"}),
        ("train fast-x", {"fast-x2"}),
        ("models in", {"inspect"}),
        ("video --jobs ", {"local", "ray"}),
    ],
)
def test_names_are_offered(line: str, expected: set[str]) -> None:
    told = offered(*line.split(" "))
    assert {value for kind, value in told if kind == "plain"} >= expected
    assert all(value.startswith(line.split(" ")[-1]) for _, value in told)


@pytest.mark.parametrize(
    "line",
    [
        "image ho",
        "video ho",
        "image a.png -o ho",
        "video a.mkv -o ho",
        "image --model ./ho",
        "export ./ho",
        "models inspect ./ho",
        "models add ho",
        "train ./ho",
        "compare ho",
        "train --data ho",
        "ho",
        "photo.jpg ho",
    ],
)
def test_files_are_offered(line: str) -> None:
    assert offered(*line.split(" ")) in ([("file", line.split(" ")[-1])], [("dir", line.split(" ")[-1])])


def test_names_of_models_that_were_added_are_offered_where_they_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_PLUGINS_DATA", str(tmp_path))
    (tmp_path / "models").mkdir()
    assert offered("models", "remove", "") == []
    (tmp_path / "models" / "index.json").write_text("damaged")
    assert offered("models", "remove", "") == []


def _commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from _commands(command, f"{before}{name} ")
            yield f"{before}{name}", command


def test_no_value_is_left_without_an_answer() -> None:
    silent = {
        f"{name} {parameter.name}"
        for name, command in _commands(srp)
        for parameter in command.params
        if isinstance(parameter.type, StringParamType)
        and parameter._custom_shell_complete is None
        and parameter.name not in FREE
    }
    assert silent == set()

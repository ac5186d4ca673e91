"""``srp`` as a person calls it: exit statuses, one-line errors, data on stdout and talk on stderr."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import warm_python
from click.testing import CliRunner
from PIL import Image

import sr_plugins
from sr_plugins.backends.kept_speed import keep_speed
from sr_plugins.cli.main import COMMANDS
from sr_plugins.cli.main import srp as group
from sr_plugins.errors import ArgumentError

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def srp(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return warm_python.srp(*arguments, env=ENVIRONMENT | more)


def test_version_and_help_name_everything() -> None:
    assert srp("--version").stdout.strip() == f"srp, version {sr_plugins.__version__}"
    text = srp("--help").stdout
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(group, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) > 4


@pytest.mark.parametrize("arguments", [["imgae"], ["models", "--jsn"], ["image"]])
def test_wrong_usage_is_status_two(arguments: list[str]) -> None:
    done = srp(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["adapt"], ["degradation", "learn", "--clean", "."]])
def test_a_negative_seed_is_wrong_usage(command: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "a.safetensors")
    done = CliRunner().invoke(group, [*command, "keep.png", "-o", out, "--seed", "-1"])
    assert done.exit_code == 2
    assert "--seed" in done.stderr


def test_models_as_json() -> None:
    done = srp("models", "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    models = {(m["name"], m["scale"]): m for m in json.loads(done.stdout)}
    fast = models["fast", 2]
    assert {"name", "scale", "shape", "channels", "parameters", "weights"} <= fast.keys()
    assert fast["channels"] == "luma"
    assert 10_000 < fast["parameters"] <= 60_000
    assert Path(fast["weights"]).is_file()


def test_models_as_a_table() -> None:
    done = srp("models", "--all")
    assert done.returncode == 0
    assert any(line.split()[:3] == ["fast", "x2", "luma"] for line in done.stdout.splitlines())


def test_models_are_told_for_people_in_80_columns_also_in_pipes() -> None:
    done = srp("models")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    first = [line.split()[0] for line in lines if line.strip()]
    assert first.index("auto") < first.index("fast") < first.index("restore")
    assert "compressed" in done.stdout


def test_speeds_have_a_column_once_a_model_was_measured_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))
    (head, *_) = CliRunner().invoke(group, ["models"]).stdout.splitlines()
    assert head.split() == ["model", "enlarges", "licence", "what", "for"]
    keep_speed("tiny x2", 3.0)
    (head, *rows) = CliRunner().invoke(group, ["models"]).stdout.splitlines()
    assert head.split() == ["model", "enlarges", "here", "licence", "what", "for"]
    assert [row.split()[2:4] for row in rows if row.startswith("tiny")] == [["3", "MP/s"]]


@pytest.mark.parametrize("columns", [80, 120])
def test_every_model_is_named_on_a_narrow_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich's word for a terminal
    lines = click.unstyle(CliRunner().invoke(group, ["models", "--all"]).stdout).splitlines()
    assert any(line.split()[:3] == ["vdsr", "x2", "luma"] for line in lines)
    assert max(map(len, lines)) <= columns


def test_a_smaller_scale_of_the_same_weights_has_its_own_figures() -> None:
    models = {(m["name"], m["scale"]): m for m in json.loads(srp("models", "--json").stdout)}
    larger, smaller = (models["lapsrn", scale]["metrics"]["Set5"]["psnr"] for scale in (4, 2))
    assert larger < 32
    assert smaller > 37


def test_doctor_checks_that_upscaling_works_and_names_the_ffmpeg_that_is_used(tmp_path: Path) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\necho ffmpeg version 4.2.1 Copyright\n")
    old.chmod(0o755)
    done = srp("doctor", PATH=f"{tmp_path}:{os.environ['PATH']}", SR_PLUGINS_FFMPEG="")
    assert done.returncode == 0, done.stderr
    assert "check: fast x2 on " in done.stdout
    assert "backend torch: ready" in done.stdout
    assert re.search(r"VapourSynth: fast x2 on .*: works beside ", done.stdout)
    assert re.search(rf"ffmpeg: \S+ at (?!{tmp_path}).*, as {old} is 4.2.1, too old", done.stdout)


def test_doctor_tells_all_that_is_broken_at_once(tmp_path: Path) -> None:
    """Packages that are installed and broken are named before ``auto`` meets them, and it goes on without them."""
    for package in ("openvino", "onnxruntime"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"raise ImportError('lib{package}.so.1: no such file')\n")
    (tmp_path / "restore-x2.safetensors").write_bytes(b"half a file")
    (tmp_path / "brk.py").write_text("import no_such_module\n")
    info = tmp_path / "brk-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brk\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sr_plugins]\nbrk = brk\n")
    done = srp(
        "doctor",
        PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        SR_PLUGINS_BACKEND="",
        SR_PLUGINS_FFMPEG=str(tmp_path / "none"),
        SR_PLUGINS_WEIGHTS=str(tmp_path),
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    for package in ("openvino", "onnxruntime"):
        assert f"backend {package}: broken" in done.stdout
        assert re.search(f"problem: backend {package}: .*lib{package}.so.1", done.stderr)
    assert f"problem: ffmpeg: {tmp_path}/none does not run as ffmpeg" in done.stderr
    assert "problem: restore x2 cannot be used" in done.stderr
    assert "problem: plugin brk: brk could not be loaded: ModuleNotFoundError" in done.stderr
    assert "backend torch: ready" in done.stdout
    assert "check: fast x2 on " in done.stdout


def test_damaged_shipped_weights_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "fast-x2.safetensors").write_bytes(b"half a file")
    done = srp("demo", "-o", str(tmp_path / "a.png"), SR_PLUGINS_WEIGHTS=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"srp: {tmp_path}/fast-x2.safetensors is not a readable safetensors file")
    assert not (tmp_path / "a.png").exists()


def test_one_damaged_file_hides_no_other_model(tmp_path: Path) -> None:
    (tmp_path / "tiny-x2.safetensors").write_bytes(b"half a file")
    for arguments in (["models"], ["models", "--json"]):
        done = srp(*arguments, SR_PLUGINS_WEIGHTS=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"srp: tiny x2 cannot be used: {tmp_path}/tiny-x2.safetensors is not a readable")
        assert done.stderr.count("\n") == 1
    models = {(m["name"], m["scale"]): m for m in json.loads(done.stdout)}
    assert models["fast", 2]["parameters"] > 10_000
    tiny = models["tiny", 2]
    assert (tiny["parameters"], tiny["metrics"], tiny["usable"]) == (None, {}, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "tiny", "-o", "{}/file/x.onnx"],
        ["adapt", "{}/in.png", "--iterations", "0", "-o", "{}/file/x.safetensors"],
        ["degradation", "estimate", "{}/in.png", "-o", "{}/file/x.toml"],
        ["degradation", "estimate", "{}/in.png", "-o", "{}/x.toml", "--plot", "{}/file/x.png"],
        ["demo", "--model", "tiny", "-o", "{}/file/x.png"],
    ],
    ids=" ".join,
)
def test_a_place_below_a_file_is_told_before_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_plugins.exporters import files as exporters_files

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr("sr_plugins.cli.demo.make_upscaler", work)
    monkeypatch.setattr(exporters_files, "export", work)
    (tmp_path / "file").write_text("a file")
    Image.effect_noise((64, 64), 50).save(tmp_path / "in.png")
    done = CliRunner().invoke(group, [a.format(tmp_path) for a in arguments])
    assert isinstance(done.exception, ArgumentError), done
    assert re.fullmatch(rf"{tmp_path}/file/x\.\w+ cannot be written: Not a directory", str(done.exception))
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "tiny", "-o", "{}/keep.onnx"],
        ["adapt", "{}/in.png", "--iterations", "0", "-o", "{}/keep.safetensors"],
        ["degradation", "estimate", "{}/in.png", "-o", "{}/keep.toml"],
        ["degradation", "estimate", "{}/in.png", "-o", "{}/new.toml", "--plot", "{}/keep.png"],
        ["degradation", "learn", "{}/in.png", "--clean", "{}", "-o", "{}/keep.safetensors"],
        ["demo", "-o", "{}/keep.png", "--model", "nearest"],
    ],
    ids=" ".join,
)
def test_what_is_there_is_replaced_only_when_asked(arguments: list[str], tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(tmp_path / "in.png")
    words = [a.format(tmp_path) for a in arguments]
    target = next(Path(word) for word in words if "keep" in word)
    target.write_text("mine")
    done = CliRunner().invoke(group, words)
    assert isinstance(done.exception, ArgumentError)
    assert str(done.exception) == f"{target} exists: --overwrite replaces it"
    assert target.read_text() == "mine"
    assert not (tmp_path / "new.toml").exists()
    if "learn" not in arguments:  # that would take minutes
        assert CliRunner().invoke(group, [*words, "--overwrite"]).exit_code == 0
        assert target.read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["srp", ""], {"image", "video", "completion"}),
        (["srp", "image", "--mod"], {"--model"}),
        (["srp", "image", "--model", "re"], {"realtime", "restore"}),
        (["srp", "evaluate", "--precision", "f"], {"float32", "float16"}),
        (["srp", "image", "--model", "=", "re"], {"realtime", "restore"}),  # what bash makes of --model=re
        (["srp", "photo.jpg", "--model", "re"], {"realtime", "restore"}),
    ],
)
def test_shells_complete_commands_options_and_models(words: list[str], expected: set[str]) -> None:
    done = srp(COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1), _SRP_COMPLETE="bash_complete")
    offered = {line.partition(",")[2] for line in done.stdout.splitlines()}
    assert expected <= offered, done
    assert "fast" not in offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_variable_and_are_read_by_their_shell(shell: str) -> None:
    done = srp("completion", shell)
    assert done.returncode == 0, done.stderr
    assert "_SRP_COMPLETE" in done.stdout
    assert 'split ","' not in done.stdout  # fish: of a,b it would offer a
    if shell != "bash":  # --model=re is one word there, and is offered as one
        assert ('"$option"$metadata' if shell == "fish" else '+=("$option$key")') in done.stdout
        assert ("| string replace -r" if shell == "fish" else "compset -P '--*='; _path_files") in done.stdout


@pytest.mark.parametrize(
    ("shell", "asks"),
    [
        ("bash --norc -c", 'eval "$(cat)"; complete -p srp'),
        ("zsh -f -c", 'eval "$(cat)"; print -r -- "$_comps[srp]"'),
        ("fish --no-config -c", "source; complete -c srp"),
    ],
)
def test_a_shell_without_settings_takes_the_script(shell: str, asks: str, tmp_path: Path) -> None:
    words = shell.split()
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]}")
    done = subprocess.run(
        [*words, asks],
        input=srp("completion", words[0]).stdout,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "srp_completion" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes what it starts with")
@pytest.mark.parametrize(
    ("closed", "status", "told"),
    [(">&-", 1, "srp: stdout cannot be written: Bad file descriptor\n"), ("2>&-", 0, ""), ("<&-", 0, "")],
)
def test_streams_that_are_closed_from_the_start(closed: str, status: int, told: str) -> None:
    line = f"exec {sys.executable} -m sr_plugins.cli completion fish {closed}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (status, told)
    assert bool(done.stdout) == (closed != ">&-")


def test_demo_draws_every_photograph_and_beats_bicubic(tmp_path: Path) -> None:
    target = tmp_path / "new" / "before-after.png"
    done = srp("demo", "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert str(target) in done.stdout
    lines = [line for line in done.stdout.splitlines() if " dB" in line]
    assert len(lines) == 4
    for line in lines:
        nearest, bicubic, ours = (float(part.split()[-2]) for part in line.split(": ")[1].split(", "))
        assert nearest < bicubic < ours - 1
    sheet = np.asarray(Image.open(target))
    assert sheet.shape[2] == 3
    assert sheet.std() > 30


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m sr_plugins.cli models --json | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert "Traceback" not in done.stderr

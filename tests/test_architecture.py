"""The rules of the house, read from the source: which way imports point, which names files may have, what docs hold."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from sr_plugins.interface import hookspecs

ROOT = Path(__file__).parent.parent
PACKAGES = ("sr_plugins", "vapoursynth_filter", "gimp_bridge")
SOURCES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
HOOKS = sorted(n for n, f in vars(hookspecs).items() if n.startswith("sr_") and inspect.isfunction(f))

# package -> top-level modules it must not import, anywhere in its files
FORBIDDEN = {
    "sr_plugins": {"vapoursynth", "vapoursynth_filter", "gi"},
    "vapoursynth_filter": {"torch", "gi", "gimp_bridge"},
    "gimp_bridge": {"torch", "vapoursynth", "vapoursynth_filter"},
    "sr_plugins/cli": {"torch", "vapoursynth", "gi"},
    "gimp_bridge/plug_in": {"sr_plugins", "gimp_bridge", "numpy", "PIL", "torch"},
}


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, also inside functions; type-checking imports do not count."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_dependencies_point_one_way(folder: str) -> None:
    files = [p for p in SOURCES if (ROOT / folder) in p.parents]
    assert files
    wrong = {str(p.relative_to(ROOT)): sorted(imported(p) & FORBIDDEN[folder]) for p in files}
    # srp gimp stands on an installer, srp bench measures through the filter: commands may import adapters, the core not
    if folder == "sr_plugins":
        cli = ROOT / "sr_plugins" / "cli"
        wrong = {name: found for name, found in wrong.items() if cli not in (ROOT / name).parents}
        wrong |= {str(p): ["gimp_bridge"] for p in files if cli not in p.parents and "gimp_bridge" in imported(p)}
    assert {k: v for k, v in wrong.items() if v} == {}


def test_file_names_say_what_is_inside() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
    assert [str(p) for p in SOURCES if p.stem in vague] == []


def test_no_file_outgrows_a_reader() -> None:
    assert {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 300} == {}


def test_listing_models_and_help_import_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from sr_plugins.plugins import Plugins; Plugins(installed=False).models(); "
        "import sr_plugins.cli.main; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading_with_its_arguments_a_test_and_an_implementation(hook: str) -> None:
    signature = inspect.signature(getattr(hookspecs, hook))
    heading = f"## `{hook}({', '.join(signature.parameters)})`"
    assert heading in (ROOT / "docs" / "hooks.md").read_text().splitlines()
    tests = "".join(p.read_text() for p in (ROOT / "tests").rglob("test_*.py"))
    assert f"def test_hook_{hook}(" in tests
    core = "".join(p.read_text() for p in SOURCES if p.name != "hookspecs.py")
    assert re.search(rf"@hookimpl[^\n]*\ndef {hook}\(", core)


def test_docs_name_no_hook_that_does_not_exist() -> None:
    named = re.findall(r"^## `(sr_\w+)\(", (ROOT / "docs" / "hooks.md").read_text(), re.MULTILINE)
    assert sorted(named) == HOOKS

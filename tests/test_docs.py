"""The docs say what the code is: hooks and their specs, rooms, names, links, examples."""

import inspect
import re

import pytest
from source_tree import ROOT, modules

from sr_plugins.interface import hookspecs

DOCS = ROOT / "docs"
HOOKS = sorted(n for n, f in vars(hookspecs).items() if n.startswith("sr_") and inspect.isfunction(f))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading_with_its_arguments_a_test_and_an_implementation(hook: str) -> None:
    signature = inspect.signature(getattr(hookspecs, hook))
    heading = f"## `{hook}({', '.join(signature.parameters)})`"
    assert heading in (DOCS / "hooks.md").read_text().splitlines()
    tests = "".join(p.read_text() for p in (ROOT / "tests").rglob("test_*.py"))
    assert f"def test_hook_{hook}(" in tests
    core = "".join(p.read_text() for m, p in modules().items() if m != hookspecs.__name__)
    assert re.search(rf"@hookimpl[^\n]*\ndef {hook}\(", core)


def test_docs_name_no_hook_that_does_not_exist() -> None:
    named = re.findall(r"^## `(sr_\w+)\(", (DOCS / "hooks.md").read_text(), re.MULTILINE)
    assert sorted(named) == HOOKS

"""The docs say what the code is: hooks and their specs, rooms, names, links, examples."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from fakes import nearest, with_lanes
from source_tree import PACKAGES, ROOT, modules
from torch import Tensor, nn

import sr_plugins
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.engine.job import Job
from sr_plugins.engine.job_queue import JobQueue
from sr_plugins.interface import hookspecs

DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *(ROOT / n for n in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"))]  # fmt: skip  # noqa: E501
HOOKS = sorted(n for n, f in vars(hookspecs).items() if n.startswith("sr_") and inspect.isfunction(f))
SPECS = ("ModelSpec", "LoadedModel", "BackendSpec", "Placement", "TorchNetwork", "OnnxNetwork", "NcnnNetwork",
         "DegradationSpec", "LossSpec", "MetricSpec", "ExporterSpec", "Exported")  # fmt: skip


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def section(page: str, heading: str) -> str:
    """The text below a ``## heading``, up to the next one."""
    found = (DOCS / page).read_text().partition(f"\n## {heading}\n")[2]
    assert found, f"{page} has no section {heading}"
    return found.partition("\n## ")[0]


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


@pytest.mark.parametrize("name", SPECS)
def test_the_table_of_a_spec_has_its_fields_in_order_with_their_defaults(name: str) -> None:
    table = re.search(rf"^\| `{name}` \|.*\n\|[-|]+\|\n((?:\|.*\n?)+)", (DOCS / "hooks.md").read_text(), re.MULTILINE)
    assert table, f"docs/hooks.md has no table of {name}"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]
    fields = [f for f in dataclasses.fields(getattr(sr_plugins, name)) if f.init]
    assert [row[0] for row in rows] == [f"`{f.name}`" for f in fields]
    if len(rows[0]) < 3:
        assert all(f.default is f.default_factory is dataclasses.MISSING for f in fields), (
            "a column for defaults is due"
        )
        return
    for row, field in zip(rows, fields, strict=True):
        if field.default_factory is not dataclasses.MISSING:
            default = repr(field.default_factory())
        elif field.default is dataclasses.MISSING:
            default = ""
        else:  # a function that answers the same to everybody is told by its answer
            answers = callable(field.default)
            default = repr(field.default(*inspect.signature(field.default).parameters) if answers else field.default)
        assert row[1].strip("`").replace('"', "'") == default, field.name


def test_every_spec_that_hooks_return_has_a_table() -> None:
    returned = set(re.findall(r"\b([A-Z]\w+(?:Spec|Model|Network)|Placement|Exported)\b", inspect.getsource(hookspecs)))
    assert returned <= set(SPECS)


def test_public_names_are_there_and_have_docstrings() -> None:
    for name in sr_plugins.__all__:
        thing = getattr(sr_plugins, name)
        assert name == "__version__" or inspect.getdoc(thing), name
    with pytest.raises(AttributeError, match="no attribute 'Upscalr'"):
        _ = sr_plugins.Upscalr


# -- architecture.md ---------------------------------------------------------------------------------------------------


def test_every_room_and_loose_file_has_a_line() -> None:
    told = re.findall(r"^\| `([\w./]+)` \|", section("architecture.md", "Rooms"), re.MULTILINE)
    core = ROOT / "sr_plugins"
    there = [f"sr_plugins/{p.name}" for p in core.glob("*.py")]
    there += [f"sr_plugins/{p.parent.name}/" for p in core.glob("*/__init__.py")]
    there += [f"{package}/" for package in PACKAGES[1:]]
    assert sorted(told) == sorted(there)


def resolved(dotted: str) -> object:
    """The thing called ``dotted``: a module, or a name in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        if ".".join(parts[:count]) in modules():
            thing: object = importlib.import_module(".".join(parts[:count]))
            for attribute in parts[count:]:
                thing = getattr(thing, attribute)
            return thing
    raise AssertionError(f"{dotted} is in no module of ours")


@pytest.mark.parametrize("heading", ["A frame's way", "A film's way", "A picture's way"])
def test_the_calls_on_the_way_exist(heading: str) -> None:
    names = re.findall(r"`([a-z_]+\.[\w.]+)`", section("architecture.md", heading))
    assert len(names) >= 5
    for name in names:
        resolved(name if name.split(".")[0] in PACKAGES else f"sr_plugins.{name}")


def calls() -> list[str]:
    """The calls of ours that led to the caller of this function, outermost first."""
    stack = []
    at = inspect.currentframe()
    while at is not None:
        if at.f_globals["__name__"] in modules():
            stack.append(f"{at.f_globals['__name__']}.{at.f_code.co_qualname}".removeprefix("sr_plugins."))
        at = at.f_back
    return stack[::-1]


def test_a_frame_passes_the_nine_calls_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the door into the queue, and from the queue to the runner, with nothing between."""
    seen: list[list[str]] = []
    put = JobQueue.put

    def watched(queue: JobQueue, job: Job) -> None:
        seen.append(calls())
        put(queue, job)

    def run(module: nn.Module, x: Tensor) -> Tensor:
        seen.append(calls())
        return module(x)  # type: ignore[no-any-return]

    monkeypatch.setattr(JobQueue, "put", watched)
    with Upscaler(nearest(), backend="laned", plugins=with_lanes(run, 1)) as upscaler:
        upscaler.upscale(Frame([np.zeros((20, 30), np.uint8)], FrameFormat(family="gray")))
    told = re.findall(r"^\d\. `([\w.]+)`", section("architecture.md", "A frame's way"), re.MULTILINE)
    assert len(told) == 9
    assert told[:4] == [*seen[0], "engine.job_queue.JobQueue.put", "engine.job_queue.JobQueue.take"]
    within = [f"{told[8]}.{name}" for name in ("__call__", "_called")]  # the ninth checks what it calls
    assert ["engine.lane.Lane.run", *told[4:8], *within] == seen[1]


def test_the_files_to_change_exist() -> None:
    text = section("architecture.md", "Where do I change ...")
    for path in re.findall(r"\b(?:sr_plugins|gimp_bridge|vapoursynth_filter|docs)/[\w./-]*\w/?", text):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`([a-z_.]+\.[A-Z_]+)`", text):
        resolved(f"sr_plugins.{name}")


# -- links, names and examples of every page ---------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = page.parent / parts.path if parts.path else page
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in anchors(target), link


BESIDE_OTHERS = ("vapoursynth_filter.vsscale_scaler",)  # modules that import a host which no extra of ours brings


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=label)
def test_names_of_ours_in_docs_exist(page: Path) -> None:
    text = page.read_text()
    dotted = re.findall(rf"\b(?:{'|'.join(PACKAGES)})(?:\.\w+)+", re.sub(r"\S*://\S*", "", text))
    for name in set(dotted) - {n for n in dotted if n.endswith((".py", ".md"))}:
        if not name.startswith(BESIDE_OTHERS):
            resolved(name)
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
                for alias in node.names:
                    if node.module in BESIDE_OTHERS:  # its host may not be there: what its source defines
                        source = ast.parse(modules()[node.module].read_text())
                        assert alias.name in {n.name for n in source.body if isinstance(n, ast.ClassDef)}
                    else:
                        resolved(f"{node.module}.{alias.name}")


def test_every_page_is_in_the_sites_contents() -> None:
    listed = re.findall(r"^([a-z-]+)$", (DOCS / "index.md").read_text(), re.MULTILINE)
    assert sorted([*listed, "index"]) == sorted(p.stem for p in DOCS.glob("*.md"))


@pytest.mark.parametrize("path", [p for p in (*modules().values(), *PAGES) if ">>> " in p.read_text()], ids=label)
def test_examples_in_docstrings_and_docs_do_what_they_say(path: Path) -> None:
    if path.suffix == ".md":
        failed, tried = doctest.testfile(str(path), module_relative=False)
    else:
        name = next(m for m, p in modules().items() if p == path)
        failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried > 0
    assert failed == 0


def test_the_site_is_built_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="make docs installs it: pip install 'sr-plugins[docs]'")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference.html").read_text()
    for name in sr_plugins.__all__:
        assert name in ("__version__", "hookimpl") or f'id="sr_plugins.{name}"' in page or f'.{name}"' in page, name

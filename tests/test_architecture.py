"""The rules of the house, read from the source: which way imports point, which names files may have, what is private.

docs/architecture.md holds the table of rooms; ``source_tree`` reads it and the imports. ``STILL`` names what does not
keep a rule yet, one line each, as the failing test prints it: it only ever gets shorter.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from source_tree import (
    PACKAGES,
    ROOT,
    Import,
    circles,
    imports,
    is_private,
    last_name,
    module_of,
    modules,
    names_from,
    nodes,
    offered,
    room_of,
    tree,
)

from sr_plugins.cli.main import COMMANDS
from sr_plugins.plugins import BUILT_IN

STILL: set[str] = set()

# the lists of strings that may name a module of any room: what plugins, commands and the Pillow names are found by
LISTS = {"sr_plugins.plugins": "BUILT_IN", "sr_plugins.cli.main": "COMMANDS", "gimp_bridge": "_WHERE"}
# the host libraries and who may import them, at any place in the file
HOSTS = {
    "vapoursynth": ("vapoursynth_filter",),
    "gi": ("gimp_bridge.plug_in",),
    "av": ("sr_plugins.video", "sr_plugins.training"),
    "click": ("sr_plugins.cli",),
    "rich": ("sr_plugins.cli",),
    # adapters outside the core are seen by commands alone
    "vapoursynth_filter": ("vapoursynth_filter", "sr_plugins.cli"),
    "gimp_bridge": ("gimp_bridge", "sr_plugins.cli"),
}
# where torch may be imported at the top of a module; elsewhere inside functions, or for types
TORCH_AT_THE_TOP = (
    "sr_plugins.pixels.conversion",
    "sr_plugins.pixels.resampling",
    "sr_plugins.devices",
    "sr_plugins.engine",
    "sr_plugins.weights.probe",
    "sr_plugins.weights.reach",
    "sr_plugins.weights.working_memory",
    "sr_plugins.weights.foreign_network",
    "sr_plugins.weights.frames_as_channels",
    "sr_plugins.weights.averages",
    "sr_plugins.weights.borders",
    "sr_plugins.weights.building",
    "sr_plugins.weights.chained_network",
    "sr_plugins.weights.fractional",
    "sr_plugins.weights.ncnn_layers",
    "sr_plugins.weights.ncnn_network",
    "sr_plugins.weights.onnx_layers",
    "sr_plugins.weights.onnx_network",
    "sr_plugins.weights.onnx_node",
    "sr_plugins.weights.onnx_operators",
    "sr_plugins.weights.onnx_resize",
    "sr_plugins.interface.traced_operators",
    "sr_plugins.backends.files_of_others",
    "sr_plugins.weights.transposed_convolution",
    "sr_plugins.backends.selection",
    "sr_plugins.backends.trial",
    "sr_plugins.exporters.rgb_network",
    "sr_plugins.testing",
    "sr_plugins.training",
    "sr_plugins.evaluation",
)
NEVER_TORCH = ("sr_plugins.images", "sr_plugins.video", "sr_plugins.cli", "sr_plugins.settings", "sr_plugins.plugins",
               "gimp_bridge", "vapoursynth_filter")  # fmt: skip
LOOSE = 10
OUTSIDE = ("tests", "benchmarks", "examples")
TOPS = {"architecture", "docs", "examples", "same_bytes"}  # tests of the whole, beside those of loose files


def within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == n or module.startswith(f"{n}.") for n in names)


def listed(module: str) -> set[int]:
    """The lines of a module that its allowed list of strings takes."""
    return {
        line
        for node in tree(modules()[module]).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and LISTS.get(module)
        and LISTS[module] in ast.unparse(node).partition("=")[0]
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def ours(module: str) -> Iterator[tuple[Import, str]]:
    """The imports of ours in a module, without those its allowed list of strings names."""
    allowed = listed(module)
    for found in imports(modules()[module]):
        target = module_of(found.target)
        if target is not None and not (found.text and found.line in allowed):
            yield found, target


def check(found: set[str]) -> None:
    new = sorted(found - STILL)
    assert not new, "\n".join(["the rules of docs/architecture.md are not kept:", *new])


def test_every_module_has_a_room_in_the_table() -> None:
    check({f"{m}: no row" for m in modules() if room_of(m) is None and m != "sr_plugins.training"})


def test_imports_point_one_way() -> None:
    wrong = set()
    for module in modules():
        here = room_of(module)
        for _, target in ours(module):
            there = room_of(target)
            if here is None or there is None or here == there:
                continue
            fits = there.row < here.row and (here.only is None or within(target, tuple(here.only)))
            # the adapters outside sr_plugins, like everybody else's code, may use its public names
            public = target == "sr_plugins" and within(module, PACKAGES[1:]) and not here.name.endswith("plug_in")
            # gimp_bridge stands on its own plug-in: what installs it and what answers it
            own = here.name == "gimp_bridge" and there.name == "gimp_bridge.plug_in"
            if not (fits or public or own):
                wrong.add(f"{module} imports {target}")
    check(wrong)


def test_no_import_circle() -> None:
    graph = {m: {t for _, t in ours(m) if t != m} for m in modules()}
    check({" <-> ".join(circle) for circle in circles(graph)})


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d", "a"}}) == [["b", "c"], ["d"]]


def test_host_libraries_stay_with_their_adapters() -> None:
    check(
        {
            f"{module} imports {top}"
            for module, path in modules().items()
            for found in imports(path)
            if (top := found.target.split(".")[0]) in HOSTS and not found.typing and not within(module, HOSTS[top])
        }
    )


def test_gimps_plug_in_imports_gi_and_the_standard_library_alone() -> None:
    check(
        {
            f"{module} imports {top}"
            for module, path in modules().items()
            if within(module, ("gimp_bridge.plug_in",))
            for found in imports(path)
            if (top := found.target.split(".")[0]) not in {*sys.stdlib_module_names, "gi"}
            and not (path.parent / f"{top}.py").is_file()
        }
    )


def parts_of_networks() -> set[str]:
    """models/*_network and what they are put together from."""
    found: set[str] = set()
    waiting = [m for m in modules() if re.fullmatch(r"sr_plugins\.models\.\w+_network", m)]
    while waiting:
        module = waiting.pop()
        if module not in found and within(module, ("sr_plugins.models",)):
            found.add(module)
            waiting += [t for i, t in ours(module) if not i.late]
    return found


def test_torch_is_imported_where_arithmetic_is() -> None:
    networks = parts_of_networks()
    wrong = set()
    for module, path in modules().items():
        for found in imports(path):
            if found.target.split(".")[0] != "torch" or found.typing:
                continue
            if within(module, NEVER_TORCH):
                wrong.add(f"{module} imports torch")
            elif not found.late and not within(module, TORCH_AT_THE_TOP) and module not in networks:
                wrong.add(f"{module} imports torch at its top")
    check(wrong)


def torch_at_the_top(module: str) -> bool:
    """Whether importing ``module`` imports torch, by whatever it imports."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        at = waiting.pop()
        now = [i for i in imports(modules()[at]) if not i.late and not i.typing]
        if any(i.target.split(".")[0] == "torch" for i in now):
            return True
        seen.add(at)
        waiting += [t for i in now if (t := module_of(i.target)) and t not in seen]
    return False


@pytest.mark.parametrize("module", sorted({*COMMANDS.values(), *BUILT_IN, "gimp_bridge", "gimp_bridge.worker"}))
def test_commands_and_listings_wait_for_no_torch(module: str) -> None:
    check({f"{module} waits for torch"} if torch_at_the_top(module) else set())


def test_listing_models_and_help_import_no_torch() -> None:
    code = (
        "import sys; from sr_plugins.plugins import Plugins; Plugins(installed=False).models(); "
        "import sr_plugins.cli.main; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_few_files_lie_loose() -> None:
    loose = sorted(p.name for p in (ROOT / "sr_plugins").glob("*.py"))
    assert len(loose) <= LOOSE, loose


def test_file_names_say_what_is_inside() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
    assert [m for m in modules() if m.split(".")[-1] in vague] == []


def test_no_file_outgrows_a_reader() -> None:
    files = [*modules().values(), *(p for f in ("benchmarks", "examples") for p in (ROOT / f).rglob("*.py"))]
    check({f"{p.relative_to(ROOT)}: {n} lines" for p in files if (n := len(p.read_text().splitlines())) > 300})


def test_tests_mirror_the_rooms() -> None:
    tests = ROOT / "tests"
    rooms = {m.name for m in (ROOT / "sr_plugins").iterdir() if (m / "__init__.py").is_file()} | set(PACKAGES[1:])
    folders = {p.parent.name for p in tests.glob("*/test_*.py")}
    loose = {p.stem for p in (ROOT / "sr_plugins").glob("*.py")} | TOPS
    strays = {p.name for p in tests.glob("test_*.py") if p.stem.removeprefix("test_") not in loose}
    deep = {str(p.relative_to(tests)) for p in tests.glob("*/*/**/test_*.py")}
    check({f"tests/{f}: no room" for f in folders - rooms} | {f"{r}: no tests" for r in rooms - folders})
    check({f"tests/{n}: no loose file" for n in strays} | {f"tests/{n}: too deep" for n in deep})


# -- private names -----------------------------------------------------------------------------------------------------


@cache
def defined(path: Path) -> set[str]:
    """The private names that a file makes: functions, classes, variables, attributes, parameters of named tuples."""
    found = set()
    for node, _, _ in nodes(path, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Name, ast.Attribute):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return {name for name in found if is_private(name)}


def private_reads(path: Path, private: set[str]) -> Iterator[tuple[int, str]]:
    """Where a file reaches for one of the ``private`` names that it did not make itself."""
    own = defined(path)
    others = {i.target.split(".")[0] for i in imports(path)} - set(PACKAGES)
    foreign = {
        (alias.asname or alias.name).split(".")[0]
        for node, _, _ in nodes(path, ast.Import, ast.ImportFrom)
        for alias in node.names
        if (node.module if isinstance(node, ast.ImportFrom) else alias.name or "").split(".")[0] in others  # type: ignore[union-attr]
    }
    for node, _, _ in nodes(path, ast.Attribute, ast.ImportFrom, ast.Call):
        names: list[str] = []
        if isinstance(node, ast.Attribute) and node.attr in private and node.attr not in own:
            names = [] if re.split(r"\W", ast.unparse(node.value))[0] in foreign else [node.attr]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            names = [a.name for a in node.names]
        elif isinstance(node, ast.Call) and last_name(node.func).endswith(("setattr", "getattr", "delattr", "hasattr")):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            names = [t.rpartition(".")[2] for t in texts]
        yield from ((node.lineno, n) for n in names if n in private and n not in own)  # type: ignore[attr-defined]


def test_private_names_are_read_where_they_are_made() -> None:
    private = set().union(*(defined(p) for p in modules().values()))
    files = [*modules().values(), *(p for f in OUTSIDE for p in sorted((ROOT / f).rglob("*.py")))]
    check({f"{p.relative_to(ROOT)} reads {name}" for p in files for _, name in private_reads(p, private)})


def test_what_benchmarks_and_examples_import_is_there() -> None:
    """They run seldom, and nothing else would tell."""
    files = [path for folder in ("benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]
    wanted = {(path, module, name) for path in files for module, name in names_from(path) if module in modules()}
    assert wanted
    there = {module: offered(module) for _, module, _ in wanted}
    check({f"{path.name}: {module}.{name}" for path, module, name in wanted if name not in there[module]})

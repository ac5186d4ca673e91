"""The source as data for tests of its plan: modules, what each imports and how, and which rows of rooms there are."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("sr_plugins", "vapoursynth_filter", "gimp_bridge")
DOTTED = re.compile(rf"({'|'.join(PACKAGES)})(\.[A-Za-z_]\w*)+(:\w+)?")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Import:
    """One module (or one name in it) that a file imports.

    Attributes:
        target: dotted, as far as the statement tells: ``from a.b import c`` is ``a.b.c``.
        line: where it stands.
        late: inside a function.
        typing: under ``if TYPE_CHECKING``.
        text: named by a string instead of a statement.
    """

    target: str
    line: int
    late: bool = False
    typing: bool = False
    text: bool = False


def module_name(path: Path) -> str:
    """``sr_plugins.pixels.frame`` of its file; a package is called like its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Every module of ours."""
    return {module_name(p): p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), path.name)


@cache
def _by_kind(path: Path) -> dict[type[ast.AST], list[tuple[ast.AST, bool, bool]]]:
    found: dict[type[ast.AST], list[tuple[ast.AST, bool, bool]]] = {}

    def walk(node: ast.AST, late: bool, typing: bool) -> None:
        checks_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            kind = type(child)
            if kind in (ast.Load, ast.Store):  # as many as all others, and never looked for
                continue
            only_typing = typing or (checks_types and child in node.body)  # type: ignore[attr-defined]
            found.setdefault(kind, []).append((child, late, only_typing))
            walk(child, late or kind in FUNCTIONS, only_typing)

    walk(tree(path), False, False)
    return found


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Every node of these kinds in a file with whether it stands inside a function and under ``if TYPE_CHECKING``."""
    return chain.from_iterable(_by_kind(path).get(kind, ()) for kind in kinds)


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """What a file imports, by statements and by strings of the form ``package.module[:name]``.

    A string that follows ``"-m"`` names a process of its own and is left out, and so is a string that is no module's
    name (a key, a logger).
    """
    found = []
    own_process = {
        id(after)
        for node, _, _ in nodes(path, ast.List, ast.Tuple)
        for flag, after in zip(node.elts, node.elts[1:], strict=False)  # type: ignore[attr-defined]
        if isinstance(flag, ast.Constant) and flag.value == "-m"
    }
    for node, late, typing in nodes(path, ast.Import, ast.ImportFrom, ast.Constant):
        if isinstance(node, ast.Import):
            found += [Import(a.name, node.lineno, late, typing) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            found += [Import(f"{node.module}.{a.name}", node.lineno, late, typing) for a in node.names]
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and DOTTED.fullmatch(node.value)
            and id(node) not in own_process
            and node.value.partition(":")[0] in modules()
        ):
            found.append(Import(node.value.replace(":", "."), node.lineno, late=True, text=True))
    return tuple(found)


def module_of(target: str) -> str | None:
    """The module of ours that an import's target is, or is a name of; ``None`` for one of others."""
    for name in (target, target.rpartition(".")[0]):
        if name in modules():
            return name
    return None


@dataclass(frozen=True)
class Room:
    """One room or loose file in the table of docs/architecture.md; ``only`` narrows what it may import."""

    name: str
    row: int
    only: frozenset[str] | None


@cache
def rooms() -> dict[str, Room]:
    """The table "Who may import whom" of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text().partition("## Who may import whom")[2]
    found = {}
    for row, line in enumerate(re.findall(r"^\| *\d+ *\|.*$", text.partition("\n## ")[0], re.MULTILINE), 1):
        number, names, only = (cell.strip() for cell in line.strip("|").split("|"))
        assert int(number) == row, f"row {number} of the table is the {row}th"
        narrowed = re.match(r"only (.*)", only)
        allowed = frozenset(f"sr_plugins.{n}" for n in re.findall(r"`([\w.]+)`", only)) if narrowed else None
        for name in re.findall(r"`([\w.]+)`", names):
            full = name if name.split(".")[0] in PACKAGES else f"sr_plugins.{name}"
            found[full] = Room(full, row, allowed)
    return found


def room_of(module: str) -> Room | None:
    """The room in the table that a module lies in: the longest name that it begins with."""
    if module in PACKAGES:
        return rooms().get(module)
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((rooms()[n] for n in names if n in rooms() and n != "sr_plugins"), None)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of modules that import each other (Tarjan, "Depth-first search and linear graph algorithms", 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1 or node in graph[node]:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def names_from(path: Path) -> set[tuple[str, str]]:
    """What a file takes by ``from module import name``."""
    taken = (node for node, _, _ in nodes(path, ast.ImportFrom) if isinstance(node, ast.ImportFrom) and node.module)
    return {(str(node.module), alias.name) for node in taken for alias in node.names}


def offered(module: str) -> set[str]:
    """What can be imported from a module of ours: what stands at its top, the modules in it, and its ``__all__``."""
    found = {name.rpartition(".")[2] for name in modules() if name.rpartition(".")[0] == module}
    for node in tree(modules()[module]).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            found |= set(names)
            if "__all__" in names:
                found |= {text.value for text in ast.walk(node) if isinstance(text, ast.Constant)}  # type: ignore[misc]
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name.strip("_") != ""


def last_name(node: ast.expr) -> str:
    """``c`` of ``a.b.c``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""

"""What each file of the package imports, and where: read from the source, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "initlab"


@dataclass(frozen=True)
class Import:
    """One import statement.

    Args:
        file: relative to the package's folder.
        line: where it begins.
        names: the dotted names that it may stand for.
        inside: within a function.
        typing: within `if TYPE_CHECKING`.
        reason: a comment `# lazy: why` stands on its line or the one above.
    """

    file: str
    line: int
    names: tuple[str, ...]
    inside: bool
    typing: bool
    reason: bool


def imports(root: Path = PACKAGE) -> tuple[Import, ...]:
    """Every import statement of the package in `root`, read once a process."""
    return _read(root)


@cache
def _read(root: Path) -> tuple[Import, ...]:
    return tuple(found for path in sorted(root.rglob("*.py")) for found in _of(path, root))


def module_name(path: Path, root: Path) -> str:
    """The dotted name that a file is imported by."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(("initlab", *(part for part in parts if part != "__init__")))


def graph(root: Path = PACKAGE) -> dict[str, set[str]]:
    """Module -> the package's modules that it imports as it loads or later; what type checkers alone see is left out.

    A parent package that loads on the way to a module counts only where something is taken from it.
    """
    modules = {module_name(path, root) for path in root.rglob("*.py")}
    edges: dict[str, set[str]] = {module: set() for module in modules}
    for found in imports(root):
        source = module_name(root / found.file, root)
        if not found.typing:
            edges[source] |= {name for name in (_known(n, modules) for n in found.names) if name} - {source}
    return edges


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The sets of more than one module that reach one another (Tarjan 1972: the strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def _known(name: str, modules: set[str]) -> str | None:
    """The module that `name` is, or is an attribute of."""
    parent = name.rpartition(".")[0]
    if name in modules:
        return name
    return parent if parent in modules and parent != "initlab" else None


def _of(path: Path, root: Path) -> Iterator[Import]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    file = path.relative_to(root).as_posix()

    def walk(node: ast.AST, inside: bool, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            above = lines[node.lineno - 2] if node.lineno > 1 else ""
            reason = any("# lazy: " in line for line in (above, *lines[node.lineno - 1 : node.end_lineno]))
            yield Import(file, node.lineno, _names(node), inside, typing, reason)
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    guarded = isinstance(node, ast.If) and field == "body" and "TYPE_CHECKING" in ast.unparse(node.test)
                    within = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                    yield from walk(child, inside or within, typing or guarded)

    yield from walk(ast.parse(text), False, False)


def _names(node: ast.Import | ast.ImportFrom) -> tuple[str, ...]:
    if isinstance(node, ast.Import):
        return tuple(alias.name for alias in node.names)
    return tuple(f"{node.module}.{alias.name}" for alias in node.names)

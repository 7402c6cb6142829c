"""What the source says of itself, read from its syntax: modules, imports by kind, exports, functions."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "ANNOTATION",
    "LOCAL",
    "MODULE",
    "ROOT",
    "Import",
    "Module",
    "circles",
    "exported",
    "functions",
    "imports",
    "is_package",
    "module_paths",
    "modules",
    "parse",
    "public",
]

ROOT: Final = Path(__file__).parents[2]

MODULE: Final = "module-level"
"""Runs when the module is imported."""
ANNOTATION: Final = "annotation-only"
"""Stands under `if TYPE_CHECKING:` and never runs."""
LOCAL: Final = "local"
"""Stands in a function and runs when that is called."""


class Module(NamedTuple):
    """One file of Python.

    Attributes:
        name: As it is imported, `catenet.wire.tcp`.
        path: Where it is.
        tree: Its syntax.
    """

    name: str
    path: Path
    tree: ast.Module


class Import(NamedTuple):
    """One module takes something from another one.

    Attributes:
        importer: The module in which the line stands.
        imported: The module that it names.
        names: What it takes from there; empty if it takes the module.
        kind: `MODULE`, `ANNOTATION` or `LOCAL`.
        line: Where it stands in the file, counted from 1.
    """

    importer: str
    imported: str
    names: tuple[str, ...]
    kind: str
    line: int


@functools.cache
def parse(text: str) -> ast.Module:
    """The syntax of a text, which many tests of one run read and none changes."""
    return ast.parse(text)


def module_paths(folder: Path, package: str = "") -> dict[str, Path]:
    """Where all modules below a folder are, by their names; `package` is what the folder itself is called."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join((package, *parts) if package else parts)] = path
    return found


def modules(folder: Path, package: str = "") -> dict[str, Module]:
    """All modules below a folder by their names; `package` is what the folder itself is called."""
    paths = module_paths(folder, package)
    return {name: Module(name, path, parse(path.read_text())) for name, path in paths.items()}


def is_package(module: Module) -> bool:
    """Whether the module is the `__init__.py` of a folder."""
    return module.path.name == "__init__.py"


def imports(module: Module, known: Iterable[str]) -> Iterator[Import]:
    """Each import of a known module, once for a statement; `from a import b` names `a.b` if that is a module."""
    known = known if isinstance(known, Mapping | frozenset) else frozenset(known)
    for node, kind in _import_statements(module.tree, MODULE):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in known:
                    yield Import(module.name, alias.name, (), kind, node.lineno)
            continue
        source = _absolute(module, node)
        taken = []
        for alias in node.names:
            if f"{source}.{alias.name}" in known:
                yield Import(module.name, f"{source}.{alias.name}", (), kind, node.lineno)
            else:
                taken.append(alias.name)
        if taken and source in known:
            yield Import(module.name, source, tuple(taken), kind, node.lineno)


def _import_statements(node: ast.AST, kind: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue  # most of a file, and no statement stands in one
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, kind
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _import_statements(child, LOCAL)
        elif isinstance(child, ast.If) and _names(child.test, "TYPE_CHECKING"):
            for each in child.body:
                if isinstance(each, ast.Import | ast.ImportFrom):
                    yield each, ANNOTATION
            for each in child.orelse:
                yield from _import_statements(ast.Module([each], []), kind)
        else:
            yield from _import_statements(child, kind)


def _names(test: ast.expr, name: str) -> bool:
    return any(name in (getattr(node, "id", ""), getattr(node, "attr", "")) for node in ast.walk(test))


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    package = package[: len(package) - node.level + is_package(module)]
    return ".".join([*package, node.module] if node.module else package)


def exported(module: Module) -> list[str] | None:
    """`__all__` as the file lists it; None if it lists nothing."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            assert isinstance(node.value, ast.List), f"{module.path}:{node.lineno}: __all__ is no list of names"
            return [ast.literal_eval(each) for each in node.value.elts]
    return None


def public(module: Module) -> dict[str, ast.stmt]:
    """What stands at the top of a module, by name, with the statement that makes it; imports too."""
    found: dict[str, ast.stmt] = {}
    for node in _top(module.tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update({alias.asname or alias.name.partition(".")[0]: node for alias in node.names})
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                found.update({each.id: node for each in ast.walk(target) if isinstance(each, ast.Name)})
    return found


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _top(node.body)
            yield from _top(node.orelse)


def functions(module: Module) -> Iterator[tuple[str, int]]:
    """Each function and method by its dotted name in the module, with its number of lines."""

    def below(node: ast.AST, outer: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{outer}{child.name}", (child.end_lineno or child.lineno) - child.lineno + 1
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from below(child, f"{outer}{child.name}." if inner else outer)  # type: ignore[attr-defined]

    return below(module.tree, "")


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components of more than one member, by Tarjan's algorithm, each sorted."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for start in sorted(arrows):
        work = [(start, iter(sorted(arrows[start])))] if start not in index else []
        if work:
            index[start] = low[start] = len(index)
            stack.append(start)
        while work:
            node, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    members, stack[cut:] = sorted(stack[cut:]), []
                    if len(members) > 1:
                        found.append(members)
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                work.append((following, iter(sorted(arrows.get(following, ())))))
            elif following in stack:
                low[node] = min(low[node], index[following])
    return sorted(found)

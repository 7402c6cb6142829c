"""The rule for `__all__`, and what puts a module in order.

    python -m tests.architecture.exports [--write]

A module from which another module of the package takes a name lists in `__all__`, sorted, what it offers: each name
that somebody takes from it (the package, the tests, the benchmarks, the examples and what the documents show) and its
public classes, which are also met where nobody has to name them. Nothing else is in it. The packages that users
import from, whose `__init__.py` takes names from its own modules, list all that it takes. Without `--write` the
modules that differ are named; with it their `__all__` is written anew.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.source import ROOT, Module, exported, imports, is_package, modules, parse, public

HELPERS: Final = {"Any", "Final", "TYPE_CHECKING", "annotations"}
"""What a package may import without offering it."""

BY_NAME: Final = {"catenet.cli": ("register", "run")}
"""Found by name while the program runs: `cli/__init__.py` imports the file of a verb when it is asked for."""

PYTHON_IN_MARKDOWN: Final = re.compile(r"^```python.*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_files(root: Path = ROOT) -> Iterator[tuple[str, ast.Module]]:
    """Whatever may take names of the package: its path (for a document with a number), and its syntax."""
    for folder in ("src", "tests", "benchmarks", "examples"):
        for path in sorted((root / folder).rglob("*.py")):
            yield str(path.relative_to(root)), parse(path.read_text())
    for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        for number, text in enumerate(PYTHON_IN_MARKDOWN.findall(path.read_text())):
            with contextlib.suppress(SyntaxError):  # a sketch
                yield f"{path.relative_to(root)}#{number}", parse(text)


def taken_names(file: str, tree: ast.Module, known: dict[str, Module]) -> Iterator[tuple[str, str, int]]:
    """What one file takes from modules of the package: module, name, line; by import and by `module.name`."""
    here = Module(file, ROOT / file, tree)
    bound: dict[str, str] = {}
    for each in imports(here, known):
        yield from ((each.imported, name, each.line) for name in each.names)
    for node in _imports_and_attributes(tree)[0]:
        source = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            if f"{source}{alias.name}" in known:
                bound[alias.asname or alias.name] = f"{source}{alias.name}"
    for attribute in _imports_and_attributes(tree)[1] if bound else ():
        module = bound.get(_dotted(attribute.value))
        if module and f"{module}.{attribute.attr}" not in known:
            yield module, attribute.attr, attribute.lineno


@functools.cache
def _imports_and_attributes(tree: ast.Module) -> tuple[list[ast.Import | ast.ImportFrom], list[ast.Attribute]]:
    """All of a file, by one walk: `ast.walk` takes three times as long, and there are two thousand files."""
    statements: list[ast.Import | ast.ImportFrom] = []
    attributes: list[ast.Attribute] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Attribute):
            attributes.append(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            statements.append(node)
        for value in node.__dict__.values():
            if isinstance(value, list):
                waiting += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                waiting.append(value)
    return statements, attributes


def _dotted(node: ast.expr) -> str:
    """`a.b` for these names, nothing for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    outer = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{outer}.{node.attr}" if outer else ""  # type: ignore[attr-defined]


def users(known: dict[str, Module]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The names that are taken from each module: by the package, and by anybody."""
    inside: dict[str, set[str]] = defaultdict(set)
    anywhere: dict[str, set[str]] = defaultdict(set)
    has = {name: public(module).keys() for name, module in known.items()}
    for file, tree in python_files():
        for module, name, _ in taken_names(file, tree, known):
            if name in has[module]:
                anywhere[module].add(name)
                if file.startswith("src/") and known[module].path != ROOT / file:
                    inside[module].add(name)
    return inside, anywhere


def underscored(known: dict[str, Module]) -> Iterator[str]:
    """Private names that one module of the package takes from another one, with file and line."""
    for module in known.values():
        file = str(module.path.relative_to(ROOT))
        for other, name, line in taken_names(file, module.tree, known):
            if name.startswith("_") and not name.startswith("__"):
                yield f"{file}:{line}: {other}.{name}"


def is_public_package(module: Module) -> bool:
    """Whether users import from it: a package that collects names of its own modules, or a module for programs."""
    if not is_package(module):
        return module.name == "catenet.plpmtud"
    nodes = public(module).values()
    return any(isinstance(node, ast.ImportFrom) and (node.module or "").startswith(module.name) for node in nodes)


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__version__"


def by_kind(name: str) -> tuple[int, list[str | int]]:
    """Constants, then classes, then functions, each by the alphabet and numbers: the order that ruff wants (RUF022)."""
    parts: list[str | int] = [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), parts


def expected(known: dict[str, Module]) -> dict[str, list[str]]:
    """What `__all__` of each module has to be; modules of which nobody takes anything are left out."""
    inside, anywhere = users(known)
    found = {}
    for name, module in known.items():
        listed = set(exported(module) or ())
        if not inside[name] and not listed:
            continue
        if is_public_package(module):
            bound = {key for key in public(module) if f"{name}.{key}" not in known}
            offered = bound - HELPERS if is_package(module) else set()
            found[name] = sorted(filter(_is_public, listed | inside[name] | offered), key=by_kind)
            continue
        own = {key for key, node in public(module).items() if isinstance(node, ast.ClassDef)}
        dynamic = {each for start, names in BY_NAME.items() if name.startswith(start) for each in names}
        wanted = anywhere[name] | own | (dynamic & set(public(module)))
        found[name] = sorted(filter(_is_public, wanted), key=by_kind)
    return found


def differences(known: dict[str, Module]) -> Iterator[tuple[Module, list[str]]]:
    """Modules whose `__all__` is not what it has to be, with what it has to be."""
    for name, wanted in expected(known).items():
        if (exported(known[name]) or []) != wanted:
            yield known[name], wanted


def with_exports(text: str, names: list[str]) -> str:
    """The text of a module with `__all__` written anew, or put behind its imports."""
    lines = text.splitlines(keepends=True)
    tree = ast.parse(text)
    new = f"__all__ = {names!r}\n" if names else ""
    new = new if len(new) < 100 else "__all__ = [\n" + "".join(f"    {name!r},\n" for name in names) + "]\n"
    new = new.replace("'", '"')
    behind = 0
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return "".join([*lines[: node.lineno - 1], new, *lines[node.end_lineno :]])
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        documentation = isinstance(node, ast.Expr) and node is tree.body[0]
        if isinstance(node, ast.Import | ast.ImportFrom) or checking or documentation:
            behind = node.end_lineno or 0
    return "".join([*lines[:behind], "\n" if behind else "", new, *lines[behind:]])


def main(words: list[str]) -> int:
    """Name what differs, or write it anew."""
    known = modules(ROOT / "src/catenet", "catenet")
    found = list(differences(known))
    for module, wanted in found:
        listed = set(exported(module) or ())
        more, less = sorted(set(wanted) - listed), sorted(listed - set(wanted))
        print(f"{module.path.relative_to(ROOT)}: missing {more}, needless {less}")
        if "--write" in words:
            module.path.write_text(with_exports(module.path.read_text(), wanted))
    return int(bool(found) and "--write" not in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

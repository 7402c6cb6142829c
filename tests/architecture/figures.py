"""Figures of the source: files per folder, imports between packages and their circles, long functions, variables.

    python -m tests.architecture.figures [SRC]

SRC is the folder that holds the package `catenet`; `src` by default. An arrow is a pair of importer and imported,
counted once however many lines and names make it. Among the direct members of a package (files and sub-packages) an
arrow stands for everything below them.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.architecture.source import (
    ANNOTATION,
    LOCAL,
    MODULE,
    ROOT,
    Import,
    Module,
    circles,
    functions,
    imports,
    is_package,
    modules,
)

__all__ = ["arrows_between_members", "connection_variables", "figures", "folder_of"]

LONG: Final = 60
"""A function of more lines is named."""
KINDS: Final = {
    "module-level": (MODULE,),
    "and local": (MODULE, LOCAL),
    "and annotation-only": (MODULE, LOCAL, ANNOTATION),
}


def folder_of(module: Module) -> str:
    """The package in which a module lies; a package lies in itself, and so does a file directly below `catenet`."""
    if is_package(module) or module.name.count(".") == 1:
        return module.name
    return module.name.rpartition(".")[0]


def member(package: str, name: str) -> str | None:
    """The direct member of a package that a module belongs to; None outside of it and for the package itself."""
    if not name.startswith(f"{package}."):
        return None
    return f"{package}.{name[len(package) + 1 :].partition('.')[0]}"


def arrows_between_members(package: str, found: Iterable[Import]) -> dict[str, set[str]]:
    """Who imports whom among the direct members of a package."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for each in found:
        source, target = member(package, each.importer), member(package, each.imported)
        if source and target and source != target:
            arrows[source].add(target)
    return dict(arrows)


def arrows_between_folders(source: dict[str, Module], found: Iterable[Import]) -> dict[str, set[str]]:
    """Which folder imports which."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for each in found:
        pair = folder_of(source[each.importer]), folder_of(source[each.imported])
        if pair[0] != pair[1]:
            arrows[pair[0]].add(pair[1])
    return dict(arrows)


def connection_variables(source: dict[str, Module]) -> list[str]:
    """What TCP's control block assigns to itself, in the order of the file."""
    for module in source.values():
        if not module.name.startswith("catenet.stack.tcp.") or not module.name.endswith(".connection"):
            continue
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == "Connection":
                targets = (
                    target
                    for statement in ast.walk(node)
                    if isinstance(statement, ast.Assign | ast.AnnAssign)
                    for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
                )
                found = (each for target in targets for each in ast.walk(target) if isinstance(each, ast.Attribute))
                return list(dict.fromkeys(each.attr for each in found if ast.unparse(each.value) == "self"))
    return []


def figures(folder: Path) -> Iterator[str]:
    """All figures, line by line."""
    source = modules(folder / "catenet", "catenet")
    found = [each for module in source.values() for each in imports(module, source)]
    count = Counter(name.rpartition(".")[0] for name, module in source.items() if not is_package(module))
    yield f"files: {len(source)}, of which {sum(map(is_package, source.values()))} are __init__.py"
    for name, files in sorted(count.items()):
        yield f"  {name.removeprefix('catenet.').replace('.', '/')}: {files}"
    yield ""
    for label, kinds in KINDS.items():
        chosen = [each for each in found if each.kind in kinds]
        pairs: dict[str, set[str]] = defaultdict(set)
        for each in chosen:
            pairs[each.importer].add(each.imported)
        yield from _arrows(f"imports, {label}, between files", pairs, names=False)
        yield from _arrows(f"imports, {label}, between folders", arrows_between_folders(source, chosen))
        for package in ("catenet", "catenet.stack", "catenet.stack.tcp", "catenet.world", "catenet.rpc"):
            yield from _arrows(f"imports, {label}, members of {package}", arrows_between_members(package, chosen))
        yield ""
    long = [(lines, f"{name}: {function}") for name, module in source.items() for function, lines in functions(module)]
    yield f"functions: {len(long)}, of which {sum(lines > LONG for lines, _ in long)} have more than {LONG} lines"
    yield from (f"  {name}, {lines} lines" for lines, name in sorted(long, reverse=True) if lines > LONG)
    yield f"variables of Connection: {len(connection_variables(source))}"


def _arrows(title: str, arrows: dict[str, set[str]], names: bool = True) -> Iterator[str]:
    rings = circles(arrows)
    number = sum(map(len, arrows.values()))
    yield f"{title}: {number} arrows, {len(rings)} circles of {[len(ring) for ring in rings]}"
    if names:
        yield from ("  circle: " + " ".join(name.removeprefix("catenet.") for name in ring) for ring in rings)


if __name__ == "__main__":
    print(*figures(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "src"), sep="\n")

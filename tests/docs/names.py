"""What the documents name in code spans, and whether the source has it; by syntax, without importing anything."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.architecture.source import ROOT, Module, modules, parse

__all__ = ["Names", "Span", "called", "kind_of", "spans"]

_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`([^`\n]+?)`")
_PATH: Final = re.compile(r"[\w./-]+\.(?:py|md|toml|proto|pkt|sh|txt)|(?:[\w-]+/)+")
_CALL: Final = re.compile(r"([A-Za-z_][\w.]*)\(.*\)", re.DOTALL)
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_COMMENT: Final = re.compile(r"(?:^ *|  )# .*$", re.MULTILINE)
_DEFINED: Final = re.compile(r"^\s*(?:(?:async )?def|class) (\w+)", re.MULTILINE)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


class Span(NamedTuple):
    """A code span of a document; `home` is the file that is named right before it, as in `` `file.py`, `name` ``."""

    document: str
    line: int
    text: str
    home: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: `{self.text}`" + (f" in `{self.home}`" if self.home else "")


def spans(document: str) -> Iterator[Span]:
    """All code spans outside of fenced blocks."""
    text = (ROOT / document).read_text()
    text = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    home, end = "", -1
    for found in _SPAN.finditer(text):
        between = text[end : found.start()] if end >= 0 else ""
        follows = re.fullmatch(r",?\s+(?:(?:and|then|or)\s+)?", between)
        span = re.sub(r"\s+", " ", found[1])
        if span.endswith(".py"):
            home = span
            yield Span(document, text.count("\n", 0, found.start()) + 1, span, "")
        else:
            home = home if follows else ""
            yield Span(document, text.count("\n", 0, found.start()) + 1, span, home)
        end = found.end()


class Names:
    """Files, definitions and members of everything in the repository."""

    def __init__(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
        )
        self.files = sorted(listed.stdout.split()) if not listed.returncode else sorted(_walk(ROOT))
        self.folders = {f"{parent}/" for file in self.files for parent in Path(file).parents}
        self.modules = modules(ROOT / "src/catenet", "catenet")
        self.definitions: dict[str, set[str]] = defaultdict(set)
        """Files, below the package, in which a name is bound at the top or as `Class.member`."""
        self.members: dict[str, set[str]] = defaultdict(set)
        """What the classes of one name have, without what they inherit."""
        self.bases: dict[str, set[str]] = defaultdict(set)
        self.words: set[str] = set()
        """Every identifier of the source, and every word of its texts."""
        for module in self.modules.values():
            self._read(module)
        for name in _bound_in(parse((ROOT / "setup.py").read_text())):
            self.words.add(name)
        for folder in ("tests", "benchmarks", "examples"):
            for path in (ROOT / folder).rglob("*.py"):
                # Not by syntax, as the package is: a thousand files, for their names alone.
                self.words.update(_DEFINED.findall(path.read_text()))

    def _read(self, module: Module) -> None:
        file = str(module.path.relative_to(ROOT / "src/catenet"))
        for node in module.tree.body:
            for name in _bound(node):
                self.definitions[name].add(file)
            if isinstance(node, ast.ClassDef):
                self._read_class(node, file)
        self.words.update(_WORD.findall(_COMMENT.sub("", module.path.read_text())))

    def _read_class(self, node: ast.ClassDef, file: str) -> None:
        self.bases[node.name].update(ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases)
        for each in ast.walk(node):
            if (
                isinstance(each, ast.Attribute)
                and isinstance(each.ctx, ast.Store)
                and isinstance(each.value, ast.Name)
                and each.value.id == "self"
            ):
                self._member(node.name, each.attr, file)
        for statement in node.body:
            for name in _bound(statement):
                self._member(node.name, name, file)

    def _member(self, owner: str, name: str, file: str) -> None:
        self.members[owner].add(name)
        self.definitions[f"{owner}.{name}"].add(file)

    def has_member(self, owner: str, name: str) -> bool:
        """Whether a class of ours has a member, its own or of a base of ours."""
        return name in self.members[owner] or any(self.has_member(base, name) for base in list(self.bases[owner]))

    # What a document may say.

    def has_path(self, text: str) -> bool:
        """Whether a file or folder of the repository ends in this path."""
        if text.endswith("/"):
            return any(folder == text or folder.endswith(f"/{text}") for folder in self.folders)
        return any(file == text or file.endswith(f"/{text}") for file in self.files)

    def has_function(self, name: str) -> bool:
        """Whether something of this name can be called: ours, or the interpreter's."""
        if "." in name:
            return self.has_dotted(name)
        return name in self.definitions or any(name in found for found in self.members.values()) or _is_pythons(name)

    def has_dotted(self, name: str) -> bool:
        """Whether `a.b` is there: a member of a class or module of ours, or a module of the interpreter."""
        first, *rest = name.split(".")
        if first == "catenet":
            return self._has_absolute(name)
        if first in self.members or first in self.bases:
            return self.has_member(first, rest[0])
        homes = [module for module in self.modules if module.endswith(f".{first}")]
        if any(self._has_absolute(".".join((home, *rest))) for home in homes):
            return True
        if first in sys.stdlib_module_names or _is_pythons(first):
            return True
        # A variable: somebody has such a member.
        return any(rest[-1] in found for found in self.members.values())

    def _has_absolute(self, name: str) -> bool:
        """Whether a dotted name of the package leads to a module, a name in it or a member of a class in it."""
        if name in self.modules:
            return True
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            module = self.modules.get(".".join(parts[:cut]))
            if module is not None:
                file = str(module.path.relative_to(ROOT / "src/catenet"))
                inner = ".".join(parts[cut : cut + 2])
                return file in self.definitions[parts[cut]] and (len(parts) - cut < 2 or bool(self.definitions[inner]))
        return False

    def has_word(self, word: str) -> bool:
        """Whether the source knows a word at all."""
        return word in self.words or _is_pythons(word)

    def is_in(self, name: str, home: str) -> bool:
        """Whether a file binds a name (`function`, `Class` or `Class.member`, also one that the class inherits)."""
        if any(file == home or file.endswith(f"/{home}") for file in self.definitions[name]):
            return True
        owner, dot, member = name.partition(".")
        return bool(dot) and self.is_in(owner, home) and self.has_member(owner, member)


def kind_of(text: str) -> str:
    """What a span is: `path`, `call`, `dotted`, `word` or nothing that can be looked up."""
    if _PATH.fullmatch(text):
        return "path"
    if _CALL.fullmatch(text):
        return "call"
    if _DOTTED.fullmatch(text):
        return "dotted"
    return "word" if _WORD.fullmatch(text) else ""


def called(text: str) -> str:
    """The name in `name(...)`."""
    found = _CALL.fullmatch(text)
    assert found is not None
    return found[1]


def _bound_in(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        yield from _bound(node)


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        return
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for each in ast.walk(target):
                if isinstance(each, ast.Name):
                    yield each.id
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__":
            yield from (str(each.value) for each in ast.walk(node.value) if isinstance(each, ast.Constant))
    elif isinstance(node, ast.If | ast.Try):
        for each in [*node.body, *node.orelse]:
            yield from _bound(each)


def _is_pythons(name: str) -> bool:
    return hasattr(builtins, name) or name in sys.stdlib_module_names


def _walk(root: Path) -> Iterator[str]:
    for folder in ("src", "tests", "benchmarks", "examples", "docs"):
        yield from (str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file())
    yield from (path.name for path in root.iterdir() if path.is_file())

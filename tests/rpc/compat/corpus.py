"""The cases: pairs of an older and a newer set of files, each in a folder and a package of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SCALARS = (
    *("double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "bytes", "uint32"),
    *("sfixed32", "sfixed64", "sint32", "sint64"),
)
KINDS = (*SCALARS, "E", "M", "group")


@dataclass
class Case:
    """Files by their names, before and after."""

    name: str
    old: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "_", self.name)


def cases() -> list[Case]:
    """All cases, those of the files and those of pairs of types."""
    found = [case for path in sorted((HERE / "cases").glob("*.txt")) for case in _read(path.read_text())]
    return [*found, *(_types(kind) for kind in KINDS), *(_repeated_types(kind) for kind in KINDS[:-1])]


def write(found: list[Case], root: Path) -> tuple[Path, Path]:
    """Write all cases below `root`; return the folders of the old and of the new files."""
    for side in ("old", "new"):
        for case in found:
            for name, text in getattr(case, side).items():
                path = root / side / case.slug / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    return root / "old", root / "new"


def _read(text: str) -> Iterator[Case]:
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        case = Case(name)
        for section in re.split(r"^--- ", rest, flags=re.MULTILINE)[1:]:
            head, _, body = section.partition("\n")
            side, _, file = head.partition(" ")
            getattr(case, side)[file or "a.proto"] = _whole(body.rstrip() + "\n", case.slug)
        yield case


def _whole(body: str, slug: str) -> str:
    if "package {p}" not in body:
        body = f'syntax = "proto3"; package {slug};\n{body}'
    return body.replace("{p}", slug).replace("{d}", slug)


_PROTO2 = 'syntax = "proto2"; package {p};\nenum E {{ ZERO = 0; }}\nmessage M {{}}\nmessage A {{\n{fields}}}\n'


def _fields(kinds: list[str], label: str) -> str:
    lines = []
    for number, kind in enumerate(kinds, 1):
        if kind == "group":
            lines.append(f"  {label} group F{number} = {number} {{}}\n")
        else:
            lines.append(f"  {label} {kind} f{number} = {number};\n")
    return "".join(lines)


def _types(kind: str) -> Case:
    """One field of a kind for each kind that it may become."""
    case = Case(f"type {kind} becomes others")
    # A group cannot keep the name of a field of another type otherwise.
    case.old["a.proto"] = _PROTO2.format(p=case.slug, fields=_fields([kind] * len(KINDS), "optional"))
    case.new["a.proto"] = _PROTO2.format(p=case.slug, fields=_fields(list(KINDS), "optional"))
    return case


def _repeated_types(kind: str) -> Case:
    case = Case(f"repeated {kind} becomes others")
    case.old["a.proto"] = _PROTO2.format(p=case.slug, fields=_fields([kind] * (len(KINDS) - 1), "repeated"))
    case.new["a.proto"] = _PROTO2.format(p=case.slug, fields=_fields(list(KINDS[:-1]), "repeated"))
    return case

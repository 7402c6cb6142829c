"""What the three encodings have in common: a table of vertices, in which values stand for edges.

A document is a list of types, a root and a list of nodes. A *cell* is a value within a node (or the root):

* None, bool, int (64 bits), float (finite) and str stand for themselves;
* `[n]` is a reference to node n;
* `[kind, payload]` is any other scalar: see `SCALARS`.

A node is `[kind, cells]` for containers, `["object", type, cells]`, `["array", Array]`, `["bytearray", bytes]` or
`["value", cell]`, a scalar that several places share. Nothing is nested any deeper, so no encoding has to recurse.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "CONTAINERS",
    "SCALARS",
    "UNSET",
    "Array",
    "Document",
    "Limits",
    "Node",
    "TypeEntry",
    "count_values",
]

Cell = Any
Node = list[Any]

CONTAINERS: Final = ("list", "tuple", "set", "frozenset", "dict")
"""Kinds of nodes with cells only; a dict's are keys and values in turn."""
SCALARS: Final = (
    "bytes",
    "int",
    "float",
    "decimal",
    "datetime",
    "date",
    "time",
    "timedelta",
    "uuid",
    "enum",
    "unset",
)
UNSET: Final = ["unset", None]
"""The cell of a field that the sender's object does not have."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may cost its receiver; what is beyond is refused before anything is built.

    `max_bytes` is the size of the encoded document; `max_values` counts nodes and cells together; `max_types` the
    entries of the table of types; `max_hash_work` bounds what hashing the keys of dicts and members of sets may take,
    in values looked at.
    """

    max_bytes: int = 1 << 30
    max_values: int = 10_000_000
    max_types: int = 1000
    max_hash_work: int = 20_000_000


@dataclass(slots=True)
class TypeEntry:
    """A class as a document names it, and the fields in the order in which its objects give them.

    `widths` has what the annotations say of a field's wire type (`fixed32`, ...); only protobuf's encoding asks.
    """

    name: str
    fields: tuple[str, ...]
    widths: tuple[str, ...] = ()


@dataclass(slots=True)
class Array:
    """Numbers of one kind in a row. `form` is `array`, `numpy` or `memoryview`; `kind` is `i32`, `f64`, ...

    `data` is in the byte order of the document. `hint` is the type code of the sender's `array.array`.
    """

    form: str
    kind: str
    shape: tuple[int, ...]
    data: Any
    hint: str = ""


@dataclass(slots=True)
class Document:
    """One graph between its objects and its bytes."""

    order: str
    types: list[TypeEntry] = field(default_factory=list)
    root: Cell = None
    nodes: list[Node] = field(default_factory=list)


def count_values(document: Document) -> int:
    """Return the number of nodes and cells."""
    return len(document.nodes) + sum(len(node[-1]) for node in document.nodes if type(node[-1]) is list)

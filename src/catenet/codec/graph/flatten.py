"""Objects to a document: each object once, in the order in which a walk by breadth meets them."""

from __future__ import annotations

import array
from math import isfinite
from typing import Any, Final

from catenet.codec.graph import checks
from catenet.codec.graph.arrays import describe, is_numpy
from catenet.codec.graph.document import UNSET, Document, Node, TypeEntry
from catenet.codec.graph.registry import Look, Registry, Shape, check_fields
from catenet.codec.graph.scalars import SPELLERS

__all__ = ["BUILTIN", "flatten"]

_LONG: Final = 32
"""Texts beyond this length are sent once, if it is one object."""
_CONTAINERS: Final[dict[type, str]] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset", dict: "dict"}
_ARRAYS: Final = (array.array, memoryview)
BUILTIN: Final = frozenset(
    (type(None), bool, int, float, str, bytes, bytearray, array.array, memoryview, *_CONTAINERS, *SPELLERS)
)
"""What needs no permission; numpy's arrays neither."""


def flatten(value: Any, registry: Registry, order: str) -> Document:
    """Return the graph that `value` is the root of; raise `TypeError` for an object whose type is not allowed."""
    return _Flattener(registry, order).run(value)


class _Flattener:
    def __init__(self, registry: Registry, order: str) -> None:
        self._registry = registry
        self._document = Document(order)
        self._nodes = self._document.nodes
        self._indices: dict[int, int] = {}
        """Of the objects seen so far, by identity."""
        self._objects: list[Any] = []
        """The objects of the nodes, which so keep their identity; None for shared scalars."""
        self._scalars: dict[int, tuple[list[Any], int] | int] = {}
        """Where a scalar has been written, by identity; then which node it has become."""
        self._kept: list[Any] = []
        self._types: dict[tuple[type, tuple[str, ...]], int] = {}
        self._looks: list[list[Look]] = []
        """Of the objects of each of these types: what to check."""
        self._todo: checks.Todo = []

    def run(self, value: Any) -> Document:
        """Walk the whole graph."""
        root = self._cells([value])
        fill, objects = self._fill, self._objects
        for index, node in enumerate(self._nodes):  # which grows meanwhile
            if len(node) == 1:
                fill(node, objects[index])
        checks.run(self._todo)
        self._document.root = root[0]
        return self._document

    def _fill(self, node: Node, value: Any) -> None:
        kind = node[0]
        if kind == "object":
            shape = self._registry.of(type(value))
            names = shape.names_of(value)
            values = shape.values_of(value, names)
            index = self._type(shape, names)
            if looks := self._looks[index]:
                check_fields(shape, looks, values, self._todo)
            node.append(index)
            node.append(self._cells(values))
        elif kind == "dict":
            node.append(self._cells([one for item in value.items() for one in item]))
        elif kind == "array":
            node.append(describe(value, self._document.order))
        elif kind == "bytearray":
            node.append(bytes(value))
        else:
            node.append(self._cells(value))

    def _type(self, shape: Shape, names: tuple[str, ...]) -> int:
        index = self._types.get((shape.cls, names))
        if index is None:
            index = self._types[shape.cls, names] = len(self._document.types)
            self._document.types.append(TypeEntry(shape.name, names, shape.widths))
            self._looks.append(shape.looks(names))
        return index

    def _cells(self, values: Any) -> list[Any]:
        cells: list[Any] = []
        append, find = cells.append, self._indices.get
        for value in values:
            kind = type(value)
            if kind is int:
                append(value if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF else ["int", value])
            elif kind is str:
                if len(value) > _LONG:
                    self._scalar(cells, value, value)
                else:
                    append(value)
            elif kind is float:
                append(value if isfinite(value) else ["float", value])
            elif value is None or kind is bool:
                append(value)
            elif (index := find(id(value))) is not None:
                append([index])
            elif kind is list:
                append(self._node(value, "list"))
            else:
                self._other(cells, value, kind)
        return cells

    def _other(self, cells: list[Any], value: Any, kind: type) -> None:
        container = _CONTAINERS.get(kind)
        if container is not None:
            cells.append(self._node(value, container))
        elif (shape := self._registry.by_class.get(kind)) is not None:
            if shape.is_enum:
                named = value.name in shape.cls.__members__  # type: ignore[attr-defined]
                cells.append(["enum", (self._type(shape, ()), value.name if named else value.value)])
            else:
                cells.append(self._node(value, "object"))
        elif kind is bytes:
            self._scalar(cells, value, ["bytes", value])
        elif kind in SPELLERS:
            name, spell = SPELLERS[kind]
            self._scalar(cells, value, [name, spell(value)])
        elif kind in _ARRAYS or is_numpy(value):
            cells.append(self._node(value, "array"))
        elif kind is bytearray:
            cells.append(self._node(value, "bytearray"))
        elif value is Shape.absent:
            cells.append(UNSET)
        else:
            self._registry.of(kind)

    def _node(self, value: Any, kind: str) -> list[Any]:
        index = self._indices[id(value)] = len(self._nodes)
        self._nodes.append([kind])
        self._objects.append(value)
        return [index]

    def _scalar(self, cells: list[Any], value: Any, cell: Any) -> None:
        """Write a scalar where it first occurs; when it comes again, make a node of it."""
        known = self._scalars.get(id(value))
        if known is None:
            self._scalars[id(value)] = (cells, len(cells))
            self._kept.append(value)
            cells.append(cell)
            return
        if isinstance(known, tuple):
            where, position = known
            known = self._scalars[id(value)] = len(self._nodes)
            self._nodes.append(["value", cell])
            self._objects.append(None)
            where[position] = [known]
        cells.append([known])

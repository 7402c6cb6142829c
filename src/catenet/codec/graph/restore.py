"""A document to objects: first all that can be empty, then what is in it, then what cannot change once it is made.

Lists, dicts, sets and objects are made empty, so that any of them may refer to any other. Tuples and frozensets need
their members first; a cycle that has nothing else in it cannot be, and is refused. Dicts and sets are filled when all
objects have their fields, because their members are hashed.
"""

from __future__ import annotations

from typing import Any, Final

from catenet.codec.graph import checks
from catenet.codec.graph.arrays import rebuild
from catenet.codec.graph.document import CONTAINERS, Array, Document, Limits, Node, count_values
from catenet.codec.graph.hashing import Hashing
from catenet.codec.graph.registry import Registry, Shape, check_fields
from catenet.codec.graph.scalars import PARSERS

__all__ = ["restore"]

_LATER: Final = object()
"""Stands for a tuple or a frozenset that is not made yet."""
_ARITY: Final = {**dict.fromkeys(CONTAINERS, 2), "object": 3, "array": 2, "bytearray": 2, "value": 2}


def restore(document: Document, registry: Registry, limits: Limits) -> Any:
    """Return the root of the graph; raise `ValueError` for a malformed one, `TypeError` for a type not allowed."""
    if count_values(document) > limits.max_values:
        raise ValueError(f"more than {limits.max_values} values")
    if len(document.types) > limits.max_types:
        raise ValueError(f"more than {limits.max_types} types")
    return _Restorer(document, registry, limits).run()


class _Restorer:
    def __init__(self, document: Document, registry: Registry, limits: Limits) -> None:
        self._document = document
        self._nodes = document.nodes
        self._shapes = [registry.named(entry.name) for entry in document.types]
        self._columns = [
            _columns(shape, entry.fields) for shape, entry in zip(self._shapes, document.types, strict=True)
        ]
        self._limits = limits
        self.made: list[Any] = []
        """The objects of the nodes."""
        self.values: list[list[Any]] = []
        """What is in each node, resolved."""
        self._users: dict[int, list[tuple[int, int]]] = {}
        """Where a tuple or a frozenset that is not made yet is wanted: node and position."""
        self._waiting: dict[int, int] = {}
        """Of how many such each tuple or frozenset has to wait for."""
        self._partial: set[int] = set()
        """Nodes with a field that is not there yet, or that the sender's object does not have."""

    def run(self) -> Any:
        """Build the graph."""
        self.made += map(self._empty, self._nodes)
        for index, node in enumerate(self._nodes):
            self.values.append(self._resolve(index, node))
            if node[0] == "object" and not self._shapes[node[1]].is_tuple:
                self._fill_object(self._shapes[node[1]], index, node)
        hashing = Hashing(self._nodes, self.values, self._shape_of, self._limits.max_hash_work)
        self._make_immutables(hashing)
        self._fill_hashed(hashing)
        root = self._cell(self._document.root)
        self._check()
        self._tell(root)
        return root

    def _shape_of(self, node: Node) -> Shape:
        return self._shapes[node[1]]

    # What is empty at first.

    def _empty(self, node: Any) -> Any:
        if type(node) is not list or not node or type(node[0]) is not str or _ARITY.get(node[0]) != len(node):
            raise ValueError("malformed node")
        kind, payload = node[0], node[-1]
        if kind == "list":
            made: Any = []
        elif kind == "dict":
            made = {}
        elif kind == "set":
            made = set()
        elif kind == "object":
            return self._empty_object(node)
        elif kind == "array":
            if type(payload) is not Array:
                raise ValueError("malformed array")
            return rebuild(payload, self._document.order)
        elif kind == "bytearray":
            return bytearray(_bytes(payload))
        elif kind == "value":
            if type(payload) is list and len(payload) == 1:
                raise ValueError("a shared value cannot be a reference")
            return self._cell(payload)
        else:
            made = _LATER
        if type(payload) is not list:
            raise ValueError("malformed node")
        if kind == "dict" and len(payload) % 2:
            raise ValueError("a dict has a key without a value")
        return made

    def _empty_object(self, node: Node) -> Any:
        index, cells = node[1], node[2]
        if type(index) is not int or not 0 <= index < len(self._shapes) or type(cells) is not list:
            raise ValueError("malformed object")
        shape = self._shapes[index]
        if shape.is_enum:
            raise ValueError(f"{shape.name} is an enumeration")
        if len(cells) != len(self._document.types[index].fields):
            raise ValueError(f"{shape.name} has another number of fields")
        if shape.is_tuple:
            return _LATER
        try:
            return shape.new()
        except TypeError as error:
            raise TypeError(f"{shape.name} cannot be received: {error}") from None

    # What is in it.

    def _resolve(self, index: int, node: Node) -> list[Any]:
        cells = node[-1]
        if type(cells) is not list or node[0] == "value":
            return []
        made, count = self.made, len(self.made)
        values: list[Any] = made[index] if node[0] == "list" else []
        append = values.append
        for cell in cells:
            if type(cell) is not list:
                append(cell)
                continue
            if len(cell) == 1 and type(target := cell[0]) is int and 0 <= target < count:
                found = made[target]
                if found is _LATER:
                    self._users.setdefault(target, []).append((index, len(values)))
                    self._partial.add(index)
                append(found)
            else:
                found = self._cell(cell, node[0] == "object")
                if found is Shape.absent:
                    self._partial.add(index)
                append(found)
        if made[index] is _LATER:
            self._waiting[index] = sum(1 for one in values if one is _LATER)
        return values

    def _cell(self, cell: Any, is_field: bool = False) -> Any:
        if type(cell) is not list:
            return cell
        if len(cell) == 1:
            if type(cell[0]) is not int or not 0 <= cell[0] < len(self.made):
                raise ValueError("a reference to no node")
            return self.made[cell[0]]
        if len(cell) != 2 or type(cell[0]) is not str:
            raise ValueError("malformed value")
        kind, payload = cell
        parse = PARSERS.get(kind)
        if parse is not None:
            if type(payload) is not str:
                raise ValueError(f"malformed {kind}")
            return parse(payload)
        if kind == "bytes":
            return bytes(_bytes(payload))
        if kind == "int" and type(payload) is int:
            return payload
        if kind == "float" and type(payload) is float:
            return payload
        if kind == "enum":
            return self._enum(payload)
        if kind == "unset" and payload is None and is_field:
            return Shape.absent
        raise ValueError("malformed value")

    def _enum(self, payload: Any) -> Any:
        if type(payload) is not tuple or len(payload) != 2 or type(payload[0]) is not int:
            raise ValueError("malformed enumeration")
        index, name = payload
        if not 0 <= index < len(self._shapes) or not self._shapes[index].is_enum:
            raise ValueError("malformed enumeration")
        shape = self._shapes[index]
        members: Any = shape.cls
        if type(name) is str and name in members.__members__:
            return members.__members__[name]
        if type(name) is int and hasattr(members, "__or__"):
            # A flag: some of its members together.
            try:
                return members(name)
            except Exception:  # _missing_ may be the program's own
                raise ValueError(f"{shape.name} has no value {name}") from None
        raise ValueError(f"{shape.name} has no member of that name")

    def _fill_object(self, shape: Shape, index: int, node: Node) -> None:
        names, made, put = self._document.types[node[1]].fields, self.made[index], shape.set
        try:
            if index in self._partial:
                for name, value in zip(names, self.values[index], strict=True):
                    if value is not _LATER and value is not Shape.absent:
                        put(made, name, value)
            else:
                for name, value in zip(names, self.values[index], strict=True):
                    put(made, name, value)
            for name in self._columns[node[1]]:
                put(made, name, _default(shape, name))
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{shape.name}: {error}") from None

    # What cannot change once it is made.

    def _make_immutables(self, hashing: Hashing) -> None:
        ready = [index for index, waits in self._waiting.items() if not waits]
        plain = [index for index in ready if self._nodes[index][0] != "frozenset"]
        hashed = [index for index in ready if self._nodes[index][0] == "frozenset"]
        left = len(self._waiting)
        deferred: dict[int, list[int]] = {}
        strict = True
        while plain or hashed or deferred:
            if not plain and not hashed:
                # Whether a hash of the program's own needs what is not there yet, the program knows.
                strict = False
                hashed = [index for waits in deferred.values() for index in waits]
                deferred = {}
            index = plain.pop() if plain else hashed.pop()
            if self._nodes[index][0] == "frozenset":
                # Its members are hashed, so what their hashes look into must be there first.
                wanted = hashing.wanted(self._nodes[index][1], lambda node: self.made[node] is _LATER, strict)
                if wanted is not None:
                    deferred.setdefault(wanted, []).append(index)
                    if strict or hashed:
                        continue
                    break
            made = self._make(index, hashing)
            strict = True
            hashed += deferred.pop(index, ())
            left -= 1
            self.made[index] = made
            for user, position in self._users.pop(index, ()):
                self.values[user][position] = made
                if user in self._waiting and self.made[user] is _LATER:
                    self._waiting[user] -= 1
                    if not self._waiting[user]:
                        (hashed if self._nodes[user][0] == "frozenset" else plain).append(user)
                else:
                    self._put(user, position, made)
        if left:
            raise ValueError("a cycle of tuples and frozensets, which cannot be")

    def _make(self, index: int, hashing: Hashing) -> Any:
        node, values = self._nodes[index], self.values[index]
        if node[0] == "object":
            shape = self._shape_of(node)
            names = self._document.types[node[1]].fields
            given = {name: value for name, value in zip(names, values, strict=True) if value is not Shape.absent}
            for name in self._columns[node[1]]:
                given[name] = _default(shape, name)
            fields: Any = shape.cls
            if len(given) != len(fields._fields):
                raise ValueError(f"{shape.name} lacks a field")
            hashing.deepen(index)
            return tuple.__new__(shape.cls, [given[name] for name in fields._fields])
        if node[0] == "tuple":
            hashing.deepen(index)
            return tuple(values)
        hashing.look_at(node[1], values)
        made = _hashed(frozenset, values)
        if len(made) != len(values):
            raise ValueError("a frozenset has a member twice")
        return made

    def _put(self, user: int, position: int, made: Any) -> None:
        node = self._nodes[user]
        if node[0] == "list":
            self.made[user][position] = made
        elif node[0] == "object":
            name = self._document.types[node[1]].fields[position]
            try:
                self._shape_of(node).set(self.made[user], name, made)
            except (AttributeError, TypeError) as error:
                raise ValueError(f"{self._shape_of(node).name}: {error}") from None

    def _fill_hashed(self, hashing: Hashing) -> None:
        """Fill dicts and sets; the last first, as what is inside mostly comes later."""
        for index in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[index]
            if node[0] == "dict":
                values = self.values[index]
                keys = values[::2]
                hashing.look_at(node[1][::2], keys)
                made = self.made[index]
                made.update(_hashed(lambda pairs: dict(pairs), zip(keys, values[1::2], strict=True)))
                if len(made) != len(keys):
                    raise ValueError("a dict has a key twice")
            elif node[0] == "set":
                values = self.values[index]
                hashing.look_at(node[1], values)
                made = self.made[index]
                made.update(_hashed(set, values))
                if len(made) != len(values):
                    raise ValueError("a set has a member twice")

    # When all is there.

    def _check(self) -> None:
        todo: checks.Todo = []
        types = self._document.types
        looks = [shape.looks(entry.fields) for shape, entry in zip(self._shapes, types, strict=True)]
        if any(looks):
            for node, values in zip(self._nodes, self.values, strict=True):
                if node[0] == "object" and (look := looks[node[1]]):
                    check_fields(self._shapes[node[1]], look, values, todo)
        checks.run(todo)

    def _tell(self, root: Any) -> None:
        """Call the hooks: of what an object refers to first, as far as there is no cycle."""
        if not any(shape.hook for shape in self._shapes):
            return
        for index in self._depth_first():
            node = self._nodes[index]
            if node[0] != "object" or not (shape := self._shape_of(node)).hook:
                continue
            try:
                getattr(self.made[index], shape.hook)()
            except Exception as error:  # the class refuses what came
                raise ValueError(f"{shape.name}.{shape.hook}: {type(error).__name__}: {error}") from error

    def _depth_first(self) -> list[int]:
        """The nodes in post-order."""
        order: list[int] = []
        seen = bytearray(len(self._nodes))
        root = self._document.root
        starts = [root[0]] if type(root) is list and len(root) == 1 else []
        for start in (*starts, *range(len(self._nodes))):
            if seen[start]:
                continue
            seen[start] = 1
            stack = [(start, iter(self._targets(start)))]
            while stack:
                index, targets = stack[-1]
                following = next((one for one in targets if not seen[one]), None)
                if following is None:
                    order.append(index)
                    stack.pop()
                else:
                    seen[following] = 1
                    stack.append((following, iter(self._targets(following))))
        return order

    def _targets(self, index: int) -> list[int]:
        cells = self._nodes[index][-1]
        if type(cells) is not list or self._nodes[index][0] == "value":
            return []
        return [cell[0] for cell in cells if type(cell) is list and len(cell) == 1]


def _columns(shape: Shape, fields: tuple[str, ...]) -> list[str]:
    """Check the fields that a document gives to a class; return those that are left to their defaults."""
    if shape.is_enum:
        if fields:
            raise ValueError(f"{shape.name} is an enumeration, which has no fields")
        return []
    if len(set(fields)) != len(fields):
        raise ValueError(f"{shape.name} has a field twice")
    if shape.dynamic:
        wrong = next((name for name in fields if not shape.may_set(name)), None)
        if wrong is not None:
            raise ValueError(f"{shape.name} has no field {wrong!r} that may be set")
        return []
    wrong = next((name for name in fields if name not in shape.sent), None)
    if wrong is not None:
        raise ValueError(f"{shape.name} has no field {wrong!r}")
    missing = [name for name in shape.sent if name not in fields]
    lacking = next((name for name in missing if name not in shape.defaults), None)
    if lacking is not None:
        raise ValueError(f"{shape.name} lacks the field {lacking!r}")
    return missing + [name for name in shape.defaults if name not in shape.sent]


def _default(shape: Shape, name: str) -> Any:
    try:
        return shape.defaults[name]()
    except Exception as error:  # a factory of the program's own
        raise ValueError(f"{shape.name}.{name}: the default cannot be made: {error}") from error


def _hashed(build: Any, values: Any) -> Any:
    """Build what hashes its members, whose classes may have their own ideas of that."""
    try:
        return build(values)
    except RecursionError:
        raise ValueError("a key is nested too deeply") from None
    except Exception as error:
        raise ValueError(f"a key cannot be hashed: {error}") from None


def _bytes(payload: Any) -> Any:
    if not isinstance(payload, (bytes, memoryview)):
        raise ValueError("malformed bytes")
    return payload

"""What hashing costs, found out before anything is hashed.

A tuple of a tuple of itself twice, sixty times, is a small document whose hash takes 2**60 steps; tuples in tuples are
hashed by recursion in C, without a limit; and numbers can be chosen that have one hash, so that a dict of them takes
quadratic time. Texts and bytes are safe, as their hashes have a secret.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from catenet.codec.graph.document import Node
from catenet.codec.graph.registry import Shape

__all__ = ["Hashing"]

DEEPEST: Final = 24
"""Tuples in tuples within a key. With a class's `__hash__` in between they meet a thousand times, on the stack of C."""
MOST_ALIKE: Final = 64
"""Keys of one table that may have the same hash."""
_SMALL: Final = 128
_SAFE: Final = frozenset((str, bytes, type(None), bool))


class Hashing:
    """The accounts of one document."""

    def __init__(
        self, nodes: list[Node], values: list[list[Any]], shape_of: Callable[[Node], Shape], limit: int
    ) -> None:
        self._nodes = nodes
        self._values = values
        self._shape_of = shape_of
        self._left = limit
        self._depths: dict[int, int] = {}
        self._costs: dict[int, int] = {}
        self._deep_field: bool | None = None

    def deepen(self, index: int) -> None:
        """Note how deep a tuple is, whose members are made."""
        depths = self._depths
        depth = 0
        for cell in self._nodes[index][-1]:
            if type(cell) is list and len(cell) == 1 and depths.get(cell[0], 0) > depth:
                depth = depths[cell[0]]
        depths[index] = depth + 1

    def look_at(self, cells: list[Any], keys: list[Any]) -> None:
        """Raise `ValueError` if these keys must not be hashed."""
        if set(map(type, keys)) <= _SAFE:
            return
        self._left -= len(keys)
        for cell in cells:
            if type(cell) is list and len(cell) == 1:
                self._look_at_node(cell[0])
        if self._left < 0:
            raise ValueError("hashing the keys would take too long")
        if len(keys) > _SMALL:
            self._count_alike(keys)

    def wanted(self, cells: list[Any], is_missing: Callable[[int], bool], strict: bool) -> int | None:
        """Return a node that hashing these members would look into and that is missing, or None.

        `strict` holds what a class's own `__hash__` might look into for needed.
        """
        stack: list[tuple[int, bool]] = [(cell[0], True) for cell in cells if type(cell) is list and len(cell) == 1]
        seen: set[int] = set()
        while stack:
            index, is_key = stack.pop()
            if index in seen:
                continue
            seen.add(index)
            self._left -= 1
            if is_missing(index):
                return index
            node = self._nodes[index]
            if node[0] == "object" and not self._shape_of(node).generated_hash and not strict:
                continue
            if self._left >= 0:
                stack += [(one, False) for one in self._inner(index, is_key)]
        return None

    def _look_at_node(self, index: int) -> None:
        node = self._nodes[index]
        if self._depths.get(index, 0) > DEEPEST:
            raise ValueError(f"tuples are nested more than {DEEPEST} deep within a key")
        if node[0] == "object" and not self._shape_of(node).by_identity and self._has_deep_field():
            raise ValueError(f"tuples are nested more than {DEEPEST} deep within an object that is a key")
        if node[0] in ("tuple", "object"):
            self._left -= self._cost(index)

    def _has_deep_field(self) -> bool:
        """Whether any object that is hashed by value has a field whose hash goes too deep."""
        if self._deep_field is None or not self._deep_field:
            self._deep_field = (
                any(
                    self._depths.get(cell[0], 0) > DEEPEST
                    for node in self._nodes
                    if node[0] == "object" and not self._shape_of(node).by_identity
                    for cell in node[-1]
                    if type(cell) is list and len(cell) == 1
                )
                if self._depths and max(self._depths.values()) > DEEPEST
                else False
            )
        return self._deep_field

    def _inner(self, index: int, is_key: bool) -> list[int]:
        """The nodes that are hashed with this one, each as often as it is met."""
        node = self._nodes[index]
        if node[0] == "tuple":
            return _targets(node)
        if node[0] != "object":
            return []
        shape = self._shape_of(node)
        if shape.is_tuple or shape.generated_hash:
            return _targets(node)
        if shape.by_identity or not is_key:
            return []
        # A hash of the program's own: what it looks into is its concern, but tuples hash what is in them.
        return [one for one in _targets(node) if self._nodes[one][0] == "tuple"]

    def _cost(self, index: int) -> int:
        """How many values hashing a node looks at; more than the limit is as good as the limit."""
        costs = self._costs
        if index in costs:
            return costs[index]
        ceiling = self._left + 1
        stack: list[tuple[int, list[int], int]] = [(index, self._inner(index, True), 0)]
        costs[index] = 0
        while stack:
            current, inner, position = stack[-1]
            if position < len(inner):
                stack[-1] = (current, inner, position + 1)
                child = inner[position]
                if child not in costs:
                    costs[child] = 0
                    stack.append((child, self._inner(child, False), 0))
                continue
            stack.pop()
            total = len(self._values[current]) + 1 + sum(costs[child] for child in inner)
            costs[current] = min(total, ceiling)
        return costs[index]

    def _count_alike(self, keys: list[Any]) -> None:
        try:
            hashes = list(map(hash, keys))
        except RecursionError:
            raise ValueError("a key is nested too deeply") from None
        except Exception as error:
            raise ValueError(f"a key cannot be hashed: {error}") from None
        if len(set(hashes)) < len(keys) and Counter(hashes).most_common(1)[0][1] > MOST_ALIKE:
            raise ValueError(f"more than {MOST_ALIKE} keys have one hash")


def _targets(node: Node) -> list[int]:
    return [cell[0] for cell in node[-1] if type(cell) is list and len(cell) == 1]

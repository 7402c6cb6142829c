"""Type hints as sets of exact types: most values are seen to be right by a look into a set, without a call each.

What is not seen here is for `catenet.codec.graph.checks` to judge, so nothing may be taken for right here that is
refused there.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union

from catenet.codec.graph.checks import MAY_BE, checks_of
from catenet.codec.graph.integers import FloatWidth, IntWidth

__all__ = ["Exact", "exact_of"]

_NONE: Final = type(None)
_HOLDERS: Final = (list, set, frozenset, tuple)


@dataclass(frozen=True, slots=True)
class Exact:
    """What a hint surely allows.

    `types`: values of just these types; `members`: containers of a type whose members are all of these types; `pairs`:
    the same of a dict's keys and of its values. `looks_into`: the containers whose members the hint speaks of.
    """

    types: frozenset[type]
    members: dict[type, frozenset[type]]
    pairs: tuple[frozenset[type], frozenset[type]] | None = None
    looks_into: frozenset[type] = frozenset()

    def holds(self, value: Any) -> bool:
        """Whether a container has nothing in it but what is surely allowed."""
        kind = type(value)
        members = self.members.get(kind)
        if members is not None:
            return members.issuperset(map(type, value))
        pairs = self.pairs
        if pairs is None or kind is not dict:
            return False
        return pairs[0].issuperset(map(type, value)) and pairs[1].issuperset(map(type, value.values()))


_UNKNOWN: Final = Exact(frozenset(), {})


def exact_of(hint: Any, none: bool = False) -> Exact:
    """Return what a hint that is checked surely allows. `none`: None is the default, so it is allowed."""
    found = _of(hint)
    return Exact(found.types | {_NONE}, found.members, found.pairs, found.looks_into) if none else found


def _of(hint: Any) -> Exact:
    if hint is None or hint is _NONE:
        return Exact(frozenset((_NONE,)), {})
    origin = typing.get_origin(hint)
    if origin is Annotated:
        narrow = any(isinstance(one, (IntWidth, FloatWidth)) for one in hint.__metadata__)
        return _UNKNOWN if narrow else _of(hint.__origin__)
    if origin in (Union, types.UnionType):
        return _union([_of(one) for one in typing.get_args(hint)])
    if isinstance(hint, typing.NewType):
        return _of(hint.__supertype__)
    if isinstance(origin, type):
        return _container(origin, typing.get_args(hint))
    return _class(hint) if isinstance(hint, type) else _UNKNOWN


def _class(cls: type) -> Exact:
    allowed = frozenset(MAY_BE.get(cls, (cls,)))
    return Exact(allowed | {bool} if int in allowed else allowed, {})


def _container(origin: type, arguments: tuple[Any, ...]) -> Exact:
    outer = _class(origin)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return Exact(frozenset(), {}, None, frozenset((tuple,))) if arguments else outer
    if origin in _HOLDERS and arguments:
        if checks_of(arguments[0]) is None:
            return outer
        return Exact(frozenset(), {origin: _of(arguments[0]).types}, None, frozenset((origin,)))
    if origin is dict and len(arguments) == 2:
        keys, values = (None if checks_of(one) is None else _of(one).types for one in arguments)
        pairs = None if keys is None or values is None else (keys, values)
        return Exact(frozenset(), {}, pairs, frozenset((dict,)))
    return outer


def _union(parts: list[Exact]) -> Exact:
    """Sure is what one part alone speaks of: the first of several that takes a container may refuse its members."""
    looks_into = frozenset(one for part in parts for one in part.looks_into)
    found = frozenset(one for part in parts for one in part.types if not _is_any(one, looks_into))
    members: dict[type, frozenset[type]] = {}
    pairs = None
    for part in parts:
        others = [one for other in parts if other is not part for one in (*other.looks_into, *other.types)]
        members |= {kind: allowed for kind, allowed in part.members.items() if not _is_any_of(others, kind)}
        if part.pairs is not None and not _is_any_of(others, dict):
            pairs = part.pairs
    return Exact(found, members, pairs, looks_into)


def _is_any(one: type, kinds: Iterable[type]) -> bool:
    return any(kind in one.__mro__ for kind in kinds)


def _is_any_of(heirs: Iterable[type], kind: type) -> bool:
    return any(kind in one.__mro__ for one in heirs)

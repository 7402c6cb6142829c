"""Any idle connection as a byte string, its encoded state: what differs from a new one.

The slow path to keep what is parked, for connections with losses behind them or an algorithm of their own (those
without take the fast path, `snapshot.py`). Generic over the variables of the table in `fields.py`, relative to the
initial sequence numbers and to when the connection last heard of its peer, so that connections with the same history
have the same bytes. Not compiled, as it looks into classes.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.parking.encoded import FIELDS

if TYPE_CHECKING:
    from catenet.control import Congestion
    from catenet.stack.tcp.layer import TcpLayer

_Plan: TypeAlias = "tuple[list[tuple[str, Any]], list[tuple[str, int, int]], list[tuple[str, Any]]]"

__all__ = ["assign", "default_state", "differences", "encode", "restore"]

# What a number is relative to. Any choice brings the number back; a good one makes encoded states alike.
_SENT: Final = 1
_RECEIVED: Final = 2
_HEARD: Final = 3
_STAMPED: Final = 4
"""To when it last heard of its peer, in the milliseconds of the peer's timestamps."""
_NEAR: Final = 1 << 20
_SMALL: Final = 1 << 18
"""Sizes and intervals are mostly below, positions and times above."""

_TS_RECENT: Final = FIELDS.index("ts_recent")
_values: Final = attrgetter(*FIELDS)
_PLANS: Final = 256
"""Encoded states whose plan is kept at hand."""


def encode(c: Connection, default: tuple[Any, ...]) -> bytes:
    """What differs from a new connection's variables (`default_state`); the same history has the same bytes."""
    bases = _bases(c.iss, c.irs, c.last_heard)
    changed: list[tuple[int, Any]] = [(_TS_RECENT, (_STAMPED, c.ts_recent - bases[_STAMPED]))]
    for number, (value, fresh) in enumerate(zip(_values(c), default, strict=True)):
        if value is not fresh and value != fresh and number != _TS_RECENT:
            changed.append((number, _pack(value, bases)))
    algorithm = c.congestion
    inside = [(name, _pack(getattr(algorithm, name), bases)) for name in _variables(algorithm)]
    # Version 2 has no back references, which would depend on who else holds the same objects.
    return marshal.dumps((changed, algorithm.name, inside), 2)


def restore(c: Connection, state: bytes) -> None:
    """Set the variables of a new connection, whose initial positions and time are set."""
    bases = _bases(c.iss, c.irs, c.last_heard)
    changed, algorithm, inside = _plan(state)
    _restore(c, changed, bases)
    c.options = dict(c.options)  # the plan's is everybody's
    c.congestion = c.layer.congestion_named(algorithm)
    _restore(c.congestion, inside, bases)


def differences(c: Connection, default: tuple[Any, ...]) -> list[tuple[str, Any]]:
    """Names and values of the variables that are not those of a new connection, but for its options."""
    both = zip(FIELDS, _values(c), default, strict=True)
    return [(name, value) for name, value, fresh in both if value != fresh and name != "options"]


def default_state(layer: TcpLayer) -> tuple[Any, ...]:
    """The variables of a connection as its constructor leaves them, to compare with."""
    found: tuple[Any, ...] = _values(Connection(layer, b"", 0, b"", 0))
    return found


def assign(target: object, name: str, value: Any) -> None:
    """Set a variable of a connection or of one of its components, by its name in the table."""
    owner, _, inner = name.rpartition(".")
    setattr(getattr(target, owner) if owner else target, inner, value)


@lru_cache(_PLANS)
def _plan(state: bytes) -> tuple[_Plan, str, _Plan]:
    """What to set in a connection, the name of its congestion control, and what to set in that."""
    changed, algorithm, inside = marshal.loads(state)
    return _sorted([(FIELDS[number], value) for number, value in changed]), algorithm, _sorted(inside)


def _sorted(values: list[tuple[str, Any]]) -> _Plan:
    """Values by how they come back: as they are, by addition, or part by part."""
    plain = [(name, value) for name, value in values if value.__class__ not in (tuple, list)]
    near = [(name, *value) for name, value in values if value.__class__ is tuple]
    return plain, near, [(name, value) for name, value in values if value.__class__ is list]


def _restore(target: object, plan: _Plan, bases: tuple[int, int, int, int, int]) -> None:
    plain, near, nested = plan
    for name, value in plain:
        assign(target, name, value)
    for name, base, distance in near:
        assign(target, name, bases[base] + distance)
    for name, value in nested:
        assign(target, name, _unpack(value, bases))


def _variables(algorithm: Congestion) -> list[str]:
    """Names of a congestion control's variables that have a value, those of its bases first."""
    kind: Any = type(algorithm)
    return [name for name in _names(kind) if hasattr(algorithm, name)]


@lru_cache(_PLANS)
def _names(kind: Any) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for each in reversed(kind.__mro__):
        attributes = vars(each).get("__mypyc_attrs__") or vars(each).get("__slots__", ())
        names.update(dict.fromkeys(name for name in attributes if not name.startswith("__")))
    return tuple(names)


def _bases(iss: int, irs: int, heard: int) -> tuple[int, int, int, int, int]:
    return 0, iss, irs, heard, heard // 1000


def _pack(value: Any, bases: tuple[int, int, int, int, int]) -> Any:
    """A value with its numbers relative to what they are near to."""
    if value.__class__ is int:
        if value < _SMALL:
            return value
        for base in (_SENT, _RECEIVED, _HEARD):
            distance = value - bases[base]
            if -_NEAR < distance < _NEAR:
                return base, distance
        return value
    if value.__class__ is tuple or value.__class__ is list:
        parts = [_pack(part, bases) for part in value]
        return ["list" if value.__class__ is list else "tuple", *parts]
    return value


def _unpack(value: Any, bases: tuple[int, int, int, int, int]) -> Any:
    if value.__class__ is tuple:
        return bases[value[0]] + value[1]
    if value.__class__ is list:
        parts = [_unpack(part, bases) for part in value[1:]]
        return parts if value[0] == "list" else tuple(parts)
    return value

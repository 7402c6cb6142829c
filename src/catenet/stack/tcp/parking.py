"""Connections that nothing happens on, kept small: a million of them fit where a hundred thousand would not.

A connection has some two hundred variables, of which an idle one needs no more than sixty, and those are much alike
among the connections of a host: a parked one keeps its three points of reference (both initial sequence numbers and
when it last heard of its peer) and shares the rest, taken relative to these, with all that look the same (`shape`). The
first segment or call brings it back as it was. Parking begins when a host has thousands of connections, goes through
them each time their number has doubled, and changes nothing that can be seen from outside.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from catenet.stack.tcp import states
from catenet.stack.tcp.connection import NEVER, OPEN, Connection

if TYPE_CHECKING:
    from catenet.stack.tcp.congestion import Congestion
    from catenet.stack.tcp.endpoint import TcpEndpoint
    from catenet.stack.tcp.layer import TcpLayer

_Plan: TypeAlias = "tuple[list[tuple[str, Any]], list[tuple[str, int, int]], list[tuple[str, Any]]]"

__all__ = ["PARK_FROM", "Parked", "may_park", "park", "thaw"]

PARK_FROM: Final = 4096
"""Connections that are live before any is parked."""
SHAPES_KEPT: Final = 16_384
"""Shapes shared at most; what comes after keeps its own."""

# What a number is relative to. Any choice brings the number back; a good one makes shapes alike.
_SENT: Final = 1
_RECEIVED: Final = 2
_HEARD: Final = 3
_STAMPED: Final = 4
"""To when it last heard of its peer, in the milliseconds of the peer's timestamps."""
_NEAR: Final = 1 << 20
_SMALL: Final = 1 << 18
"""Sizes and intervals are mostly below, positions and times above."""

_OWN: Final = frozenset(
    (
        "congestion",
        "destination",
        "destination_port",
        "endpoint",
        "header",
        "irs",
        "iss",
        "key",
        "layer",
        "source",
        "source_port",
    )
)
_QUEUES: Final = frozenset(("sent", "pending", "push_marks", "received"))
_FIELDS: Final[tuple[str, ...]] = tuple(
    name
    for name in getattr(Connection, "__mypyc_attrs__", None) or Connection.__slots__
    if name not in _OWN and name not in _QUEUES and not name.startswith("__")
)
_TS_RECENT: Final = _FIELDS.index("ts_recent")
_values: Final = attrgetter(*_FIELDS)
_PLANS: Final = 256
"""Shapes whose plan is kept at hand."""


class Parked:
    """An idle connection: what is its own, and the shape that it shares."""

    __slots__ = ("endpoint", "heard", "irs", "iss", "key", "shape")

    def __init__(self, c: Connection, endpoint: TcpEndpoint, shape: bytes) -> None:
        self.key = c.key
        self.endpoint = endpoint
        self.iss = c.iss
        self.irs = c.irs
        self.heard = c.last_heard
        self.shape = shape


def may_park(c: Connection) -> bool:
    """Whether nothing is under way: no data in any queue, no deadline, no error, nothing to be done."""
    if c.state != states.ESTABLISHED or c.endpoint is None or c.wake_at != NEVER or c.todo or c.shutdown:
        return False
    if c.sent or c.pending or c.push_marks or c.received or c.buffered or c.ca_state != OPEN:
        return False
    if c.timer_at != NEVER or c.delack_at != NEVER or c.keepalive_at != NEVER or c.error or c.soft_error:
        return False
    others = (c.reassembly, c.accecn, c.fast_open, c.mtu_probing, c.record_ends, c.urgent_byte, c.stamps, c.memory)
    return all(other is None for other in others)


def park(c: Connection) -> None:
    """Replace a connection that `may_park` in its layer's table and in its endpoint."""
    layer, endpoint = c.layer, c.endpoint
    assert endpoint is not None
    bases = _bases(c.iss, c.irs, c.last_heard)
    changed: list[tuple[int, Any]] = [(_TS_RECENT, (_STAMPED, c.ts_recent - bases[_STAMPED]))]
    for number, (value, usual) in enumerate(zip(_values(c), layer.pristine, strict=True)):
        if value is not usual and value != usual and number != _TS_RECENT:
            changed.append((number, _pack(value, bases)))
    algorithm = c.congestion
    inside = [(name, _pack(getattr(algorithm, name), bases)) for name in _variables(algorithm)]
    # Version 2 has no back references, which would depend on who else holds the same objects.
    shape = marshal.dumps((changed, algorithm.name, inside), 2)
    if len(layer.shapes) < SHAPES_KEPT:
        shape = layer.shapes.setdefault(shape, shape)
    parked = Parked(c, endpoint, shape)
    layer.connections[c.key] = parked
    layer.live.pop(c, None)
    endpoint.attach(None)
    endpoint.parked = parked
    c.endpoint = None


def thaw(parked: Parked) -> Connection:
    """Bring a connection back as it was."""
    endpoint = parked.endpoint
    layer = endpoint.layer
    key = parked.key
    size = len(key) // 2 - 2
    ports = int.from_bytes(key[-4:-2], "big"), int.from_bytes(key[-2:], "big")
    c = Connection(layer, key[size : 2 * size], ports[1], key[:size], ports[0])
    c.key, c.iss, c.irs = key, parked.iss, parked.irs
    bases = _bases(parked.iss, parked.irs, parked.heard)
    ours, algorithm, inside = _plan(parked.shape)
    _restore(c, ours, bases)
    c.congestion = layer.congestion_named(algorithm)
    _restore(c.congestion, inside, bases)
    c.endpoint = endpoint
    endpoint.parked = None
    endpoint.attach(c)
    layer.connections[key] = c
    layer.note_live(c)
    return c


def pristine(layer: TcpLayer) -> tuple[Any, ...]:
    """The variables of a connection as its constructor leaves them, to compare with."""
    found: tuple[Any, ...] = _values(Connection(layer, b"", 0, b"", 0))
    return found


@lru_cache(_PLANS)
def _plan(shape: bytes) -> tuple[_Plan, str, _Plan]:
    """What to set in a connection, the name of its congestion control, and what to set in that."""
    changed, algorithm, inside = marshal.loads(shape)
    return _sorted([(_FIELDS[number], value) for number, value in changed]), algorithm, _sorted(inside)


def _sorted(values: list[tuple[str, Any]]) -> _Plan:
    """Values by how they come back: as they are, by addition, or part by part."""
    plain = [(name, value) for name, value in values if value.__class__ not in (tuple, list)]
    near = [(name, *value) for name, value in values if value.__class__ is tuple]
    return plain, near, [(name, value) for name, value in values if value.__class__ is list]


def _restore(target: object, plan: _Plan, bases: tuple[int, int, int, int, int]) -> None:
    plain, near, nested = plan
    for name, value in plain:
        setattr(target, name, value)
    for name, base, distance in near:
        setattr(target, name, bases[base] + distance)
    for name, value in nested:
        setattr(target, name, _unpack(value, bases))


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

"""Connections that nothing happens on, kept small: a million of them fit where a hundred thousand would not.

A connection has some two hundred variables, of which an idle one needs no more than sixty, and those are much alike
among the connections of a host: a parked one keeps its three points of reference (both initial sequence numbers and
when it last heard of its peer) and shares the rest, taken relative to these, with all that look the same (`shape`). The
first segment or call brings it back as it was. Parking begins when a host has thousands of connections, goes through
them each time their number has doubled, and changes nothing that can be seen from outside.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any, Final

from catenet.stack.tcp import states
from catenet.stack.tcp.connection import NEVER, OPEN, Connection

if TYPE_CHECKING:
    from catenet.stack.tcp.congestion import Congestion
    from catenet.stack.tcp.endpoint import TcpEndpoint
    from catenet.stack.tcp.layer import TcpLayer

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
_FIELDS: Final[tuple[str, ...]] = tuple(
    name
    for name in getattr(Connection, "__mypyc_attrs__", None) or Connection.__slots__
    if name not in _OWN and not name.startswith("__")
)
_QUEUES: Final = frozenset(("sent", "pending", "push_marks", "received"))


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
    others = (c.reassembly, c.accecn, c.fast_open, c.mtu_probing, c.record_ends, c.urgent_byte, c.stamps)
    return all(other is None for other in others)


def park(c: Connection) -> None:
    """Replace a connection that `may_park` in its layer's table and in its endpoint."""
    layer, endpoint = c.layer, c.endpoint
    assert endpoint is not None
    bases = _bases(c.iss, c.irs, c.last_heard)
    fresh = layer.pristine
    changed = []
    for number, name in enumerate(_FIELDS):
        if name not in _QUEUES:
            value = getattr(c, name)
            if name == "ts_recent":
                changed.append((number, (_STAMPED, value - bases[_STAMPED])))
            elif value != getattr(fresh, name):
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
    changed, algorithm, inside = marshal.loads(parked.shape)
    for number, value in changed:
        setattr(c, _FIELDS[number], _unpack(value, bases))
    c.congestion = layer.congestion_named(algorithm)
    for name, value in inside:
        setattr(c.congestion, name, _unpack(value, bases))
    c.endpoint = endpoint
    endpoint.parked = None
    endpoint.attach(c)
    layer.connections[key] = c
    layer.note_live(c)
    return c


def pristine(layer: TcpLayer) -> Connection:
    """A connection as its constructor leaves it, to compare with."""
    return Connection(layer, b"", 0, b"", 0)


def _variables(algorithm: Congestion) -> list[str]:
    """Names of a congestion control's variables, those of its bases first."""
    names: list[str] = []
    for kind in reversed(type(algorithm).__mro__):
        attributes = vars(kind).get("__mypyc_attrs__") or vars(kind).get("__slots__", ())
        names += [name for name in attributes if not name.startswith("__") and name not in names]
    return [name for name in names if hasattr(algorithm, name)]


def _bases(iss: int, irs: int, heard: int) -> tuple[int, int, int, int, int]:
    return 0, iss, irs, heard, heard // 1000


def _pack(value: Any, bases: tuple[int, int, int, int, int]) -> Any:
    """A value with its numbers relative to what they are near to."""
    if value.__class__ is int:
        if value < _SMALL:
            return value
        distance, base = min((abs(value - bases[base]), base) for base in (_SENT, _RECEIVED, _HEARD))
        return (base, value - bases[base]) if distance < _NEAR else value
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

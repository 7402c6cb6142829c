"""Connections that nothing happens on, kept small: a million of them fit where a hundred thousand would not.

A live connection is an object of two hundred variables with its queues and its congestion control, 5 KB. A parked one
has what is its own: its name, both initial sequence numbers, how far both streams are, and when it last heard of its
peer; the rest (`Snapshot`, `TimingSnapshot`) it shares with those that have the same history. The first segment or call
brings it back as it was, in an object that a parked one like it has left behind, so that only what differs has to be
set (`Template`).

Parking begins when a host has more than a thousand live connections. From then on each that begins or comes back has
others looked at, and parked if they are idle, first the one before it: what comes back for one message goes again, and
leaves its object to the next while that is in the processor's cache. Now and then it stays instead of one that has been
live for long. So live are never many more than that and those that are busy. None of it can be seen from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.parking import encoding
from catenet.stack.tcp.parking.setup import has_same_setup, is_idle, is_untroubled
from catenet.stack.tcp.parking.snapshot import Snapshot
from catenet.stack.tcp.parking.timing import TimingSnapshot

if TYPE_CHECKING:
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.user.endpoint import TcpEndpoint

__all__ = ["IdlePool", "Parked", "Template", "may_park"]

PARK_FROM: Final = 1024
"""Connections that are live before any is parked."""
_LOOKS: Final = 2
"""Old connections looked at for each that begins or comes back; more than one, or their number could not fall."""
_STAYS: Final = 16
"""One in so many stays in an old one's place."""
_TEMPLATES: Final = 32
"""Ways to set a connection up that are known at a time; what is set up otherwise is kept as encoded state."""
_OBJECTS: Final = 64
"""Objects that a template keeps for those that come back."""
_RECENT: Final = 8
"""Histories of a template that are compared with that of the next connection."""
_ENCODED: Final = 16_384
"""Encoded states shared at most; what comes after keeps its own."""


class Parked:
    """An idle connection: what is its own, and what it shares."""

    __slots__ = ("endpoint", "got", "heard", "irs", "iss", "key", "rest", "sent", "timing")

    def __init__(
        self, c: Connection, endpoint: TcpEndpoint, rest: Snapshot | bytes, timing: TimingSnapshot | None
    ) -> None:
        self.key = c.key
        self.endpoint = endpoint
        self.iss = c.iss
        self.irs = c.irs
        self.sent = c.snd_una - c.iss
        self.got = c.rcv_nxt - c.irs
        self.heard = c.last_heard
        self.rest = rest
        self.timing = timing


class Template:
    """How some connections are set up."""

    __slots__ = ("_next", "_recent", "_timing", "algorithm", "differences", "like", "objects")

    def __init__(self, like: Connection, differences: list[tuple[str, Any]]) -> None:
        self.like = like
        self.algorithm = like.congestion.name
        self.differences = differences
        self.objects: list[Connection] = []
        """Those that parked connections have left, with all that `has_same_setup` compares as it has to be."""
        self._recent: list[Snapshot] = []
        self._next = 0
        self._timing: TimingSnapshot | None = None

    def snapshot(self, c: Connection) -> Snapshot:
        """What a connection shares, if possible with others."""
        recent = self._recent
        for each in recent:
            if each.matches(c):
                return each
        snapshot = Snapshot(c, self)
        if len(recent) < _RECENT:
            recent.append(snapshot)
        else:
            recent[self._next] = snapshot
            self._next = (self._next + 1) % _RECENT
        return snapshot

    def timing(self, c: Connection) -> TimingSnapshot:
        """When things happened to a connection, the last one's if it is the same."""
        last = self._timing
        if last is None or not last.matches(c):
            last = self._timing = TimingSnapshot(c)
        return last

    def make(self) -> Connection:
        """A connection set up like this, without a name."""
        like = self.like
        c = Connection(like.layer, b"", 0, b"", 0)
        for name, value in self.differences:
            encoding.assign(c, name, value)
        c.options = dict(like.options)
        c.congestion = like.layer.congestion_named(self.algorithm)
        return c


class IdlePool:
    """The live and the parked connections of a host."""

    __slots__ = ("_default", "_encoded", "_layer", "_older", "_recent", "_stays", "_templates", "limit")

    def __init__(self, layer: TcpLayer) -> None:
        self._layer = layer
        self.limit = PARK_FROM
        self._recent: dict[Connection, None] = {}
        self._older: dict[Connection, None] = {}
        """Those that have not been looked at since all others were."""
        self._stays = 0
        self._templates: list[Template] = []
        self._encoded: dict[bytes, bytes] = {}
        self._default: tuple[Any, ...] = ()
        """The variables of a new connection, once they are needed."""

    @property
    def live(self) -> list[Connection]:
        """Connections that are not parked."""
        return [*self._older, *self._recent]

    def note(self, c: Connection) -> None:
        """A connection has begun or come back: look at some others."""
        if len(self._recent) + len(self._older) >= self.limit:
            self._look()
        self._recent[c] = None

    def drop(self, c: Connection) -> None:
        """A connection has ended."""
        self._recent.pop(c, None)
        self._older.pop(c, None)

    def _look(self) -> None:
        self._stays += 1
        if self._recent and self._stays % _STAYS:
            c, _ = self._recent.popitem()
            if may_park(c):
                self._replace(c)
                return
            self._recent[c] = None
        for _ in range(_LOOKS):
            if not self._older:
                self._older, self._recent = self._recent, self._older
            c, _ = self._older.popitem()
            if may_park(c):
                self._replace(c)
            else:
                self._recent[c] = None

    def park(self, c: Connection) -> None:
        """Replace a connection that `may_park` in its layer's table and in its endpoint."""
        self.drop(c)
        self._replace(c)

    def _replace(self, c: Connection) -> None:
        endpoint = c.endpoint
        assert endpoint is not None
        template = self._template(c)
        if template is None:
            parked = Parked(c, endpoint, self._encode(c), None)
        else:
            parked = Parked(c, endpoint, template.snapshot(c), template.timing(c))
        self._layer.connections[c.key] = parked
        endpoint.attach(None)
        endpoint.parked = parked
        c.endpoint = None
        if template is not None and len(template.objects) < _OBJECTS and c is not template.like:
            template.objects.append(c)

    def _template(self, c: Connection) -> Template | None:
        """The template for a connection, None if it has to be kept as encoded state."""
        for template in self._templates:
            if has_same_setup(c, template.like):
                return template
        if len(self._templates) >= _TEMPLATES:
            return None
        fresh = Connection(self._layer, b"", 0, b"", 0)
        fresh.congestion = self._layer.congestion_named(c.congestion.name)
        if not is_untroubled(c, fresh) or not has_same_setup(c, c):
            return None
        template = Template(c, encoding.differences(c, self._default_values()))
        self._templates.append(template)
        return template

    def _encode(self, c: Connection) -> bytes:
        encoded = encoding.encode(c, self._default_values())
        return self._encoded.setdefault(encoded, encoded) if len(self._encoded) < _ENCODED else encoded

    def _default_values(self) -> tuple[Any, ...]:
        if not self._default:
            self._default = encoding.default_state(self._layer)
        return self._default

    def unpark(self, parked: Parked) -> Connection:
        """Bring a connection back as it was."""
        rest = parked.rest
        key = parked.key
        if isinstance(rest, Snapshot):
            objects = rest.template.objects
            c = objects.pop() if objects else rest.template.make()
        else:
            c = Connection(self._layer, b"", 0, b"", 0)
        _name(c, key)
        c.iss, c.irs, c.last_heard = parked.iss, parked.irs, parked.heard
        if isinstance(rest, Snapshot):
            c.snd_una = c.snd_nxt = c.write_seq = parked.iss + parked.sent
            c.rcv_nxt = c.copied = parked.irs + parked.got
            rest.restore(c)
            assert parked.timing is not None
            parked.timing.restore(c)
        else:
            encoding.restore(c, rest)
        endpoint = parked.endpoint
        c.endpoint = endpoint
        endpoint.parked = None
        endpoint.attach(c)
        self._layer.connections[key] = c
        self.note(c)
        return c


def may_park(c: Connection) -> bool:
    """Whether a connection is established, in its program's hands, and has nothing under way."""
    return c.endpoint is not None and is_idle(c)


def _name(c: Connection, key: bytes) -> None:
    """Give an object that has been left behind, or a new one, the name that `key` holds."""
    size = len(key) - 4
    if c.key[:size] != key[:size]:
        c.destination = key[: size // 2]
        c.source = key[size // 2 : size]
        c.header = None
    elif c.header is not None:
        # The same hosts: the packets' constant parts differ in the ports only.
        c.header.names = c.header.names[:size] + key[size + 2 :] + key[size : size + 2]
    c.destination_port = key[size] << 8 | key[size + 1]
    c.source_port = key[size + 2] << 8 | key[size + 3]
    c.key = key

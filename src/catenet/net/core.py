"""The five verbs: what a protocol core must have so that `catenet.net` makes a client or a server of it.

A core does no I/O, reads no clock and draws no entropy. It is told what came (`receive`) and what time it is, and it
is asked what to send (`transmit`), what happened (`next_event`), and when it has something to do by itself
(`next_deadline`, `handle_timeout`). Times are seconds of a clock that never goes back. Deadlines are absolute, free
to ask for, and harmless when they fire early. What a peer does wrong makes no verb raise: it is an event, or the end of
the connection.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol, TypeVar

from catenet.net.segments import Segments

__all__ = ["DatagramCore", "Peer", "PlainCore", "PlainDatagramCore", "StreamCore", "check_core", "check_factory"]

E_co = TypeVar("E_co", covariant=True)


class StreamCore(Protocol[E_co]):
    """One connection of a protocol on a byte stream, client or server. `E_co`: its events.

    A core that holds much output should say how many bytes `transmit` has yet to return, in an attribute `queued`: they
    count against `ServerLimits.max_queued_total` as what waits in transports does. One that cannot take more for now
    says so in an attribute `full`: then its peer is not read. A peer that does not read is not read either, so that it
    cannot make answers pile up; a core that bounds them itself, and must hear its peer even then (acknowledgements,
    windows), has an attribute `reads_on` that is true.
    """

    def receive(self, data: bytes, now: float) -> None:
        """Take the next bytes from the peer. `b""`: nothing more will come; a core that is through closes."""

    def transmit(self, now: float) -> bytes:
        """Return the next bytes to be sent; `b""`: none. Asked again until then, but not while the peer is slow."""

    def next_event(self) -> E_co | None:
        """Return the next thing that happened, or None."""

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`."""

    # What a server asks besides, to keep its limits and to end in order.

    @property
    def begun(self) -> bool:
        """Whether what a connection begins with is complete; the peer has `handshake_timeout` for it."""

    @property
    def unfinished(self) -> bool:
        """Whether the peer has begun something, not finished it, and is free to go on."""

    @property
    def closed(self) -> bool:
        """Whether nothing follows what `transmit` still returns: the connection is closed then."""

    def drain(self, now: float) -> None:
        """Begin nothing new; finish what has begun, say goodbye if the protocol can, and be closed."""


def check_factory(factory: object, function: str) -> None:
    """Raise `TypeError` for a core where something is wanted that makes cores."""
    if not callable(factory):
        name = type(factory).__name__
        raise TypeError(f"{function}() takes what makes a core, as the class {name} itself, not a {name}")


def check_core(core: object, function: str) -> None:
    """Raise `TypeError` for a class where a core is wanted."""
    if isinstance(core, type):
        raise TypeError(f"{function}() takes a core, {core.__name__}(), not its class")


class PlainCore:
    """What a simple core need not write: nothing begins a connection, nothing is owed, there are no deadlines."""

    begun: bool = True
    unfinished: bool = False
    closed: bool = False
    queued: int = 0

    def next_deadline(self) -> float | None:
        """Return None: there is nothing to do by itself."""
        return None

    def handle_timeout(self, now: float) -> None:
        """There are no deadlines."""

    def drain(self, now: float) -> None:
        """Close at once."""
        self.closed = True


class Peer(Protocol, Hashable):
    """Where a datagram came from, and on which way an answer goes back. Cores keep it and return it as it is."""

    @property
    def name(self) -> str:
        """`host:port`, for people."""


class DatagramCore(Protocol[E_co]):
    """A protocol on datagrams: all peers of one server, or one client. `E_co`: its events."""

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram. Whoever sent it may have forged its source: UDP has no handshake (RFC 8085 section 6)."""

    def transmit(self, now: float) -> Sequence[tuple[bytes | Segments, Peer]]:
        """Return the next datagrams to be sent; none: the end.

        Asked again until then, but not while the kernel is slow. What cannot be sent is lost, as datagrams are.
        """

    def next_event(self) -> E_co | None:
        """Return the next thing that happened, or None."""

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`."""

    # What the network and a server say and ask besides.

    def handle_error(self, error: OSError, now: float) -> None:
        """An ICMP message says that a datagram did not arrive (client), or a datagram could not be sent."""

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by closing now."""

    def drain(self, now: float) -> None:
        """Begin nothing new; finish what has begun, and be idle."""


class PlainDatagramCore:
    """What a simple core on datagrams need not write: it is always idle, and has no deadlines."""

    idle: bool = True

    def next_deadline(self) -> float | None:
        """Return None: there is nothing to do by itself."""
        return None

    def handle_timeout(self, now: float) -> None:
        """There are no deadlines."""

    def handle_error(self, error: OSError, now: float) -> None:
        """Datagrams get lost; who needs an answer asks again."""

    def drain(self, now: float) -> None:
        """There is nothing to finish."""

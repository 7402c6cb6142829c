"""Multicast DNS on one interface as a datagram core of five verbs (RFC 6762): it asks, and answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from random import Random
from typing import Final, NamedTuple, Protocol, cast

from catenet.dns.multicast.answers import Asker
from catenet.dns.multicast.packets import read_packet
from catenet.dns.multicast.querier import Querier, QuerierEvent
from catenet.dns.multicast.responder import Claimed, Responder
from catenet.dns.multicast.timers import Timers
from catenet.net.core import Peer
from catenet.net.dial import SocketName
from catenet.net.multicast import Network, is_on_link
from catenet.wire.errors import Malformed

__all__ = [
    "GROUPS",
    "MOST_REPLIES",
    "PORT",
    "Limits",
    "LinkPeer",
    "MulticastDns",
    "MulticastEvent",
]

PORT: Final = 5353
GROUPS: Final = ("224.0.0.251", "ff02::fb")

MOST_REPLIES: Final = 256
"""Datagrams to single peers that wait to be sent; what comes then is not answered."""
REMEMBERED: Final = 32
"""Datagrams of ours that are known when they come back."""

MulticastEvent = QuerierEvent | Claimed


class LinkPeer(Peer, Protocol):
    """A peer with its address, as sockets have it."""

    @property
    def address(self) -> SocketName:
        """Host and port, then what the address family adds."""


class Limits(NamedTuple):
    """How much is kept of what others say: records in all, and of each peer."""

    most_records: int = 10_000
    most_of_peer: int = 2_000


class MulticastDns:
    """Querier and responder on one interface.

    Args:
        groups: where messages to all go, a peer for each IP version.
        random: for delays, so that not all hosts speak at once.
        networks: of this interface; what comes from other addresses is not heard (RFC 6762 11). None: all is heard.
        own: this interface's addresses.
        limits: of what is kept.
    """

    def __init__(
        self,
        groups: Sequence[LinkPeer],
        random: Random,
        *,
        networks: Collection[Network] | None = None,
        own: Collection[str] = (),
        limits: Limits = Limits(),
    ) -> None:
        self._groups, self._own = groups, frozenset(own)
        self._networks = None if networks is None else list(networks)
        self._timers = Timers()
        self._out: list[tuple[bytes, LinkPeer]] = []
        self._replies = 0
        self._sent: deque[bytes] = deque(maxlen=REMEMBERED)
        self.querier = Querier(self._timers, random, self._send, *limits)
        self.responder = Responder(self._timers, random, self._send, self._reply)
        self.malformed = 0
        """Datagrams that could not be read."""
        self.foreign = 0
        """Datagrams from other networks, and responses from other ports."""

    # The five verbs.

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram."""
        sender = cast("LinkPeer", peer)
        host = str(sender.address[0]).partition("%")[0]
        try:
            packet = read_packet(data)
            legacy = sender.address[1] != PORT
            if not self._is_near(host) or (legacy and packet.is_response):
                self.foreign += 1
            elif packet.is_response:
                items = packet.answers + packet.authority + packet.additional
                is_ours = self._is_ours(data, host)
                self.querier.hear_response(items, host, now)
                if not is_ours:
                    self.responder.hear_response(items, now)
            else:
                if not legacy and not self._is_ours(data, host):
                    self.querier.hear_query(packet, now)
                self.responder.hear_query(packet, Asker(sender, host, legacy), now)
        except Malformed:
            self.malformed += 1

    def transmit(self, now: float) -> list[tuple[bytes, Peer]]:
        """Return the next datagrams to be sent."""
        self._timers.run(now)
        out, self._out, self._replies = self._out, [], 0
        return [(data, peer) for data, peer in out]

    def next_event(self) -> list[MulticastEvent] | None:
        """Return what happened since, or None; together, as the records of a message belong together."""
        events: list[MulticastEvent] = [*self.responder.events, *self.querier.events]
        self.responder.events.clear()
        self.querier.events.clear()
        return events or None

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""
        return self._timers.deadline

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`."""
        self._timers.run(now)

    def handle_error(self, error: OSError, now: float) -> None:
        """A datagram could not be sent; it is lost, as others are."""

    @property
    def idle(self) -> bool:
        """Whether all has been sent."""
        return not self._out

    def drain(self, now: float) -> None:
        """Give up all names, and say so."""
        for claim in list(self.responder.claims):
            self.responder.release(claim, now)

    # Its parts.

    def _send(self, messages: list[bytes]) -> None:
        for data in messages:
            self._sent.append(data)
            self._out += [(data, group) for group in self._groups]

    def _reply(self, messages: list[bytes], asker: Asker) -> None:
        if self._replies < MOST_REPLIES:
            self._replies += len(messages)
            self._out += [(data, cast("LinkPeer", asker.peer)) for data in messages]

    def _is_ours(self, data: bytes, host: str) -> bool:
        """Whether this is a message of ours that came back, as all do that are sent to a group."""
        return host in self._own and data in self._sent

    def _is_near(self, host: str) -> bool:
        return self._networks is None or is_on_link(host, self._networks)

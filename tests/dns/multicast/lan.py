"""A link in virtual time: cores of multicast DNS that hear each other, and datagrams that get lost."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random

from catenet.dns.multicast.browser import Browser, Change
from catenet.dns.multicast.core import GROUPS, PORT, Limits, MulticastDns
from catenet.dns.multicast.packets import Packet, read_packet
from catenet.dns.multicast.publication import Publication
from catenet.net.core import Peer

__all__ = ["GROUP", "Address", "Lan", "Node"]

LATENCY = 0.001


@dataclass(frozen=True)
class Address:
    """A peer: host and port."""

    host: str
    port: int = PORT

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


GROUP = Address(GROUPS[0])


@dataclass
class Node:
    """A host, and what it has sent: when, to whom, what."""

    address: Address
    core: MulticastDns
    sent: list[tuple[float, Peer, Packet]] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
    browser: Browser | None = None
    changes: list[Change] = field(default_factory=list)
    events: list[object] = field(default_factory=list)

    @property
    def queries(self) -> list[tuple[float, Packet]]:
        return [(when, packet) for when, _, packet in self.sent if not packet.is_response]

    @property
    def responses(self) -> list[tuple[float, Packet]]:
        return [(when, packet) for when, _, packet in self.sent if packet.is_response]


class Lan:
    """All nodes of a link. `loss`: which part of the datagrams a node does not hear, each node for itself."""

    def __init__(self, seed: int = 0, loss: float = 0.0) -> None:
        self.now = 0.0
        self.loss = loss
        self.nodes: list[Node] = []
        self._random = Random(seed)
        self._flying: list[tuple[float, int, Node, bytes, Address]] = []
        self._count = 0

    def add(self, limits: Limits = Limits()) -> Node:
        address = Address(f"10.0.0.{len(self.nodes) + 1}")
        core = MulticastDns([GROUP], Random(self._random.random()), own=[address.host], limits=limits)
        self.nodes.append(Node(address, core))
        return self.nodes[-1]

    def publish(self, node: Node, name: str, *, host: str = "host", kind: str = "_http._tcp") -> Publication:
        address = bytes((10, 0, 0, self.nodes.index(node) + 1))
        made = Publication(node.core.responder, name, kind, 80, {"a": "b"}, (), host, [address], self.now)
        node.publications.append(made)
        return made

    def inject(self, data: bytes, source: Address, to: Node | None = None) -> None:
        """Let nodes hear a datagram of somebody who is no node."""
        for node in [to] if to else self.nodes:
            node.core.receive(data, source, self.now)
        self._pump()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self._pump()
        while True:
            times = [when for node in self.nodes if (when := node.core.next_deadline()) is not None]
            times += [entry[0] for entry in self._flying[:1]]
            if not times or min(times) > end:
                self.now = end
                return
            self.now = max(self.now, min(times))
            while self._flying and self._flying[0][0] <= self.now:
                _, _, node, data, source = heapq.heappop(self._flying)
                node.core.receive(data, source, self.now)
            for node in self.nodes:
                node.core.handle_timeout(self.now)
            self._pump()

    def _pump(self) -> None:
        for node in self.nodes:
            while (events := node.core.next_event()) is not None:
                node.events += events
                for publication in node.publications:
                    publication.follow_host(self.now)
                if node.browser is not None:
                    node.changes += node.browser.take(events, self.now)
            while sent := node.core.transmit(self.now):
                for data, peer in sent:
                    node.sent.append((self.now, peer, read_packet(data)))
                    self._send(node, data, peer)

    def _send(self, sender: Node, data: bytes, peer: Peer) -> None:
        for node in self.nodes:
            if peer in (GROUP, node.address) and (node is sender or self._random.random() >= self.loss):
                self._count += 1
                heapq.heappush(self._flying, (self.now + LATENCY, self._count, node, data, sender.address))

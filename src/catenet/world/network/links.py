"""Networks of a world: ports of hosts, the switch between them, and how a packet travels from one to the other.

A network is a switch that knows who owns which address (without ARP or NDP: a simulated host has no neighbour
table to poison or to fill). A packet from a to b crosses a's link upward and b's link downward; two hosts with a
dedicated link between them use that one instead. What is decided for a path (its two addresses) is kept until the
topology changes, so that a packet costs one lookup, and where the second link keeps no state (`memoryless`) one event
of the hub carries it over both. Where packets of a path can only arrive in order, they wait in an `InOrderQueue`.

The link upward is the sender's: when a host sends, it decides at once what becomes of the packet there, and over a
second link that keeps no state, by the random stream of the sender's link. What is under way to others goes on the
links at the end of the round (`Outbox`), in an order that does not depend on who was asked first. The link downward
is the receiver's: it takes what comes in the order in which it was put on the links.

A packet that has not left the queue of a link can be recalled by the link (`OfferedPacket.recall`), and is dropped by
a partition that lasts when it leaves (`check_partitions`). A packet that has left arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from heapq import heappush
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.link.crossing import Item
from catenet.link.device import BaseDevice
from catenet.link.simulated import Counters, SimulatedLink
from catenet.stack.datagram.send_buffer import PASSED, Queued
from catenet.world.engine.hub import COPY, Event, Hub, Outlet
from catenet.world.network.trace import INBOUND, OUTBOUND, PortTrace

if TYPE_CHECKING:
    from catenet.wire.address import Address, Prefix

__all__ = [
    "DELIVERY",
    "SECOND_QUEUE",
    "Arrival",
    "CountingDevice",
    "ForwardingPath",
    "InOrderPacket",
    "InOrderQueue",
    "Network",
    "OfferedPacket",
    "Outbox",
    "Port",
]

PATHS_KEPT = 65_536
"""Limit of paths kept per port; when a scan with forged addresses reaches it, the table is emptied."""

FindPath: TypeAlias = "Callable[[Port, bytes, bytes], ForwardingPath | str]"
"""`find_path(port, source, destination)`: the topology's decision, or the cause for which packets are dropped."""


IsPartitioned: TypeAlias = "Callable[[ForwardingPath, Port], bool]"
"""`is_partitioned(path, way)`: whether a partition separates the ends of a path, or its port from the next."""


class OfferedPacket(Item):
    """A packet offered to a link of a host: to that by which it leaves, or with `port` to that by which it comes.

    With `port`, `sequence` is what the packet has since it was put on a link.
    """

    __slots__ = ("arrivals", "path", "port", "sequence")

    def __init__(self, packet: bytes, path: ForwardingPath, port: Port | None, sequence: float = 0.0) -> None:
        super().__init__(packet)
        self.path = path
        self.port = port
        self.sequence = sequence
        self.arrivals: list[Arrival] | None = []
        """Arrivals planned for it; None as long as it is in an in-order queue."""

    def arrive(self, packet: bytes, when: float) -> None:
        """Plan its arrival: at the host, or at the next link."""
        path = self.path
        if self.port is not None:
            self.sequence = sequence = self.sequence + COPY
            heappush(path.hub.heap, (when, sequence, Arrival(packet, path, self.port, self)))
        elif path.up.pure:
            path.forward(packet, when, self)
        else:
            path.schedule(when, Arrival(packet, path, None, self))

    def recall(self) -> None:
        """Cancel its arrivals."""
        for arrival in reversed(self.arrivals or ()):
            arrival.cancel()
        self.arrivals = []

    def check_partitions(self) -> None:
        """Apply a change of partitions: one that lasts when the packet leaves the queue drops it."""
        for arrival in self.arrivals or ():
            arrival.stopped = self.path.is_partitioned(arrival.port)


class InOrderPacket(OfferedPacket):
    """A packet in an in-order queue."""

    __slots__ = ("queue", "stopped", "when")

    def __init__(self, packet: bytes, path: ForwardingPath, queue: InOrderQueue) -> None:
        # No more than an in-order queue needs: this is made for every packet.
        self.owner = None
        self.packet = packet
        self.path = path
        self.queue = queue
        self.arrivals = None
        self.when: float
        self.sequence: float
        self.stopped = False

    def recall(self) -> None:
        """Leave the in-order queue; when it is planned again, it takes the slow path."""
        if self.arrivals is None:
            self.arrived, self._notes, self.port = 0.0, None, None
            self.path.withdraw(self)
        super().recall()

    def check_partitions(self) -> None:
        """Apply a change of partitions."""
        if self.arrivals is None:
            self.stopped = self.path.is_partitioned(self.path.ways[0])
        else:
            super().check_partitions()


class Arrival(Event):
    """A packet at the end of a link: it goes to its host, into the queue of the next link, or to all its ways."""

    __slots__ = ("crossing", "latest", "packet", "path", "port", "step", "stopped", "when")

    always_due = False

    def __init__(
        self, packet: bytes, path: ForwardingPath, port: Port | None, crossing: OfferedPacket | None, step: int = 0
    ) -> None:
        self.packet: bytes | None = packet
        self.path = path
        self.port = port
        self.crossing = crossing
        self.step = step
        self.when: float
        self.latest = 0.0
        """What the path's `latest` was before."""
        self.stopped = False
        if crossing is not None and crossing.arrivals is not None:
            crossing.arrivals.append(self)
            self.stopped = path.is_partitioned(port)

    def cancel(self) -> None:
        """Cancel the arrival."""
        packet, port = self.packet, self.port
        self.packet = None
        if self.step and port is not None and packet is not None:
            self.path.forget(self, port, len(packet))

    def is_due(self, when: float, sequence: float) -> bool:
        """Whether it was not cancelled."""
        return self.packet is not None

    def happen(self, when: float, sequence: float) -> None:
        """Deliver the packet to its next step."""
        packet, port, path = self.packet, self.port, self.path
        if packet is None:
            return
        if self.stopped:
            path.port.undeliverable.drop("partition")
        elif port is None:
            path.forward(packet, when, self.crossing if len(path.ways) > 1 else None)
        elif self.step == SECOND_QUEUE:
            port.send_down(packet, when, path, sequence)
        else:
            port.arrive(packet, when)


SECOND_QUEUE: Final = 1
"""Step of a path from the switch into the queue of the second link."""
DELIVERY: Final = 2
"""Step of a path over its last link, planned together with the first."""
DUPLICATE: Final = 3
"""Step of a copy that the last link has made."""


class InOrderQueue(Event):
    """Packets on their way to a port that arrive in the order in which they were sent: a queue.

    Only its head is in the hub's heap, with the sequence that it was given when it was put on the link, so that packets
    arrive at the moments and in the order in which they would if each had an entry of its own. The heap's size is then
    that of the world and not that of what is under way in it.
    """

    __slots__ = ("_behind", "_head", "_hub", "_port", "always_due")

    def __init__(self, hub: Hub, port: Port) -> None:
        self.always_due = True
        """Whether every entry in the hub's heap is for the packet at the head."""
        self._hub = hub
        self._port = port
        self._head: InOrderPacket | None = None
        self._behind: deque[InOrderPacket] | None = None

    def put(self, entry: InOrderPacket) -> None:
        """Append a packet, which arrives at its `when` and not before the packets in the queue."""
        hub = self._hub
        # As by `Hub.put`, for this is done for every packet.
        hub.packets = entry.sequence = sequence = hub.packets + 1.0
        if self._head is None:
            self._head = entry
            heappush(hub.heap, (entry.when, sequence, self))
        else:
            behind = self._behind
            if behind is None:
                behind = self._behind = deque()
            behind.append(entry)

    def remember(self, entry: InOrderPacket) -> None:
        """Append a packet whose arrival is an event of another hub."""
        behind = self._behind
        if behind is None:
            behind = self._behind = deque()
        while behind and behind[0].when <= self._hub.now:
            behind.popleft()
        behind.append(entry)

    def under_way(self) -> Iterator[InOrderPacket]:
        """The packets that arrive here, in order."""
        if self._head is not None:
            yield self._head
            yield from self._behind or ()

    @property
    def port(self) -> Port:
        """Where they arrive."""
        return self._port

    def last(self) -> float:
        """Return when the last packet arrives; 0 without any."""
        if self._behind:
            return self._behind[-1].when
        return 0.0 if self._head is None else self._head.when

    def withdraw(self, entry: InOrderPacket) -> None:
        """Remove the last packet."""
        if self._behind:
            last: InOrderPacket | None = self._behind.pop()
        else:
            last, self._head = self._head, None
            self.always_due = False
        assert last is entry

    def is_due(self, when: float, sequence: float) -> bool:
        """Whether the head is still the packet that the entry of the heap was made for."""
        head = self._head
        return head is not None and head.sequence == sequence

    def happen(self, when: float, sequence: float) -> None:
        """Deliver the packet at the head, and put the next one in its place."""
        entry = self._head
        if entry is None or entry.sequence != sequence:
            return  # made for one that was withdrawn
        behind = self._behind
        if behind:
            following = behind.popleft()
            self._head = following
            heappush(self._hub.heap, (following.when, following.sequence, self))
        else:
            self._head = None
        if entry.stopped:
            entry.path.port.undeliverable.drop("partition")
        else:
            self._port.arrive(entry.packet, when)


class Outbox(Outlet):
    """What a port has sent in this round, in the order of sending; it goes on the links at the round's end."""

    __slots__ = ("first", "hub", "others", "ship")

    def __init__(self, hub: Hub, place: tuple[str, int]) -> None:
        super().__init__(place)
        self.hub = hub
        self.ship: Callable[[list[InOrderPacket | Arrival]], None] | None = None
        """Takes what is sent, when others than this hub run the hosts at the other ends."""
        self.first: InOrderPacket | Arrival | None = None
        self.others: list[InOrderPacket | Arrival] = []

    def add(self, sent: InOrderPacket | Arrival) -> None:
        """Add what arrives at its `when`."""
        if self.first is None:
            self.first = sent
            self.hub.leave(self)
        else:
            self.others.append(sent)

    def happen(self, when: float, sequence: float) -> None:
        """Put it on the links."""
        first, self.first = self.first, None
        if self.ship is not None and first is not None:
            everything, self.others = [first, *self.others], []
            self.ship(everything)
            return
        if isinstance(first, InOrderPacket):
            first.queue.put(first)
        elif first is not None:
            self.hub.put(first, first.when)
        if self.others:
            for sent in self.others:
                if isinstance(sent, InOrderPacket):
                    sent.queue.put(sent)
                else:
                    self.hub.put(sent, sent.when)
            self.others.clear()


class ForwardingPath:
    """The path of packets between two addresses: over `up`, then over the link of each port in `ways` (or at once)."""

    __slots__ = (
        "_ordered",
        "addresses",
        "direct",
        "down",
        "earliest",
        "hub",
        "in_order",
        "latest",
        "port",
        "queued",
        "up",
        "ways",
    )

    def __init__(
        self, port: Port, addresses: tuple[Address, Address], up: SimulatedLink, ways: list[Port], direct: bool
    ) -> None:
        self.port = port
        """The sending port."""
        self.addresses = addresses
        """Source and destination."""
        self.up = up
        self.ways = ways
        self.direct = direct
        self.hub = hub = port.network.hub
        self.queued = up.properties.rate is not None
        """Whether the first link has a queue."""
        self._ordered = len(ways) == 1 and not up.properties.reorder
        if not direct:
            self._ordered = self._ordered and not ways[0].down.properties.reorder
        self.latest = 0.0
        """When the last packet that is in no in-order queue arrives, as far as is known."""
        self.earliest = 0.0
        """Earliest time of an arrival by the in-order queue."""
        self.in_order: InOrderQueue | None = None
        """The queue to the only port, when the links on the way only delay or drop packets."""
        self.down: SimulatedLink | None = None
        """The second link of such a way."""
        if len(ways) == 1 and up.pure and up.faultless:
            down = ways[0].down
            if direct or (down.faultless and down.memoryless):
                self.in_order = InOrderQueue(hub, ways[0])
                self.down = None if direct else down

    # Order across changes of the links.

    def last_arrival(self) -> float:
        """When the last packet arrives."""
        return self.latest if self.in_order is None else max(self.latest, self.in_order.last())

    def succeed(self, before: ForwardingPath) -> None:
        """Replace a path over the same links, without overtaking its packets in flight."""
        if self._ordered and before._ordered and before.up.random is self.up.random:
            self.latest = self.earliest = before.last_arrival()

    def withdraw(self, entry: InOrderPacket) -> None:
        """Remove the last packet from the in-order queue."""
        in_order, down = self.in_order, self.down
        assert in_order is not None
        in_order.withdraw(entry)
        self.latest = max(self.earliest, in_order.last())
        if down is not None:  # where it was counted ahead of time
            down.counters.packets -= 1
            down.counters.bytes -= len(entry.packet)

    def forget(self, arrival: Arrival, port: Port, size: int) -> None:
        """Undo the last packet, which does not arrive."""
        if self._ordered:
            self.latest = arrival.latest
        if arrival.step == DELIVERY and not self.direct:
            port.down.counters.packets -= 1
            port.down.counters.bytes -= size

    def is_partitioned(self, way: Port | None) -> bool:
        """Whether a partition separates its ends, or the two ports of this way."""
        ways = self.ways if way is None else (way,)
        return all(self.port.network.is_partitioned(self, each) for each in ways)

    # Packets.

    def forward(self, packet: bytes, when: float, crossing: OfferedPacket | None = None) -> None:
        """Forward a packet that leaves the uplink at `when`, which may be in the future, to the ports."""
        for port in self.ways:
            if self.direct:
                self._step(packet, when, port, crossing, DELIVERY)
            elif port.down.memoryless:
                step = DELIVERY
                for later, copy in port.down.transit(packet, when, self.up.random):
                    self._step(copy, later, port, crossing, step)
                    step = DUPLICATE
            else:
                self._step(packet, when, port, crossing, SECOND_QUEUE)

    def _step(self, packet: bytes, when: float, port: Port, crossing: OfferedPacket | None, step: int) -> None:
        arrival = Arrival(packet, self, port, crossing, step)
        if self._ordered:
            arrival.latest = self.latest
            self.latest = when = max(when, self.latest)
        self.schedule(when, arrival)

    def schedule(self, when: float, arrival: Arrival) -> None:
        """Let what was sent arrive at `when`."""
        arrival.when = when
        self.port.outbox.add(arrival)


class CountingDevice(BaseDevice):
    """Base of the devices of a world's hosts: it counts the packets that they carry."""

    __slots__ = ("host", "index", "name", "received_bytes", "received_packets", "sent_bytes", "sent_packets")

    link_address: bytes = b""
    """Of an Ethernet device, which carries frames instead of packets; then 6 bytes."""

    def __init__(self, index: int, host: str, name: str) -> None:
        super().__init__()
        self.index = index
        self.host = host
        self.name = name
        self.sent_packets = self.sent_bytes = 0
        self.received_packets = self.received_bytes = 0

    def arrive(self, packet: bytes | memoryview, now: float) -> None:
        """Deliver a packet to the host."""
        self.received_packets += 1
        self.received_bytes += len(packet)
        self.receive(packet, now)

    def drops(self) -> Mapping[str, int]:
        """Return the number of packets lost, by cause."""
        return {}


class Port(CountingDevice):
    """A host's port on a network: a device whose link is simulated, in both directions.

    `addresses` are (address, prefix length); `index` numbers the ports of a world in the order of their making, for
    taps of the trace. `place` is the host's name and the number of the port there. `undeliverable` counts packets that
    had nowhere to go: unreachable, partition.
    """

    __slots__ = (
        "addresses",
        "before",
        "down",
        "mtu",
        "network",
        "outbox",
        "paths",
        "queued",
        "queues",
        "trace",
        "undeliverable",
        "up",
    )

    offload: Final = (True, 0)
    """Checksums are left to the simulated links, which compute them only for packets that they damage."""

    def __init__(
        self,
        index: int,
        place: tuple[str, int],
        network: Network,
        links: tuple[SimulatedLink, SimulatedLink],
    ) -> None:
        host, number = place
        super().__init__(index, host, f"eth{number}")
        self.network = network
        self.outbox = Outbox(network.hub, place)
        self.up, self.down = links
        self.mtu = self.up.properties.mtu
        self.addresses: list[tuple[Address, int]] = []
        self.paths: dict[bytes, ForwardingPath] = {}
        self.before: dict[bytes, ForwardingPath] = {}
        """Paths from before the last change that still have packets in flight."""
        self.queues = False
        """Whether packets may wait here before they leave the host."""
        self.queued: Queued = PASSED
        """The last packet that was sent into a queue; a caller that asks sets it to `PASSED` before."""
        self.undeliverable = Counters()
        self.trace: PortTrace | None = None

    def send(self, packet: bytes, now: float, again: bool = False) -> None:
        """Send one packet of the host; `again` if it was in the queue of another link and did not leave."""
        size = len(packet)
        if not again:
            self.sent_packets += 1
            self.sent_bytes += size
            if self.trace is not None:
                self.trace.record(OUTBOUND, packet, now)
        key = packet[12:20] if packet[0] < 0x60 else packet[8:40]
        path = self.paths.get(key) or self.network.find(self, key)
        if path is None:
            return
        up, in_order = path.up, path.in_order
        if in_order is None:
            if path.queued:
                self.queued = offered = OfferedPacket(packet, path, None)
                up.carry(offered, now, path.hub.call_at_link)
            else:
                for when, data in up.transit(packet, now):
                    path.forward(data, when)
            return
        entry = InOrderPacket(packet, path, in_order)
        if path.queued:
            when = up.enter(entry, size, now)
            if when >= 0.0:
                self.queued = entry
        else:
            when = up.arrival(size, now)
        if when >= 0.0 and path.down is not None:
            when = path.down.arrival(size, when)
        if when < 0.0:
            entry.arrivals = []  # dropped, perhaps after it has waited
            return
        entry.when = when if when >= path.earliest else path.earliest
        self.outbox.add(entry)

    def forget_paths(self, now: float) -> None:
        """Forget paths after a change of the topology; packets in flight on them are not overtaken."""
        self.before = {key: path for key, path in self.before.items() if path.last_arrival() > now}
        self.before.update((key, path) for key, path in self.paths.items() if path.last_arrival() > now)
        self.paths.clear()

    def drops(self) -> Mapping[str, int]:
        """Return the number of undeliverable packets; those that links lost are counted there."""
        return self.undeliverable.drops

    def arrive(self, packet: bytes | memoryview, now: float) -> None:
        """Deliver a packet to the host."""
        if self.trace is not None:
            self.trace.record(INBOUND, packet, now)
        self.received_packets += 1  # as super() does, without a call for each packet
        self.received_bytes += len(packet)
        self.receive(packet, now)

    def send_down(self, packet: bytes, now: float, path: ForwardingPath, sequence: float) -> None:
        """Send a packet of the switch to the downlink; `sequence` is what it has since it was put on a link."""
        down, hub = self.down, path.hub
        if down.properties.rate is not None:
            down.carry(OfferedPacket(packet, path, self, sequence), now, hub.call_at_link)
            return
        for when, data in down.transit(packet, now):
            sequence += COPY
            heappush(hub.heap, (when, sequence, Arrival(data, path, self, None)))


class Network:
    """One switch and the ports on it; `prefixes` are its subnets, IPv4 and IPv6."""

    __slots__ = ("find_path", "hub", "is_partitioned", "name", "narrowest_link", "owners", "ports", "prefixes")

    def __init__(
        self, name: str, prefixes: list[Prefix], hub: Hub, find_path: FindPath, is_partitioned: IsPartitioned
    ) -> None:
        self.name = name
        self.prefixes = prefixes
        self.hub = hub
        self.find_path = find_path
        self.is_partitioned = is_partitioned
        self.ports: list[Port] = []
        self.owners: dict[Address, Port] = {}
        self.narrowest_link: int | None = None
        """Result of `narrowest`; None when links have changed since."""

    def narrowest(self) -> int:
        """Return the smallest MTU of the ports' uplinks."""
        if self.narrowest_link is None:
            self.narrowest_link = min(port.up.properties.mtu for port in self.ports)
        return self.narrowest_link

    def find(self, port: Port, key: bytes) -> ForwardingPath | None:
        """Find the path for packets with these addresses from a port; None when they are undeliverable."""
        half = len(key) // 2
        found = self.find_path(port, key[:half], key[half:])
        if isinstance(found, str):
            port.undeliverable.drop(found)
            return None
        before = port.before.get(key) if port.before else None
        if before is not None:
            found.succeed(before)
        if len(port.paths) >= PATHS_KEPT:
            port.paths.clear()
        port.paths[key] = found
        return found

"""Networks of a world: ports of hosts, the switch between them, and how a packet crosses from one to the other.

A network is a switch that knows who owns which address (nobody asks by ARP or NDP: a simulated host has no neighbour
table to poison or to fill). A packet from a to b crosses a's link upward and b's link downward; two hosts with a
dedicated link between them use that one instead. What is decided for a flow (its two addresses) is kept until the
topology changes, so that a packet costs one lookup, and where the second link keeps no state (`memoryless`) one event
of the hub carries it over both. Where packets of a flow can only arrive in order, they wait in a `Lane`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappush
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.link.device import ReceivePoint
from catenet.link.simulated import Counters, SimulatedLink
from catenet.world.hub import Event, Hub
from catenet.world.trace import INBOUND, OUTBOUND, Trace

if TYPE_CHECKING:
    from catenet.wire.address import Address, Prefix

__all__ = ["Flow", "Lane", "Meter", "Network", "Port"]

FLOWS_KEPT = 65_536
"""Flows remembered per port; a scan with forged addresses starts the table anew rather than growing it."""

FindFlow: TypeAlias = "Callable[[Port, bytes, bytes], Flow | str]"
"""`find_flow(port, source, destination)`: the topology's decision, or the cause for which packets are dropped."""


class Lane(Event):
    """Packets on their way to a port that arrive in the order in which they were sent: a queue.

    Only its head is in the hub's heap, with the sequence that it was given when it was sent, so that packets arrive at
    the moments and in the order in which they would if each had an entry of its own. The heap's size is then that of
    the world and not that of what is under way in it.
    """

    __slots__ = ("_behind", "_head", "_hub", "_port")

    def __init__(self, hub: Hub, port: Port) -> None:
        self._hub = hub
        self._port = port
        self._head: bytes | None = None
        self._behind: deque[tuple[float, int, bytes]] | None = None

    def put(self, when: float, packet: bytes) -> None:
        """Let a packet arrive at `when`, which is no sooner than what is under way arrives."""
        hub = self._hub
        hub.sequence = sequence = hub.sequence + 1
        if self._head is None:
            self._head = packet
            heappush(hub.heap, (when, sequence, self))
        else:
            behind = self._behind
            if behind is None:
                behind = self._behind = deque()
            behind.append((when, sequence, packet))

    def happen(self, when: float, sequence: int) -> None:
        """The head arrives, and the next packet takes its place."""
        packet = self._head
        assert packet is not None
        behind = self._behind
        if behind:
            later, number, self._head = behind.popleft()
            heappush(self._hub.heap, (later, number, self))
        else:
            self._head = None
        self._port.arrive(packet, when)


class Flow:
    """Where packets between two addresses go: over `up`, then for each way on over its port's link (or at once)."""

    __slots__ = ("direct", "down", "hub", "lane", "up", "ways")

    def __init__(self, up: SimulatedLink, ways: list[Port], direct: bool, hub: Hub) -> None:
        self.up = up
        self.ways = ways
        self.direct = direct
        self.hub = hub
        self.lane: Lane | None = None
        """To the one port to go to, when the links on the way make nothing of a packet but a delay or a drop."""
        self.down: SimulatedLink | None = None
        """The second link of such a way."""
        if len(ways) == 1 and up.pure and up.faultless:
            down = ways[0].down
            if direct or (down.faultless and down.memoryless):
                self.lane = Lane(hub, ways[0])
                self.down = None if direct else down

    def spread(self, packet: bytes, when: float) -> None:
        """Send a packet that leaves the upward link at `when`, which may be yet to come, on to the ports."""
        schedule = self.hub.call_at
        for port in self.ways:
            if self.direct:
                schedule(when, port.arrive, packet, when)
            elif port.down.memoryless:
                for later, copy in port.down.transit(packet, when):
                    schedule(later, port.arrive, copy, later)
            else:
                schedule(when, port.descend, packet, when)


class Meter(ReceivePoint):
    """What the devices of a world's hosts have in common: whose they are, what they have carried."""

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
        """A packet has come: up to the host."""
        self.received_packets += 1
        self.received_bytes += len(packet)
        self.receive(packet, now)

    def drops(self) -> Mapping[str, int]:
        """Packets that it lost, by cause."""
        return {}


class Port(Meter):
    """Where a host meets a network: a device whose link is simulated, in both directions.

    `addresses` are (address, prefix length); `index` numbers the ports of a world in the order of their making and is
    the link's number in `trace`. `astray` counts packets that had nowhere to go: unreachable, partition.
    """

    __slots__ = ("addresses", "astray", "down", "flows", "mtu", "network", "trace", "up")

    offload: Final = (True, 0)
    """Checksums are left to the simulated links, which see to them only where they damage a packet."""

    def __init__(
        self, index: int, host: str, name: str, network: Network, links: tuple[SimulatedLink, SimulatedLink]
    ) -> None:
        super().__init__(index, host, name)
        self.network = network
        self.up, self.down = links
        self.mtu = self.up.properties.mtu
        self.addresses: list[tuple[Address, int]] = []
        self.flows: dict[bytes, Flow] = {}
        self.astray = Counters()
        self.trace: Trace | None = None

    def send(self, packet: bytes, now: float) -> None:
        """Put one packet of the host on its link."""
        size = len(packet)
        self.sent_packets += 1
        self.sent_bytes += size
        if self.trace is not None:
            self.trace.record(self.index, OUTBOUND, packet, now)
        key = packet[12:20] if packet[0] < 0x60 else packet[8:40]
        flow = self.flows.get(key) or self.network.find(self, key)
        if flow is not None:
            lane = flow.lane
            if lane is not None:
                when = flow.up.arrival(size, now)
                if when >= 0.0 and flow.down is not None:
                    when = flow.down.arrival(size, when)
                if when >= 0.0:
                    lane.put(when, packet)
            elif flow.up.pure:
                for when, data in flow.up.transit(packet, now):
                    flow.spread(data, when)
            else:
                flow.up.offer(packet, now, flow.hub.call_at, flow.spread)

    def drops(self) -> Mapping[str, int]:
        """Packets that had nowhere to go; those that its links lost are counted there."""
        return self.astray.drops

    def arrive(self, packet: bytes | memoryview, now: float) -> None:
        """A packet has come: up to the host."""
        if self.trace is not None:
            self.trace.record(self.index, INBOUND, packet, now)
        super().arrive(packet, now)

    def descend(self, packet: bytes, now: float) -> None:
        """The switch offers a packet to the downward link."""
        self.down.offer(packet, now, self.network.hub.call_at, self.arrive)


class Network:
    """One switch and the ports on it; `prefixes` are its subnets, IPv4 and IPv6."""

    __slots__ = ("find_flow", "hub", "name", "narrowest_link", "owners", "ports", "prefixes")

    def __init__(self, name: str, prefixes: list[Prefix], hub: Hub, find_flow: FindFlow) -> None:
        self.name = name
        self.prefixes = prefixes
        self.hub = hub
        self.find_flow = find_flow
        self.ports: list[Port] = []
        self.owners: dict[Address, Port] = {}
        self.narrowest_link: int | None = None
        """What `narrowest` has found, None when links have changed since."""

    def narrowest(self) -> int:
        """The smallest MTU of the links of ports upward."""
        if self.narrowest_link is None:
            self.narrowest_link = min(port.up.properties.mtu for port in self.ports)
        return self.narrowest_link

    def find(self, port: Port, key: bytes) -> Flow | None:
        """Decide the flow for packets with these addresses from that port; None when they have nowhere to go."""
        half = len(key) // 2
        found = self.find_flow(port, key[:half], key[half:])
        if isinstance(found, str):
            port.astray.drop(found)
            return None
        if len(port.flows) >= FLOWS_KEPT:
            port.flows.clear()
        port.flows[key] = found
        return found

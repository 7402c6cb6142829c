"""Two stacks and the links between them, without programs: where the benchmarks measure TCP itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from catenet.link.properties import LinkProperties
from catenet.link.shaped import make_link
from catenet.stack.endpoint import Name
from catenet.stack.settings import Settings
from catenet.stack.stack import Stack
from catenet.stack.tcp.user.endpoint import TcpEndpoint
from catenet.wire.address import Prefix
from catenet.world.engine.hub import Hub

INTERFACE = 2
PORT = 9000
LEFT, RIGHT = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
CHUNK = bytes(65536)


class Path(Protocol):
    """One direction between the stacks; `SimulatedLink` is one."""

    def offer(self, packet: bytes, now: float, schedule: Callable[..., Any], onward: Callable[..., Any]) -> None:
        """Send one packet; `schedule(when, onward, packet, when)` for each that arrives."""


def plain(latency: float, rate: float | None = None, mtu: int = 1500, **queue: Any) -> Path:
    """A link of the package; `queue` as QueueProperties."""
    properties = LinkProperties(latency=latency, rate=rate, mtu=mtu)
    if queue:
        from catenet.link.properties import QueueProperties

        properties = properties.replace(queue=QueueProperties(**queue))
    return make_link(properties, random.Random(1))


class PeriodicLoss:
    """A path that loses every n-th packet with data, beginning with the `first`: the loss model of the formulas."""

    def __init__(self, path: Path, period: int, first: int) -> None:
        self.path = path
        self.period = period
        self.count = period - first

    def offer(self, packet: bytes, now: float, schedule: Callable[..., Any], onward: Callable[..., Any]) -> None:
        """Pass a packet on, or lose it."""
        if len(packet) > 200:
            self.count += 1
            if self.count == self.period:
                self.count = 0
                return
        self.path.offer(packet, now, schedule, onward)


class End:
    """One stack and the pump between it and its path."""

    def __init__(self, hub: Hub, address: bytes, mtu: int, settings: Settings | None, seed: int) -> None:
        self.hub = hub
        self.path: Path
        self.other: End
        self.address = address
        self.packets = 0
        self.stack = Stack(random.Random(seed), settings or Settings())
        self.stack.add_interface("eth0", mtu, ((address, 24),))
        self.stack.set_offload(True)
        self.stack.add_route(Prefix(bytes(4), 0), INTERFACE)
        self.stack.on_dirty = self._dirty
        self._pumping = False
        self._timer_at: float | None = None

    def _dirty(self) -> None:
        if not self._pumping:
            self._pumping = True
            self.hub.call_soon(self.pump)

    def pump(self) -> None:
        """Send what the stack has to say."""
        self._pumping = False
        now = self.hub.now
        offer, schedule, onward = self.path.offer, self.hub.call_at, self.other.arrive
        for _, packet in self.stack.transmit(now):
            offer(packet, now, schedule, onward)
        deadline = self.stack.next_deadline()
        if deadline is not None and (self._timer_at is None or deadline < self._timer_at):
            self._timer_at = deadline
            self.hub.call_at(deadline, self._time_out, deadline)

    def arrive(self, packet: bytes, now: float) -> None:
        """A packet comes off the path."""
        self.packets += 1
        self.stack.receive(packet, now, INTERFACE)

    def _time_out(self, deadline: float) -> None:
        if self._timer_at == deadline:
            self._timer_at = None
            self.stack.handle_timeout(self.hub.now)
            self.pump()


class Lab:
    """Two ends on one hub."""

    def __init__(
        self, forward: Path, backward: Path, mtu: int = 1500, settings: Callable[[], Settings] = Settings
    ) -> None:
        self.hub = Hub()
        self.left = End(self.hub, LEFT, mtu, settings(), 1)
        self.right = End(self.hub, RIGHT, mtu, settings(), 2)
        self.left.path, self.left.other = forward, self.right
        self.right.path, self.right.other = backward, self.left

    def run(self, until: float) -> None:
        """Let virtual time pass."""
        self.hub.run(until)

    def listen(self, end: End, port: int = PORT) -> TcpEndpoint:
        """A listener on one end."""
        listener = end.stack.tcp_endpoint(4)
        listener.bind(Name(bytes(4), port))
        listener.listen(4096)
        return listener


class Sink:
    """Takes connections and everything that they bring; `taken` bytes by the peer's port, in the order of arrival."""

    def __init__(self, lab: Lab, end: End) -> None:
        self.taken: dict[int, int] = {}
        self._listener = lab.listen(end)
        self._listener.on_ready = lambda: lab.hub.call_soon(self._accept)
        self._lab = lab

    def _accept(self) -> None:
        while (endpoint := self._listener.accept()) is not None:
            peer = endpoint.peer()
            assert peer is not None
            self.taken[peer.port] = 0
            drain = self._drainer(endpoint, peer.port)
            endpoint.on_ready = drain
            drain()

    def _drainer(self, endpoint: TcpEndpoint, port: int) -> Callable[[], None]:
        waiting = False
        call_soon = self._lab.hub.call_soon

        def take() -> None:
            nonlocal waiting
            waiting = False
            while data := endpoint.receive(1 << 20):
                self.taken[port] += len(data)

        def ready() -> None:
            nonlocal waiting
            if not waiting:
                waiting = True
                call_soon(take)

        return ready


class Source:
    """A connection that sends for ever."""

    def __init__(self, lab: Lab, end: End, algorithm: str = "cubic") -> None:
        self.endpoint = end.stack.tcp_endpoint(4)
        self.endpoint.set_option("TCP_CONGESTION", algorithm.encode())
        self._lab = lab
        self._waiting = False
        self.endpoint.on_ready = self._ready
        self.endpoint.connect(Name(end.other.address, PORT))

    @property
    def port(self) -> int:
        """Local port, by which the sink knows the flow."""
        return self.endpoint.local().port

    def _ready(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._lab.hub.call_soon(self._fill)

    def _fill(self) -> None:
        self._waiting = False
        while self.endpoint.send(CHUNK):
            pass

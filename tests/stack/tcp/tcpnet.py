"""Two stacks and a wire between them, in virtual time: the fixture of the TCP tests."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from catenet.stack.endpoint import Name
from catenet.stack.stack import Stack
from catenet.stack.tcp.user.endpoint import TcpEndpoint

ADDRESSES = {
    4: (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))),
    6: (bytes.fromhex("fd" + "00" * 14 + "01"), bytes.fromhex("fd" + "00" * 14 + "02")),
}
PREFIX = {4: 24, 6: 64}

Filter = Callable[[bytes, float], list[tuple[float, bytes]]]


class Net:
    """`a` and `b`, joined by a link whose behaviour is a function (packet, now) -> [(delay, packet)]."""

    def __init__(self, version: int = 4, delay: float = 0.01, mtu: int = 1500, seed: int = 1) -> None:
        self.version = version
        self.delay = delay
        self.now = 1000.0
        self.hosts: list[Stack] = []
        for number in range(2):
            stack = Stack(random=random.Random(seed * 2 + number))
            stack.add_interface("eth0", mtu, ((ADDRESSES[version][number], PREFIX[version]),))
            self.hosts.append(stack)
        self.a, self.b = self.hosts
        self.filters: list[Filter | None] = [None, None]
        self.log: list[tuple[float, int, bytes]] = []
        self._heap: list[tuple[float, int, int, bytes]] = []
        self._sequence = 0

    def name(self, host: int, port: int) -> Name:
        return Name(ADDRESSES[self.version][host], port)

    def pump(self) -> None:
        """Let both hosts send what they have."""
        for number, stack in enumerate(self.hosts):
            for _, packet in stack.transmit(self.now):
                self.log.append((self.now, number, packet))
                chosen = self.filters[number]
                copies = [(self.delay, packet)] if chosen is None else chosen(packet, self.now)
                for delay, copy in copies:
                    self._sequence += 1
                    heapq.heappush(self._heap, (self.now + delay, self._sequence, 1 - number, copy))

    def next_time(self) -> float | None:
        times = [stack.next_deadline() for stack in self.hosts]
        if self._heap:
            times.append(self._heap[0][0])
        return min((at for at in times if at is not None), default=None)

    def step(self) -> bool:
        """Run to the next event; False when nothing can ever happen again."""
        self.pump()
        at = self.next_time()
        if at is None:
            return False
        self.now = max(self.now, at)
        while self._heap and self._heap[0][0] <= self.now:
            _, _, number, packet = heapq.heappop(self._heap)
            self.hosts[number].receive(packet, self.now)
        for stack in self.hosts:
            stack.handle_timeout(self.now)
        self.pump()
        return True

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Run for a time or until something holds; whether it held."""
        end = self.now + seconds
        self.pump()
        while until is None or not until():
            at = self.next_time()
            if at is None or at > end:
                self.now = end
                return until is None or until()
            self.step()
        return True

    def listener(self, port: int = 80, backlog: int = 16, host: int = 1, **options: int) -> TcpEndpoint:
        endpoint = self.hosts[host].tcp_endpoint(self.version)
        for option, value in options.items():
            endpoint.set_option(option, value)
        endpoint.bind(Name(bytes(4 if self.version == 4 else 16), port))
        endpoint.listen(backlog)
        return endpoint

    def pair(self, port: int = 80, **options: int) -> tuple[TcpEndpoint, TcpEndpoint, TcpEndpoint]:
        """(client, accepted, listener), established."""
        listener = self.listener(port)
        client = self.a.tcp_endpoint(self.version)
        for option, value in options.items():
            client.set_option(option, value)
        client.connect(self.name(1, port))
        assert self.run(30, lambda: bool(listener.listener and listener.listener.queue))
        accepted = listener.accept()
        assert accepted is not None
        return client, accepted, listener


def transfer(net: Net, sender: TcpEndpoint, receiver: TcpEndpoint, data: bytes, seconds: float = 600) -> bytes:
    """Write `data` on one end as room allows and read it at the other."""
    out = bytearray()
    sent = 0
    end = net.now + seconds
    while len(out) < len(data) and net.now < end:
        while sent < len(data):
            count = sender.send(data[sent : sent + 65536])
            if count is None:
                break
            sent += count
        while True:
            got = receiver.receive(1 << 20)
            if not got:
                break
            out += got
        if not net.step():
            break
    return bytes(out)

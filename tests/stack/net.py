"""A tiny network for tests of the stack: stacks joined by perfect or meddled-with wires, in virtual time."""

from __future__ import annotations

import random
from typing import Any

from catenet.stack.endpoint import Name
from catenet.stack.stack import Stack
from catenet.wire.address import parse_address, parse_interface

ADDRESSES = {
    4: ("10.0.0.1/24", "10.0.0.2/24", "10.0.1.2/24"),
    6: ("fd00::1/64", "fd00::2/64", "fd00:1::2/64"),
}


def address(text: str) -> Any:
    return parse_address(text)


class Network:
    """Wires between (stack, interface) pairs; `run` moves packets and time until nothing is left to do."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stacks: list[Stack] = []
        self.wires: dict[Any, Any] = {}
        self.meddle: Any = None
        self.seen: list[Any] = []

    def host(self, *addresses: Any, mtu: int = 1500, seed: Any = None, **settings: Any) -> Any:
        stack = Stack(random.Random(len(self.stacks) if seed is None else seed))
        for name, value in settings.items():
            assert hasattr(stack.settings, name)
            setattr(stack.settings, name, value)
        if addresses:
            self.attach(stack, *addresses, mtu=mtu)
        self.stacks.append(stack)
        return stack

    def attach(self, stack: Any, *addresses: Any, mtu: int = 1500) -> Any:
        return stack.add_interface(mtu=mtu, addresses=tuple(parse_interface(each) for each in addresses)).index

    def wire(self, *ends: Any) -> None:
        """Join interfaces (stack, index): what one sends, all others get."""
        for end in ends:
            self.wires[end] = [other for other in ends if other != end]

    def step(self) -> Any:
        """Deliver what is to be sent; whether anything was."""
        moved = False
        for stack in self.stacks:
            for interface, packet in stack.transmit(self.now):
                moved = True
                self.seen.append((stack, interface, packet))
                packets = [packet] if self.meddle is None else self.meddle(packet)
                for other, index in self.wires.get((stack, interface), ()):
                    for each in packets:
                        other.receive(each, self.now, index)
        return moved

    def settle(self) -> None:
        """Run at the present instant until all is quiet."""
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("packets without end")

    def run(self, seconds: float) -> None:
        """Run for so many seconds of virtual time."""
        end = self.now + seconds
        while True:
            self.settle()
            deadlines = [d for stack in self.stacks if (d := stack.next_deadline()) is not None]
            if not deadlines or min(deadlines) > end:
                self.now = end
                return
            self.now = max(self.now, min(deadlines))
            for stack in self.stacks:
                stack.handle_timeout(self.now)


def pair(version: int, mtu: int = 1500, **settings: Any) -> Any:
    """Two hosts on one wire: (network, one, other, their addresses)."""
    net = Network()
    first, second, _ = ADDRESSES[version]
    one = net.host(first, mtu=mtu, **settings)
    other = net.host(second, mtu=mtu, **settings)
    net.wire((one, 2), (other, 2))
    return net, one, other, parse_interface(first)[0], parse_interface(second)[0]


def unsummed_pair(version: int) -> Any:
    """Two hosts that leave checksums to their devices: (network, one, other, a server's endpoint, a client's)."""
    net, one, other, _, there = pair(version)
    for stack in (one, other):
        stack.set_offload(True)
    server, client = other.udp_endpoint(version), one.udp_endpoint(version)
    server.bind(Name(bytes(len(there)), 7))
    client.connect(Name(there, 7))
    return net, one, other, server, client


def routed(version: int, mtus: Any = (1500, 1500), **settings: Any) -> Any:
    """Two hosts with a router between: (network, one, router, other, their addresses)."""
    net = Network()
    first, _, last = ADDRESSES[version]
    gateways = ("10.0.0.254/24", "10.0.1.254/24") if version == 4 else ("fd00::254/64", "fd00:1::254/64")
    one = net.host(first, mtu=mtus[0], **settings)
    router = net.host(gateways[0], mtu=mtus[0], ip_forward=1)
    net.attach(router, gateways[1], mtu=mtus[1])
    other = net.host(last, mtu=mtus[1], **settings)
    net.wire((one, 2), (router, 2))
    net.wire((router, 3), (other, 2))
    default = "0.0.0.0/0" if version == 4 else "::/0"
    from catenet.wire.address import Prefix

    one.add_route(Prefix.parse(default), 2, parse_interface(gateways[0])[0])
    other.add_route(Prefix.parse(default), 2, parse_interface(gateways[1])[0])
    return net, one, router, other, parse_interface(first)[0], parse_interface(last)[0]

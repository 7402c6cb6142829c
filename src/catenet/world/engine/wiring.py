"""How a host's stack is made and configured: the only place in worlds that knows the stack's configuration."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from catenet.link.device import offload_of
from catenet.stack.interface import AddressState
from catenet.stack.ip.routes import RouteMetrics
from catenet.stack.nat.config import DYNAMIC_PORTS, NatConfig
from catenet.stack.settings import Settings
from catenet.stack.stack import Stack
from catenet.wire.address import parse_address
from catenet.world.scenario.units import nearest

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.world.engine.host import Host
    from catenet.world.scenario.nat import NatPlan
    from catenet.world.world import World

__all__ = [
    "FIRST_INTERFACE",
    "configure",
    "make_stack",
    "nat_config",
    "remove_addresses",
    "replace_addresses",
]

FIRST_INTERFACE: Final = 2
"""Interface 1 is the loopback."""


def make_stack(host: Host, generator: random.Random) -> Stack:
    """Make the stack of a host that boots."""
    settings = dataclasses.replace(host.settings or Settings())
    if host.forwarding:
        settings.ip_forward = 1
    stack = Stack(generator, settings)
    stack.use_nat(host.nat)
    return stack


def replace_addresses(stack: Stack, port: int, pairs: Iterable[tuple[Address, int]], old: Iterable[Address]) -> None:
    """Give a port's interface addresses that are preferred to those that it had."""
    index = port + FIRST_INTERFACE
    for address, length in pairs:
        stack.add_address(index, address, length)
    for address in old:
        stack.address_table.set_state(index, address, AddressState.DEPRECATED)


def remove_addresses(stack: Stack, port: int, addresses: Iterable[Address]) -> None:
    """Take addresses away from a port's interface, if it has them still."""
    index = port + FIRST_INTERFACE
    for address in addresses:
        if stack.interfaces[index].find(address) is not None:
            stack.remove_address(index, address)


def nat_config(world: World, host: Host, plan: NatPlan) -> NatConfig:
    """What the NAT of a router is told; ValueError for a network that it is not on, or an inside host without IPv4."""
    names = [port.network.name for port in world.topology.ports_of(host.name)]
    if len(names) < 2 or not host.forwarding:
        raise ValueError(f"{host.name!r} is no router: a NAT needs one that forwards between two networks")
    for name in plan.outside:
        if name not in names:
            raise ValueError(f"{host.name!r} is not on network {name!r}{nearest(name, names)}")
    outside = plan.outside or names[-1:]
    forwards = {}
    for each in plan.forwards:
        known = [address for address in world.addresses(each.host) if len(address) == 4]
        forwards[each.protocol, each.port] = ((known or [parse_address(each.host)])[0], each.inside_port)
    return NatConfig(
        outside=tuple(names.index(name) + FIRST_INTERFACE for name in outside),
        mapping=plan.mapping,
        filtering=plan.filtering,
        timeouts=plan.timeouts,
        preserve_ports=plan.ports is None,
        ports=plan.ports or DYNAMIC_PORTS,
        hairpin=plan.hairpin,
        refresh_inbound=plan.refresh_inbound,
        unknown=plan.unknown,
        limit=plan.limit,
        forwards=forwards,
    )


def configure(host: Host, stack: Stack) -> None:
    """Configure the stack with the host's devices, their addresses and the routes that the topology knows."""
    for index, (device, addresses) in enumerate(host.devices, FIRST_INTERFACE):
        if index not in stack.interfaces:
            stack.add_interface("", device.mtu, addresses, getattr(device, "link_address", b""))
        elif stack.interfaces[index].mtu != device.mtu:
            stack.set_mtu(index, device.mtu)
        stack.set_queued(index, getattr(device, "queues", False))
    offloads = [offload_of(device) for device, _ in host.devices]
    sizes = [size for sums, size in offloads if sums]
    stack.set_offload(bool(sizes) and len(sizes) == len(offloads), min(sizes, default=0))
    for entry in host.routes:
        stack.remove_route(entry)
    host.routes.clear()
    topology = host.world.topology
    if topology.ports_of(host.name):
        for route in topology.routes(host.name):
            if host.asking is not None and host.asking.is_told_of(route.port, route.prefix):
                continue
            metrics = RouteMetrics(mtu=route.mtu)
            entry = stack.add_route(route.prefix, route.port + FIRST_INTERFACE, metrics=metrics)
            host.routes.append(entry)

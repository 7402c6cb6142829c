"""How a host's stack is made and configured: the only place in worlds that knows the stack's configuration."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Final

from catenet.link.device import offload_of
from catenet.stack.ip.routes import RouteMetrics
from catenet.stack.settings import Settings
from catenet.stack.stack import Stack

if TYPE_CHECKING:
    from catenet.world.engine.host import Host

__all__ = ["FIRST_INTERFACE", "configure", "make_stack"]

FIRST_INTERFACE: Final = 2
"""Interface 1 is the loopback."""


def make_stack(host: Host, generator: random.Random) -> Stack:
    """Make the stack of a host that boots."""
    settings = dataclasses.replace(host.settings or Settings())
    if host.forwarding:
        settings.ip_forward = 1
    return Stack(generator, settings)


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
            metrics = RouteMetrics(mtu=route.mtu)
            entry = stack.add_route(route.prefix, route.port + FIRST_INTERFACE, metrics=metrics)
            host.routes.append(entry)

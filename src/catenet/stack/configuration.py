"""What has an interface configure itself, and what becomes of that when its link changes or goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.dhcp.client4 import DhcpClient
from catenet.stack.dhcp.client6 import Dhcp6Client
from catenet.stack.ethernet.autoconf import Autoconfiguration
from catenet.stack.ethernet.port import LinkPort
from catenet.wire.dhcp6 import duid_uuid

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["abandon", "configure", "link_changed", "port_of"]

_DHCP6_ALWAYS: Final = 2


def configure(
    stack: Stack, interface: int, host_name: str = "", identity: bytes = b"", *, ipv6: bool = True, ipv4: bool = True
) -> None:
    """Have an interface configure itself: IPv6 from routers and as these say, IPv4 by DHCP.

    `identity`, 16 bytes, is what stays with the host where it has no link-layer address. Events tell what came of
    it: `name_servers.NameServers`, `lease.LeaseChange`, `port.AddressConflict`.
    """
    port = port_of(stack, interface)
    if ipv6:
        client = Dhcp6Client(stack, port, duid_uuid(identity) if identity else b"")
        Autoconfiguration(stack, port, identity).start()
        if stack.settings.dhcp6 == _DHCP6_ALWAYS:
            client.start()
    if ipv4 and stack.settings.dhcp:
        DhcpClient(stack, port, host_name, identity).start()


def port_of(stack: Stack, interface: int) -> LinkPort:
    """What configures an interface, or advertises on it; made when there is none."""
    chosen = stack.interfaces[interface]
    if chosen.port is None:
        chosen.port = LinkPort(stack, chosen)
    return chosen.port


def link_changed(stack: Stack, interface: int) -> None:
    """Have an interface that configures itself find out whether it is where it was, as after a sleep."""
    port = port_of(stack, interface)
    if port.autoconf is not None:
        port.autoconf.link_changed()
    for client in (port.dhcp6, port.dhcp):
        if client is not None:
            client.confirm()


def abandon(stack: Stack, interface: int) -> None:
    """Have an interface forget what it has configured, and ask no more: its link is gone."""
    port = port_of(stack, interface)
    for client in (port.autoconf, port.dhcp, port.dhcp6):
        if client is not None:
            client.abandon()
    port.autoconf = port.dhcp = port.dhcp6 = None

"""One host on a TUN or TAP device, in real time: its stack talks to the kernel's, and through it to anybody.

The kernel's end gets the other address of each subnet, and is the host's way to everywhere else; a TAP device in a
bridge makes the host a station of that network instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from catenet.link.tun import TunDevice
from catenet.stack.configuration import configure
from catenet.stack.dhcp.client4 import DhcpState
from catenet.stack.dhcp.client6 import Dhcp6State
from catenet.stack.dhcp.lease import Information, Lease
from catenet.stack.ethernet.ethernet import EthernetPort
from catenet.stack.ethernet.name_servers import AdvertisedNames
from catenet.wire.address import Address, Prefix, is_link_local, parse_address, parse_interface
from catenet.wire.dns.resolv_conf import MOST_SERVERS
from catenet.wire.dns.stub import Server, StubConfig
from catenet.world.engine.host import Host
from catenet.world.engine.realtime import RealClock
from catenet.world.engine.streams import print_line
from catenet.world.engine.tun_port import TunPort
from catenet.world.scenario.settings import SettingChanges, apply_settings
from catenet.world.world import World

__all__ = ["Attachment", "kernel_end", "open_host"]

CONFIGURATION_TIMEOUT: Final = 15.0
"""Seconds that a host waits for an address before its program starts without."""

SETTLING_TIME: Final = 2.0
"""Seconds without news after which it makes do with the addresses that it has."""

BATCH: Final = 256
"""Packets that are read before the programs run; one after a wait, since a lone packet is likely to be a message. Many
connections need many: what is acknowledged in one turn has to be read in the next, or the device's queue overflows."""

TUN_SETTINGS: Final = {"tcp_autotune_total": 32 << 20}
"""Of a host that meets the kernel: buffers of all connections that want large ones, bytes that caches hold."""

# Parameters of mallopt(3).
M_TRIM_THRESHOLD: Final = -1
M_TOP_PAD: Final = -2
M_MMAP_THRESHOLD: Final = -3


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a host is joined to the kernel's network: by a TUN device, or by a TAP (`ethernet`), perhaps in a `bridge`.

    `addresses` are the host's, with prefix lengths; on Ethernet it asks for them when there are none. `gateways` are
    its ways to everywhere else (the kernel's end, when there are none and the device is in no bridge). `name_servers`
    are asked for names; without any, a host that is told its addresses by the network asks those that it is told of.
    """

    addresses: Sequence[str] = ()
    device: str = "catenet%d"
    mtu: int = 1500
    ethernet: bool = False
    bridge: str | None = None
    gateways: Sequence[str] = ()
    name_servers: Sequence[str] = ()


@contextlib.contextmanager
def open_host(
    name: str,
    attachment: Attachment,
    *,
    seed: int | str = 0,
    output: Callable[[str, str, str], None] = print_line,
    settings: SettingChanges | None = None,
) -> Iterator[tuple[World, Host]]:
    """Make a world of one host, in real time.

    Raises DeviceUnavailable when the device cannot be had, ValueError for an address without room for another.
    """
    own = [parse_interface(text) for text in attachment.addresses]
    ends = [] if attachment.bridge else [kernel_end(*pair) for pair in own]
    clock = RealClock()
    keep_freed_memory()
    ethernet = attachment.ethernet
    tun = TunDevice(attachment.device, attachment.mtu, offload=not ethernet, ethernet=ethernet)
    try:
        if attachment.bridge:
            tun.bridge(attachment.bridge)
        tun.configure(ends)
        with World(seed, clock=clock, epoch=time.time(), output=output) as world:
            host = world.hosts[name] = Host(world, name, apply_settings({**TUN_SETTINGS, **(settings or {})}))
            port = TunPort(host.name, tun, _link_address(seed) if ethernet else b"")
            port.taps = world.trace.taps
            interface = host.attach(port, tuple(own))
            host.reconfigure()
            if attachment.name_servers:
                servers = tuple(Server(parse_address(text)) for text in attachment.name_servers)
                host.use_name_servers(StubConfig(servers))
            gateways = [parse_address(text) for text in attachment.gateways] or [address for address, _ in ends]
            _add_defaults(host, interface, gateways, ethernet)
            clock.add_reader(tun.fileno(), lambda now: tun.read(now, 1 if clock.waited else BATCH))
            try:
                if ethernet and not own:
                    _configure(world, host, interface)
                yield world, host
            finally:
                clock.remove_reader(tun.fileno())
    finally:
        clock.close()
        tun.close()


def _add_defaults(host: Host, interface: int, gateways: Sequence[Address], ethernet: bool) -> None:
    """A default route per version: by a gateway on Ethernet, else just by the device."""
    for size in (4, 16):
        gateway = next((address for address in gateways if len(address) == size), None)
        if gateway is not None:
            host.stack.add_route(Prefix(bytes(size), 0), interface, gateway if ethernet else None)


def _configure(world: World, host: Host, interface: int) -> None:
    """Ask the network for addresses, IPv6 from routers and IPv4 by DHCP (IPv6 as routers say), and wait for them."""
    if host.name_service is None:
        host.stack.on_event = partial(_learn_names, host, interface)
    configure(host.stack, interface, host.name)
    port = host.stack.interfaces[interface].ethernet
    assert port is not None
    deadline = world.now + CONFIGURATION_TIMEOUT
    settled = world.now + SETTLING_TIME
    while world.now < deadline:
        world.hub.run(world.now + 0.1)
        if _is_configuring(port):
            settled = world.now + SETTLING_TIME
        if world.now >= settled and world.addresses(host.name):
            return


def _is_configuring(port: EthernetPort) -> bool:
    """Whether a server has been heard of, and has not given an address yet."""
    version4 = port.dhcp is not None and port.dhcp.state in (DhcpState.REQUESTING, DhcpState.PROBING)
    return version4 or (
        port.dhcp6 is not None
        and port.dhcp6.state in (Dhcp6State.SOLICITING, Dhcp6State.REQUESTING, Dhcp6State.PROBING)
    )


def _learn_names(host: Host, interface: int) -> None:
    """Ask the name servers that DHCP and routers tell of now; what DHCP says comes first (RFC 8106 5.3.1)."""
    while host.stack.next_event() is not None:
        pass
    port = host.stack.interfaces[interface].ethernet
    assert port is not None
    told: list[Lease | Information | None] = [port.dhcp.lease if port.dhcp is not None else None]
    if port.dhcp6 is not None:
        told.append(port.dhcp6.names())
    advertised = AdvertisedNames() if port.autoconf is None else port.autoconf.names
    addresses = [*(each for one in told if one is not None for each in one.dns_servers), *advertised.servers]
    servers = [Server(each, scope=interface if is_link_local(each) else 0) for each in dict.fromkeys(addresses)]
    search = dict.fromkeys([*(each for one in told if one is not None for each in one.search), *advertised.search])
    config = StubConfig(tuple(servers[:MOST_SERVERS]), tuple(search)) if servers else None
    if config != host.name_service:
        host.use_name_servers(config)


def _link_address(seed: int | str) -> bytes:
    """A locally administered station address (IEEE 802) that the seed decides."""
    return b"\x02" + hashlib.sha256(f"{seed}/link address".encode()).digest()[:5]


def keep_freed_memory() -> None:
    """Have glibc keep what is freed, up to 64 MB, instead of giving it back to the kernel.

    Packets of 64 KB come and go by the thousand: each would take the kernel sixteen page faults, a third of the time.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 64 << 20)
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TOP_PAD, 4 << 20)


def kernel_end(address: Address, length: int) -> tuple[Address, int]:
    """Address for the kernel's end: the first of the subnet, or the second when that is the host's own."""
    prefix = Prefix.of(address, length)
    for number in (1, 2, 0):
        with contextlib.suppress(ValueError):
            other = prefix.host(number)
            if other not in (address, prefix.broadcast()):
                return other, length
    raise ValueError(f"{prefix} has no second address for the kernel's end; use a shorter prefix, as /24 or /64")

"""Hosts that get their addresses from the network: who gives them, who asks, and how both are renumbered.

A network of `configure` has a `NetworkService`: pools and prefixes, and the host that serves and advertises them. A
host that asks has an `Asking`, which tells the switch of what the stack has got: a switch knows who owns an address, as
one that listens to DHCP and neighbour discovery does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from catenet.stack.configuration import abandon, configure, link_changed, port_of
from catenet.stack.dhcp.pool import AddressPool, ServerConfig
from catenet.stack.dhcp.server4 import Dhcp4Server
from catenet.stack.dhcp.server6 import Dhcp6Server
from catenet.stack.ethernet.advertiser import RouterAdvertiser
from catenet.stack.interface import AddressState, InterfaceAddress
from catenet.wire.address import Address, Prefix, format_address, is_link_local, parse_interface
from catenet.wire.dhcp6 import duid_uuid
from catenet.world.engine.wiring import FIRST_INTERFACE, remove_addresses, replace_addresses
from catenet.world.scenario.units import nearest

if TYPE_CHECKING:
    from catenet.link.properties import LinkProperties
    from catenet.world.engine.host import Host
    from catenet.world.network.links import Network
    from catenet.world.scenario.autoconf import AutoconfPlan
    from catenet.world.world import World

__all__ = [
    "Asking",
    "NetworkService",
    "check_move",
    "check_renumbering",
    "join_networks",
    "move_host",
    "renumber_host",
    "usable_addresses",
]

PATIENCE: Final = 15.0
"""Seconds for which programs of a host wait for its addresses."""
_POOL6: Final = 0x10000, 0x1FFFF


class NetworkService:
    """Who gives addresses on one network, and which."""

    def __init__(self, world: World, network: Network, plan: AutoconfPlan) -> None:
        self._world = world
        self.network = network
        self.plan = plan
        self.server: Host | None = None
        self._index = 0
        self._advertiser: RouterAdvertiser | None = None
        self._configs: dict[int, ServerConfig] = {}
        """What DHCP gives, by the size of addresses."""
        self._advertised: list[Prefix] = []
        for prefix in network.prefixes:
            size = len(prefix.address)
            if (size == 4 and "dhcp" in plan.protocols) or (size == 16 and "dhcpv6" in plan.protocols):
                pool = AddressPool(*_pool_of(prefix))
                self._configs.setdefault(size, ServerConfig(prefix, pool, lifetime=int(plan.lifetime)))
            if size == 16:
                self._advertised.append(prefix)
        if missing := [size for size in plan.sizes if not any(len(each.address) == size for each in network.prefixes)]:
            raise ValueError(f"network {network.name!r} has no IPv{4 if missing[0] == 4 else 6} prefix to configure")

    def serves(self, host: Host, router: bool) -> bool:
        """Whether a host that comes to the network is the one that serves it."""
        if self.plan.by is not None:
            return host.name == self.plan.by
        return router and self.server is None

    def check(self) -> None:
        """ValueError when nobody serves the network."""
        if self.server is None:
            who = f"host {self.plan.by!r} is not on it" if self.plan.by else "there is no router on it"
            raise ValueError(f"nobody gives addresses on network {self.network.name!r}: {who}")

    def reserve(self, addresses: Iterable[Address]) -> None:
        """Never give addresses that hosts have otherwise."""
        for address in addresses:
            if (config := self._configs.get(len(address))) is not None:
                config.pool.reserve(address)

    def install(self, host: Host, index: int) -> None:
        """Serve from this port of a host that has booted; leases outlive its boots."""
        host.update_stack()
        self.server, self._index = host, index
        stack, interface = host.stack, index + FIRST_INTERFACE
        own = {len(address): address for address, _ in self._own_addresses()}
        if (config := self._configs.get(4)) is not None:
            if 4 not in own:
                raise ValueError(f"{host.name!r} needs an IPv4 address on network {self.network.name!r} to serve it")
            config.routers = (own[4],) if host.forwarding else ()
            Dhcp4Server(stack, interface, config, own[4])
        if (config := self._configs.get(16)) is not None:
            Dhcp6Server(stack, interface, config, duid_uuid(_identity(self._world, host.name, index)))
        if 16 in self.plan.sizes:
            managed = "dhcpv6" in self.plan.protocols
            self._advertiser = RouterAdvertiser(
                stack, port_of(stack, interface), managed=managed, default=host.forwarding
            )
            for prefix in self._advertised:
                self._advertise(prefix)

    def _own_addresses(self) -> Sequence[tuple[Address, int]]:
        assert self.server is not None
        addresses = self._world.topology.ports_of(self.server.name)[self._index].addresses
        return [pair for pair in reversed(addresses) if not is_link_local(pair[0])]

    def _advertise(self, prefix: Prefix) -> None:
        assert self._advertiser is not None
        lifetime = int(self.plan.lifetime)
        self._advertiser.advertise(prefix, lifetime * 5 // 8, lifetime, "slaac" in self.plan.protocols)

    # Renumbering.

    def check_prefixes(self, texts: Iterable[str]) -> list[Prefix]:
        """New prefixes, read; ValueError for one that this network does not give, or has already."""
        written = list(texts)
        for text in written:
            if "/" not in text:
                raise ValueError(f"{text!r} needs a prefix length, as {text}/{24 if '.' in text else 64}")
        prefixes = [Prefix.parse(text) for text in written]
        if not prefixes:
            example = "192.168.9.0/24" if 4 in self.plan.sizes else "fd09::/64"
            raise ValueError(f"network {self.network.name!r} needs its new prefixes, as to = {example!r}")
        for prefix in prefixes:
            if len(prefix.address) not in self.plan.sizes:
                raise ValueError(
                    f"hosts of network {self.network.name!r} have no address like {prefix} by configuration"
                )
            for name, network in self._world.topology.networks.items():
                if any(prefix.address in other or other.address in prefix for other in network.prefixes):
                    raise ValueError(f"{prefix} is in use on network {name!r}")
            _pool_of(prefix)
        return prefixes

    def renumber(self, texts: Iterable[str], keep: float) -> None:
        """Give addresses of other prefixes from now on; those of old ones are not renewed (RFC 4192)."""
        prefixes = self.check_prefixes(texts)
        host, topology = self.server, self._world.topology
        assert host is not None
        host.update_stack()
        for prefix in prefixes:
            size = len(prefix.address)
            pair = topology.add_prefix(self.network, prefix)
            topology.give(host.name, self._index, [pair])
            replace_addresses(host.stack, self._index, [pair], [])
            note_addresses(host, self._index)
            if (config := self._configs.get(size)) is not None:
                config.prefix = prefix
                config.pool.move(*_pool_of(prefix))
                config.pool.reserve(pair[0])
                if config.routers:
                    config.routers = (pair[0],)
            if size == 16 and self._advertiser is not None:
                for old in self._advertised:
                    self._advertiser.withdraw(old, keep)
                self._advertised = [prefix]
                self._advertise(prefix)
        self._world.refresh_routes()

    def memory(self) -> list[tuple[int, tuple[Any, ...]]]:
        """Who has which address, as plain values."""
        return [(size, config.pool.memory()) for size, config in self._configs.items()]

    def remember(self, memory: list[tuple[int, tuple[Any, ...]]]) -> None:
        """Take over what `memory` of another process has told."""
        for size, pool in memory:
            self._configs[size].pool.remember(pool)

    def move(self, host: Host, current: Address, wanted: Address | None) -> None:
        """Give a host another address than its own of now when it renews."""
        self._configs[len(current)].pool.withdraw(current, wanted)

    def check_move(self, host: Host, wanted: Address, later: Prefix | None = None) -> None:
        """ValueError if a host cannot get this address here, or when the network has a `later` prefix."""
        config = self._configs.get(len(wanted))
        if config is None:
            raise ValueError(f"{host.name} has its IPv6 address by SLAAC: renumber its network, {self.network.name!r}")
        lowest, highest = _pool_of(later or config.prefix)
        if not lowest <= wanted <= highest if later is not None else wanted not in config.pool:
            given = f"it gives {format_address(lowest)} to {format_address(highest)}, but what hosts have"
            raise ValueError(
                f"{format_address(wanted)} is none that DHCP gives on network {self.network.name!r}: {given}"
            )


def _pool_of(prefix: Prefix) -> tuple[Address, Address]:
    """First and last address that DHCP gives: the upper half of an IPv4 prefix, 65,536 of an IPv6 one."""
    if len(prefix.address) == 4:
        size = 1 << 32 - prefix.length
        if size < 8:
            raise ValueError(f"{prefix} is too small for DHCP: it needs a /29 or larger")
        return prefix.host(size // 2), prefix.host(size - 2)
    if prefix.length > 64:
        raise ValueError(f"{prefix} is too small to configure hosts from: it needs a /64")
    return prefix.host(_POOL6[0]), prefix.host(_POOL6[1])


def _identity(world: World, host: str, index: int) -> bytes:
    """What stays with a port of a host, as a UUID of its hardware."""
    return hashlib.sha256(f"{world.seed}/identity/{host}/{index}".encode()).digest()[:16]


class Asking:
    """What a host does that gets its addresses from networks: by port, from which.

    What its stack has got, others know as soon as a packet could be at the switch that the host sends at the end of
    that round; when its links delay nothing, before what it does send then. So switches and names know it in time for
    every answer, and hosts that compute at the same time need not know it before (docs/design/isolation.md).
    """

    def __init__(self, host: Host, services: Mapping[int, NetworkService]) -> None:
        self.host = host
        self.services = services
        self.known: list[Address] = []
        """Addresses under which others find the host."""
        self._leased: dict[int, list[Address]] = {}
        """Those of each port that DHCP gave, as others know."""
        self._boot = 0
        self._turn = 0
        """How often it has begun to ask on some port: what was told before is of no use."""
        self._changed = False
        self._complete = False
        """Whether it has all that it asks for, as others know."""

    def begin(self) -> None:
        """Ask, in a stack that has booted; programs start when the addresses are there, or after a while without."""
        host = self.host
        host.update_stack()
        self._boot += 1
        self._turn += 1
        host.stack.address_table.watch = self._addresses_changed
        for index, service in self.services.items():
            self._ask(index, service)
        self.learn(self.told())
        if not host.elsewhere:
            host.hub.call_later(PATIENCE, self._lose_patience, self._boot)

    def come_here(self) -> None:
        """Be run in this process from now on, after a boot elsewhere."""
        self.go_on_here()
        self.host.hub.call_later(0.0 if self._complete else PATIENCE, self._lose_patience, self._boot)

    def go_on_here(self) -> None:
        """Be run in this process from now on; what was to be told at the end of the round is told here."""
        if self._changed:
            self._changed = False
            self._addresses_changed()

    def _ask(self, index: int, service: NetworkService) -> None:
        host, plan = self.host, service.plan
        identity = _identity(host.world, host.name, index)
        configure(host.stack, index + FIRST_INTERFACE, host.name, identity, ipv6=16 in plan.sizes, ipv4=4 in plan.sizes)

    def change(self, index: int, service: NetworkService | None) -> None:
        """Ask this network by a port that was on another; None: it gives no addresses."""
        host = self.host
        self._turn += 1
        abandon(host.stack, index + FIRST_INTERFACE)
        self.services = {each: one for each, one in self.services.items() if each != index}
        self._leased.pop(index, None)
        if service is not None:
            self.services[index] = service
            host.stack.address_table.watch = self._addresses_changed
            self._ask(index, service)

    def link_changed(self) -> None:
        """Find out whether the addresses are still right, as after a sleep."""
        for index in self.services:
            link_changed(self.host.stack, index + FIRST_INTERFACE)

    def _lose_patience(self, boot: int) -> None:
        if boot == self._boot:
            self.host.has_addresses()

    def _addresses_changed(self) -> None:
        if not self._changed:
            self._changed = True
            self.host.hub.call_after_round((self.host.name, -1), self._tell)

    def _tell(self) -> None:
        """Tell the switch who owns what."""
        self._changed = False
        host = self.host
        if not host.elsewhere:
            when = host.hub.now + host.world.topology.least_delay(host.name)
            host.world.isolation.announce(host, when, self.told())

    def told(self) -> tuple[Any, ...]:
        """What the stack has got, as plain values: for ports that ask, addresses with lengths, and those of DHCP."""
        ports = []
        for index, service in self.services.items():
            entries = [each for each in self._entries(index) if len(each.address) in service.plan.sizes]
            pairs = [(each.address, each.length) for each in entries]
            ports.append((index, pairs, [each.address for each in entries if each.origin == "dhcp"]))
        return self._turn, ports, usable_addresses(self.host)

    def _entries(self, index: int) -> list[InterfaceAddress]:
        interface = self.host.stack.interfaces[index + FIRST_INTERFACE]
        return [each for each in interface.addresses if each.is_usable]

    def learn(self, told: tuple[Any, ...]) -> None:
        """Learn what `told` has said, in whichever process; of an earlier turn it is out of date."""
        turn, ports, known = told
        if turn < self._turn:
            return
        self._turn = turn
        host = self.host
        topology = host.world.topology
        self._complete = True
        for index, pairs, leased in ports:
            sizes = self.services[index].plan.sizes
            others = [pair for pair in topology.ports_of(host.name)[index].addresses if len(pair[0]) not in sizes]
            topology.learn(host.name, index, [*others, *pairs])
            self._leased[index] = leased
            self._complete &= {len(each) for each, _ in pairs if not is_link_local(each)} >= set(sizes)
        self.known = list(known)
        tell_of_addresses(host.world)
        if self._complete and not host.elsewhere:
            host.hub.call_later(0.0, self._lose_patience, self._boot)

    def review(self) -> None:
        """Note that addresses were given to the host, or taken away, in another way."""
        owned = self.host.world.topology.addresses(self.host.name)
        self.known = [
            *(each for each in owned if each not in self.known),
            *(each for each in self.known if each in owned),
        ]

    def is_told_of(self, index: int, prefix: Prefix) -> bool:
        """Whether servers or routers tell the way to a prefix by a port; only host routes are known without them."""
        service = self.services.get(index)
        size = len(prefix.address)
        return service is not None and size in service.plan.sizes and prefix.length < 8 * size

    # Renumbering.

    def check_move(self, address: Address) -> None:
        """ValueError if no network gives this address to the host."""
        service = self._service_of(address)
        if service is None:
            raise ValueError(f"{format_address(address)} is in no network of {self.host.name}")
        service.check_move(self.host, address)

    def _service_of(self, address: Address) -> NetworkService | None:
        found = (each for each in self.services.values() if any(address in one for one in each.network.prefixes))
        return next(found, None)

    def sizes(self) -> set[int]:
        """Sizes of the addresses that the host gets by asking."""
        return {size for service in self.services.values() for size in service.plan.sizes}

    def move(self, wanted: Iterable[Address]) -> bool:
        """Have servers give other addresses: these, or others of each version; False when no server gave any."""
        wishes = list(wanted)
        moved = False
        for index, service in self.services.items():
            for address in self._leased.get(index, ()):
                wish = next((each for each in wishes if len(each) == len(address)), None)
                if wish is not None or not wishes:
                    service.move(self.host, address, wish)
                    moved = True
        return moved


def join_networks(
    host: Host, networks: Sequence[str | None], addresses: Iterable[str], link: LinkProperties | None
) -> None:
    """Put a host on networks, with those of its addresses that lie in each, given ones, or those that it asks for."""
    topology = host.world.topology
    shares: list[list[str]] = [[] for _ in networks]
    for text in addresses:
        address = parse_interface(text)[0]
        known = [topology.networks.get(name) if name else None for name in networks]
        inside = (i for i, net in enumerate(known) if net and any(address in prefix for prefix in net.prefixes))
        shares[next(inside, 0)].append(text)
    for name, share in zip(networks, shares, strict=True):
        _join(host, name, share, link)


def _join(host: Host, name: str | None, share: list[str], link: LinkProperties | None) -> None:
    world = host.world
    service = world.services.get(name or next(iter(world.topology.networks), ""))
    serves = service is not None and service.serves(host, host.forwarding)
    asks = service is not None and not (serves or share or host.forwarding or host.name in world.fixed)
    sizes = tuple(size for size in (4, 16) if not asks or service is None or size not in service.plan.sizes)
    port = world.topology.attach(host.name, name, share, link, sizes)
    index = len(world.topology.ports_of(host.name)) - 1
    host.attach(port, tuple(port.addresses))
    if service is not None:
        service.reserve(address for address, _ in port.addresses)
        if asks:
            host.asking = Asking(host, {**(host.asking.services if host.asking else {}), index: service})
        elif serves:
            service.server = host
            host.serving.append((service, index))


def check_renumbering(world: World, name: str, texts: Sequence[str]) -> None:
    """ValueError if `World.renumber` would raise it now."""
    if name not in world.hosts and name in world.services:
        world.services[name].check_prefixes(texts)
    else:
        _renumbering(world.hosts[world.topology.known(name)], texts)


def _renumbering(host: Host, texts: Sequence[str]) -> list[tuple[int, list[tuple[Address, int]]]]:
    """What a host gets at once, by port, when it is renumbered; the rest is the servers' to give. ValueError."""
    asking = host.asking
    if asking is None:
        return host.world.topology.next_addresses(host.name, texts)
    sizes = asking.sizes()
    for text in texts:
        if len(address := parse_interface(text)[0]) in sizes:
            asking.check_move(address)
    own = [text for text in texts if len(parse_interface(text)[0]) not in sizes]
    if texts and not own:
        return []
    chosen = host.world.topology.next_addresses(host.name, own)
    return [(index, [pair for pair in pairs if len(pair[0]) not in sizes]) for index, pairs in chosen]


def renumber_host(host: Host, texts: Sequence[str], keep: float) -> None:
    """As `Host.renumber`."""
    topology = host.world.topology
    chosen = _renumbering(host, texts)
    if host.asking is not None:
        addresses = [parse_interface(text)[0] for text in texts]
        moved = host.asking.move([address for address in addresses if len(address) in host.asking.sizes()])
        if not moved and not any(pairs for _, pairs in chosen):
            names = " and ".join(repr(each.network.name) for each in host.asking.services.values())
            raise ValueError(f"{host.name} has no address that a DHCP server gave: renumber its network, {names}")
    for index, pairs in chosen:
        versions = {len(address) for address, _ in pairs}
        port = topology.ports_of(host.name)[index]
        old = [each for each, _ in port.addresses if len(each) in versions and not is_link_local(each)]
        topology.give(host.name, index, pairs)
        replace_addresses(host.stack, index, pairs, old)
        note_addresses(host, index)
        if keep:
            host.hub.call_between(host.hub.now + keep, _remove, host, index, old)
        else:
            _remove(host, index, old)
    host.world.refresh_routes()
    tell_of_addresses(host.world)


def move_host(host: Host, name: str) -> None:
    """As `World.move`."""
    world, topology = host.world, host.world.topology
    check_move(host, name)
    network, (port,) = topology.networks[name], topology.ports_of(host.name)
    if port.network is network:
        return
    host.update_stack()
    if host.asking is not None:
        host.asking.change(0, None)
    remove_addresses(host.stack, 0, [address for address, _ in port.addresses if not is_link_local(address)])
    service = world.services.get(name) if host.name not in world.fixed else None
    sizes = tuple(size for size in (4, 16) if service is None or size not in service.plan.sizes)
    pairs = topology.free_addresses(network, sizes)
    topology.move(host.name, 0, name)
    topology.give(host.name, 0, pairs)
    replace_addresses(host.stack, 0, pairs, [])
    if service is not None:
        host.asking = host.asking or Asking(host, {})
        host.asking.change(0, service)
    note_addresses(host, 0)
    world.refresh_routes()
    tell_of_addresses(world)


def check_move(host: Host, name: str) -> None:
    """ValueError if a host cannot move to a network."""
    networks = host.world.topology.networks
    if name not in networks:
        raise ValueError(f"unknown network {name!r}{nearest(name, networks)}")
    if host.forwarding or host.serving:
        raise ValueError(f"{host.name} cannot move: others find their way by it")
    if len(host.world.topology.ports_of(host.name)) != 1:
        raise ValueError(f"{host.name} cannot move: it is on several networks")


def tell_of_addresses(world: World) -> None:
    """Tell those who keep account that a host may have other addresses."""
    for host in world.hosts.values():
        if host.asking is not None:
            host.asking.review()
    for callback in world.on_addresses:
        callback()


def _remove(host: Host, index: int, addresses: list[Address]) -> None:
    for address in addresses:
        host.world.topology.take(host.name, address)
    remove_addresses(host.stack, index, addresses)
    note_addresses(host, index)
    tell_of_addresses(host.world)


def note_addresses(host: Host, index: int) -> None:
    """Keep the addresses of a port for the next boot; what servers gave is asked for anew."""
    port = host.world.topology.ports_of(host.name)[index]
    place = next(place for place, (device, _) in enumerate(host.devices) if device is port)
    asked = host.asking.services.get(index) if host.asking is not None else None
    sizes = asked.plan.sizes if asked is not None else ()
    kept = tuple(pair for pair in port.addresses if len(pair[0]) not in sizes or is_link_local(pair[0]))
    host.devices[place] = (port, kept)


def usable_addresses(host: Host) -> list[Address]:
    """The addresses that the stack of a host has, those in use first; link-local ones left out."""
    interfaces = [one for one in host.stack.interfaces.values() if not one.loopback]
    entries = [entry for one in interfaces for entry in one.addresses if entry.is_usable]
    entries.sort(key=lambda entry: entry.state is AddressState.DEPRECATED)
    return [entry.address for entry in entries if not is_link_local(entry.address)]


def known_service(services: Mapping[str, NetworkService], name: str) -> NetworkService:
    """The service of a network; ValueError with the nearest name when there is none."""
    if name not in services:
        raise ValueError(f"no host and no network that configures its hosts: {name!r}{nearest(name, services)}")
    return services[name]

"""The topology of a world: networks, ports, dedicated links, addresses, routes and partitions.

Hosts are named by text. Every host has a port on at least one network; those with ports on several may be routers,
which forward. Addresses are given out in the order of attachment, so that one world always has the same: host h of
network N gets 10.0.N.h and fd00:0:0:N::h. Routes are static and shortest (fewest networks, then the routers' names).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from catenet.link.crossing import Crossing
from catenet.link.properties import LinkProperties
from catenet.link.shaped import make_link
from catenet.link.simulated import SimulatedLink
from catenet.stack.datagram.send_buffer import GONE
from catenet.wire.address import (
    BROADCAST,
    LINK_LOCAL_PREFIXES,
    Address,
    Prefix,
    format_address,
    is_link_local,
    is_multicast,
    parse_interface,
    why_no_host,
)
from catenet.world.engine.hub import Hub
from catenet.world.network.links import ForwardingPath, Network, OfferedPacket, Port
from catenet.world.network.trace import Trace
from catenet.world.scenario.units import nearest, repeated

__all__ = ["StaticRoute", "Topology"]

PRIVATE4: Final = Prefix.parse("10.0.0.0/8")
PRIVATE6: Final = Prefix.parse("fd00::/48")
HOSTS_PER_24: Final = 254
CRASH: Final = "crash"
"""Cause of drops: a packet that had not left its host when that crashed."""
DEFAULT_PREFIXES: Final = (Prefix(bytes(4), 0), Prefix(bytes(16), 0))


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """One route of a host: packets to `prefix` leave by its port number `port` (from 0); `mtu` 0 is the port's."""

    prefix: Prefix
    port: int
    mtu: int = 0


class Topology:
    """The networks of one world. `seed` feeds one random stream per link."""

    def __init__(self, hub: Hub, seed: object = 0, trace: Trace | None = None) -> None:
        self._hub = hub
        self._seed = seed
        self._trace = trace
        self.defaults = LinkProperties()
        self.networks: dict[str, Network] = {}
        self.ports: list[Port] = []
        self.routers: dict[str, bool] = {}
        self.dedicated: dict[tuple[str, str], SimulatedLink] = {}
        self._joined: dict[str, list[str]] = {}
        """For each host, those with which it has a dedicated link."""
        self._of_host: dict[str, list[Port]] = {}
        self._owners: dict[Address, Port] = {}
        self._groups: dict[int, tuple[frozenset[str], ...]] = {}
        self._partitions = 0
        self._declared: set[str] = set()
        """Networks whose prefixes somebody has chosen: what lies outside is a mistake."""
        self._renumberings = 0
        """How often hosts were given other addresses: those that they had are not given out again soon."""
        self._paths_known = False

    def add_network(self, name: str = "net", prefixes: Iterable[str | Prefix] = ()) -> Network:
        """Add a network; without prefixes it is 10.0.N.0/24 and fd00:0:0:N::/64. ValueError for a name in use."""
        if name in self.networks:
            raise ValueError(f"there is a network {name!r} already")
        number = len(self.networks)
        prefixes = tuple(prefixes)
        chosen = [Prefix.parse(prefix) if isinstance(prefix, str) else prefix for prefix in prefixes]
        if not chosen:
            chosen = [Prefix.of(PRIVATE4.host(number << 8), 24), Prefix.of(PRIVATE6.host(number << 64), 64)]
        network = Network(name, chosen, self._hub, self._find_path, self._is_partitioned)
        self.networks[name] = network
        if prefixes:
            self._declared.add(name)
        return network

    def attach(
        self,
        host: str,
        network: str | None = None,
        addresses: Iterable[str] = (),
        properties: LinkProperties | None = None,
        sizes: tuple[int, ...] = (4, 16),
    ) -> Port:
        """Give `host` a port on a network (the first, made when there is none), with these addresses or new ones.

        New ones are of the versions of IP whose addresses have one of `sizes`; the host asks for others itself.
        Addresses are texts with or without a prefix length; ValueError for one that is taken or malformed.
        """
        joined = self._network(network)
        ports = self._of_host.setdefault(host, [])
        label = f"{host}/{len(ports)}"
        chosen = properties or self.defaults
        links = (self._make_link(f"{label}/up", chosen), self._make_link(f"{label}/down", chosen))
        port = Port(len(self.ports), (host, len(ports)), joined, links)
        for address, length in self._choose(joined, addresses, sizes=sizes):
            self._own(port, address, length)
        if self._trace is not None:
            port.trace = self._trace.of_port(port.outbox.place, port.index)
        self._update_port(port)
        ports.append(port)
        self.ports.append(port)
        joined.ports.append(port)
        self._changed()
        return port

    def next_addresses(self, host: str, asked: Iterable[str] = ()) -> list[tuple[int, list[tuple[Address, int]]]]:
        """Other addresses for the ports of a host: those asked for, or the next free ones of its networks' prefixes.

        Raises:
            ValueError: one that is taken, malformed, or in no network of the host.
        """
        texts = list(asked)
        chosen = []
        for index, port in enumerate(self._of_host[self.known(host)]):
            network = port.network
            mine = [text for text in texts if any(parse_interface(text)[0] in prefix for prefix in network.prefixes)]
            texts = [text for text in texts if text not in mine]
            if asked:
                chosen.append((index, list(self._choose(network, mine, link_local=False)) if mine else []))
                continue
            own = {len(address) for address, _ in port.addresses if not is_link_local(address)}
            wanted = [prefix for prefix in network.prefixes if len(prefix.address) in own]
            number = len(network.ports) + self._renumberings
            chosen.append((index, [(self._free(prefix, number), prefix.length) for prefix in wanted]))
        if texts:
            raise ValueError(f"{texts[0]} is in no network of {host}")
        for address in (address for _, pairs in chosen for address, _ in pairs):
            if (owner := self._owners.get(address)) is not None:
                raise ValueError(f"address {format_address(address)} of {host} is {owner.host}'s already")
        return chosen

    def give(self, host: str, index: int, pairs: Iterable[tuple[Address, int]]) -> None:
        """Give a port of a host more addresses, which come before those that it has."""
        self._renumberings += 1
        port = self._of_host[host][index]
        before = port.addresses[:]
        port.addresses.clear()
        for address, length in pairs:
            self._own(port, address, length)
        port.addresses += before
        self._changed()

    def take(self, host: str, address: Address) -> None:
        """Take an address away from a host: nobody has it."""
        for port in self._of_host[host]:
            if self._owners.get(address) is port:
                del self._owners[address]
                del port.network.owners[address]
                port.addresses[:] = [pair for pair in port.addresses if pair[0] != address]
        self._changed()

    def learn(self, host: str, index: int, pairs: Iterable[tuple[Address, int]]) -> None:
        """Learn which addresses a port has: what it has no more is nobody's, what others have stays theirs."""
        port = self._of_host[host][index]
        wanted = dict(pairs)
        known = dict(port.addresses)
        if wanted == known:
            return
        for address in known.keys() - wanted.keys():
            del self._owners[address]
            del port.network.owners[address]
        port.addresses[:] = [pair for pair in port.addresses if pair[0] in wanted]
        for address, length in wanted.items():
            if address not in self._owners:
                self._own(port, address, length)
        self._changed()

    def move(self, host: str, index: int, name: str) -> None:
        """Join a port to another network; its addresses are nobody's, but those of link-local scope."""
        port = self._of_host[host][index]
        old, new = port.network, self._network(name)
        for address, _ in port.addresses:
            del old.owners[address]
            if is_link_local(address):
                new.owners[address] = port
            else:
                del self._owners[address]
        port.addresses[:] = [pair for pair in port.addresses if is_link_local(pair[0])]
        old.ports.remove(port)
        new.ports.append(port)
        port.network = new
        self._changed()

    def free_addresses(self, network: Network, sizes: tuple[int, ...]) -> list[tuple[Address, int]]:
        """The next free addresses of a network, of these sizes."""
        return list(self._choose(network, (), link_local=False, sizes=sizes))

    def add_prefix(self, network: Network, prefix: Prefix) -> tuple[Address, int]:
        """Add a prefix to a network; returns an address of it for who is to be its router."""
        network.prefixes.insert(0, prefix)
        self._changed()
        return self._free(prefix, 0), prefix.length

    def add_router(self, host: str) -> None:
        """Let `host` forward between its networks."""
        self.routers[host] = True
        self._changed()

    def link(self, a: str, b: str, properties: LinkProperties) -> None:
        """Connect two hosts by a dedicated link, which carries what they send to each other, or change that link."""
        if self.known(a) == self.known(b):
            raise ValueError(f"a link joins two hosts, not {a!r} with itself")
        for one, other in ((a, b), (b, a)):
            existing = self.dedicated.get((one, other))
            if existing is None:
                self.dedicated[one, other] = self._make_link(f"{one}>{other}", properties)
                self._joined.setdefault(one, []).append(other)
            else:
                self.dedicated[one, other] = self._remake(existing, properties)
        for port in (*self._of_host[a], *self._of_host[b]):
            self._update_port(port)
        self._changed()

    def change(self, host: str, properties: LinkProperties) -> None:
        """Change the properties of every port of `host`, in both directions, also for packets in the queues."""
        for port in self._of_host[self.known(host)]:
            port.up = self._remake(port.up, properties)
            port.down = self._remake(port.down, properties)
            self._update_port(port)
        self._changed()

    def _remake(self, link: SimulatedLink, properties: LinkProperties) -> SimulatedLink:
        """Return the link with other properties."""
        self._hub.put_on_links()  # what a program has sent just before it changes the link
        return make_link(properties, link.random, link, self._hub.now, self._hub.call_at_link)

    def _update_port(self, port: Port) -> None:
        """Set the port's MTU to the largest of its host's links (routes know smaller ones), and whether it queues."""
        own = [self.dedicated[port.host, other].properties for other in self._joined.get(port.host, ())]
        port.mtu = max(each.mtu for each in (port.up.properties, *own))
        port.queues = any(each.rate is not None for each in (port.up.properties, *own))

    def power_off(self, host: str, cause: str = CRASH) -> None:
        """Discard the packets that have not left a host when it crashes, or goes to sleep."""
        self._hub.put_on_links()
        for link in self.links_up(host):
            link.discard(self._hub.now, cause)
        if cause == CRASH:
            for port in self.ports_of(host):
                if port.trace is not None:
                    port.trace.boot()

    def links_up(self, host: str) -> list[SimulatedLink]:
        """The links by which a host sends."""
        own = [self.dedicated[host, other] for other in self._joined.get(host, ())]
        return [*(port.up for port in self.ports_of(host)), *own]

    def least_delay(self, host: str) -> float:
        """Seconds after which what a host sends now can be with others, or at a switch, at the earliest."""
        return min([_least(link) if link.pure else 0.0 for link in self.links_up(host)], default=0.0)

    def least_delay_down(self, host: str) -> float:
        """Seconds that a packet takes from a switch to a host, at least; none where it need not come by a switch."""
        return 0.0 if self._joined.get(host) else min([_least(port.down) for port in self.ports_of(host)], default=0.0)

    def properties(self, a: str, b: str | None = None) -> LinkProperties | None:
        """Return the properties of a host's link, or of the dedicated link of two hosts; None without one."""
        if b is None:
            return self._of_host[self.known(a)][0].up.properties
        link = self.dedicated.get((self.known(a), self.known(b)))
        return None if link is None else link.properties

    def unlink(self, a: str, b: str) -> None:
        """Remove the dedicated link between two hosts; packets in its queue take the networks."""
        self._hub.put_on_links()
        stranded = []
        for one, other in ((a, b), (b, a)):
            link = self.dedicated.pop((one, other), None)
            if link is not None:
                self._joined[one].remove(other)
                stranded += [(one, crossing) for crossing, _ in link.recall(self._hub.now)]
        for port in (*self._of_host[a], *self._of_host[b]):
            self._update_port(port)
        self._changed()
        for host, crossing in stranded:
            crossing.departure = GONE
            self._resend(host, crossing)

    def _resend(self, host: str, crossing: Crossing) -> None:
        """Send a packet that has not left its host again, by the port by which it left the stack."""
        port = crossing.path.port if isinstance(crossing, OfferedPacket) else self._of_host[host][0]
        port.send(crossing.packet, self._hub.now, again=True)

    def partition(self, *groups: str | Iterable[str]) -> int:
        """Partition groups of hosts (a name or several) from each other; a single group from all other hosts.

        Hosts in no group keep reaching all. Cuts add up; the number returned undoes this one by `heal`.
        """
        if not groups:
            raise ValueError("a partition needs at least one group of hosts")
        lists = [(group,) if isinstance(group, str) else tuple(group) for group in groups]
        names = [self.known(name) for group in lists for name in group]
        if (name := repeated(names)) is not None:
            raise ValueError(f"a partition names {name!r} twice")
        sets = tuple(map(frozenset, lists))
        self._partitions += 1
        self._groups[self._partitions] = sets if len(sets) > 1 else (sets[0], frozenset(self._of_host) - sets[0])
        self._changed()
        self._check_partitions()
        return self._partitions

    def heal(self, number: int | None = None) -> None:
        """Remove one partition, or all; one that is removed already is no error."""
        if number is None:
            self._groups.clear()
        else:
            self._groups.pop(number, None)
        self._changed()
        self._check_partitions()

    def _check_partitions(self) -> None:
        """Apply a change of partitions to packets in queues: a partition stops what leaves a queue while it lasts."""
        for _, link in self.links():
            for crossing in link.waiting(self._hub.now):
                if isinstance(crossing, OfferedPacket):
                    crossing.check_partitions()

    def _is_partitioned(self, path: ForwardingPath, way: Port) -> bool:
        """Whether a partition separates the ends of a path, or its port from the next."""
        if not self._groups:
            return False
        source, destination = path.addresses
        sender, owner = self._owners.get(source, path.port), self._owners.get(destination, way)
        return self._cut(sender.host, owner.host) or self._cut(path.port.host, way.host)

    def known(self, host: str) -> str:
        """Return the name when there is such a host; ValueError with the nearest one when not."""
        if host not in self._of_host:
            raise ValueError(f"unknown host {host!r}{nearest(host, self._of_host)}")
        return host

    def ports_of(self, host: str) -> list[Port]:
        """Return the ports of a host in the order of their creation."""
        return self._of_host.get(host, [])

    def addresses(self, host: str) -> list[Address]:
        """Addresses by which `host` can be reached: of its ports in order, link-local ones left out."""
        pairs = [pair for port in self.ports_of(host) for pair in port.addresses]
        return [address for address, _ in pairs if not is_link_local(address)]

    def routes(self, host: str) -> list[StaticRoute]:
        """Routes that `host` needs: its own networks, those behind routers, a default, and ways of another mtu."""
        ports = self.ports_of(host)
        routes = {
            prefix: StaticRoute(prefix, index, self._smaller_mtu(port, port))
            for index, port in enumerate(ports)
            for prefix in port.network.prefixes
        }
        direct = {port.network.name for port in ports}
        for name, network in self.networks.items():
            if name not in direct and (way := self._first_hop(host, network)) is not None:
                index, hop = way
                mtu = self._smaller_mtu(ports[index], hop)
                for prefix in network.prefixes:
                    routes.setdefault(prefix, StaticRoute(prefix, index, mtu))
        for prefix in DEFAULT_PREFIXES if ports else ():
            routes.setdefault(prefix, StaticRoute(prefix, 0, self._smaller_mtu(ports[0], ports[0])))
        for index, port in enumerate(ports):
            usual = self._smaller_mtu(port, port)
            for peer in self._special_peers(port):
                if (mtu := self._smaller_mtu(port, peer)) != usual:
                    for address, _ in peer.addresses:
                        if not is_link_local(address):
                            own = Prefix(address, len(address) * 8)
                            routes.setdefault(own, StaticRoute(own, index, mtu))
        return list(routes.values())

    def _special_peers(self, port: Port) -> list[Port]:
        """Ports to which the way from `port` may carry less than its network does, or more."""
        mtu, network = port.up.properties.mtu, port.network
        narrow = network.narrowest() < mtu
        peers = [peer for peer in network.ports if peer.up.properties.mtu < mtu] if narrow else []
        others = self._joined.get(port.host, ())
        return peers + [peer for other in others for peer in self._of_host[other] if peer not in peers]

    def _smaller_mtu(self, port: Port, peer: Port) -> int:
        """What the link or links between two ports carry, when that is less than `port` does; else 0."""
        own = self.dedicated.get((port.host, peer.host))
        narrow = min(port.up.properties.mtu, peer.up.properties.mtu)
        mtu = narrow if own is None else own.properties.mtu
        return mtu if mtu < port.mtu else 0

    def links(self) -> Iterator[tuple[str, SimulatedLink]]:
        """Every direction of every link with the name of the host that it counts for."""
        for port in self.ports:
            yield port.host, port.up
            yield port.host, port.down
        for (one, _), link in self.dedicated.items():
            yield one, link

    def _network(self, name: str | None) -> Network:
        if name is None:
            return next(iter(self.networks.values()), None) or self.add_network()
        if name not in self.networks:
            raise ValueError(f"unknown network {name!r}{nearest(name, self.networks)}")
        return self.networks[name]

    def _make_link(self, label: str, properties: LinkProperties) -> SimulatedLink:
        return make_link(properties, random.Random(f"{self._seed}/link/{label}"))

    def _choose(
        self, network: Network, texts: Iterable[str], link_local: bool = True, sizes: tuple[int, ...] = (4, 16)
    ) -> Iterator[tuple[Address, int]]:
        """Addresses for a new port: those asked for, or one of each version; and one of link-local scope."""
        asked = [parse_interface(text) for text in texts]
        for address, length in asked:
            inside = next((prefix for prefix in network.prefixes if address in prefix), None)
            if inside is not None and length == len(address) * 8:
                length = inside.length
            if why := why_no_host(address, length):
                raise ValueError(f"no host can have the address {format_address(address)}: it {why}")
            lone = inside is None and length == len(address) * 8 and not is_link_local(address)
            if lone and network.name in self._declared:
                within = ", ".join(map(str, network.prefixes))
                raise ValueError(
                    f"address {format_address(address)} is not within network {network.name!r} ({within}); one of "
                    f"another network has a prefix length, as '{format_address(address)}/{24 if length == 32 else 64}'"
                )
            yield address, length
        number = len(network.ports)
        if not asked:
            for prefix in network.prefixes:
                if len(prefix.address) in sizes:
                    yield self._free(prefix, number), prefix.length
        own = next((address for address, _ in asked if len(address) == 16), None)
        if link_local and (not asked or own is not None):
            yield self._link_local(own), 64

    def _link_local(self, own: Address | None) -> Address:
        """An address of link-local scope: with the interface identifier of the port's own address, if that is free."""
        prefix = LINK_LOCAL_PREFIXES[6].address
        if own is not None and (address := prefix[:8] + own[8:]) not in self._owners:
            return address
        return self._free(Prefix(prefix, 64), len(self.ports))

    def _free(self, prefix: Prefix, number: int) -> Address:
        """The first free address for host `number`; a full 10.0.N.0/24 goes on in 10.1.N.0 and so forth."""
        while True:
            block, low = divmod(number, HOSTS_PER_24)
            if len(prefix.address) == 4 and prefix.length == 24 and prefix.address[0] == 10 and block:
                address = PRIVATE4.host((block << 16) + (prefix.address[2] << 8) + low + 1)
            else:
                address = prefix.host(number + 1)
            if address not in self._owners and address != prefix.broadcast():
                return address
            number += 1

    def _own(self, port: Port, address: Address, length: int) -> None:
        if (owner := self._owners.get(address)) is not None:
            raise ValueError(f"address {format_address(address)} of {port.host} is {owner.host}'s already")
        self._owners[address] = port
        port.network.owners[address] = port
        port.addresses.append((address, length))

    def _changed(self) -> None:
        for network in self.networks.values():
            network.narrowest_link = None
        if self._paths_known:
            for port in self.ports:
                port.forget_paths(self._hub.now)
            self._paths_known = False

    def _find_path(self, port: Port, source: Address, destination: Address) -> ForwardingPath | str:
        """Where packets between two addresses go that leave by `port`, or the cause for which they are dropped."""
        self._paths_known = True
        network = port.network
        if is_multicast(destination) or destination == BROADCAST or self._directed(network, destination):
            ways = [way for way in network.ports if way is not port and not self._cut(port.host, way.host)]
            ways.sort(key=_place)
            return ForwardingPath(port, (source, destination), port.up, ways, False)
        owner = self._owners.get(destination)
        if owner is None:
            return "unreachable"
        sender = self._owners.get(source)
        if self._cut(port.host if sender is None else sender.host, owner.host):
            return "partition"
        own = self.dedicated.get((port.host, owner.host))
        if own is not None:
            return ForwardingPath(port, (source, destination), own, [owner], True)
        way = network.owners.get(destination) or self._next_hop(port, owner.network)
        if way is None:
            return "unreachable"
        if self._cut(port.host, way.host):
            return "partition"
        own = self.dedicated.get((port.host, way.host))
        return ForwardingPath(port, (source, destination), own or port.up, [way], own is not None)

    def _directed(self, network: Network, destination: Address) -> bool:
        return any(destination == prefix.broadcast() for prefix in network.prefixes)

    def _cut(self, one: str, other: str) -> bool:
        """Whether a partition separates two hosts."""
        for groups in self._groups.values():
            left = next((group for group in groups if one in group), None)
            right = next((group for group in groups if other in group), None)
            if left is not None and right is not None and left is not right:
                return True
        return False

    def _next_hop(self, port: Port, target: Network) -> Port | None:
        """Port on `port`'s network of the router that is on a shortest way to `target`: the first one by name."""
        found: Port | None = None
        best = len(self.networks) + 1
        for router in sorted((each for each in port.network.ports if each.host in self.routers), key=_place):
            if router is not port:
                distance = self._distance(router.host, target, port.network)
                if distance is not None and distance < best:
                    found, best = router, distance
        return found

    def _first_hop(self, host: str, target: Network) -> tuple[int, Port] | None:
        """Number of the port by which `host` reaches another network soonest, and the router's port there."""
        found: tuple[int, Port] | None = None
        best = len(self.networks) + 1
        for index, port in enumerate(self._of_host[host]):
            hop = self._next_hop(port, target)
            distance = None if hop is None else self._distance(hop.host, target, port.network)
            if hop is not None and distance is not None and distance < best:
                found, best = (index, hop), distance
        return found

    def _distance(self, router: str, target: Network, avoid: Network) -> int | None:
        """How many networks a router crosses to reach `target` without `avoid`; None when it cannot."""
        seen = {avoid.name}
        frontier = [router]
        hops = 0
        while frontier:
            reached = [port.network for name in frontier for port in self._of_host[name]]
            fresh = {network.name: network for network in reached if network.name not in seen}
            if target.name in fresh:
                return hops
            seen.update(fresh)
            on_fresh = (port.host for network in fresh.values() for port in network.ports)
            frontier = list(dict.fromkeys(name for name in on_fresh if name in self.routers))
            hops += 1
        return None


def _least(link: SimulatedLink) -> float:
    return max(0.0, link.properties.latency - link.properties.jitter)


def _place(port: Port) -> tuple[str, int]:
    """What ports are sorted by where the order of their making must not matter."""
    return port.outbox.place

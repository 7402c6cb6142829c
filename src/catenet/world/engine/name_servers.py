"""The name servers of a world with `[dns]`: what each serves, as the program on its host is told, and who asks whom.

The programs are `catenet.testing.names`; nothing here knows how they work. They read a JSON object from a file of their
host, and read it again when they get SIGHUP: when a host has other addresses, as after `rndc reload`.
"""

from __future__ import annotations

import importlib
import json
import signal
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from catenet.stack.interface import AddressState
from catenet.wire.address import format_address, is_link_local, parse_address
from catenet.wire.dns.name import ROOT, is_below, join, labels, name_from_text, name_to_text, reverse_name
from catenet.wire.dns.resolv_conf import MOST_SERVERS
from catenet.wire.dns.stub import Server, StubConfig
from catenet.world.scenario.resolv import stub_config

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.world.engine.host import Host
    from catenet.world.scenario.dns import DnsPlan, Target, ZonePlan
    from catenet.world.scenario.worldfile import WorldPlan
    from catenet.world.world import World

__all__ = ["OwnNames", "run_name_servers", "tell_hosts"]

DESCRIPTION: Final = "/etc/catenet/names.json"
PROGRAM: Final = ("-m", "catenet.testing.names", DESCRIPTION)
KEYS: Final = "catenet.testing.names.zones"
ROOT_KEY: Final = "/usr/share/dns/root.key"
ROOT_HINTS: Final = "/usr/share/dns/root.hints"
"""Where Debian's package dns-root-data has them."""
REVERSE: Final = b"\4arpa\0"
UNBLOCKED: Final = (
    "10.in-addr.arpa.",
    "168.192.in-addr.arpa.",
    "d.f.ip6.arpa.",
    *(f"{number}.172.in-addr.arpa." for number in range(16, 32)),
)
"""Of the zones of RFC 6303, which resolvers do not ask for, those of addresses that worlds have."""


def run_name_servers(world: World, plan: WorldPlan) -> None:
    """Run a name server on each host that serves a zone or resolves names."""
    dns = plan.dns
    assert dns is not None
    texts = _Texts(world, dns)
    serving = dict.fromkeys([*(host for zone in dns.zones for host in zone.hosts), *dns.resolvers])
    for name in serving:
        world.hosts[name].files[DESCRIPTION] = partial(_describe, world, plan, texts, name)
        world.hosts[name].run(list(PROGRAM), daemon=True)
    world.on_addresses.append(_Reloading(world, plan, texts, tuple(serving)).note)


def _describe(world: World, plan: WorldPlan, texts: _Texts, name: str) -> str:
    """What the program on a host is told."""
    dns = plan.dns
    assert dns is not None
    told = {
        "seed": str(world.seed),
        "sign": dns.sign,
        "networks": {network.name: list(_prefixes(world, network.name)) for network in plan.networks},
        "zones": [texts.zone(zone) for zone in dns.zones if name in zone.hosts],
        "resolver": texts.resolver(name) if name in dns.resolvers else None,
    }
    return json.dumps(told)


class _Reloading:
    """Has the name servers read their zones again when hosts have other addresses, and hosts ask resolvers there."""

    def __init__(self, world: World, plan: WorldPlan, texts: _Texts, serving: tuple[str, ...]) -> None:
        self._world = world
        self._plan = plan
        self._told = _stub_configs(world, plan)
        self._texts = texts
        self._serving = serving
        self._due = False

    def note(self) -> None:
        """Note a change; several at one moment are one."""
        if not self._due:
            self._due = True
            self._world.hub.call_between(self._world.now, self._reload)

    def _reload(self) -> None:
        self._due = False
        if not self._texts.update():
            return
        before, self._told = self._told, _stub_configs(self._world, self._plan)
        for name, config in self._told.items():
            host = self._world.hosts[name]
            if config != before[name] and host.name_service == before[name]:
                host.use_name_servers(config, host.names)
        for name in self._serving:
            for process in self._world.hosts[name].processes:
                # Whoever has no handler yet has not read the file either.
                if process.alive and process.name == " ".join(PROGRAM[:2]) and signal.SIGHUP in process.handlers:
                    process.deliver(signal.SIGHUP)


def tell_hosts(world: World, plan: WorldPlan) -> None:
    """Have every host ask the resolvers, those of its own networks first, unless its `resolv` names others."""
    dns = plan.dns
    assert dns is not None
    configs = _stub_configs(world, plan)
    for host in plan.hosts:
        made = world.hosts[host.name]
        made.use_name_servers(configs[host.name], OwnNames(made))
        made.files[ROOT_HINTS] = partial(_root_hints, world, dns)
        if dns.sign:
            made.files[ROOT_KEY] = partial(_root_key, str(world.seed))


def _stub_configs(world: World, plan: WorldPlan) -> dict[str, StubConfig]:
    """Whom each host asks."""
    dns = plan.dns
    assert dns is not None
    on = {host.name: set(host.networks or (None,)) for host in plan.hosts}
    configs = {}
    for host in plan.hosts:
        near = sorted(dns.resolvers, key=lambda name: (name != host.name, not on[name] & on[host.name]))
        found = [world.addresses(name)[:1] for name in near[:MOST_SERVERS]]
        servers = tuple(Server(address) for each in found for address in each)
        config = StubConfig(servers, (dns.domain,), cache=dns.cache)
        if host.resolv is not None:
            config = stub_config(host.resolv, world.addresses, config)
        configs[host.name] = config
    return configs


def _root_hints(world: World, dns: DnsPlan) -> str:
    """The servers of the root, as a master file."""
    root = next(zone for zone in dns.zones if zone.name == ROOT)
    lines = []
    for host in root.hosts:
        name = _server_name(host, ROOT)
        lines.append(f". 3600000 IN NS {name}")
        lines += [_address_line(name, 3_600_000, address) for address in world.addresses(host)]
    return "\n".join(lines) + "\n"


def _root_key(seed: str) -> str:
    """The root's key as a trust anchor. The program knows it, and is named as in `PROGRAM`: it is above this layer."""
    anchor: str = importlib.import_module(KEYS).trust_anchor(seed)
    return anchor


class OwnNames:
    """The table of a host that asks for all other names: its own."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def addresses_of(self, name: str) -> list[Address]:
        """Addresses of the host itself."""
        return self._host.world.addresses(self._host.name) if name == self._host.name.lower() else []

    def name_of(self, address: Address) -> str | None:
        """Name of the host itself."""
        return self._host.name if address in self._host.world.addresses(self._host.name) else None

    def entries(self) -> Iterable[tuple[str, list[Address]]]:
        """The host itself."""
        return [(self._host.name, self._host.world.addresses(self._host.name))]


def _prefixes(world: World, network: str) -> Iterable[str]:
    return map(str, world.topology.networks[network].prefixes)


class _Texts:
    """What programs are told of zones."""

    def __init__(self, world: World, dns: DnsPlan) -> None:
        self._world = world
        self._dns = dns
        self._serial = 0
        self._addresses: dict[str, list[Address]] = {}
        self.update()

    def update(self) -> bool:
        """Look which addresses hosts have now; whether any are others than before.

        Those that are deprecated have no names any more, if the host has others of their version.
        """
        before, self._addresses = self._addresses, {name: _named(host) for name, host in self._world.hosts.items()}
        changed = before != self._addresses
        self._serial += changed
        return changed

    def addresses(self, host: str) -> list[Address]:
        """Addresses that a name leads to; none when it is no host's."""
        return self._addresses.get(host, [])

    def resolver(self, host: str) -> dict[str, Any]:
        """What a resolver is told: the servers of the root, and what it is to ask for against its habit."""
        root = next(zone for zone in self._dns.zones if zone.name == ROOT)
        hints = {_server_name(name, ROOT): [*map(format_address, self.addresses(name))] for name in root.hosts}
        zones = [name_to_text(zone.name) for zone in self._dns.zones]
        return {"hints": hints, "unblocked": [*UNBLOCKED, *zones], "host": host}

    def zone(self, zone: ZonePlan) -> dict[str, Any]:
        """What a server is told of a zone."""
        children = [other for other in self._dns.zones if self._parent_of(other) is zone]
        networks = dict.fromkeys(
            network for target in zone.names.values() if isinstance(target, Mapping) for network in target
        )
        return {
            "name": name_to_text(zone.name),
            "file": None if zone.file is None else str(zone.file),
            "views": {} if zone.file else {network: self._text(zone, network) for network in ("", *networks)},
            "fault": zone.fault,
            "sign": self._is_signed(zone),
            "signed_children": [name_to_text(child.name) for child in children if self._is_signed(child)],
            "delegations": {name_to_text(child.name): self._servers(child) for child in children},
        }

    def _is_signed(self, zone: ZonePlan) -> bool:
        return self._dns.sign if zone.sign is None else zone.sign

    def _parent_of(self, zone: ZonePlan) -> ZonePlan | None:
        above = [other for other in self._dns.zones if other is not zone and is_below(zone.name, other.name)]
        return max(above, key=lambda other: len(other.name), default=None)

    def _servers(self, zone: ZonePlan) -> str:
        """NS records of a zone, and the addresses of its servers: glue in its parent."""
        ttl = self._ttl(zone)
        lines = []
        for host in zone.hosts:
            name = _server_name(host, zone.name)
            lines.append(f"{name_to_text(zone.name)} {ttl} IN NS {name}")
            lines += [_address_line(name, ttl, address) for address in self.addresses(host)]
        return "\n".join(lines) + "\n"

    def _text(self, zone: ZonePlan, network: str) -> str:
        """A master file, as askers of a network see the zone."""
        ttl, origin = self._ttl(zone), name_to_text(zone.name)
        first = _server_name(zone.hosts[0], zone.name)
        lines = [f"$ORIGIN {origin}", f"$TTL {ttl}", f"@ SOA {first} hostmaster {self._serial} 3600 600 86400 {ttl}"]
        lines.append(self._servers(zone))
        taken = {_server_name(host, zone.name) for host in zone.hosts}
        for name, target in zone.names.items():
            lines += self._records(name, _target_for(target, network))
            taken.add(name_to_text(name_from_text(name, zone.name)))
        for host in self._world.hosts:
            name = f"{host}.{origin}"
            if zone.name == self._dns.domain and name not in taken:
                lines += [_address_line(name, ttl, address) for address in self.addresses(host)]
            if zone.name == REVERSE:
                lines += self._reverse_lines(host)
        return "\n".join(lines) + "\n"

    def _reverse_lines(self, host: str) -> list[str]:
        name = name_to_text(join([*labels(name_from_text(host)), *labels(self._dns.domain)]))
        return [f"{name_to_text(reverse_name(address))} PTR {name}" for address in self.addresses(host)]

    def _records(self, name: str, targets: tuple[str, ...]) -> list[str]:
        lines = []
        for target in targets:
            if target.endswith("."):
                lines.append(f"{name} CNAME {target}")
            else:
                known = target in self._world.hosts
                addresses = self.addresses(target) if known else [parse_address(target)]
                lines += [_address_line(name, None, address) for address in addresses]
        return lines

    def _ttl(self, zone: ZonePlan) -> int:
        return self._dns.ttl if zone.ttl is None else zone.ttl


def _named(host: Host) -> list[Address]:
    """Addresses of a host by which others are to come: preferred ones, or of a version that has none, deprecated."""
    entries = [entry for each in host.stack.interfaces.values() if not each.loopback for entry in each.addresses]
    usable = [entry for entry in entries if entry.is_usable and not is_link_local(entry.address)]
    new = [entry for entry in usable if entry.state is not AddressState.DEPRECATED]
    sizes = {len(entry.address) for entry in new}
    return [entry.address for entry in (*new, *(each for each in usable if len(each.address) not in sizes))]


def _target_for(target: Target, network: str) -> tuple[str, ...]:
    """What askers of a network are told; those of one that is not mentioned, what the first is."""
    if isinstance(target, Mapping):
        return target.get(network) or next(iter(target.values()))
    return target


def _server_name(host: str, zone: bytes) -> str:
    """The name by which a host serves a zone: in the zone, so that its address is glue."""
    return f"{host}." if zone == ROOT else f"{host}.{name_to_text(zone)}"


def _address_line(name: str, ttl: int | None, address: Address) -> str:
    kind = "A" if len(address) == 4 else "AAAA"
    return f"{name}{'' if ttl is None else f' {ttl}'} IN {kind} {format_address(address)}"

"""`dns` of a world file: which zones there are, which hosts serve them, what is wrong with them, who resolves names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from catenet.wire.address import parse_address
from catenet.wire.dns.name import ROOT, fold, is_below, join, labels, name_from_text, name_to_text
from catenet.world.scenario.tables import KeyPath, Tables, text, texts, truth
from catenet.world.scenario.units import nearest, parse_duration

__all__ = ["DnsPlan", "Target", "ZonePlan", "read_dns"]

MADE: Final = {"root": "dns-root", "others": "dns-top", "resolver": "dns-resolver"}
"""Hosts that are made for what no host of the file does: the root, all other zones, the resolver."""
REVERSE: Final = b"\4arpa\0"

DNS_KEYS: Final = ("domain", "sign", "ttl", "resolver", "cache", "zones")
ZONE_KEYS: Final = ("hosts", "file", "fault", "ttl", "sign", "names")
FAULTS: Final = ("expired", "bogus", "lame", "slow", "truncate")
SIGNATURE_FAULTS: Final = ("expired", "bogus")
MOST_TTL: Final = 604_800

Target: TypeAlias = "tuple[str, ...] | Mapping[str, tuple[str, ...]]"
"""Hosts, addresses or one name (with a dot at its end) that a name stands for; by the asker's network if it differs."""


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """A zone: its name in folded wire format, the hosts that serve it (none: one is made), and what is in it.

    `fault` is one of `FAULTS` or empty; `ttl` in seconds, None for the world's; `sign` None for the world's.
    """

    name: bytes
    hosts: tuple[str, ...] = ()
    file: Path | None = None
    fault: str = ""
    ttl: int | None = None
    sign: bool | None = None
    names: Mapping[str, Target] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DnsPlan:
    """Names of a world.

    `domain` is where hosts have names; `resolvers` the hosts that resolve names; `zones` are all there are, also the
    root and top-level ones, each with its hosts; `made` are the hosts that the file does not have.
    """

    domain: bytes
    sign: bool = False
    ttl: int = 300
    cache: bool = True
    resolvers: tuple[str, ...] = ()
    zones: tuple[ZonePlan, ...] = ()
    made: tuple[str, ...] = ()


def read_dns(tables: Tables, hosts: Sequence[str], networks: Sequence[str]) -> DnsPlan | None:
    """Read the table, None if there is none."""
    if "dns" not in tables.document:
        return None
    table = tables.table(tables.document, (), "dns")
    path: KeyPath = ("dns",)
    tables.check_keys(table, path, DNS_KEYS)
    plan = DnsPlan(
        domain=tables.value(table, path, "domain", _name, b"\5world\0"),
        sign=tables.value(table, path, "sign", truth, False),
        ttl=tables.value(table, path, "ttl", _ttl, 300),
        cache=tables.value(table, path, "cache", truth, True),
        resolvers=tables.value(table, path, "resolver", lambda value: _hosts(value, hosts), ()),
        zones=tuple(_zones(tables, table, hosts, networks)),
    )
    for zone in plan.zones:
        if zone.fault in SIGNATURE_FAULTS and not (plan.sign and zone.sign in (None, True)):
            where = (*path, "zones", _key_of(table, zone.name), "fault")
            raise tables.error(where, f"fault {zone.fault!r} is about signatures: [dns] needs sign = true")
    plan = _completed(plan)
    for name in plan.made:
        if name in hosts:
            raise tables.error(("hosts", name), f"[dns] makes a host {name!r} itself: give this one another name")
    return plan


def _completed(plan: DnsPlan) -> DnsPlan:
    """The plan with what is needed and not in the file: the root, top levels, names of addresses, their hosts."""
    zones = {zone.name: zone for zone in plan.zones}
    needed = [ROOT, REVERSE, plan.domain]
    needed += [join(labels(name)[-1:]) for name in (*zones, plan.domain) if name != ROOT]
    for name in needed:
        zones.setdefault(name, ZonePlan(name))
    made: dict[str, None] = {}
    for name, zone in zones.items():
        if not zone.hosts:
            host = MADE["root" if name == ROOT else "others"]
            made[host] = None
            zones[name] = replace(zone, hosts=(host,))
    resolvers = plan.resolvers or (MADE["resolver"],)
    made.update(dict.fromkeys(() if plan.resolvers else resolvers))
    return replace(plan, zones=tuple(zones.values()), resolvers=resolvers, made=tuple(made))


def _zones(tables: Tables, parent: dict[str, Any], hosts: Sequence[str], networks: Sequence[str]) -> Sequence[ZonePlan]:
    zones: list[ZonePlan] = []
    for key in tables.table(parent, ("dns",), "zones"):
        path: KeyPath = ("dns", "zones", key)
        table = tables.table(parent["zones"], ("dns", "zones"), key)
        tables.check_keys(table, path, ZONE_KEYS)
        try:
            name = _name(key)
        except ValueError as error:
            raise tables.error(path, str(error)) from None
        if any(zone.name == name for zone in zones):
            raise tables.error(path, f"there is a zone {name_to_text(name)} already")
        zones.append(
            ZonePlan(
                name=name,
                hosts=tables.value(table, path, "hosts", lambda value: _hosts(value, hosts), ()),
                file=tables.value(table, path, "file", lambda value: _file(value, tables.path.parent), None),
                fault=tables.value(table, path, "fault", _fault, ""),
                ttl=tables.value(table, path, "ttl", _ttl, None),
                sign=tables.value(table, path, "sign", truth, None),
                names=_names(tables, table, (path, name), hosts, networks),
            )
        )
        if zones[-1].file is not None and zones[-1].names:
            raise tables.error((*path, "names"), "the names of a zone are in its file or here, not in both")
    return zones


def _names(
    tables: Tables,
    parent: dict[str, Any],
    place: tuple[KeyPath, bytes],
    hosts: Sequence[str],
    networks: Sequence[str],
) -> Mapping[str, Target]:
    path, zone = place
    found: dict[str, Target] = {}
    for key, value in tables.table(parent, path, "names").items():
        where = (*path, "names", key)
        try:
            if not is_below(fold(name_from_text(key, zone)), zone):
                raise ValueError(f"{key!r} is not in the zone {name_to_text(zone)}")
            if isinstance(value, dict):
                found[key] = {_network(name, networks): _target(each, hosts) for name, each in value.items()}
            else:
                found[key] = _target(value, hosts)
        except ValueError as error:
            raise tables.error(where, f"{key}: {error}") from None
    return found


def _target(value: object, hosts: Sequence[str]) -> tuple[str, ...]:
    """Hosts and addresses, or one other name."""
    targets = texts(value)
    for target in targets:
        if target.endswith("."):
            name_from_text(target)
            if len(targets) > 1:
                raise ValueError(f"{target!r} is an alias, beside which there can be nothing")
        elif target not in hosts:
            try:
                parse_address(target)
            except ValueError:
                hint = nearest(target, hosts)
                raise ValueError(f"{target!r} is no host, address, or name with a dot at its end{hint}") from None
    if not targets:
        raise ValueError("needs a host, an address, or a name with a dot at its end")
    return targets


def _network(name: str, networks: Sequence[str]) -> str:
    if name not in networks:
        raise ValueError(f"unknown network {name!r}{nearest(name, networks)}")
    return name


def _hosts(value: object, hosts: Sequence[str]) -> tuple[str, ...]:
    names = texts(value)
    for name in names:
        if name not in hosts:
            raise ValueError(f"unknown host {name!r}{nearest(name, hosts)}")
    if not names:
        raise ValueError("needs at least one host")
    if len(set(names)) < len(names):
        raise ValueError("names a host twice")
    return names


def _file(value: object, folder: Path) -> Path:
    name = text(value)
    path = folder / name
    if not path.is_file():
        others = [each.name for each in sorted(folder.glob("*")) if each.is_file()]
        raise ValueError(f"no file {name!r} in {folder}/{nearest(name, others)}")
    return path.absolute()


def _fault(value: object) -> str:
    if value not in FAULTS:
        raise ValueError(f"must be one of {', '.join(FAULTS)}, not {value!r}{nearest(str(value), FAULTS)}")
    return str(value)


def _ttl(value: object) -> int:
    seconds = parse_duration(value)
    if seconds != int(seconds) or seconds > MOST_TTL:
        raise ValueError(f"must be whole seconds, up to {MOST_TTL}, not {value!r}")
    return int(seconds)


def _name(value: object) -> bytes:
    written = text(value)
    name = fold(name_from_text(written))
    if name == ROOT and written != ".":
        raise ValueError(f"{written!r} is no name")
    return name


def _key_of(table: dict[str, Any], name: bytes) -> str:
    """The key by which a zone stands in the file."""
    return next(str(key) for key in table["zones"] if _name(key) == name)

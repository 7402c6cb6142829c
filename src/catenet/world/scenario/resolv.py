"""`resolv` of a world file: what a host's resolv.conf(5) says, and whether its stub remembers answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from catenet.wire.address import Address, parse_address
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.resolv_conf import MOST_ATTEMPTS, MOST_NDOTS, MOST_SERVERS, MOST_TIMEOUT
from catenet.wire.dns.stub import Server, StubConfig
from catenet.world.scenario.tables import KeyPath, Tables, texts, truth
from catenet.world.scenario.units import nearest, parse_duration

__all__ = ["ResolvPlan", "read_resolv", "stub_config"]

RESOLV_KEYS: Final = ("servers", "search", "ndots", "timeout", "attempts", "rotate", "tcp", "edns", "cache")


@dataclass(frozen=True, slots=True)
class ResolvPlan:
    """Name servers, as hosts or addresses, and how they are asked; domains in wire format, `timeout` in seconds.

    What is None is as everywhere: in a world with `[dns]` its resolvers and domain.
    """

    servers: tuple[str, ...] | None = None
    search: tuple[bytes, ...] | None = None
    ndots: int = 1
    timeout: float = 5.0
    attempts: int = 2
    rotate: bool = False
    tcp: bool = False
    edns: bool = False
    cache: bool | None = None


def read_resolv(
    tables: Tables, parent: dict[str, Any], path: KeyPath, hosts: Iterable[str], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Read a table `resolv`: fields of `ResolvPlan`, on top of those that hold for all hosts."""
    if "resolv" not in parent:
        return dict(base)
    table, path = tables.table(parent, path, "resolv"), (*path, "resolv")
    tables.check_keys(table, path, RESOLV_KEYS)
    parsers: dict[str, Callable[[object], object]] = {
        "servers": lambda value: _servers(value, list(hosts)),
        "search": lambda value: tuple(domain(each) for each in texts(value)),
        "ndots": lambda value: _whole(value, 0, MOST_NDOTS),
        "timeout": lambda value: float(_whole(parse_duration(value), 1, MOST_TIMEOUT)),
        "attempts": lambda value: _whole(value, 1, MOST_ATTEMPTS),
    }
    chosen = {key: tables.value(table, path, key, parsers.get(key, truth), None) for key in table}
    merged = {**base, **chosen}
    if "servers" not in merged and "dns" not in tables.document:
        raise tables.error(path, "resolv needs servers: servers = ['NAME or ADDRESS', ...]")
    return merged


def stub_config(
    plan: ResolvPlan, addresses: Callable[[str], list[Address]], base: StubConfig = StubConfig()
) -> StubConfig:
    """What the stub of a host is told; `addresses` knows those of hosts, of which the first is asked.

    What the plan leaves open is as in `base`.
    """
    servers = base.servers
    if plan.servers is not None:
        servers = tuple(Server((addresses(name) or [parse_address(name)])[0]) for name in plan.servers)
    return StubConfig(
        servers,
        base.search if plan.search is None else plan.search,
        plan.ndots,
        plan.timeout,
        plan.attempts,
        plan.rotate,
        plan.tcp,
        plan.edns,
        cache=base.cache if plan.cache is None else plan.cache,
    )


def domain(text: str) -> bytes:
    """A domain in wire format; ValueError."""
    return name_from_text(text)


def _servers(value: object, hosts: list[str]) -> tuple[str, ...]:
    names = texts(value)
    for name in names:
        if name not in hosts and not _is_address(name):
            raise ValueError(f"{name!r} is neither a host nor an address{nearest(name, hosts)}")
    if not 1 <= len(names) <= MOST_SERVERS:
        raise ValueError(f"a host asks one to {MOST_SERVERS} servers, not {len(names)}")
    return names


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or not low <= value <= high:
        raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
    return int(value)

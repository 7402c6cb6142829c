"""Routes (longest prefix) and the choice of source addresses (RFC 6724).

Both versions of IP share table and rules. The default address selection of IPv6 is used for IPv4 too: with its rules on
scope and longest matching prefix it picks what Linux's IPv4 picks, the address in the next hop's subnet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from catenet.stack.endpoint import Address, Fault
from catenet.stack.interface import AddressState, Interface, InterfaceAddress
from catenet.stack.units import Seconds
from catenet.wire.address import ANY, Prefix, common_prefix_length, scope, to_v4_mapped

__all__ = ["NO_METRICS", "Route", "RouteEntry", "RouteMetrics", "RouteTable", "select_source", "sort_destinations"]


class RouteMetrics(NamedTuple):
    """Hints of a route for the transports above, as `ip route` sets them; 0 or empty for none."""

    mtu: int = 0
    advmss: int = 0
    initcwnd: int = 0
    initrwnd: int = 0
    rto_min: float = 0.0
    quickack: int = 0
    hop_limit: int = 0
    ecn: bool = False
    congestion: str = ""
    fastopen_no_cookie: bool = False


NO_METRICS: Final = RouteMetrics()


@dataclass(slots=True, eq=False)
class RouteEntry:
    """One route of the table."""

    prefix: Prefix
    interface: int
    gateway: Address | None = None
    source: Address | None = None
    metric: int = 0
    """Lower is better among routes of one prefix."""
    metrics: RouteMetrics = NO_METRICS
    reject: Fault | None = None
    """Fault of a route that rejects: NETWORK_UNREACHABLE and the like; None for others."""
    expires: float = field(default=float("inf"))


class Route(NamedTuple):
    """Result of a route lookup for one destination."""

    interface: int
    source: Address
    mtu: int
    next_hop: Address
    """The gateway, or the destination itself when it is on the link."""
    metrics: RouteMetrics = NO_METRICS
    is_local: bool = False
    cast: bool = False
    """Whether the destination is a multicast or broadcast address."""


class RouteTable:
    """Routes of a host, both versions."""

    def __init__(self) -> None:
        # By address size: prefix lengths, longest first, each with its networks as integers.
        self._tables: dict[int, list[tuple[int, dict[int, list[RouteEntry]]]]] = {4: [], 16: []}

    def add(self, entry: RouteEntry) -> None:
        """Add a route; among those of one prefix the lowest metric wins, then the one added first."""
        size = len(entry.prefix.address)
        spare = size * 8 - entry.prefix.length
        table = self._tables[size]
        networks = next((row[1] for row in table if row[0] == spare), None)
        if networks is None:
            networks = {}
            table.append((spare, networks))
            table.sort(key=lambda row: row[0])
        routes = networks.setdefault(int.from_bytes(entry.prefix.address, "big"), [])
        routes.append(entry)
        routes.sort(key=lambda route: route.metric)

    def remove(self, entry: RouteEntry) -> None:
        """Remove a route that `add` was given; ValueError when it is not there."""
        size = len(entry.prefix.address)
        table = self._tables[size]
        for row in table:
            if row[0] == size * 8 - entry.prefix.length:
                key = int.from_bytes(entry.prefix.address, "big")
                routes = row[1].get(key, [])
                if entry not in routes:
                    break
                routes.remove(entry)
                if not routes:
                    del row[1][key]
                if not row[1]:
                    table.remove(row)
                return
        raise ValueError(f"no route to {entry.prefix}")

    def entries(self) -> list[RouteEntry]:
        """All routes, IPv4 first, longest prefix first."""
        return [
            entry
            for size in (4, 16)
            for _, networks in self._tables[size]
            for routes in networks.values()
            for entry in routes
        ]

    def lookup(self, destination: Address, interface: int = 0, now: Seconds = Seconds(0.0)) -> RouteEntry | None:
        """Return the route with the longest prefix that holds `destination`, through `interface` unless that is 0."""
        value = int.from_bytes(destination, "big")
        for spare, networks in self._tables[len(destination)]:
            for entry in networks.get(value >> spare << spare, ()):
                if (not interface or entry.interface == interface) and now < entry.expires:
                    return entry
        return None


# Policy table of RFC 6724 2.1: (prefix, precedence, label), longest prefixes first.
_POLICY: Final = tuple(
    (Prefix.parse(text), precedence, label)
    for text, precedence, label in (
        ("::1/128", 50, 0),
        ("::ffff:0:0/96", 35, 4),
        ("::/96", 1, 3),
        ("2001::/32", 5, 5),
        ("2002::/16", 30, 2),
        ("3ffe::/16", 1, 12),
        ("fec0::/10", 1, 11),
        ("fc00::/7", 3, 13),
        ("::/0", 40, 1),
    )
)


def _policy(address: Address) -> tuple[int, int]:
    """(precedence, label) of an address."""
    mapped = to_v4_mapped(address)
    for prefix, precedence, label in _POLICY:
        if mapped in prefix:
            return precedence, label
    raise AssertionError("::/0 holds every address")


def select_source(
    destination: Address,
    interface: Interface,
    interfaces: Iterable[Interface],
    prefer_temporary: bool = False,
) -> Address | None:
    """Choose a source address for `destination`, to which packets leave by `interface` (RFC 6724 5).

    Candidates are the addresses of that interface; only when it has none of the version, those of the others, as an
    unnumbered interface borrows one. None without any.
    """
    version = 4 if len(destination) == 4 else 6
    candidates = interface.usable(version)
    if not candidates:
        candidates = [entry for other in interfaces if not other.loopback for entry in other.usable(version)]
    best: InterfaceAddress | None = None
    for candidate in candidates:
        if best is None or _is_better(candidate, best, destination, prefer_temporary):
            best = candidate
    return best.address if best else None


def _is_better(one: InterfaceAddress, best: InterfaceAddress, destination: Address, prefer_temporary: bool) -> bool:
    """Rules 1 to 8 in their order; the first that tells the two apart decides."""
    if best.address == destination or one.address == destination:  # rule 1
        return one.address == destination
    scope_one, scope_best, scope_destination = scope(one.address), scope(best.address), scope(destination)
    if scope_one != scope_best:  # rule 2
        if scope_one < scope_best:
            return scope_one >= scope_destination
        return scope_best < scope_destination
    deprecated_one = one.state is not AddressState.PREFERRED
    if deprecated_one != (best.state is not AddressState.PREFERRED):  # rule 3
        return not deprecated_one
    label = _policy(destination)[1]
    matches_one = _policy(one.address)[1] == label
    if matches_one != (_policy(best.address)[1] == label):  # rule 6
        return matches_one
    if one.temporary != best.temporary:  # rule 7
        return one.temporary is prefer_temporary
    shared_one = min(common_prefix_length(one.address, destination), one.length)  # rule 8
    return shared_one > min(common_prefix_length(best.address, destination), best.length)


def sort_destinations(pairs: Iterable[tuple[Address, Address | None]]) -> list[Address]:
    """Order destinations for `getaddrinfo` (RFC 6724 6): the best first.

    `pairs` are (destination, source that would be used or None when it cannot be reached); equals keep their order.
    """

    def key(pair: tuple[Address, Address | None]) -> tuple[bool, bool, bool, int, int, int]:
        destination, source = pair
        precedence, label = _policy(destination)
        destination_scope = scope(destination)
        if source is None:
            return True, True, True, -precedence, destination_scope, 0
        shared = 0
        if len(destination) == len(source) == 16:
            shared = min(common_prefix_length(destination, source), 64)
        return (
            source == ANY[4],
            scope(source) != destination_scope,
            _policy(source)[1] != label,
            -precedence,
            destination_scope,
            -shared,
        )

    return [destination for destination, _ in sorted(pairs, key=key)]

"""Who is answered, and how often: networks that are refused, and a rate for each client. Pure.

A rate is that of RFC 2697's bucket, kept as one number: the time at which the bucket would be full. A client of IPv6 is
its /64, because it has all of the addresses in there.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Access", "ClientRates", "Rate", "is_loopback"]

MOST_CLIENTS: Final = 65_536
_PREFIX: Final = 8


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers a second to one client, and how many at once. `rate` 0: no limit."""

    rate: float = 16.0
    burst: int = 64


class ClientRates:
    """The clients of the last minutes, in two generations: when the young ones are half of the most, the old ones go.

    Clients on this machine have no limit.
    """

    def __init__(self, limit: Rate, most: int = MOST_CLIENTS) -> None:
        self._interval = 1 / limit.rate if limit.rate else 0.0
        self._depth = self._interval * (limit.burst - 1)
        self._half = max(1, most // 2)
        self._young: dict[str | bytes, float] = {}
        self._old: dict[str | bytes, float] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def allow(self, host: str, now: float) -> bool:
        """Whether a client may be answered now; if so, that counts. `now`: of a clock that never goes back."""
        if not self._interval or is_loopback(host):
            return True
        key = _network(host) if ":" in host else host
        full = self._young.get(key)
        if full is None:
            full = self._old.pop(key, now)
            if len(self._young) >= self._half:
                self._old, self._young = self._young, {}
        if full < now:
            full = now
        allowed = full - now <= self._depth
        self._young[key] = full + self._interval if allowed else full
        return allowed


def is_loopback(host: str) -> bool:
    """Whether an address is one of this host that no other can have."""
    return host.startswith("127.") or host == "::1"


def _network(host: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:_PREFIX]


class Access:
    """Which clients are answered: of the networks that hold a client the smallest decides.

    A client in none of them is, unless it is said who is `allowed`.
    """

    def __init__(self, allowed: Iterable[str] = (), denied: Iterable[str] = ()) -> None:
        """Raises `ValueError` for what is no network."""
        rules = [(_parse(text), True) for text in allowed] + [(_parse(text), False) for text in denied]
        self._rules = sorted(rules, key=lambda rule: rule[0].prefixlen, reverse=True)
        self._others = not any(right for _, right in rules)
        self._known: dict[str, bool] = {}

    def admits(self, host: str) -> bool:
        """Whether a client is answered."""
        if not self._rules:
            return True
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= MOST_CLIENTS:
                self._known.clear()
            address = ipaddress.ip_address(host.partition("%")[0])
            fitting = (right for network, right in self._rules if address in network)
            known = self._known[host] = next(fitting, self._others)
        return known


def _parse(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network; write 192.0.2.0/24 or 2001:db8::/32") from None

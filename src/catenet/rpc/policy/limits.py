"""What one caller may use: calls a second, calls at once, bytes a second. No I/O; `now` in seconds is handed in.

Rates are token buckets. Bytes are counted when they have come or gone, so a bucket may be overdrawn: then the next call
waits for it to be even again, and one that goes on is ended when it is overdrawn by as much as the bucket holds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from catenet.rpc.model.identity import Identity
from catenet.rpc.policy.rules import covers
from catenet.rpc.policy.terms import ANYONE, Terms, matches, uses

__all__ = ["Exceeded", "Lease", "Limit", "Limiter", "caller_key"]

_OTHERS: Final = "(others)"
_MOST_KEPT: Final = 4096


class Exceeded(Exception):
    """A limit is reached: which one, and in how many seconds there is room again (0: nobody knows)."""

    def __init__(self, what: str, wait: float) -> None:
        super().__init__(what)
        self.what = what
        self.wait = wait


@dataclass(frozen=True, eq=False)
class Limit:
    """A limit of each caller for itself.

    Attributes:
        method: as in rules; the calls of all that it covers count together.
        who: callers that have it.
        rate: calls a second; `burst` at once (at least one; by default as many as in a second).
        concurrent: calls at once.
        bytes: a second, of messages both ways; the bucket holds `bytes_burst` (by default as many as in a second).
    """

    method: str = "*"
    who: Terms = ANYONE
    rate: float | None = None
    burst: float = 0.0
    concurrent: int | None = None
    bytes: float | None = None
    bytes_burst: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "concurrent", "bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"a limit's {name} is more than 0")
        if self.rate is self.concurrent is self.bytes is None:
            raise ValueError("a limit has rate, concurrent or bytes")
        object.__setattr__(self, "burst", self.burst or max(self.rate or 0.0, 1.0))
        object.__setattr__(self, "bytes_burst", self.bytes_burst or self.bytes or 0.0)


class _Account:
    """What one caller has left of one limit."""

    __slots__ = ("calls", "limit", "running", "since", "size")

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self.calls = limit.burst
        self.size = limit.bytes_burst
        self.running = 0
        self.since = now

    def refill(self, now: float) -> None:
        limit, passed = self.limit, max(now - self.since, 0.0)
        self.since = now
        self.calls = min(self.calls + passed * (limit.rate or 0.0), limit.burst)
        self.size = min(self.size + passed * (limit.bytes or 0.0), limit.bytes_burst)

    def check(self) -> None:
        limit = self.limit
        if limit.concurrent is not None and self.running >= limit.concurrent:
            raise Exceeded(f"{limit.concurrent} calls at once", 0.0)
        if limit.rate is not None and self.calls < 1:
            raise Exceeded(f"{limit.rate:g} calls a second", (1 - self.calls) / limit.rate)
        if limit.bytes is not None and self.size < 0:
            raise Exceeded(f"{limit.bytes:g} bytes a second", -self.size / limit.bytes)

    def is_as_new(self) -> bool:
        return not self.running and self.calls >= self.limit.burst and self.size >= self.limit.bytes_burst


class Lease:
    """One call, as it counts; `release` it when it is over."""

    __slots__ = ("_accounts",)

    def __init__(self, accounts: list[_Account]) -> None:
        self._accounts = accounts

    @property
    def counts_bytes(self) -> bool:
        """Whether bytes are of interest."""
        return any(account.limit.bytes is not None for account in self._accounts)

    def charge(self, size: int, now: float) -> None:
        """Count bytes. Raises `Exceeded` if the call is to end."""
        for account in self._accounts:
            if account.limit.bytes is not None:
                account.refill(now)
                account.size -= size
                if account.size < -account.limit.bytes_burst:
                    raise Exceeded(f"{account.limit.bytes:g} bytes a second", -account.size / account.limit.bytes)

    def release(self) -> None:
        """The call is over; to say so twice does no harm."""
        accounts, self._accounts = self._accounts, []
        for account in accounts:
            account.running -= 1


class Limiter:
    """The accounts of all callers. `most` are kept; when all of them are in use, newcomers share one."""

    def __init__(self, limits: Sequence[Limit], most: int = 10_000) -> None:
        self._limits = list(limits)
        self._most = most
        self._accounts: dict[tuple[int, str], _Account] = {}
        self._claims = any(uses(limit.who, ("claim:",)) for limit in self._limits)
        self._kept: dict[tuple[str, frozenset[str]], list[int]] = {}

    def inherit(self, before: Limiter | None) -> None:
        """Take over what callers have used of those limits that were there before."""
        if before is None:
            return
        now = [vars(limit) for limit in self._limits]
        same = {number: now.index(vars(limit)) for number, limit in enumerate(before._limits) if vars(limit) in now}
        for (number, key), account in before._accounts.items():
            if number in same:
                self._accounts[same[number], key] = account

    def enter(self, method: str, identity: Identity, key: str, now: float) -> Lease:
        """A call begins, of the caller that is counted as `key`. Raises `Exceeded`, and then nothing is counted."""
        accounts = [self._account(number, key, now) for number in self._applying(method, identity)]
        for account in accounts:
            account.refill(now)
            account.check()
        for account in accounts:
            account.calls -= 1
            account.running += 1
        return Lease(accounts)

    def _applying(self, method: str, identity: Identity) -> Sequence[int]:
        """Which limits a caller has, remembered by its names, unless claims decide, which are none."""
        which = method, identity.principals
        found = None if self._claims else self._kept.get(which)
        if found is None:
            found = [
                number
                for number, limit in enumerate(self._limits)
                if covers(limit.method, method) and matches(limit.who, identity)
            ]
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[which] = found
        return found

    def _account(self, number: int, key: str, now: float) -> _Account:
        found = self._accounts.pop((number, key), None)
        if found is None:
            if len(self._accounts) >= self._most:
                self._forget(now)
            if len(self._accounts) >= self._most:
                key = _OTHERS
                found = self._accounts.pop((number, key), None)
            found = found or _Account(self._limits[number], now)
        self._accounts[number, key] = found  # at the end: those at the beginning have not called for longest
        return found

    def _forget(self, now: float) -> None:
        """Forget some that are as they were in the beginning: to have no account is the same."""
        for name, account in list(self._accounts.items())[: max(self._most // 8, 1)]:
            account.refill(now)
            del self._accounts[name]
            if not account.is_as_new():
                self._accounts[name] = account  # at the end: next time others are looked at


def caller_key(identity: Identity, address: str) -> str:
    """Under which name a caller is counted: its own, or without one its address (of IPv6 the network of 64 bits)."""
    if identity.authenticated:
        return identity.name
    host = address.rpartition(":")[0].strip("[]").partition("%")[0] or address
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return address
    if parsed.version == 4:
        return host
    mapped = parsed.ipv4_mapped  # from a socket of both versions: otherwise all of IPv4 would be one network
    return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))

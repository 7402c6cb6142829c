"""Response rate limiting: a forged source gets few answers, so that a server is no use to drown somebody.

A network of clients has an account for each answer, one for names that are not there and one for errors. An account is
paid each second and may be in debt for `window` seconds. Of the answers that it cannot pay each `slip`th goes out cut
(TC), so that an honest client asks again by TCP; the others are dropped.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

__all__ = ["RateLimiter", "RateLimits"]

_ANSWER, _ABSENT, _ERROR = range(3)
_NXDOMAIN: Final = 3
_MOST_PREFIXES: Final = 65_536
_CUT: Final = 2


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Answers in a second to a network of clients.

    Attributes:
        responses: of one and the same answer.
        nxdomains: that a name is not there.
        errors: refusals, failures.
        window: seconds of debt.
        slip: one of so many goes out cut; 0: none, 1: all.
        ipv4_prefix, ipv6_prefix: size of a network.
        most_accounts: kept at once.
        exempt: networks without limits.
    """

    responses: int = 20
    nxdomains: int = 20
    errors: int = 20
    window: int = 15
    slip: int = 2
    ipv4_prefix: int = 24
    ipv6_prefix: int = 56
    most_accounts: int = 100_000
    exempt: tuple[str, ...] = ()


class RateLimiter:
    """The accounts. Kept in two generations: when the young ones are half of the most, the old ones go."""

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits
        self.dropped = 0
        self.slipped = 0
        self._young: dict[tuple[bytes, int, bytes], list[float]] = {}
        self._old: dict[tuple[bytes, int, bytes], list[float]] = {}
        self._prefixes: dict[str, bytes] = {}
        self._exempt = [ipaddress.ip_network(one) for one in limits.exempt]
        self._rates = (limits.responses, limits.nxdomains, limits.errors)
        self._count = 0

    def judge(self, query: bytes, address: str, reply: bytes, now: float) -> bytes | None:
        """What is sent instead of a reply (without its id): itself, a cut one, or None for nothing."""
        prefix = self._prefix(address)
        if prefix == b"":
            return reply
        code = reply[1] & 15
        kind = _ANSWER if code == 0 else _ABSENT if code == _NXDOMAIN else _ERROR
        rate = self._rates[kind]
        if not rate:
            return reply
        key = (prefix, kind, question_of(query).lower() if kind == _ANSWER else b"")
        if self._pay(key, rate, now):
            return reply
        self._count += 1
        slip = self.limits.slip
        if not slip or self._count % slip:
            self.dropped += 1
            return None
        self.slipped += 1
        question = question_of(query)
        return bytes((reply[0] | _CUT, reply[1])) + b"\0\1\0\0\0\0\0\0" + question

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _pay(self, key: tuple[bytes, int, bytes], rate: int, now: float) -> bool:
        account = self._young.get(key)
        if account is None:
            account = self._old.pop(key, None)
            if account is None:
                account = [float(rate), now]
            if len(self._young) >= self.limits.most_accounts // 2:
                self._old, self._young = self._young, {}
            self._young[key] = account
        balance = min(account[0] + (now - account[1]) * rate, float(rate)) - 1
        account[0], account[1] = max(balance, -float(self.limits.window * rate)), now
        return balance >= 0

    def _prefix(self, address: str) -> bytes:
        """The network of a client; empty for one that is exempt."""
        found = self._prefixes.get(address)
        if found is None:
            if len(self._prefixes) >= _MOST_PREFIXES:
                self._prefixes.clear()
            value = ipaddress.ip_address(address.partition("%")[0])
            size = self.limits.ipv4_prefix if value.version == 4 else self.limits.ipv6_prefix
            whole = ipaddress.ip_network((value, size), strict=False)
            exempt = any(one.version == value.version and value in one for one in self._exempt)
            found = self._prefixes[address] = b"" if exempt else whole.network_address.packed
        return found


def question_of(query: bytes) -> bytes:
    """The question section of a query that has been answered, and so is well-formed."""
    at = 12
    while query[at]:
        at += 1 + query[at]
    return query[12 : at + 5]

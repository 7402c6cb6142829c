"""Server cookies (RFC 7873, RFC 9018): a client that has one is where its datagrams say."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Sequence
from typing import Final

from catenet.dns.server.fast.siphash import siphash

__all__ = ["SECRET_LENGTH", "CookieState", "Cookies"]

SECRET_LENGTH: Final = 16
CLIENT_LENGTH: Final = 8
SERVER_LENGTHS: Final = range(8, 33)
OUR_LENGTH: Final = 16
HEAD: Final = b"\1\0\0\0"
"""Version and reserved bytes (RFC 9018 4.1, 4.2)."""
OLDEST: Final = 3600
NEWEST: Final = 300
"""Seconds into the future: clocks differ (RFC 9018 4.3)."""
REFRESHED: Final = 1800
_MOST_KNOWN: Final = 65_536


class CookieState(enum.Enum):
    """What a query says of its sender."""

    NONE = "no cookie"
    MALFORMED = "a cookie of a wrong length"
    CLIENT = "no server cookie, or none of ours"
    VALID = "a server cookie of ours"


class Cookies:
    """Makes and checks cookies. The first of `secrets` makes them, the others are still accepted."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = list(secrets)
        self._known: dict[tuple[bytes, str], int] = {}
        """Until when what was checked is good enough to be sent back."""

    def check(self, option: bytes | None, address: str, wall: int) -> tuple[CookieState, bytes]:
        """What a query's option says, and the data of that of the answer.

        `wall` is in seconds since 1970, which are compared as serial numbers (RFC 1982).
        """
        if option is None:
            return CookieState.NONE, b""
        client, server = option[:CLIENT_LENGTH], option[CLIENT_LENGTH:]
        if len(client) < CLIENT_LENGTH or (server and len(server) not in SERVER_LENGTHS):
            return CookieState.MALFORMED, b""
        if self._known.get((option, address), 0) > wall:
            return CookieState.VALID, option
        place = _place(address)
        age = self._age(client, server, place, wall)
        if age is not None and age < REFRESHED:
            self._remember(option, address, wall + REFRESHED - max(age, 0))
            return CookieState.VALID, option
        answer = client + self._make(self._secrets[0], client, wall & 0xFFFF_FFFF, place)
        return (CookieState.CLIENT if age is None else CookieState.VALID), answer

    def _age(self, client: bytes, server: bytes, place: bytes, wall: int) -> int | None:
        """Seconds since a cookie was made; None for one that is not ours, or too old."""
        if len(server) != OUR_LENGTH or server[:4] != HEAD:
            return None
        made = int.from_bytes(server[4:8], "big")
        age = (wall - made + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
        if not -NEWEST <= age <= OLDEST:
            return None
        return age if any(self._make(secret, client, made, place) == server for secret in self._secrets) else None

    def _make(self, secret: bytes, client: bytes, made: int, place: bytes) -> bytes:
        head = HEAD + made.to_bytes(4, "big")
        return head + siphash(secret, client + head + place)

    def _remember(self, option: bytes, address: str, until: int) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[option, address] = until


def _place(address: str) -> bytes:
    """The client's address as the hash has it; that of a Unix socket is empty."""
    plain = address.partition("%")[0]
    return ipaddress.ip_address(plain).packed if plain else b""

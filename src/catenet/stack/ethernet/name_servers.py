"""Name servers and search domains that routers advertise (RFC 8106), as long as they say."""

from __future__ import annotations

from typing import Final, NamedTuple

from catenet.stack.endpoint import Address
from catenet.wire import nd
from catenet.wire.address import is_multicast, is_unspecified

__all__ = ["AdvertisedNames", "NameServers"]

_INFINITE: Final = 0xFFFFFFFF
_MOST: Final = 8
"""Servers, and domains, that are kept; RFC 8106 5.3.1 asks for three at least."""


class NameServers(NamedTuple):
    """Event: the name servers and search domains (in wire format) that routers announce have changed."""

    interface: int
    addresses: tuple[Address, ...]
    search: tuple[bytes, ...]


class AdvertisedNames:
    """What is valid now; the first to be announced comes first (RFC 8106 6.1)."""

    def __init__(self) -> None:
        self._servers: dict[bytes, float] = {}
        self._search: dict[bytes, float] = {}

    @property
    def servers(self) -> tuple[Address, ...]:
        """Addresses of name servers."""
        return tuple(self._servers)

    @property
    def search(self) -> tuple[bytes, ...]:
        """Domains to complete names with, in wire format."""
        return tuple(self._search)

    def take(self, option: nd.DnsServers | nd.DnsSearch, now: float) -> bool:
        """Take an option of an advertisement; whether servers or domains are others now."""
        before = self.servers, self.search
        if isinstance(option, nd.DnsServers):
            entries = [each for each in option.addresses if not is_multicast(each) and not is_unspecified(each)]
            table = self._servers
        else:
            entries, table = list(option.domains), self._search
        until = float("inf") if option.lifetime == _INFINITE else now + option.lifetime
        for entry in entries:
            if not option.lifetime:
                table.pop(entry, None)
            elif entry in table or len(table) < _MOST:
                table[entry] = until
        return (self.servers, self.search) != before

    def expire(self, now: float) -> bool:
        """Forget what has had its time; whether there was any."""
        before = len(self._servers) + len(self._search)
        self._servers = {entry: until for entry, until in self._servers.items() if until > now}
        self._search = {entry: until for entry, until in self._search.items() if until > now}
        return len(self._servers) + len(self._search) < before

    def ends(self) -> list[float]:
        """When each entry has had its time."""
        return [*self._servers.values(), *self._search.values()]

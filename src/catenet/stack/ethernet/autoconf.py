"""Stateless address autoconfiguration (RFC 4862) and what else routers advertise (RFC 4861 6.3, RFC 4191, RFC 8106).

Interface identifiers are opaque and stable (RFC 7217): a hash of the prefix, the interface and a secret of the host,
with a counter that grows when somebody has the address already. Routers are solicited until one answers, ever more
rarely (RFC 7559).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import Address
from catenet.stack.ethernet.name_servers import AdvertisedNames, NameServers
from catenet.stack.interface import FOREVER, InterfaceAddress
from catenet.stack.ip.routes import NO_METRICS, RouteEntry, RouteMetrics
from catenet.stack.timers import Timer
from catenet.stack.units import Seconds
from catenet.wire import nd
from catenet.wire.address import (
    ALL_ROUTERS_LINK_LOCAL,
    ANY,
    LINK_LOCAL_PREFIXES,
    Prefix,
    is_link_local,
    is_multicast,
)

if TYPE_CHECKING:
    from catenet.stack.ethernet.port import LinkPort
    from catenet.stack.stack import Stack

__all__ = ["Autoconfiguration"]

_INFINITE: Final = 0xFFFFFFFF
_TWO_HOURS: Final = 7200
_MAX_ROUTERS: Final = 8
_MAX_PREFIXES: Final = 16
_MAX_ROUTES: Final = 16
_MAX_ATTEMPTS: Final = 3
"""Addresses tried for one prefix when others have them (RFC 7217 5)."""
_METRIC: Final = 1024
_PREFERENCE_METRICS: Final = {1: _METRIC - 10, 0: _METRIC, -1: _METRIC + 10}
_DEFAULT: Final = Prefix(ANY[6], 0)
_RS_JITTER: Final = 0.1


class Autoconfiguration:
    """IPv6 configuration of one interface."""

    def __init__(self, stack: Stack, port: LinkPort, secret: bytes = b"") -> None:
        """Make it; a `secret` that stays with the host keeps its identifiers over restarts (RFC 7217 5)."""
        self._stack = stack
        self._port = port
        self._index = port.interface.index
        self._secret = secret or stack.random.randbytes(16)
        self._attempts: dict[Prefix, int] = {}
        self._routes: dict[tuple[Prefix, Address], RouteEntry] = {}
        self._on_link: dict[Prefix, RouteEntry] = {}
        self._solicitation: Timer | None = None
        self._interval = 0.0
        self._sweep: Timer | None = None
        self.names = AdvertisedNames()
        port.autoconf = self
        port.watch_routers(self._router_unreachable)

    def start(self) -> None:
        """Make the link-local address, then look for routers."""
        if self._port.interface.link_local() is None:
            self._try_address(LINK_LOCAL_PREFIXES[6], "link-local", (FOREVER, FOREVER))
        else:
            self._solicit_anew()

    def link_changed(self) -> None:
        """Look for routers anew: the host may have come to another link."""
        self._solicit_anew()

    def abandon(self) -> None:
        """Forget what routers said, and ask no more: the link is gone."""
        for timer in (self._solicitation, self._sweep):
            if timer is not None:
                timer.cancel()
        for entry in (entry for table in self._tables() for entry in table):
            self._stack.remove_route(entry)
        self._routes, self._on_link = {}, {}
        for each in [each for each in self._port.interface.addresses if each.origin == "slaac"]:
            self._port.forget(each.address)
            self._stack.remove_address(self._index, each.address)
        self.names = AdvertisedNames()
        self._tell_names()

    def _solicit_anew(self) -> None:
        if self._solicitation is not None:
            self._solicitation.cancel()
        self._interval = 0.0
        self._solicit()

    def routers(self) -> list[Address]:
        """Default routers, the best first."""
        entries = [entry for (prefix, _), entry in self._routes.items() if prefix == _DEFAULT]
        return [entry.gateway for entry in sorted(entries, key=lambda each: each.metric) if entry.gateway is not None]

    # Addresses.

    def _identifier(self, prefix: Prefix, attempt: int) -> bytes:
        """Interface identifier of RFC 7217 5; those that mean something else are skipped (RFC 5453)."""
        link = self._port.interface.link_address
        while True:
            text = prefix.address + link + bytes((attempt,))
            identifier = hashlib.blake2s(text, key=self._secret, digest_size=8).digest()
            if any(identifier) and identifier[:7] != b"\xfd\xff\xff\xff\xff\xff\xff":
                return identifier
            attempt += 1

    def _try_address(self, prefix: Prefix, origin: str, lifetimes: tuple[float, float]) -> None:
        attempt = self._attempts.setdefault(prefix, 0)
        address = prefix.address[:8] + self._identifier(prefix, attempt)
        if self._port.interface.find(address) is None:
            self._port.add_address(address, 64, origin, *lifetimes, self._decided)

    def _decided(self, address: Address, duplicate: bool) -> None:
        """Act on the end of duplicate detection: try another address, or solicit routers."""
        entry = self._port.interface.find(address)
        assert entry is not None
        if not duplicate:
            if entry.origin == "link-local" and self._solicitation is None:
                self._solicit_anew()
            return
        prefix = Prefix.of(address, 64)
        lifetimes = entry.preferred_until, entry.valid_until
        self._stack.address_table.remove(self._index, address)
        self._attempts[prefix] += 1
        if self._attempts[prefix] < _MAX_ATTEMPTS:
            self._try_address(prefix, entry.origin, lifetimes)

    # Routers.

    def _solicit(self) -> None:
        """Send a solicitation, and again after a time that doubles (RFC 7559 2)."""
        settings, random = self._stack.settings, self._stack.random
        source = self._port.interface.link_local()
        if source is not None:
            self._port.solicit_routers(source, ALL_ROUTERS_LINK_LOCAL)
        if not self._interval:
            self._interval = settings.router_solicitation_interval
        else:
            self._interval = min(2 * self._interval, settings.router_solicitation_max_interval)
        wait = self._interval * random.uniform(1 - _RS_JITTER, 1 + _RS_JITTER)
        self._solicitation = self._stack.timers.call_at(self._stack.now + wait, self._solicit)

    def receive_advertisement(self, source: Address, message: nd.RouterAdvertisement, now: Seconds) -> None:
        """Take a router advertisement that came with hop limit 255 (RFC 4861 6.3.4)."""
        settings = self._stack.settings
        if not is_link_local(source) or not settings.accept_ra or settings.ip_forward:
            return
        if self._solicitation is not None and message.lifetime:
            self._solicitation.cancel()
        self._port.learn_router(source, message, now)
        metrics = NO_METRICS
        if message.hop_limit >= max(1, settings.accept_ra_min_hop_limit):
            metrics = RouteMetrics(hop_limit=message.hop_limit)
        self._set_route(_DEFAULT, source, message.preference, message.lifetime, metrics, now)
        for option in message.options:
            if isinstance(option, nd.Mtu):
                if 1280 <= option.mtu < self._port.interface.mtu:
                    self._stack.set_mtu(self._index, option.mtu)
            elif isinstance(option, nd.PrefixInformation):
                self._take_prefix(option, now)
            elif isinstance(option, nd.RouteInformation):
                self._set_route(option.prefix, source, option.preference, option.lifetime, NO_METRICS, now)
            elif isinstance(option, nd.DnsServers | nd.DnsSearch) and self.names.take(option, now):
                self._tell_names()
        self._schedule_sweep(now)
        if self._port.dhcp6 is not None:
            self._port.dhcp6.follow(message.managed, message.other)

    def _tell_names(self) -> None:
        self._stack.add_event(NameServers(self._index, self.names.servers, self.names.search))

    def _set_route(
        self, prefix: Prefix, router: Address, preference: int, lifetime: int, metrics: RouteMetrics, now: Seconds
    ) -> None:
        key = (prefix, router)
        old = self._routes.pop(key, None)
        if old is not None:
            self._stack.remove_route(old)
        if not lifetime or len(self._routes) >= (_MAX_ROUTERS if prefix == _DEFAULT else _MAX_ROUTES + _MAX_ROUTERS):
            return
        metric = _PREFERENCE_METRICS[preference]
        entry = self._stack.add_route(prefix, self._index, router, metric=metric, metrics=metrics)
        entry.expires = _until(lifetime, now)
        self._routes[key] = entry

    def _take_prefix(self, option: nd.PrefixInformation, now: Seconds) -> None:
        """Prefix information: on-link route and address (RFC 4861 6.3.4, RFC 4862 5.5.3)."""
        if is_link_local(option.prefix) or is_multicast(option.prefix):
            return
        prefix = Prefix.of(option.prefix, option.length)
        if option.on_link:
            old = self._on_link.pop(prefix, None)
            if old is not None:
                self._stack.remove_route(old)
            if option.valid_lifetime and len(self._on_link) < _MAX_PREFIXES:
                entry = self._on_link[prefix] = self._stack.add_route(prefix, self._index)
                entry.expires = _until(option.valid_lifetime, now)
        if not option.autonomous or option.length != 64 or not self._stack.settings.autoconf:
            return
        if option.preferred_lifetime > option.valid_lifetime:
            return
        known = [each for each in self._port.interface.addresses if each.origin == "slaac" and each.prefix == prefix]
        for each in known:
            self._refresh(each, option, now)
        count = sum(entry.origin == "slaac" for entry in self._port.interface.addresses)
        if not known and option.valid_lifetime and count < self._stack.settings.max_addresses:
            if self._attempts.get(prefix, 0) >= _MAX_ATTEMPTS:
                return
            lifetimes = _until(option.preferred_lifetime, now), _until(option.valid_lifetime, now)
            self._try_address(prefix, "slaac", lifetimes)

    def _refresh(self, entry: InterfaceAddress, option: nd.PrefixInformation, now: Seconds) -> None:
        """New lifetimes; one packet that anyone can forge may shorten validity to two hours only (RFC 4862 5.5.3 e)."""
        told = valid_until = _until(option.valid_lifetime, now)
        if option.valid_lifetime <= _TWO_HOURS and told <= entry.valid_until:
            valid_until = min(entry.valid_until, now + _TWO_HOURS)
        self._port.lifetimes.change(entry, _until(option.preferred_lifetime, now), valid_until)

    def _router_unreachable(self, lost: Address) -> None:
        """Move a router that does not answer, or is none any more, behind its equals (RFC 4861 6.3.6, 7.2.5)."""
        for (prefix, router), entry in list(self._routes.items()):
            if router == lost and prefix == _DEFAULT:
                self._stack.remove_route(entry)
                entry.metric = 2 * _METRIC
                self._stack.routes.add(entry)
        self._stack.icmp.redirects.forget(lost)
        self._stack.output.invalidate()

    # Expiry.

    def _schedule_sweep(self, now: Seconds) -> None:
        """Have `_expire` called when the first lifetime ends."""
        if self._sweep is not None:
            self._sweep.cancel()
        ends = [entry.expires for table in self._tables() for entry in table]
        ends += self.names.ends()
        earliest = min(ends, default=float("inf"))
        if earliest < float("inf"):
            self._sweep = self._stack.timers.call_at(max(earliest, now), self._expire)

    def _tables(self) -> list[list[RouteEntry]]:
        return [list(self._routes.values()), list(self._on_link.values())]

    def _expire(self) -> None:
        stack, now = self._stack, self._stack.now
        for entry in [entry for table in self._tables() for entry in table if entry.expires <= now]:
            stack.remove_route(entry)
        if self.names.expire(now):
            self._tell_names()
        self._routes = {key: entry for key, entry in self._routes.items() if entry.expires > now}
        self._on_link = {key: entry for key, entry in self._on_link.items() if entry.expires > now}
        self._schedule_sweep(now)


def _until(lifetime: int, now: Seconds) -> float:
    return float("inf") if lifetime == _INFINITE else now + lifetime

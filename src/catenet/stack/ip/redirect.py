"""Redirects for both versions: a router names a better first hop on the same link, and a host adopts it
(RFC 792, RFC 1122 3.2.2.2, RFC 1812 5.2.7.2; RFC 4861 8).

A redirect is a host route for ten minutes. What differs by version is the message and where it is sent from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import Address
from catenet.stack.interface import Interface
from catenet.stack.ip.rate_limit import DestinationLimiter
from catenet.stack.units import Seconds
from catenet.wire import icmp, ip, nd
from catenet.wire.address import Prefix, is_link_local, is_multicast, is_unspecified
from catenet.wire.errors import Malformed
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.ip.output import Hop
    from catenet.stack.ip.routes import RouteEntry
    from catenet.stack.stack import Stack
    from catenet.stack.timers import Timer

__all__ = ["REDIRECT", "Redirects"]

REDIRECT: Final = 5
"""Type of ICMP for IPv4."""
_FOR_HOST: Final = 1
_MAX_REDIRECTS: Final = 256
_LIFETIME: Final = 600.0
_QUOTE: Final = {4: 576 - 20 - 8, 6: (1280 - 40 - 40 - 8 - 8) // 8 * 8}
"""Bytes of the packet that a message has room for, beside its headers and, of IPv6, a link-layer address."""


class Redirects:
    """Redirects of one stack: at most 256 are believed, the oldest is forgotten first."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._routes: dict[Address, RouteEntry] = {}
        self._limiter = DestinationLimiter()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._routes)

    # Hosts.

    def receive_icmp(self, packet: IpPacket, message: icmp.Other, interface: int, now: Seconds) -> None:
        """Take a redirect for IPv4 that quotes a packet of ours; all codes mean the host (RFC 1122 3.2.2.2)."""
        body = bytes(message.body)
        try:
            quoted = ip.parse(body[4:], quoted=True)
        except Malformed:
            self._stack.counters[4].icmp.InErrors += 1
            return
        if quoted.version == 4 and message.code <= 3 and self._stack.address_table.is_local(quoted.source):
            self._learn(quoted.destination, body[:4], packet.source, interface, now)

    def receive_nd(self, source: Address, message: nd.Redirect, interface: Interface, now: Seconds) -> None:
        """Take a redirect for IPv6 that has passed the checks of neighbour discovery."""
        target = message.target
        if not is_link_local(source) or not (is_link_local(target) or target == message.destination):
            return
        if not self._learn(message.destination, target, source, interface.index, now) or interface.ethernet is None:
            return
        for option in message.options:
            if isinstance(option, nd.LinkAddress) and option.kind == 2:
                interface.ethernet.neighbours.learn(target, option.address[:6], now)

    def _learn(self, destination: Address, target: Address, router: Address, interface: int, now: Seconds) -> bool:
        """Accept it if it comes from the router that is the first hop, and names a neighbour (RFC 4861 8.1)."""
        stack = self._stack
        if not stack.settings.accept_redirects or stack.settings.ip_forward:
            return False
        if (
            is_multicast(destination)
            or is_unspecified(target)
            or stack.address_table.is_local(destination)
            or stack.address_table.is_local(target)
        ):
            return False
        current = stack.routes.lookup(destination, interface, now)
        if current is None or current.gateway != router:
            return False
        if len(target) == 4 and not _is_on_link(stack.interfaces[interface], target):
            return False
        old = self._routes.pop(destination, None)
        if old is not None:
            stack.remove_route(old)
        elif len(self._routes) >= _MAX_REDIRECTS:
            stack.remove_route(self._routes.pop(next(iter(self._routes))))
        gateway = None if target == destination else target
        entry = stack.add_route(Prefix(destination, len(destination) * 8), interface, gateway)
        entry.expires = now + _LIFETIME
        self._routes[destination] = entry
        if self._timer is None:
            self._timer = stack.timers.call_at(entry.expires, self._expire)
        return True

    def forget(self, gateway: Address) -> None:
        """Forget the redirects to a neighbour that does not answer, or is no router any more."""
        for destination, entry in list(self._routes.items()):
            if entry.gateway == gateway:
                self._stack.remove_route(self._routes.pop(destination))

    def _expire(self) -> None:
        now = self._stack.now
        self._timer = None
        for destination, entry in list(self._routes.items()):
            if entry.expires <= now:
                self._stack.remove_route(self._routes.pop(destination))
        if self._routes:
            earliest = min(entry.expires for entry in self._routes.values())
            self._timer = self._stack.timers.call_at(earliest, self._expire)

    # Routers.

    def send(self, packet: IpPacket, raw: bytes | memoryview, interface: int, hop: Hop) -> None:
        """Send a redirect to a neighbour whose packet leaves by the interface that it came in by."""
        stack = self._stack
        out = hop.interface
        source, next_hop = packet.source, hop.next_hop
        if out.index != interface or not stack.settings.send_redirects or next_hop == source:
            return
        if not _is_on_link(out, source):
            return
        interval = stack.settings.icmp_ratelimit / 1000
        if interval and not self._limiter.take(source, interval, stack.now):
            return
        if len(source) == 4:
            own = next(entry.address for entry in out.usable(4) if source in entry.prefix)
            body = icmp.Other(REDIRECT, _FOR_HOST, next_hop + bytes(raw[: _QUOTE[4]]))
            hop_limit = None
        else:
            local = out.link_local()
            if local is None or not (is_link_local(next_hop) or next_hop == packet.destination):
                return  # the host could not tell the redirect from a forged one (RFC 4861 8.1)
            own = local
            body = nd.build(nd.Redirect(next_hop, packet.destination, self._options(raw, out, next_hop)))
            hop_limit = nd.HOP_LIMIT
        stack.counters[packet.version].icmp.OutRedirects += 1
        stack.counters[packet.version].icmp.OutMsgs += 1
        data = icmp.build(body, own, source)
        stack.output.send(own, source, icmp.PROTOCOLS[packet.version], data, hop_limit, interface=out.index)

    @staticmethod
    def _options(raw: bytes | memoryview, out: Interface, next_hop: Address) -> tuple[nd.Option, ...]:
        """The neighbour's link-layer address where it is known, and the packet, as much as fits in 1,280 bytes."""
        known = out.ethernet.neighbours.get(next_hop) if out.ethernet is not None else None
        link = () if known is None or known.link is None else (nd.LinkAddress(2, known.link),)
        return (*link, nd.RedirectedHeader(bytes(raw[: min(_QUOTE[6], len(raw) // 8 * 8)])))


def _is_on_link(interface: Interface, address: Address) -> bool:
    return any(
        len(entry.address) == len(address) and entry.is_usable and address in entry.prefix
        for entry in interface.addresses
    )

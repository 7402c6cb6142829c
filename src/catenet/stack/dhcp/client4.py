"""DHCPv4 client (RFC 2131 4.4), without I/O: it sends by the stack's own UDP and uses the stack's timers.

States are those of RFC 2131 figure 5. A lease's address is probed before it is used (RFC 5227 2.1.1) and declined when
somebody has it; routes come from option 121 rather than 3 (RFC 3442); the client identifies itself by RFC 4361.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Datagram
from catenet.stack.dhcp.exchange import DhcpClientBase, DhcpSocket
from catenet.stack.dhcp.lease import Lease, LeaseChange
from catenet.stack.endpoint import ANY4, Address, Name
from catenet.stack.interface import AddressState
from catenet.stack.ip.routes import RouteEntry
from catenet.stack.units import Seconds
from catenet.wire import dhcp, udp
from catenet.wire.address import BROADCAST, Prefix, is_martian_source, is_unspecified
from catenet.wire.dhcp import DhcpMessage, Option
from catenet.wire.dhcp6 import duid_ll, duid_uuid
from catenet.wire.dns.name import ROOT, name_from_text, read_name, skip_name
from catenet.wire.errors import Malformed
from catenet.wire.udp import UdpDatagram

if TYPE_CHECKING:
    from catenet.stack.ethernet.port import LinkPort
    from catenet.stack.stack import Stack

__all__ = ["DhcpClient", "DhcpState"]

_FIRST_TIMEOUT: Final = 4.0
_LAST_TIMEOUT: Final = 64.0
_JITTER: Final = 1.0
"""Retransmission at 4, 8, … 64 seconds, each plus or minus one (RFC 2131 4.1)."""
_REQUEST_ATTEMPTS: Final = 4
_REBOOT_ATTEMPTS: Final = 2
_DECLINE_WAIT: Final = 10.0
_SHORTEST_WAIT: Final = 60.0
_INFINITE: Final = 0xFFFFFFFF
_SHORTEST_LEASE: Final = 10
_METRIC: Final = 100
_MOST_DOMAINS: Final = 32
_WANTED: Final = bytes(
    (
        Option.CLASSLESS_ROUTES,
        Option.SUBNET_MASK,
        Option.ROUTERS,
        Option.DNS_SERVERS,
        Option.DOMAIN_NAME,
        Option.DOMAIN_SEARCH,
        Option.INTERFACE_MTU,
        Option.NTP_SERVERS,
    )
)


class DhcpState(enum.Enum):
    """States of the client."""

    INIT = "init"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    PROBING = "probing"
    BOUND = "bound"
    REBOOTING = "rebooting"
    RENEWING = "renewing"
    REBINDING = "rebinding"


_ANSWERED: Final = (DhcpState.REQUESTING, DhcpState.REBOOTING, DhcpState.RENEWING, DhcpState.REBINDING)
"""States in which a server says yes or no."""


class DhcpClient(DhcpClientBase):
    """Client of one interface."""

    def __init__(self, stack: Stack, port: LinkPort, host_name: str = "", identity: bytes = b"") -> None:
        super().__init__(stack)
        self._port = port
        self._host_name = host_name
        link = port.interface.link_address
        # Type 255, an IAID, and the DUID by which DHCPv6 knows the host too (RFC 4361 6.1).
        self._identifier = (
            b"\xff"
            + (link[2:] or bytes((0, 0, 0, port.interface.index)))
            + (duid_uuid(identity) if identity else duid_ll(link))
        )
        self._index = port.interface.index
        self._transaction = 0
        self._started = 0.0
        self._attempts = self._refusals = 0
        self._offer: DhcpMessage | None = None
        self._pending: Lease | None = None
        self._routes: list[RouteEntry] = []
        self.state = DhcpState.INIT
        self.lease: Lease | None = None
        port.dhcp = self

    def start(self) -> None:
        """Begin to ask for an address."""
        self._socket = DhcpSocket(self._stack, self._index, Name(ANY4, dhcp.CLIENT_PORT), self._receive)
        # Clients that start together must not ask together (RFC 2131 4.4.1); a second is enough on one link.
        self._set_timer(self._stack.now + self._stack.random.uniform(0, 1), self._discover)

    def stop(self) -> None:
        """Release the lease and stop."""
        lease = self.lease
        if lease is not None:
            options = {Option.SERVER_IDENTIFIER: lease.server}
            self._send(
                DhcpMessage(dhcp.DHCPRELEASE, self._transaction, b"", client=lease.address, options=options), lease
            )
            self._drop_lease()
        self._close()
        self.state = DhcpState.INIT

    def abandon(self) -> None:
        """Forget the lease without a word, and ask no more: the link is gone."""
        self._drop_lease()
        self._close()
        self.state = DhcpState.INIT

    def _retry(self, callback: Callable[[], None]) -> None:
        wait = min(_FIRST_TIMEOUT * 2 ** min(self._attempts - 1, 10), _LAST_TIMEOUT)
        self._set_timer(self._stack.now + wait + self._stack.random.uniform(-_JITTER, _JITTER), callback)

    def confirm(self) -> None:
        """Ask whether the address still belongs to this link, to which the host may have come anew (RFC 2131 3.2)."""
        if self._socket is None:
            return
        if self.lease is None:
            self.state = DhcpState.INIT
            self._discover()
        else:
            self._begin(DhcpState.REBOOTING)
            self._started = self._stack.now
            self._reboot()

    # Sending.

    def _begin(self, state: DhcpState) -> None:
        self.state = state
        self._transaction = self._stack.random.getrandbits(32)
        self._attempts = 0

    def _discover(self) -> None:
        if self.state is not DhcpState.SELECTING:
            self._begin(DhcpState.SELECTING)
            self._started = self._stack.now
        self._attempts += 1
        self._send(DhcpMessage(dhcp.DHCPDISCOVER, self._transaction, b"", options=self._wishes()), None)
        self._retry(self._discover)

    def _request(self) -> None:
        offer = self._offer
        assert offer is not None
        if self._attempts >= _REQUEST_ATTEMPTS:
            self.state = DhcpState.INIT
            self._discover()
            return
        self._attempts += 1
        options = {
            Option.REQUESTED_ADDRESS: offer.yours,
            Option.SERVER_IDENTIFIER: offer.options[Option.SERVER_IDENTIFIER],
            **self._wishes(),
        }
        self._send(DhcpMessage(dhcp.DHCPREQUEST, self._transaction, b"", options=options), None)
        self._retry(self._request)

    def _reboot(self) -> None:
        lease = self.lease
        assert lease is not None
        if self._attempts >= _REBOOT_ATTEMPTS:  # nobody answers: what was given is still ours (RFC 2131 3.2 3)
            self.state = DhcpState.BOUND
            self._set_timer(lease.renew_at, self._renew)
            return
        self._attempts += 1
        options = {Option.REQUESTED_ADDRESS: lease.address, **self._wishes()}
        self._send(DhcpMessage(dhcp.DHCPREQUEST, self._transaction, b"", options=options), None)
        self._retry(self._reboot)

    def _renew(self) -> None:
        """Ask the server, later any server, for more time; between attempts half of what is left (RFC 2131 4.4.5)."""
        lease, now = self.lease, self._stack.now
        assert lease is not None
        if now >= lease.expires:
            self._drop_lease()
            self.state = DhcpState.INIT
            self._discover()
            return
        state = DhcpState.REBINDING if now >= lease.rebind_at else DhcpState.RENEWING
        if self.state is not state:
            self._begin(state)
            self._started = now
        message = DhcpMessage(dhcp.DHCPREQUEST, self._transaction, b"", client=lease.address, options=self._wishes())
        self._send(message, lease if state is DhcpState.RENEWING else None)
        end = lease.rebind_at if state is DhcpState.RENEWING else lease.expires
        self._set_timer(min(end, now + max((end - now) / 2, _SHORTEST_WAIT)), self._renew)

    def _wishes(self) -> dict[int, bytes]:
        options = {Option.PARAMETER_REQUEST: _WANTED, Option.MAXIMUM_SIZE: (1500).to_bytes(2, "big")}
        if self._host_name:
            options[Option.HOST_NAME] = self._host_name.encode()[:63]
        return options

    def _send(self, message: DhcpMessage, lease: Lease | None) -> None:
        """Send to the server of a lease, or to everyone while there is none."""
        if self._socket is None:
            return
        message.client_link = self._port.interface.link_address
        message.broadcast = self.lease is None
        message.seconds = min(int(self._stack.now - self._started), 0xFFFF)
        message.options[Option.CLIENT_IDENTIFIER] = self._identifier
        data = dhcp.build(message)
        if lease is not None:
            self._socket.send(data, Name(lease.server, dhcp.SERVER_PORT))
        else:
            self._broadcast(data)

    def _broadcast(self, data: bytes) -> None:
        """Send to everyone on the link, from 0.0.0.0 while there is no lease: no endpoint would do that."""
        source = self.lease.address if self.lease is not None else ANY4
        payload = udp.build(UdpDatagram(dhcp.CLIENT_PORT, dhcp.SERVER_PORT, data), source, BROADCAST)
        self._stack.output.send(source, BROADCAST, udp.PROTOCOL, payload, interface=self._index, loop=False)

    # Receiving.

    def _receive(self, datagram: Datagram) -> None:
        try:
            message = dhcp.parse(datagram.data)
        except Malformed:
            return
        mine = message.client_link == self._port.interface.link_address
        if message.reply and mine and message.transaction == self._transaction:
            self._take(message)

    def _take(self, message: DhcpMessage) -> None:
        server = message.addresses(Option.SERVER_IDENTIFIER)
        if len(server) != 1:
            return
        if self.state is DhcpState.SELECTING and message.type == dhcp.DHCPOFFER:
            if is_unspecified(message.yours) or is_martian_source(message.yours):
                return
            self._offer = message
            self.state, self._attempts = DhcpState.REQUESTING, 0
            self._request()
        elif self.state in _ANSWERED:
            if message.type == dhcp.DHCPNAK:
                self._refused()
            elif message.type == dhcp.DHCPACK and not is_unspecified(message.yours):
                self._acknowledged(message, server[0])

    def _refused(self) -> None:
        """Restart, with a growing delay while the server goes on refusing."""
        self._drop_lease()
        self.state = DhcpState.INIT
        wait = min(2.0**self._refusals, _LAST_TIMEOUT) * self._stack.random.uniform(0.5, 1)
        self._refusals = min(self._refusals + 1, 10)
        self._set_timer(self._stack.now + wait, self._discover)

    def _acknowledged(self, message: DhcpMessage, server: Address) -> None:
        lease = _read_lease(message, server, self._stack.now)
        if lease is None:
            return
        if self.lease is not None and self.lease.address == lease.address:
            self._bind(lease)
            return
        self._drop_lease()
        self.state, self._pending = DhcpState.PROBING, lease
        self._stop_timer()
        self._port.detect_duplicate(lease.address, self._probed)

    def _probed(self, duplicate: bool) -> None:
        lease, self._pending = self._pending, None
        if lease is None or self.state is not DhcpState.PROBING:
            return
        if not duplicate:
            self._bind(lease)
            return
        options = {Option.REQUESTED_ADDRESS: lease.address, Option.SERVER_IDENTIFIER: lease.server}
        self._send(DhcpMessage(dhcp.DHCPDECLINE, self._transaction, b"", options=options), None)
        self.state = DhcpState.INIT
        self._set_timer(self._stack.now + _DECLINE_WAIT, self._discover)

    # The lease.

    def _bind(self, lease: Lease) -> None:
        """Use the lease: address, routes, MTU."""
        stack, old = self._stack, self.lease
        self.lease = lease
        self.state = DhcpState.BOUND
        self._refusals = 0
        if old is None:
            stack.address_table.add(self._index, lease.address, lease.length, AddressState.PREFERRED, "dhcp")
            self._port.announce(lease.address)
            if 68 <= lease.mtu < self._port.interface.mtu:
                stack.set_mtu(self._index, lease.mtu)
        if old is None or (old.routers, old.routes) != (lease.routers, lease.routes):
            self._set_routes(lease)
        stack.add_event(LeaseChange(self._index, lease))
        self._set_timer(lease.renew_at, self._renew)

    def _set_routes(self, lease: Lease) -> None:
        for entry in self._routes:
            self._stack.remove_route(entry)
        routes = lease.routes or tuple((Prefix(ANY4, 0), router) for router in lease.routers[:1])
        self._routes = [
            self._stack.add_route(
                prefix, self._index, None if is_unspecified(gateway) else gateway, lease.address, _METRIC
            )
            for prefix, gateway in routes
        ]

    def _drop_lease(self) -> None:
        if self.lease is None:
            return
        for entry in self._routes:
            self._stack.remove_route(entry)
        self._routes = []
        if self._port.interface.find(self.lease.address) is not None:
            self._stack.remove_address(self._index, self.lease.address)
        self.lease = None
        self._stack.add_event(LeaseChange(self._index, None))


def _read_lease(message: DhcpMessage, server: Address, now: Seconds) -> Lease | None:
    """Read a lease from an ACK, None when it is of no use."""
    seconds = message.number(Option.LEASE_TIME)
    masks = message.addresses(Option.SUBNET_MASK)
    if seconds is None or seconds < _SHORTEST_LEASE:
        return None
    value = int.from_bytes(masks[0], "big") if masks else 0xFFFFFF00
    length = value.bit_count()
    if value != (0xFFFFFFFF << 32 - length) & 0xFFFFFFFF or not 1 <= length <= 32:
        return None
    try:
        routes = tuple(dhcp.parse_routes(message.options.get(Option.CLASSLESS_ROUTES, b"")))
    except Malformed:
        routes = ()
    renew = message.number(Option.RENEWAL_TIME) or seconds // 2
    rebind = message.number(Option.REBINDING_TIME) or seconds * 7 // 8
    if not renew <= rebind <= seconds:
        renew, rebind = seconds // 2, seconds * 7 // 8
    forever = seconds == _INFINITE
    return Lease(
        message.yours,
        length,
        server,
        tuple(message.addresses(Option.ROUTERS)),
        routes[:64],
        tuple(message.addresses(Option.DNS_SERVERS)),
        _read_search(message),
        message.number(Option.INTERFACE_MTU) or 0,
        *((float("inf"),) * 3 if forever else (now + renew, now + rebind, now + seconds)),
    )


def _read_search(message: DhcpMessage) -> tuple[bytes, ...]:
    """The search list that a server gave; what is wrong in it is none."""
    data = message.options.get(Option.DOMAIN_SEARCH, b"")
    found: list[bytes] = []
    at = 0
    try:
        while at < len(data) and len(found) < _MOST_DOMAINS:
            found.append(read_name(data, at))
            at = skip_name(data, at)
        if not found:
            text = message.options.get(Option.DOMAIN_NAME, b"").rstrip(b"\0").decode("ascii")
            found = [name_from_text(text)] if text else []
    except (Malformed, ValueError):
        return ()
    return tuple(name for name in found if name != ROOT)

"""DHCPv6 client (RFC 8415), without I/O: it sends by the stack's own UDP and uses the stack's timers.

It asks for addresses that are not temporary when routers say so, for name servers alone when they say that, and is
silent otherwise. Addresses are probed before they are used, and declined when somebody has them. What it sends goes to
all servers: unicast, temporary addresses and UseMulticast were taken out of the protocol by its revision (RFC 9915).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Datagram
from catenet.stack.dhcp.exchange import DhcpClientBase, DhcpSocket
from catenet.stack.dhcp.lease import Information, Lease6, LeaseChange
from catenet.stack.dhcp.reply6 import information, read_association, updated_lease
from catenet.stack.dhcp.retransmission import Retransmission, Schedule
from catenet.stack.endpoint import ANY6, Address, Name
from catenet.wire import dhcp6
from catenet.wire.dhcp6 import (
    Association,
    Dhcp6Message,
    LeasedAddress,
    MessageType,
    OptionCode,
    StatusCode,
    build_association,
    duid_ll,
    parse_status,
)
from catenet.wire.errors import Malformed

if TYPE_CHECKING:
    from catenet.stack.ethernet.port import LinkPort
    from catenet.stack.stack import Stack

__all__ = ["Dhcp6Client", "Dhcp6State"]

_INFINITE: Final = 0xFFFFFFFF
_DECLINE_WAIT: Final = 10.0
_REFUSED_WAIT: Final = 60.0
"""Longest wait before it begins anew when servers give and take back again."""
_MOST_OFFERS: Final = 16
_BEST_PREFERENCE: Final = 255
_SHORTEST_LIMIT, _LONGEST_LIMIT = 60, 86_400
"""Range of SOL_MAX_RT and INF_MAX_RT (21.24, 21.25)."""
_REFRESH, _SHORTEST_REFRESH = 86_400, 600
"""IRT_DEFAULT and IRT_MINIMUM of the information refresh time (21.23)."""


class Dhcp6State(enum.Enum):
    """What the client does; the exchanges by the names of their messages (RFC 8415 18.2)."""

    IDLE = "idle"
    SOLICITING = "soliciting"
    REQUESTING = "requesting"
    CONFIRMING = "confirming"
    PROBING = "probing"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    DECLINING = "declining"
    RELEASING = "releasing"
    INFORMING = "informing"
    INFORMED = "informed"


_SCHEDULES: Final = {
    Dhcp6State.SOLICITING: Schedule(1, 1, 3600),
    Dhcp6State.REQUESTING: Schedule(0, 1, 30, attempts=10),
    Dhcp6State.CONFIRMING: Schedule(1, 1, 4, duration=10),
    Dhcp6State.RENEWING: Schedule(0, 10, 600),
    Dhcp6State.REBINDING: Schedule(0, 10, 600),
    Dhcp6State.DECLINING: Schedule(0, 1, 0, attempts=4),
    Dhcp6State.RELEASING: Schedule(0, 1, 0, attempts=4),
    Dhcp6State.INFORMING: Schedule(1, 1, 3600),
}
"""Times of RFC 8415 7.6."""
_MESSAGES: Final = {
    Dhcp6State.SOLICITING: MessageType.SOLICIT,
    Dhcp6State.REQUESTING: MessageType.REQUEST,
    Dhcp6State.CONFIRMING: MessageType.CONFIRM,
    Dhcp6State.RENEWING: MessageType.RENEW,
    Dhcp6State.REBINDING: MessageType.REBIND,
    Dhcp6State.DECLINING: MessageType.DECLINE,
    Dhcp6State.RELEASING: MessageType.RELEASE,
    Dhcp6State.INFORMING: MessageType.INFORMATION_REQUEST,
}
_GIVING: Final = (Dhcp6State.SOLICITING, Dhcp6State.REQUESTING, Dhcp6State.RENEWING, Dhcp6State.REBINDING)
"""States in which a Reply gives addresses."""
_TO_ONE_SERVER: Final = (
    Dhcp6State.REQUESTING,
    Dhcp6State.RENEWING,
    Dhcp6State.DECLINING,
    Dhcp6State.RELEASING,
)
_WANTED: Final = (OptionCode.DNS_SERVERS, OptionCode.DOMAIN_LIST, OptionCode.SOL_MAX_RT)
_WANTED_INFORMATION: Final = (
    OptionCode.DNS_SERVERS,
    OptionCode.DOMAIN_LIST,
    OptionCode.INFORMATION_REFRESH,
    OptionCode.INF_MAX_RT,
)


class Dhcp6Client(DhcpClientBase):
    """Client of one interface, with one association."""

    def __init__(self, stack: Stack, port: LinkPort, duid: bytes = b"") -> None:
        """Make a client known to servers by `duid`, or by its link-layer address."""
        super().__init__(stack)
        link = port.interface.link_address
        self._port = port
        self._index = port.interface.index
        self._identity = int.from_bytes(link[2:] or bytes((0, 0, 0, self._index)), "big")
        self.duid = duid or duid_ll(link)
        self._transaction = -1
        self._exchange = Retransmission(_SCHEDULES[Dhcp6State.SOLICITING], stack.random)
        self._longest = {Dhcp6State.SOLICITING: 3600, Dhcp6State.INFORMING: 3600}
        self._offers: list[tuple[int, Dhcp6Message]] = []
        """Preferences and advertisements, in the order in which they came."""
        self._undecided: dict[Address, None] = {}
        self._duplicates: tuple[Address, ...] = ()
        self._refusals = 0
        self.state = Dhcp6State.IDLE
        self.lease: Lease6 | None = None
        self.information: Information | None = None
        port.dhcp6 = self

    # What others ask for.

    def follow(self, managed: bool, other: bool) -> None:
        """Do what a router advertises: addresses by DHCPv6 (`managed`), or name servers alone (`other`)."""
        setting = self._stack.settings.dhcp6
        if managed and setting:
            self.start()
        elif other and setting and self.state is Dhcp6State.IDLE:
            self._open()
            self._begin(Dhcp6State.INFORMING)

    def start(self) -> None:
        """Begin to ask for addresses, unless it does."""
        if self.state in (Dhcp6State.IDLE, Dhcp6State.INFORMING, Dhcp6State.INFORMED):
            self._open()
            self._begin(Dhcp6State.SOLICITING)

    def confirm(self) -> None:
        """Ask whether the addresses still belong to this link, to which the host may have come anew (18.2.3)."""
        if self.lease is None:
            if self.state in (Dhcp6State.INFORMED, Dhcp6State.INFORMING):
                self._begin(Dhcp6State.INFORMING)
            elif self.state is not Dhcp6State.IDLE:
                self._begin(Dhcp6State.SOLICITING)
        elif self.state in (Dhcp6State.BOUND, Dhcp6State.RENEWING, Dhcp6State.REBINDING):
            self._begin(Dhcp6State.CONFIRMING)

    def stop(self) -> None:
        """Give the addresses back, and stop when a server has heard of it or none answers."""
        if self.lease is None or self.state in (Dhcp6State.RELEASING, Dhcp6State.DECLINING):
            self._finish()
            return
        for each in self.lease.addresses:  # before it says so (18.2.7)
            self._remove(each.address)
        self._begin(Dhcp6State.RELEASING)

    def abandon(self) -> None:
        """Forget the lease without a word, and ask no more: the link is gone."""
        self._finish()

    def _open(self) -> None:
        if self._socket is None:
            self._socket = DhcpSocket(self._stack, self._index, Name(ANY6, dhcp6.CLIENT_PORT), self._receive)

    def _finish(self) -> None:
        self._drop_lease()
        self._close()
        self._transaction = -1
        self.state = Dhcp6State.IDLE

    def names(self) -> Information | None:
        """Name servers and domains that a server has told of, with addresses or without."""
        return self.information if self.lease is None else Information(self.lease.dns_servers, self.lease.search)

    # Exchanges.

    def _begin(self, state: Dhcp6State, end: float = float("inf")) -> None:
        """Begin the exchange of a state; it is over at `end`."""
        self.state = state
        if state is not Dhcp6State.REQUESTING:
            self._offers.clear()
        self._transaction = self._stack.random.getrandbits(24)
        schedule = _SCHEDULES[state]
        if state in self._longest:
            schedule = schedule._replace(most=self._longest[state])
        self._exchange = Retransmission(schedule, self._stack.random, end)
        if schedule.delay:
            self._set_timer(self._stack.now + self._stack.random.uniform(0, schedule.delay), self._transmit)
        else:
            self._transmit()

    def _transmit(self) -> None:
        now, exchange = self._stack.now, self._exchange
        if self.state is Dhcp6State.SOLICITING and self._offers:
            self._request()
        elif not exchange.can_send(now):
            self._give_up()
        else:
            due = exchange.note_sent(now, longer=self.state is Dhcp6State.SOLICITING)
            self._set_timer(due, self._transmit)
            self._send()

    def _give_up(self) -> None:
        """No server answered for as long as the exchange may take."""
        state, lease = self.state, self.lease
        if state is Dhcp6State.REQUESTING:
            self._request_next()
        elif state is Dhcp6State.RENEWING and lease is not None:
            self._begin(Dhcp6State.REBINDING, lease.expires)
        elif state is Dhcp6State.REBINDING:
            self._drop_lease()
            self._begin(Dhcp6State.SOLICITING)
        elif state is Dhcp6State.CONFIRMING:
            self._rest()  # what was given is still ours (18.2.3)
        elif state is Dhcp6State.DECLINING:
            self._declined()
        else:
            self._finish()

    def _request(self) -> None:
        """Ask the server of the best advertisement; of equals the first (18.2.9)."""
        self._offers.sort(key=lambda offer: -offer[0])
        self._begin(Dhcp6State.REQUESTING)

    def _request_next(self) -> None:
        """Ask the next server that has advertised, or all of them anew."""
        del self._offers[:1]
        self._begin(Dhcp6State.REQUESTING if self._offers else Dhcp6State.SOLICITING)

    def _begin_anew(self) -> None:
        """Solicit after a wait that grows while servers go on refusing what they gave."""
        self._drop_lease()
        self.state, self._transaction = Dhcp6State.SOLICITING, -1
        wait = min(2.0**self._refusals, _REFUSED_WAIT) * self._stack.random.uniform(0.5, 1)
        self._refusals = min(self._refusals + 1, 10)
        self._set_timer(self._stack.now + wait, lambda: self._begin(Dhcp6State.SOLICITING))

    # Sending.

    def _send(self) -> None:
        state = self.state
        options = [(OptionCode.CLIENT_ID, self.duid)]
        if state in _TO_ONE_SERVER:
            options.append((OptionCode.SERVER_ID, self._server()))
        if state is not Dhcp6State.INFORMING:
            options.append((OptionCode.IA_NA, build_association(self._association())))
        if state is Dhcp6State.SOLICITING:
            options.append((OptionCode.RAPID_COMMIT, b""))
        if state in _GIVING:
            options.append((OptionCode.OPTION_REQUEST, _codes(_WANTED)))
        elif state is Dhcp6State.INFORMING:
            options.append((OptionCode.OPTION_REQUEST, _codes(_WANTED_INFORMATION)))
        elapsed = min(int((self._stack.now - self._exchange.begun) * 100), 0xFFFF)
        options.append((OptionCode.ELAPSED_TIME, elapsed.to_bytes(2, "big")))
        message = Dhcp6Message(_MESSAGES[state], self._transaction, tuple(options))
        if self._socket is not None:
            self._socket.send(dhcp6.build(message), Name(dhcp6.ALL_SERVERS, dhcp6.SERVER_PORT, self._index))

    def _server(self) -> bytes:
        if self.state is Dhcp6State.REQUESTING and self._offers:
            return self._offers[0][1].find(OptionCode.SERVER_ID) or b""
        assert self.lease is not None
        return self.lease.server

    def _association(self) -> Association:
        """What it asks for: what was advertised, what it has, or whatever there is."""
        addresses: tuple[Address, ...] = ()
        if self.state is Dhcp6State.DECLINING:
            addresses = self._duplicates
        elif self.state is Dhcp6State.REQUESTING and self._offers:
            offered = read_association(self._offers[0][1], self._identity)
            addresses = tuple(each.address for each in offered.addresses) if offered is not None else ()
        elif self.lease is not None:
            addresses = tuple(each.address for each in self.lease.addresses)
        return Association(self._identity, addresses=tuple(map(LeasedAddress, addresses)))

    # Receiving.

    def _receive(self, datagram: Datagram) -> None:
        try:
            message = dhcp6.parse(datagram.data)
            status = message.find(OptionCode.STATUS)
            code = StatusCode.SUCCESS if status is None else parse_status(status).code
            if message.transaction == self._transaction and self._is_for_us(message):
                self._take(message, code)
        except Malformed:
            return

    def _is_for_us(self, message: Dhcp6Message) -> bool:
        """Whether it names its server and this client (16.3, 16.10)."""
        mine = message.find(OptionCode.CLIENT_ID)
        anonymous = mine is None and self.state is Dhcp6State.INFORMING
        return message.duid(OptionCode.SERVER_ID) is not None and (anonymous or mine == self.duid)

    def _take(self, message: Dhcp6Message, code: int) -> None:
        state = self.state
        self._learn_limits(message)
        if message.type == MessageType.ADVERTISE and state is Dhcp6State.SOLICITING:
            self._take_advertisement(message, code)
        elif message.type != MessageType.REPLY:
            return
        elif state is Dhcp6State.INFORMING:
            self._informed(message)
        elif state is Dhcp6State.CONFIRMING:
            if code == StatusCode.NOT_ON_LINK:
                self._drop_lease()
                self._begin(Dhcp6State.SOLICITING)
            elif code == StatusCode.SUCCESS:
                self._rest()
        elif state is Dhcp6State.DECLINING:
            self._declined()
        elif state is Dhcp6State.RELEASING:
            self._finish()
        elif state in _GIVING:
            rapid = message.find(OptionCode.RAPID_COMMIT) is not None
            if state is not Dhcp6State.SOLICITING or rapid:
                self._take_reply(message, code)

    def _learn_limits(self, message: Dhcp6Message) -> None:
        """How rarely servers want to be asked when nobody answers (18.2.4, 21.24)."""
        for state, option in (
            (Dhcp6State.SOLICITING, OptionCode.SOL_MAX_RT),
            (Dhcp6State.INFORMING, OptionCode.INF_MAX_RT),
        ):
            seconds = message.number(option, 4)
            if seconds is not None and _SHORTEST_LIMIT <= seconds <= _LONGEST_LIMIT:
                self._longest[state] = seconds

    def _take_advertisement(self, message: Dhcp6Message, code: int) -> None:
        offered = read_association(message, self._identity)
        if code != StatusCode.SUCCESS or offered is None or not offered.addresses:
            return
        if offered.status is not None and offered.status.code != StatusCode.SUCCESS:
            return
        preference = message.number(OptionCode.PREFERENCE, 1) or 0
        if len(self._offers) < _MOST_OFFERS:
            self._offers.append((preference, message))
        if preference == _BEST_PREFERENCE or self._exchange.sent > 1:
            self._request()

    def _take_reply(self, message: Dhcp6Message, code: int) -> None:
        """Addresses, or why there are none (18.2.10.1)."""
        given = read_association(message, self._identity)
        fault = code if code != StatusCode.SUCCESS or given is None or given.status is None else given.status.code
        if fault == StatusCode.NO_BINDING and self.lease is not None:
            self._offers[:] = [(0, message)]  # the server that knows nothing of us may give us the same again
            self._begin(Dhcp6State.REQUESTING)
        elif fault in (StatusCode.NO_ADDRESSES, StatusCode.NOT_ON_LINK) and self.state is not Dhcp6State.RENEWING:
            self._drop_lease()
            if self.state is Dhcp6State.REQUESTING and len(self._offers) > 1:
                self._request_next()
            else:
                self._begin_anew()
        elif fault == StatusCode.SUCCESS and given is not None:
            server = message.find(OptionCode.SERVER_ID) or b""
            lease = updated_lease(self.lease, given, server, information(message), self._stack.now)
            if lease.addresses:
                self._use(lease)
            elif self.lease is not None or self.state is Dhcp6State.REQUESTING:
                self._begin_anew()

    def _informed(self, message: Dhcp6Message) -> None:
        self.state, self._transaction = Dhcp6State.INFORMED, -1
        self.information = information(message)
        self._stack.add_event(LeaseChange(self._index, self.information, 6))
        seconds = message.number(OptionCode.INFORMATION_REFRESH, 4)
        wait = max(_REFRESH if seconds is None else seconds, _SHORTEST_REFRESH)
        self._set_timer(
            self._stack.now + wait if wait < _INFINITE else float("inf"), lambda: self._begin(Dhcp6State.INFORMING)
        )

    # The lease.

    def _use(self, lease: Lease6) -> None:
        """Use the addresses of a lease when they are probed; others than these are gone."""
        old, self.lease = self.lease, lease
        self._transaction = -1
        self._stop_timer()
        kept = {each.address for each in lease.addresses}
        for each in old.addresses if old is not None else ():
            if each.address not in kept:
                self._remove(each.address)
        self.state = Dhcp6State.PROBING
        new = []
        for each in lease.addresses:
            entry = self._port.interface.find(each.address)
            if entry is None:
                new.append(each)
            elif entry.origin == "dhcp":
                self._port.lifetimes.change(entry, each.preferred_until, each.valid_until)
        self._undecided = dict.fromkeys(each.address for each in new)
        self._duplicates = ()
        for each in new:
            self._port.add_address(each.address, 128, "dhcp", each.preferred_until, each.valid_until, self._decided)
        if not new:
            self._bound()

    def _decided(self, address: Address, duplicate: bool) -> None:
        self._undecided.pop(address, None)
        if duplicate:
            self._remove(address)
            self._duplicates = (*self._duplicates, address)
        if self.state is Dhcp6State.PROBING and not self._undecided:
            if self._duplicates:
                self._begin(Dhcp6State.DECLINING)
            else:
                self._bound()

    def _declined(self) -> None:
        """A server knows who is no use to us: keep the rest, or begin anew, not at once."""
        assert self.lease is not None
        left = tuple(each for each in self.lease.addresses if each.address not in self._duplicates)
        if left:
            lease = self.lease
            self.lease = Lease6(left, lease.server, lease.dns_servers, lease.search, lease.renew_at, lease.rebind_at)
            self._bound()
            return
        self.lease, self.state, self._transaction = None, Dhcp6State.SOLICITING, -1
        self._set_timer(self._stack.now + _DECLINE_WAIT, lambda: self._begin(Dhcp6State.SOLICITING))

    def _bound(self) -> None:
        self._refusals = 0
        self._rest()
        self._stack.add_event(LeaseChange(self._index, self.lease, 6))

    def _rest(self) -> None:
        """Wait for the time to renew."""
        assert self.lease is not None
        self.state, self._transaction = Dhcp6State.BOUND, -1
        self._set_timer(self.lease.renew_at, self._renew)

    def _renew(self) -> None:
        lease = self.lease
        assert lease is not None
        if self._stack.now < lease.rebind_at:
            self._begin(Dhcp6State.RENEWING, min(lease.rebind_at, lease.expires))
        else:
            self._begin(Dhcp6State.REBINDING, lease.expires)

    def _remove(self, address: Address) -> None:
        entry = self._port.interface.find(address)
        if entry is not None and entry.origin == "dhcp":
            self._port.forget(address)
            self._stack.remove_address(self._index, address)

    def _drop_lease(self) -> None:
        lease, self.lease = self.lease, None
        if lease is not None:
            for each in lease.addresses:
                self._remove(each.address)
            self._stack.add_event(LeaseChange(self._index, None, 6))


def _codes(codes: tuple[int, ...]) -> bytes:
    return b"".join(code.to_bytes(2, "big") for code in codes)

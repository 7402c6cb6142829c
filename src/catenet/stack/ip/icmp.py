"""ICMP of a host for both versions: echo replies, errors to others, and errors from others for endpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.stack.counters import IcmpCounters
from catenet.stack.endpoint import Address, Fault, StackError
from catenet.stack.ip.rate_limit import DestinationLimiter, TokenBucket
from catenet.stack.ip.redirect import REDIRECT, Redirects
from catenet.stack.units import Seconds
from catenet.wire import icmp, ip
from catenet.wire.address import is_martian_source, is_multicast, is_unspecified
from catenet.wire.errors import Malformed
from catenet.wire.icmp import Echo, ErrorMessage, Other, Problem
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["ErrorReport", "Icmp", "fault_of"]

_QUOTE_LIMIT: Final = {4: 576, 6: 1280}
"""Total length of an error message (RFC 1812 4.3.2.3, RFC 4443 2.4 c)."""
_CONTROL_CLASS: Final = 0xC0
"""Precedence of IPv4 errors: internetwork control (RFC 1812 4.3.2.5)."""


class ErrorReport(NamedTuple):
    """What an ICMP error says about a packet that this host sent."""

    problem: Problem
    offender: Address
    """Who sent the error."""
    source: Address
    """Source of the quoted packet: this host."""
    destination: Address
    protocol: int
    payload: bytes
    """Quoted part of the quoted packet's payload, at least 8 bytes from honest peers."""
    mtu: int
    """Path MTU from now on, for PACKET_TOO_BIG; else 0."""
    type: int
    code: int
    value: int = 0
    """The message's own word: MTU as told, or pointer."""


# Fault and whether it is hard (ends what it reports on), as Linux maps them; what differs by version is in the second.
_FAULTS: Final[dict[Problem, tuple[Fault, bool]]] = {
    Problem.NO_ROUTE: (Fault.NETWORK_UNREACHABLE, False),
    Problem.ADDRESS_UNREACHABLE: (Fault.HOST_UNREACHABLE, False),
    Problem.PROTOCOL_UNREACHABLE: (Fault.NO_PROTOCOL_OPTION, True),
    Problem.PORT_UNREACHABLE: (Fault.CONNECTION_REFUSED, True),
    Problem.PACKET_TOO_BIG: (Fault.MESSAGE_TOO_LONG, False),
    Problem.SOURCE_ROUTE_FAILED: (Fault.OPERATION_NOT_SUPPORTED, False),
    Problem.NETWORK_UNKNOWN: (Fault.NETWORK_UNREACHABLE, True),
    Problem.HOST_UNKNOWN: (Fault.HOST_UNREACHABLE, True),
    Problem.HOST_ISOLATED: (Fault.HOST_UNREACHABLE, True),
    Problem.NETWORK_PROHIBITED: (Fault.NETWORK_UNREACHABLE, True),
    Problem.HOST_PROHIBITED: (Fault.HOST_UNREACHABLE, True),
    Problem.NETWORK_SERVICE: (Fault.NETWORK_UNREACHABLE, False),
    Problem.HOST_SERVICE: (Fault.HOST_UNREACHABLE, False),
    Problem.PROHIBITED: (Fault.HOST_UNREACHABLE, True),
    Problem.PRECEDENCE_VIOLATION: (Fault.HOST_UNREACHABLE, True),
    Problem.PRECEDENCE_CUTOFF: (Fault.HOST_UNREACHABLE, True),
    Problem.BEYOND_SCOPE: (Fault.HOST_UNREACHABLE, False),
    Problem.POLICY: (Fault.ACCESS, True),
    Problem.REJECT_ROUTE: (Fault.ACCESS, True),
    Problem.HOP_LIMIT: (Fault.HOST_UNREACHABLE, False),
    Problem.REASSEMBLY_TIME: (Fault.HOST_UNREACHABLE, False),
    Problem.ERRONEOUS_FIELD: (Fault.PROTOCOL_ERROR, True),
    Problem.MISSING_OPTION: (Fault.PROTOCOL_ERROR, True),
    Problem.BAD_LENGTH: (Fault.PROTOCOL_ERROR, True),
    Problem.UNKNOWN_OPTION: (Fault.PROTOCOL_ERROR, True),
    Problem.INCOMPLETE_FIRST_FRAGMENT: (Fault.PROTOCOL_ERROR, True),
}
_FAULTS6: Final = {
    Problem.PROHIBITED: (Fault.ACCESS, True),
    Problem.PROTOCOL_UNREACHABLE: (Fault.PROTOCOL_ERROR, True),
}


def fault_of(report: ErrorReport) -> tuple[Fault, bool] | None:
    """(fault, whether it is hard) that a socket learns from an error, None for none (source quench, RFC 6633)."""
    if len(report.source) == 16 and report.problem in _FAULTS6:
        return _FAULTS6[report.problem]
    return _FAULTS.get(report.problem)


_IN_COUNTERS: Final = {
    (3, 4): "InDestUnreachs",
    (11, 4): "InTimeExcds",
    (12, 4): "InParmProbs",
    (1, 6): "InDestUnreachs",
    (2, 6): "InPktTooBigs",
    (3, 6): "InTimeExcds",
    (4, 6): "InParmProbs",
}


class Icmp:
    """ICMP of one stack. `handlers` get error reports by protocol number; `on_other` all messages read elsewhere."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.redirects = Redirects(stack)
        self._limiter = DestinationLimiter()
        self._global = TokenBucket(stack.settings.icmp_msgs_per_sec, stack.settings.icmp_msgs_burst)
        self.handlers: dict[int, Callable[[ErrorReport, Seconds], None]] = {}
        self.has_sent: dict[int, Callable[[ErrorReport], bool]] = {}
        """By protocol: whether an endpoint can have sent the quoted packet, without which no path MTU is believed."""
        self.on_reply: Callable[[IpPacket, Echo, int], None] | None = None
        self.on_other: Callable[[IpPacket, Other, int, Seconds], None] | None = None

    def receive_message(self, packet: IpPacket, now: Seconds, interface: int, cast: bool) -> None:
        """Take a message for this host that came in by `interface`; `cast`: to a multicast or broadcast address."""
        version = packet.version
        counters = self._stack.counters[version].icmp
        counters.InMsgs += 1
        try:
            message = icmp.parse(packet.payload, packet.source, packet.destination)
        except Malformed:
            counters.InErrors += 1
            counters.InCsumErrors += 1
            return
        if isinstance(message, Echo):
            if message.reply:
                counters.InEchoReps += 1
                if self.on_reply is not None:
                    self.on_reply(packet, message, interface)
            else:
                counters.InEchos += 1
                self._answer(packet, message, interface, cast)
        elif isinstance(message, ErrorMessage):
            self._receive_error(packet, message, counters, now)
        elif message.type == REDIRECT and version == 4:
            counters.InRedirects += 1
            self.redirects.receive_icmp(packet, message, interface, now)
        elif self.on_other is not None:
            counters.InRedirects += version == 6 and message.type == 137
            self.on_other(packet, message, interface, now)

    def _answer(self, packet: IpPacket, echo: Echo, interface: int, cast: bool) -> None:
        """Echo what was sent, from the address it was sent to (RFC 1122 3.2.2.6, RFC 4443 4.2)."""
        stack = self._stack
        settings = stack.settings
        version = packet.version
        if settings.icmp_echo_ignore_all or (cast and version == 4 and settings.icmp_echo_ignore_broadcasts):
            return
        if is_unspecified(packet.source):
            return
        try:
            source = stack.output.route(packet.source, None, self._zone(packet.source, interface)).source
            if not cast:
                source = packet.destination
            reply = icmp.build(echo._replace(reply=True, data=bytes(echo.data)), source, packet.source)
            stack.output.send(
                source,
                packet.source,
                icmp.PROTOCOLS[version],
                reply,
                traffic_class=packet.traffic_class,
                interface=self._zone(packet.source, interface),
            )
        except StackError:
            stack.counters[version].icmp.OutErrors += 1
            return
        counters = stack.counters[version].icmp
        counters.OutMsgs += 1
        counters.OutEchoReps += 1
        stack.output.mark_dirty()

    def _zone(self, address: Address, interface: int) -> int:
        """Interface that an answer to a link-local or multicast address is bound to; 0: any (RFC 4007)."""
        return interface if len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80 else 0

    def _receive_error(self, packet: IpPacket, message: ErrorMessage, counters: IcmpCounters, now: Seconds) -> None:
        version = packet.version
        kind, code = icmp.numbers(message.problem, version) or (0, 0)
        name = _IN_COUNTERS.get((kind, version))
        if name is not None:
            setattr(counters, name, getattr(counters, name) + 1)
        try:
            quoted = ip.parse(message.quoted, quoted=True)
        except Malformed:
            counters.InErrors += 1
            return
        stack = self._stack
        # A packet this host did not send, or an error about a later fragment: its endpoint cannot be known.
        if quoted.version != version or quoted.fragment_offset or not stack.address_table.is_local(quoted.source):
            counters.InErrors += 1
            return
        report = ErrorReport(
            message.problem,
            packet.source,
            quoted.source,
            quoted.destination,
            quoted.protocol,
            bytes(quoted.payload),
            0,
            kind,
            code,
            message.value,
        )
        if message.problem is Problem.PACKET_TOO_BIG:
            has_sent = self.has_sent.get(report.protocol)
            known = (has_sent is not None and has_sent(report)) or stack.raw.has_sent(report)
            mtu = self._learn_path_mtu(quoted, message, now) if known else 0
            if not mtu:
                counters.InErrors += 1
                return
            report = report._replace(mtu=mtu)
        if stack.observed:
            stack.raw.handle_error(report)
        handler = self.handlers.get(report.protocol)
        if handler is not None:
            handler(report, now)

    def _learn_path_mtu(self, quoted: IpPacket, message: ErrorMessage, now: Seconds) -> int:
        """Path MTU after the message, 0 when it is to be ignored."""
        stack = self._stack
        if is_multicast(quoted.destination) or (quoted.version == 4 and stack.settings.ip_no_pmtu_disc):
            return 0
        try:
            current = stack.output.path_mtu(quoted.destination)
        except StackError:
            return 0
        raw = message.quoted
        length = int.from_bytes(raw[2:4], "big") if quoted.version == 4 else 0
        reduced = stack.path_mtus.reduce(quoted.destination, message.value, length, current, now)
        if reduced is None:
            # Nothing new; an endpoint that missed it is told all the same when the packet was too long indeed.
            return current if message.value and message.value <= current else 0
        stack.output.invalidate()
        return reduced

    def send_error(
        self,
        problem: Problem,
        packet: IpPacket,
        value: int = 0,
        *,
        quote: bytes | memoryview | None = None,
        to_cast: bool = False,
    ) -> None:
        """Tell the sender of `packet` what is wrong with it, unless the standards or the rate limits forbid it.

        Args:
            problem: what is wrong.
            packet: as received.
            value: MTU or pointer.
            quote: the packet's bytes where `packet` cannot be built again as it was.
            to_cast: whether the packet came to a multicast or broadcast address (or a link-layer one).
        """
        stack = self._stack
        version = packet.version
        if not self._may_answer(problem, packet, to_cast):
            return
        counters = stack.counters[version].icmp
        if problem is not Problem.PACKET_TOO_BIG and not self._take(packet.source, counters):
            return
        local = packet.destination if stack.address_table.is_local(packet.destination) else None
        try:
            source = stack.output.route(packet.source, local).source
            whole = quote if quote is not None else ip.build(packet)
            room = _QUOTE_LIMIT[version] - (28 if version == 4 else 48)
            body = icmp.build(ErrorMessage(problem, bytes(whole[:room]), value), source, packet.source)
            traffic_class = _CONTROL_CLASS if version == 4 else 0
            stack.output.send(source, packet.source, icmp.PROTOCOLS[version], body, traffic_class=traffic_class)
        except (StackError, ValueError):
            counters.OutErrors += 1
            return
        counters.OutMsgs += 1
        kind = (icmp.numbers(problem, version) or (0, 0))[0]
        name = _IN_COUNTERS.get((kind, version))
        if name is not None:
            name = name.replace("In", "Out", 1)
            setattr(counters, name, getattr(counters, name) + 1)
        stack.output.mark_dirty()

    def _may_answer(self, problem: Problem, packet: IpPacket, to_cast: bool) -> bool:
        """The cases in which no error may be sent (RFC 1122 3.2.2, RFC 4443 2.4 e)."""
        source = packet.source
        if is_unspecified(source) or is_martian_source(source) or packet.fragment_offset:
            return False
        if icmp.numbers(problem, packet.version) is None:
            return False
        if packet.protocol == icmp.PROTOCOLS[packet.version] and icmp.is_error(packet.payload, packet.version):
            return False
        if to_cast or is_multicast(packet.destination):
            return packet.version == 6 and problem in (Problem.PACKET_TOO_BIG, Problem.UNKNOWN_OPTION)
        return not (len(source) == 4 and source[0] == 127) or self._stack.address_table.is_local(packet.destination)

    def _take(self, destination: Address, counters: IcmpCounters) -> bool:
        settings, now = self._stack.settings, self._stack.now
        if self._stack.address_table.is_local(destination) or not settings.icmp_ratelimit:
            return True
        if not self._global.take(now):
            counters.OutRateLimitGlobal += 1
            return False
        if not self._limiter.take(destination, settings.icmp_ratelimit / 1000, now):
            counters.OutRateLimitHost += 1
            return False
        return True

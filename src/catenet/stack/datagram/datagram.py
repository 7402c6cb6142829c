"""What datagram endpoints share: names, queues, errors and options; `udp` and `echo` add their headers and tables."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from catenet.stack.datagram.membership import GroupMember, is_scoped
from catenet.stack.datagram.options import PMTUDISC_DO, PMTUDISC_DONT, PMTUDISC_PROBE, PMTUDISC_WANT
from catenet.stack.datagram.send_buffer import SendBuffer, truesize
from catenet.stack.endpoint import ANY4, ANY6, Address, Buffer, Fault, Name, Readiness, StackError
from catenet.stack.ip.icmp import ErrorReport, fault_of
from catenet.stack.units import Seconds
from catenet.wire.address import BROADCAST, LOOPBACK, is_multicast, is_unspecified

if TYPE_CHECKING:
    from catenet.stack.stack import Stack
    from catenet.wire.ip import IpPacket

__all__ = [
    "NO_CONTROL",
    "Control",
    "Datagram",
    "DatagramEndpoint",
    "Prepared",
    "QueuedError",
    "received_names",
]

_OVERHEAD: Final = 768
"""Bytes that a queued datagram counts for beyond its data, near to what Linux counts (skb->truesize)."""
_MAX_ERRORS: Final = 64


@dataclass(slots=True)
class Datagram:
    """A datagram received; for one too long for the caller, the caller cuts it."""

    data: bytes
    source: Name
    destination: Name
    """Address it was sent to, own port, interface it came in by."""
    hop_limit: int = 64
    traffic_class: int = 0
    time: float = 0.0
    """When it came (seconds)."""
    flow_label: int = 0


class Control(NamedTuple):
    """Settings for one datagram that differ from the socket's (ancillary data)."""

    source: Address | None = None
    interface: int = 0
    hop_limit: int | None = None
    traffic_class: int | None = None
    segment_size: int = 0
    """UDP_SEGMENT: send the data as several datagrams of this size."""


class QueuedError(NamedTuple):
    """An error for MSG_ERRQUEUE (IP_RECVERR)."""

    fault: Fault
    report: ErrorReport
    destination: Name
    """Where the datagram at fault was sent to."""
    data: bytes
    """Quoted payload of the datagram."""


class DatagramEndpoint(GroupMember):
    """One datagram socket: bound or not, connected or not; see `stack.endpoint`."""

    __slots__ = (
        "_bound_address",
        "_bound_port",
        "_cast",
        "_error",
        "_errors",
        "_queue",
        "_queued",
        "_sending",
        "_unsent",
        "closed",
        "on_ready",
        "shut_read",
        "shut_write",
    )

    def __init__(self, stack: Stack, version: int) -> None:
        super().__init__(stack, version)
        self.on_ready: Callable[[], None] | None = None
        self.closed = self.shut_read = self.shut_write = False
        self._bound_address = self._bound_port = False
        self._cast = False
        """Whether it is bound to a multicast or broadcast address, from which nothing is sent."""
        self._queue: deque[Datagram] = deque()
        self._queued = 0
        self._unsent = 0
        self._sending: SendBuffer | None = None
        """Charges for packets in devices that have a queue; None until there was one."""
        self._error: Fault | None = None
        self._errors: deque[QueuedError] = deque()

    # What `udp` and `ping` supply.

    def _claim(self, address: Address, port: int) -> int:
        """Take a local port, a free one for 0; StackError(ADDRESS_IN_USE)."""
        raise NotImplementedError

    def _release(self) -> None:
        """Release the local port."""
        raise NotImplementedError

    def _moved(self) -> None:
        """Called when local address or peer have changed."""
        raise NotImplementedError

    def _send(self, data: bytes, source: Address, peer: Name, control: Control, interface: int) -> None:
        """Build and send one datagram."""
        raise NotImplementedError

    # Names.

    @property
    def is_bound(self) -> bool:
        """Whether the endpoint has a port."""
        return self._local.port != 0

    @property
    def has_chosen_port(self) -> bool:
        """Whether the program chose its port."""
        return self._bound_port

    def is_any(self) -> bool:
        """Whether it receives for any address of the host."""
        return is_unspecified(self._local.address)

    def serves(self, version: int) -> bool:
        """Whether packets of this version can be for it: an unbound or any-bound IPv6 endpoint takes both."""
        if version == self.version:
            return not (version == 6 and len(self._local.address) == 4)
        return version == 4 and not self.option("IPV6_V6ONLY") and (self.is_any() or len(self._local.address) == 4)

    def bind(self, name: Name) -> None:
        """Take a local name; port 0 takes a free one.

        Raises:
            StackError: INVALID when bound already, ADDRESS_NOT_AVAILABLE when the address is not the host's (nor
                multicast or broadcast), ADDRESS_IN_USE, ADDRESS_FAMILY.
        """
        address, port, interface = name
        if self._bound_port or self._bound_address or self.is_bound:
            raise StackError(Fault.INVALID)
        self._check_family(address)
        if not is_unspecified(address):
            self._check_bindable(address, interface)
        port = self._claim(address, port)
        self._local = Name(address, port, interface if len(address) == 16 and is_scoped(address) else 0)
        self._bound_address = not is_unspecified(address)
        self._bound_port = name.port != 0
        self._cast = is_multicast(address) or self.stack.address_table.is_broadcast(address)
        if self._bound_address and len(address) == 16:
            self.options["IPV6_V6ONLY"] = 1  # as on Linux with a specific IPv6 address
        self._moved()

    def _take_port(self, address: Address) -> None:
        """Take a free port that the program did not choose. StackError(TRY_AGAIN) when there is none."""
        try:
            port = self._claim(address, 0)
        except StackError:
            raise StackError(Fault.TRY_AGAIN) from None
        self._local = Name(self._local.address, port, self._local.interface)

    def _check_family(self, address: Address) -> None:
        if len(address) == 16:
            if self.version == 4:
                raise StackError(Fault.ADDRESS_FAMILY)
        elif self.version == 6 and self.option("IPV6_V6ONLY"):
            raise StackError(Fault.INVALID)

    def _check_bindable(self, address: Address, interface: int) -> None:
        stack = self.stack
        if len(address) == 16 and is_scoped(address) and not (interface or self.device()):
            raise StackError(Fault.INVALID)
        if stack.address_table.is_local(address) or is_multicast(address) or stack.address_table.is_broadcast(address):
            return
        if self.option("IP_FREEBIND") or self.option("IP_TRANSPARENT") or stack.settings.ip_nonlocal_bind:
            return
        raise StackError(Fault.ADDRESS_NOT_AVAILABLE)

    def connect(self, name: Name) -> None:
        """Fix the peer: only its datagrams and errors come in, `send_to` needs no name.

        Raises:
            StackError: no route, no permission to broadcast, another family.
        """
        self._refuse_closed()
        self._check_send_family(name.address)
        name = _reachable(name)
        interface = self._interface_for(name)
        if not interface and is_scoped(name.address):
            raise StackError(Fault.INVALID)  # which link? (RFC 4007 6)
        route = self.stack.output.route(name.address, None, interface)
        if self._bound_address and not self._cast:
            self._check_source(self._local.address)
        self._check_broadcast(name.address, interface)
        if not self.is_bound:
            self._take_port(ANY4 if self.version == 4 else ANY6)
        if self.is_any() or not self._bound_address:
            self._local = Name(route.source, self._local.port, name.interface if is_scoped(route.source) else 0)
        self._peer = name
        self._moved()

    def disconnect(self) -> None:
        """Receive from all sources again (connect to AF_UNSPEC); address and port that connect chose are released."""
        if self._peer is None:
            return
        self._peer = None
        port = self._local.port
        if not self._bound_address:
            self._local = Name(ANY4 if self.version == 4 else ANY6, port)
        if not self._bound_port:
            self._release()
            self._local = Name(self._local.address, 0, self._local.interface)
        self._moved()

    def _check_send_family(self, address: Address) -> None:
        if len(address) == 16 and self.version == 4:
            raise StackError(Fault.ADDRESS_FAMILY)
        if len(address) == 4 and self.version == 6 and self.option("IPV6_V6ONLY"):
            raise StackError(Fault.NETWORK_UNREACHABLE)
        bound = self._local.address
        if not is_unspecified(bound) and len(bound) != len(address):
            raise StackError(Fault.NETWORK_UNREACHABLE if len(bound) == 16 else Fault.INVALID)

    def _check_source(self, source: Address) -> None:
        """Refuse an address that the host has no more, as Linux does (for IPv4)."""
        if not (is_unspecified(source) or self.stack.output.may_send_from(source) or self.option("IP_TRANSPARENT")):
            raise StackError(Fault.NETWORK_UNREACHABLE)

    def _interface_for(self, name: Name) -> int:
        """Interface to send by: the device bound to, the zone of the name, the one for multicast."""
        device = self.device()
        if name.interface and is_scoped(name.address):
            if device and device != name.interface:
                raise StackError(Fault.INVALID)
            return name.interface
        if not device and is_multicast(name.address):
            return self.option("IP_MULTICAST_IF")
        return device

    def _check_broadcast(self, address: Address, interface: int) -> None:
        if len(address) == 4 and not self.option("SO_BROADCAST"):
            if address != BROADCAST and not self.stack.output.hop(address, interface).cast:
                return
            if not is_multicast(address):
                raise StackError(Fault.ACCESS)

    # Sending.

    def send_to(self, data: Buffer, name: Name | None = None, control: Control | None = None) -> int | None:
        """Send one datagram; returns its length, or None when the send buffer is full.

        Raises:
            StackError: DESTINATION_REQUIRED without a name and a peer, MESSAGE_TOO_LONG, no route, ACCESS for a
                broadcast without permission, a pending error, BROKEN_PIPE after shutdown; in Linux's order.
        """
        source, peer, control, interface = self.prepare(name, control)
        self._raise_error()
        if self.shut_write:
            raise StackError(Fault.BROKEN_PIPE)
        if self._unsent >= self.send_buffer or (self._sending is not None and self._sending.is_full()):
            self.stack.counters[self.version].udp.SndbufErrors += 1
            return None
        return self.send_prepared(bytes(data), (source, peer, control, interface))

    def prepare(self, name: Name | None, control: Control | None) -> Prepared:
        """Decide how a datagram for this peer is to leave, and take a port if there is none.

        Raises:
            StackError: As `send_to`, where it is the peer or `control` that is wrong.
        """
        self._refuse_closed()
        if not self.is_bound:
            self._take_port(self._local.address)
            self._moved()
        peer = name if name is not None else self._peer
        if peer is None:
            raise StackError(Fault.DESTINATION_REQUIRED)
        if name is not None:
            self._check_destination(name)
            self._check_send_family(name.address)
            peer = _reachable(name)
        control = control or NO_CONTROL
        interface = control.interface or self._interface_for(peer)
        self._check_broadcast(peer.address, interface)
        source = control.source if control.source is not None else self._local.address
        if is_unspecified(source) or len(source) != len(peer.address) or (self._cast and control.source is None):
            source = self.stack.output.route(peer.address, None, interface).source
        else:
            self._check_source(source)
        return source, peer, control, interface

    def send_prepared(self, payload: bytes, prepared: Prepared) -> int:
        """Send one datagram as `prepare` has decided, whether there is room or not; returns its length.

        Raises:
            StackError: MESSAGE_TOO_LONG, no route any more, NO_BUFFERS.
        """
        source, peer, control, interface = prepared
        start = len(self.stack.output.out)
        self._send(payload, source, peer, control, interface)
        self.stack.output.mark_dirty()
        if self.stack.output.queued and self._charge(start, control.segment_size):
            return len(payload)
        return self._note_unsent(len(payload))

    def _charge(self, start: int, segment_size: int = 0) -> bool:
        """Charge the packets from `start` on that go to devices with a queue; False when there is none.

        Raises:
            StackError: NO_BUFFERS when the datagram was cut into more than twice the buffer takes, as Linux.
        """
        output = self.stack.output
        out, charges, sending = output.out, output.charges, self._sending
        if sending is None:
            sending = self._sending = SendBuffer(self)
        before, first = sending.charged, len(charges)
        for place in range(start, len(out)):
            interface, packet = out[place]
            if interface not in output.queued:
                continue
            if sending.charged > 2 * self.send_buffer and place > start and not segment_size:
                sending.charged = before
                del out[start:], charges[first:]
                self.stack.counters[self.version].udp.SndbufErrors += 1
                raise StackError(Fault.NO_BUFFERS)
            size = truesize(len(packet), 4 if packet[0] < 0x60 else 6)
            sending.charged += size
            charges.append((place, sending, size))
        return len(charges) > first

    def _check_destination(self, name: Name) -> None:
        """Whether a name can be sent to; StackError(INVALID)."""

    def _note_unsent(self, size: int) -> int:
        """Count data that waits to leave the host; returns its size."""
        if not self._unsent:
            self.stack.flushes.append(self)
        self._unsent += size + _OVERHEAD
        return size

    def flushed(self) -> None:
        """Empty the send buffer: what was sent has left the host."""
        full = self._unsent >= self.send_buffer
        self._unsent = 0
        if full:
            self._notify()

    def set_option(self, option: str, value: int | bytes) -> None:
        """As `DatagramOptions.set_option`; a send buffer of another size may have room."""
        super().set_option(option, value)
        if self._sending is not None and option in ("SO_SNDBUF", "SO_SNDBUFFORCE"):
            self._sending.resize()

    def settle(self, now: float) -> bool:
        """Release the charges for what has left devices by `now` (seconds); whether the send buffer has room."""
        if self._sending is None:
            return self._unsent < self.send_buffer
        self._sending.settle(now)
        return self._unsent < self.send_buffer and not self._sending.is_full()

    def on_space(self) -> None:
        """Notify the program: enough has left devices for the send buffer to count as writable."""
        self._notify()

    def _hop_limit(self, destination: Address, control: Control) -> int | None:
        if control.hop_limit is not None and control.hop_limit >= 0:
            return control.hop_limit
        if is_multicast(destination):
            value = self.option("IP_MULTICAST_TTL")
            return value if value >= 0 else 1
        value = self.option("IP_TTL")
        return value if value >= 0 else None

    def transmit(
        self, protocol: int, payload: bytes, source: Address, peer: Name, control: Control, interface: int
    ) -> None:
        """Send a built datagram with this endpoint's options."""
        discover = self.option("IP_MTU_DISCOVER")
        destination = peer.address
        stack = self.stack
        dont_fragment = discover in (PMTUDISC_DO, PMTUDISC_PROBE)
        if discover == PMTUDISC_WANT and len(destination) == 4 and not stack.settings.ip_no_pmtu_disc:
            # PMTUDISC_WANT sets DF on what fits and fragments what does not, as Linux.
            dont_fragment = len(payload) + 20 <= stack.output.path_mtu(destination, interface)
        traffic_class = control.traffic_class if control.traffic_class is not None else self.option("IP_TOS")
        stack.output.send(
            source,
            destination,
            protocol,
            payload,
            self._hop_limit(destination, control),
            traffic_class,
            dont_fragment,
            interface,
            loop=bool(self.option("IP_MULTICAST_LOOP")),
            ignore_path_mtu=discover in (PMTUDISC_PROBE, 4, 5),
        )

    # Receiving.

    def accepts(self, source: Address, destination: Address, interface: int, cast: bool) -> bool:
        """Whether source filters and the device let a packet in."""
        device = self.device()
        if device and device != interface:
            return False
        if not cast or not is_multicast(destination):
            return True
        return self.wants(source, destination, interface)

    def deliver(self, data: bytes, source_port: int, port: int, packet: IpPacket, interface: int, now: Seconds) -> bool:
        """Queue a datagram, shut down or not (as Linux); False when the receive buffer is full."""
        if self._queued >= self.receive_buffer:
            return False
        source, destination = received_names(packet, source_port, port, interface)
        self.enqueue(
            Datagram(data, source, destination, packet.hop_limit, packet.traffic_class, now, packet.flow_label)
        )
        return True

    def has_room(self) -> bool:
        """Whether `enqueue` may be called."""
        return self._queued < self.receive_buffer

    def enqueue(self, datagram: Datagram) -> None:
        """Queue a datagram for the program."""
        self._queue.append(datagram)
        self._queued += len(datagram.data) + _OVERHEAD
        if self.on_ready is not None:
            self.on_ready()

    def receive_from(self, *, peek: bool = False) -> Datagram | None:
        """Take the next datagram, None without any; StackError with a pending error, which this call clears."""
        if self._error is not None:
            self._raise_error()
        if not self._queue:
            return None
        if peek:
            return self._queue[0]
        datagram = self._queue.popleft()
        self._queued -= len(datagram.data) + _OVERHEAD
        return datagram

    def unread(self) -> int:
        """Bytes of the next datagram (FIONREAD), 0 without any."""
        return len(self._queue[0].data) if self._queue else 0

    def unsent(self) -> int:
        """Bytes that have not left the host (TIOCOUTQ)."""
        return self._unsent + (0 if self._sending is None else self._sending.charged)

    # Errors.

    def handle_error(self, report: ErrorReport, data: bytes) -> None:
        """Take an ICMP error about a datagram this endpoint sent; `data` is its quoted payload."""
        outcome = fault_of(report)
        if outcome is None:
            return
        fault, hard = outcome
        if fault is Fault.MESSAGE_TOO_LONG:
            if self.option("IP_MTU_DISCOVER") == PMTUDISC_DONT:
                return
            hard = True
        queueing = self.option("IP_RECVERR")
        if queueing:
            if len(self._errors) < _MAX_ERRORS:
                _, port = self.quoted(report)
                self._errors.append(QueuedError(fault, report, Name(report.destination, port), data))
        elif not hard or self._peer is None:
            return
        self._error = fault
        self._notify()

    @staticmethod
    def quoted(report: ErrorReport) -> tuple[int, int]:
        """(local port, remote port) of the quoted datagram."""
        payload = report.payload
        return int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")

    def take_error(self) -> Fault | None:
        """Pending error, which this call clears (SO_ERROR)."""
        error, self._error = self._error, None
        return error

    def receive_error(self) -> QueuedError | None:
        """Take the next error of the error queue (MSG_ERRQUEUE), None without any."""
        if not self._errors:
            return None
        error = self._errors.popleft()
        self._error = self._errors[0].fault if self._errors else None
        return error

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise StackError(error)

    def _refuse_closed(self) -> None:
        if self.closed:
            raise StackError(Fault.INVALID)

    # Readiness.

    def readiness(self) -> int:
        """Mask of `Readiness` bits that hold now."""
        mask = 0
        if self._queue or self.shut_read:
            mask |= Readiness.IN
        if self._unsent < self.send_buffer and (self._sending is None or not self._sending.is_crowded()):
            mask |= Readiness.OUT | Readiness.WRBAND
        if self._error is not None or self._errors:
            mask |= Readiness.ERR
        if self.shut_read:
            mask |= Readiness.RDHUP
            if self.shut_write:
                mask |= Readiness.HUP
        return mask

    def _notify(self) -> None:
        if self.on_ready is not None:
            self.on_ready()

    # Closing.

    def shutdown(self, read: bool, write: bool) -> None:
        """Stop one or both directions; StackError(NOT_CONNECTED) without a peer, though it takes effect, as Linux."""
        self.shut_read = self.shut_read or read
        self.shut_write = self.shut_write or write
        self._notify()
        if self._peer is None:
            raise StackError(Fault.NOT_CONNECTED)

    def close(self) -> None:
        """Close the endpoint; releases its port and memberships."""
        if self.closed:
            return
        self.closed = True
        self.leave_all()
        if self.is_bound:
            self._release()
        self._queue.clear()
        self._errors.clear()
        self._queued = 0
        if self._sending is not None:
            self._sending.close()


NO_CONTROL: Final = Control()

Prepared: TypeAlias = "tuple[Address, Name, Control, int]"
"""How a datagram is to leave: source, peer, what differs from the socket's settings, interface (0: any)."""


def received_names(packet: IpPacket, source_port: int, port: int, interface: int) -> tuple[Name, Name]:
    """Names of both ends of a datagram that has come in by `interface`."""
    source = packet.source
    zone = interface if is_scoped(source) else 0
    return Name(source, source_port, zone), Name(packet.destination, port, interface)


def _reachable(name: Name) -> Name:
    """The name itself; the unspecified address as a destination means this host, as in Linux."""
    if is_unspecified(name.address):
        return Name(LOOPBACK[4 if len(name.address) == 4 else 6], name.port)
    return name

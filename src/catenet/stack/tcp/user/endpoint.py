"""TCP's endpoint (`stack/endpoint.py`): unconnected, listening, or one end of a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import ANY4, ANY6, Buffer, Fault, Name, Readiness, StackError
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import NAGLE_CORK, NAGLE_OFF, Connection
from catenet.stack.tcp.control.lifecycle import RCV_SHUTDOWN, SEND_SHUTDOWN, SHUTDOWN_BOTH, done
from catenet.stack.tcp.opening.establish import prepare
from catenet.stack.tcp.opening.fast_open import ClientHandshake
from catenet.stack.tcp.opening.listener import Listener
from catenet.stack.tcp.receiving import urgent
from catenet.stack.tcp.sending import flush
from catenet.stack.tcp.sending.send_space import can_write
from catenet.stack.tcp.user import socket_options
from catenet.stack.tcp.user.info import TcpInfo, collect
from catenet.stack.tcp.user.reading import at_urgent_mark, read, read_into, take_urgent, unread
from catenet.stack.tcp.user.tx_timestamps import TxTimestamp, TxTimestamps
from catenet.stack.tcp.user.writing import queue_fin, queue_write
from catenet.stack.units import Seconds
from catenet.wire.address import is_link_local, is_multicast

if TYPE_CHECKING:
    from catenet.stack.ip.routes import Route
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.parking.pool import Parked

__all__ = ["TcpEndpoint"]

_ENDED: Final = Readiness.IN | Readiness.RDHUP
_FRESH: Final = Readiness.OUT | Readiness.HUP
_NO_OPTIONS: Final[dict[str, int | bytes | str]] = {}
"""What endpoints without options share; never written to."""


class TcpEndpoint:
    """A TCP socket without errno and descriptor."""

    __slots__ = (
        "_connection",
        "bound_address",
        "bound_interface",
        "fault",
        "hop_limit",
        "last_mss",
        "layer",
        "listener",
        "locks",
        "on_ready",
        "options",
        "parked",
        "port",
        "port_chosen",
        "ported",
        "shut",
        "version",
    )

    def __init__(self, layer: TcpLayer, version: int) -> None:
        self.layer: TcpLayer = layer
        self.version = version
        self.on_ready: Callable[[], None] | None = None
        self.options = _NO_OPTIONS
        self.locks = 0
        """Buffers whose size the program has fixed: SNDBUF_LOCK, RCVBUF_LOCK."""
        self.last_mss = 0
        """Segment size of the connection that was given up last, 0 without."""
        self._connection: Connection | None = None
        self.parked: Parked | None = None
        self.listener: Listener | None = None
        self.bound_address = ANY4 if version == 4 else ANY6
        self.bound_interface = 0
        self.hop_limit: int | None = None
        self.port = 0
        """Local port, shown even when it is held no longer, as on Linux."""
        self.ported = False
        """Whether the port is held in the table of ports."""
        self.port_chosen = False
        """Whether the program chose the port, which then outlives listening and connections."""
        self.shut = 0
        """RCV_SHUTDOWN and SEND_SHUTDOWN as shut down before there is a connection, which begins with them."""
        self.fault: Fault | None = None
        """Pending error that a closed connection left."""

    # Properties.

    @property
    def connection(self) -> Connection | None:
        """The connection, if any, unparked if it was parked."""
        if self.parked is not None:
            return self.layer.idle_pool.unpark(self.parked)
        return self._connection

    @connection.setter
    def connection(self, c: Connection | None) -> None:
        self._connection = c

    def attach(self, c: Connection | None) -> None:
        """Set the connection, or None while it is parked."""
        self._connection = c

    @property
    def state(self) -> str:
        """Name of the state in RFC 9293."""
        if self.listener is not None:
            return "LISTEN"
        return states.NAMES[self.connection.state] if self.connection is not None else "CLOSED"

    @property
    def is_listening(self) -> bool:
        """Whether it is in LISTEN."""
        return self.listener is not None

    def number(self, name: str, default: int) -> int:
        """Numeric option by its Linux name."""
        value = self.options.get(name, default)
        return value if isinstance(value, int) else default

    def keep_option(self, name: str, value: int | bytes | str) -> None:
        """Remember the value of an option."""
        self.options = {**self.options, name: value}

    def local(self) -> Name:
        """Local name."""
        c = self.connection
        if c is not None:
            return Name(c.source, c.source_port, c.interface)
        return Name(self.bound_address, self.port, self.bound_interface)

    def peer(self) -> Name | None:
        """Peer's name, None when there is no connection."""
        c = self.connection
        if c is None or c.state in (states.CLOSED, states.SYN_SENT):
            return None
        return Name(c.destination, c.destination_port, c.interface)

    def origin(self) -> Name:
        """Peer of an accepted connection, even if it has ended meanwhile."""
        c = self.connection
        assert c is not None
        return Name(c.destination, c.destination_port, c.interface)

    def info(self) -> TcpInfo:
        """Figures of the connection, as TCP_INFO shows them."""
        return collect(self)

    # Calls that begin or end connections.

    def bind(self, name: Name) -> None:
        """Take a local name. StackError: INVALID when there is one already, ADDRESS_IN_USE, ADDRESS_NOT_AVAILABLE."""
        if self.ported or self.listener is not None or self.is_connected():
            raise StackError(Fault.INVALID)
        address, port, interface = name
        if len(address) == 16 and (  # as inet6_bind of Linux; which link? (RFC 4007 section 6)
            is_multicast(address) or (is_link_local(address) and not (interface or self.bound_interface))
        ):
            raise StackError(Fault.INVALID)
        anywhere = self.number("IP_FREEBIND", 0) or self.layer.settings.ip_nonlocal_bind
        if not (
            anywhere or _is_any(address) or self.layer.output.address_table.is_local(address) or self._is_cast(address)
        ):
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        taking = port != 0 or not self.number("IP_BIND_ADDRESS_NO_PORT", 0)
        self.port = self.layer.ports.bind(self, address, port) if taking else 0
        self.ported = taking
        self.port_chosen = port != 0
        self.bound_address = address
        if len(address) == 16 and address != ANY6:
            self.keep_option("IPV6_V6ONLY", 1)  # as on Linux with a specific IPv6 address
        if (c := self.connection) is not None:  # it has ended, and keeps an error that the program has not been told
            c.source, c.source_port = address, self.port
        if interface:
            self.bound_interface = interface

    def _is_cast(self, address: bytes) -> bool:
        """Whether it is a multicast or broadcast address, to which sockets may be bound though it is never a source."""
        return is_multicast(address) or self.layer.output.address_table.is_broadcast(address)

    def is_connected(self) -> bool:
        """Whether there is a connection, in any state but CLOSED."""
        c = self.connection
        return c is not None and c.state != states.CLOSED

    def is_opening(self) -> bool:
        """Whether the handshake is in progress."""
        c = self.connection
        return c is not None and c.state in (states.SYN_SENT, states.SYN_RECEIVED)

    def listen(self, backlog: int) -> None:
        """Begin to accept, or change the backlog. StackError: INVALID when connected, ADDRESS_IN_USE."""
        backlog = min(max(backlog, 0), self.layer.settings.somaxconn)
        if self.listener is not None:
            self.listener.backlog = backlog
            return
        if self.connection is not None and self.connection.state != states.CLOSED:
            raise StackError(Fault.INVALID)
        if not self.ported:
            self.port = self.layer.ports.bind(self, self.bound_address, 0)
            self.ported = True
            self.port_chosen = False
        self.layer.ports.listen(self, self.port)
        self.connection = None
        self.listener = Listener(self, backlog)

    def accept(self) -> TcpEndpoint | None:
        """The oldest established connection, None without. StackError(INVALID) when not listening."""
        if self.listener is None:
            raise StackError(Fault.INVALID)
        c = self.listener.accept()
        return None if c is None else self._attach(c)

    def _attach(self, c: Connection) -> TcpEndpoint:
        endpoint = TcpEndpoint(self.layer, self.version)
        if c.options:
            endpoint.options = dict(c.options)
        endpoint.locks = c.locks
        endpoint.connection = c
        endpoint.bound_address = c.source
        endpoint.bound_interface = c.interface
        endpoint.hop_limit = c.hop_limit
        endpoint.port = c.source_port
        c.endpoint = endpoint
        socket_options.stamp_as_configured(endpoint)
        return endpoint

    def connect(self, name: Name, *, fast_open: bool = False, now: float = 0.0) -> None:
        """Begin to connect; the outcome shows as readiness.

        Args:
            name: of the peer.
            fast_open: whether the SYN may wait for the first data.
            now: seconds, as nothing else may have told the time recently; it decides which ports TIME-WAIT leaves free.

        Raises:
            StackError: it cannot begin.
        """
        c = self.connection
        if self.listener is not None:
            raise StackError(Fault.ALREADY_CONNECTED)
        if c is not None:
            if c.state == states.SYN_SENT:
                raise StackError(Fault.ALREADY_IN_PROGRESS)
            if c.state != states.CLOSED:
                raise StackError(Fault.ALREADY_CONNECTED)
            if c.error is not None:
                fault, c.error = c.error, None
                raise StackError(fault)
        address, port, interface = name
        if _is_any(address):
            # As on every system: the host itself.
            address = b"\x7f\0\0\x01" if len(address) == 4 else bytes(15) + b"\x01"
        own = self.bound_address
        bound = None if _is_any(own) or self._is_cast(own) else own
        route = self._route(address, bound, interface or self.bound_interface)
        source = bound or route.source
        self.layer.note_time(Seconds(now))
        self.connection = self._begin(source, address, port, interface or self.bound_interface)
        prepare(self.connection, route)
        socket_options.stamp_as_configured(self)
        self.layer.counters.active_opens += 1
        if not socket_options.defer_connect(self.connection, fast_open, route.metrics.fastopen_no_cookie):
            flush.schedule(self.connection, flush.WORK_CONNECT)

    def _route(self, address: bytes, bound: bytes | None, interface: int) -> Route:
        """Route to a peer; StackError: NETWORK_UNREACHABLE for multicast or broadcast, INVALID without a zone."""
        if is_multicast(address):
            raise StackError(Fault.NETWORK_UNREACHABLE)
        if len(address) == 16 and is_link_local(address) and not interface:
            raise StackError(Fault.INVALID)
        route = self.layer.output.route(address, bound, interface)
        if route.cast:
            raise StackError(Fault.NETWORK_UNREACHABLE)
        return route

    def _begin(self, source: bytes, address: bytes, port: int, interface: int) -> Connection:
        layer = self.layer
        recent = 0
        if self.ported:
            free, replaced = layer.ports.free_names(source, self.port, address, port, bound=True)
            if not free:
                raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        else:
            self.port, replaced = layer.ports.connect_port(self, source, address, port)
            recent = replaced.ts_recent if replaced is not None else 0
        c = Connection(layer, source, self.port, address, port)
        c.endpoint = self
        c.options = dict(self.options)
        c.locks = self.locks
        c.interface = interface
        c.hop_limit = self.hop_limit
        c.traffic_class = self.number("IP_TOS" if len(source) == 4 else "IPV6_TCLASS", 0) & 0xFC
        c.key = layer.key(address, source, port, self.port)
        c.pseudo = layer.pseudo(source, address)
        c.state = states.after(c.state, states.ACTIVE_OPEN)
        c.shutdown = self.shut
        self.fault = None
        if replaced is not None:
            c.iss = replaced.successor_isn()
        else:
            c.iss = layer.initial_sequence(source, address, self.port, port)
        c.snd_una = c.snd_nxt = c.snd_up = c.snd_sml = c.iss
        c.write_seq = c.pushed = c.iss + 1
        c.snd_wnd = 1 << 16
        c.ts_offset = layer.timestamp_offset(source, address)
        c.ts_recent = recent
        layer.add(c)
        return c

    def shutdown(self, read: bool, write: bool) -> None:
        """End one direction or both; listening and connecting end with it, as on Linux.

        Raises:
            StackError: NOT_CONNECTED; a later connection begins shut down all the same.
        """
        c = self.connection
        if self.listener is not None:
            if read:
                self.disconnect()
            return
        if c is not None and c.state == states.SYN_SENT:
            self.disconnect()
            return
        bits = (RCV_SHUTDOWN if read else 0) | (SEND_SHUTDOWN if write else 0)
        if c is None:
            self.shut |= bits
        else:
            c.shutdown |= bits
            if write and not c.write_shut and c.state != states.CLOSED:
                queue_fin(c)
        self._notify()
        if c is None or c.state == states.CLOSED:
            raise StackError(Fault.NOT_CONNECTED)

    def _notify(self) -> None:
        if self.on_ready is not None:
            self.on_ready()

    def abort(self) -> None:
        """Reset the connection; of what is queued, only what may leave at once is sent."""
        c = self.connection
        if c is not None and c.state != states.CLOSED:
            flush.schedule_reset(c)
        self._give_up()

    def disconnect(self) -> None:
        """End connection or listening, and return to the initial state; a port that was chosen is kept (AF_UNSPEC)."""
        if self.listener is not None:
            self._stop_listening()
            self.leave_port()
        socket_options.forget_maxseg(self)
        c, self.connection = self.connection, None
        self.shut = 0
        if c is not None and c.state != states.CLOSED:
            c.endpoint = None
            if c.state == states.SYN_SENT:
                self.fault = Fault.CONNECTION_RESET
                done(c)
            else:
                flush.schedule_reset(c)
            self.leave_port()
        self._notify()

    def leave_port(self) -> None:
        """Release the port after listening or a connection, unless the program chose it."""
        if self.ported and not self.port_chosen:
            self.layer.ports.release(self, self.port)
            self.ported = False

    def close(self) -> None:
        """Close the endpoint; its connection ends by itself with a FIN, or with a reset when data was left unread."""
        c = self.connection
        self._give_up()
        if c is None or c.state == states.CLOSED:
            return
        c.endpoint = None
        linger = self.number("SO_LINGER", -1)
        if c.state == states.SYN_SENT:
            done(c)
        elif c.received or linger == 0 or not self.layer.may_orphan(c):
            flush.schedule_reset(c)
        else:
            c.copied = c.rcv_nxt
            c.shutdown |= SHUTDOWN_BOTH
            if not c.write_shut:
                queue_fin(c)
            elif c.state == states.FIN_WAIT_2:
                flush.schedule(c, flush.WORK_ORPHAN)

    def _give_up(self) -> None:
        if self.listener is not None:
            self._stop_listening()
        if self.ported:
            self.layer.ports.release(self, self.port)
            self.ported = False
        self.on_ready = None

    def _stop_listening(self) -> None:
        listener, self.listener = self.listener, None
        assert listener is not None
        self.layer.ports.unlisten(self, self.port)
        for c in listener.close():
            if c.state != states.CLOSED:
                flush.schedule_reset(c)

    # Data.

    def send(
        self, data: Buffer, *, urgent: bool = False, more: bool = False, end_of_record: bool = False
    ) -> int | None:
        """Queue data; returns how much was taken, None when there is no room.

        Args:
            data: any bytes.
            urgent: the last byte is urgent (MSG_OOB).
            more: more will follow soon, so that a short segment should wait for it (MSG_MORE).
            end_of_record: the record ends here: later data goes into other segments (MSG_EOR).

        Raises:
            StackError: the connection's error, or BROKEN_PIPE when there is nothing to write to.
        """
        c = self.connection
        if c is None:
            raise StackError(self._take_fault() or Fault.BROKEN_PIPE)
        return queue_write(c, data, urgent, more, end_of_record)

    def receive(self, limit: int, *, peek: bool = False) -> bytes | None:
        """Up to `limit` bytes; b"" at the end of the stream, None when it would block. StackError: its error."""
        c = self.connection
        return self._nothing_to_read() if c is None else read(c, limit, peek)

    def receive_into(self, buffer: memoryview) -> int | None:
        """As `receive`, into a buffer of bytes: how many, 0 at the end of the stream, None when it would block."""
        c = self.connection
        return len(self._nothing_to_read()) if c is None else read_into(c, buffer)

    def _nothing_to_read(self) -> bytes:
        """Result of a read without a connection."""
        if self.listener is not None:
            raise StackError(Fault.NOT_CONNECTED)
        fault = self._take_fault()
        if fault is None and self.shut & RCV_SHUTDOWN:
            return b""
        raise StackError(fault or Fault.NOT_CONNECTED)

    def _take_fault(self) -> Fault | None:
        fault, self.fault = self.fault, None
        return fault

    def receive_urgent(self, *, peek: bool = False) -> bytes | None:
        """The urgent byte; None when it has not come. StackError(INVALID) when there is none to be read."""
        c = self.connection
        if c is None:
            raise StackError(Fault.INVALID if self.listener is None else Fault.NOT_CONNECTED)
        return take_urgent(c, peek)

    def at_mark(self) -> bool:
        """Whether the next byte to be read follows the urgent mark (SIOCATMARK)."""
        return self.connection is not None and at_urgent_mark(self.connection)

    def unread(self) -> int:
        """Bytes that can be read (SIOCINQ)."""
        return unread(self.connection) if self.connection is not None else 0

    def unsent(self) -> int:
        """Bytes written that the peer has not acknowledged (SIOCOUTQ)."""
        c = self.connection
        if c is None or c.state in (states.CLOSED, states.SYN_SENT):
            return 0
        return max(c.write_seq - c.snd_una, 0)

    def sends_now(self) -> bool:
        """Whether what was written should leave at once: TCP_NODELAY is set, and nothing is in flight."""
        c = self.connection
        return c is not None and c.nagle & (NAGLE_OFF | NAGLE_CORK) == NAGLE_OFF and not c.packets_out

    def waits_for_data(self) -> bool:
        """Whether connect was called, and the SYN waits for data (Fast Open)."""
        c = self.connection
        return c is not None and c.state == states.SYN_SENT and _is_deferred(c)

    def expect_data(self) -> None:
        """Note that a writer waits for the handshake, whose last segment then leaves with the data."""
        c = self.connection
        if c is not None and isinstance(c.fast_open, ClientHandshake):
            c.fast_open.data_follows = True

    def stamp_next(self, flags: int) -> None:
        """Timestamp the next write by these flags of SO_TIMESTAMPING instead of the option's."""
        if self.connection is not None:
            stamps = self.connection.tx_timestamps
            if stamps is None:
                stamps = self.connection.tx_timestamps = TxTimestamps()
            stamps.next_flags = flags

    def take_stamp(self, *, peek: bool = False) -> TxTimestamp | None:
        """The next transmit timestamp (SO_TIMESTAMPING), None without any."""
        c = self.connection
        if c is None or c.tx_timestamps is None or not c.tx_timestamps.ready:
            return None
        return c.tx_timestamps.ready[0] if peek else c.tx_timestamps.ready.popleft()

    def wake_on_acknowledgment(self) -> None:
        """Call `on_ready` when the next acknowledgment leaves room to write, whether room was short or not."""
        if self.connection is not None:
            self.connection.no_space = True

    def never_sent(self) -> int:
        """Bytes written that were not sent yet (SIOCOUTQNSD)."""
        c = self.connection
        if c is None or c.state in (states.CLOSED, states.SYN_SENT):
            return 0
        return max(c.write_seq - c.snd_nxt, 0)

    # Readiness.

    def readiness(self) -> int:
        """Bits as Linux's poll(2) shows them."""
        if self.listener is not None:
            return Readiness.IN if self.listener.queue else 0
        c = self.connection
        if c is None:
            ended = _ENDED if self.shut & RCV_SHUTDOWN else 0
            return _FRESH | ended | (Readiness.ERR if self.fault is not None else 0)
        mask = 0
        if c.shutdown == SHUTDOWN_BOTH or c.state == states.CLOSED:
            mask = Readiness.HUP
        if c.shutdown & RCV_SHUTDOWN:
            mask |= _ENDED
        if c.state != states.SYN_SENT and (c.state != states.SYN_RECEIVED or c.fast_open is not None):
            unread = c.rcv_nxt - c.copied
            if unread > 0 and unread >= self._low_water(c):
                mask |= Readiness.IN
            if c.shutdown & SEND_SHUTDOWN or c.state == states.CLOSED or can_write(c):
                mask |= Readiness.OUT
            else:
                c.no_space = True
            if c.urgent_flags == urgent.URGENT_VALID:
                mask |= Readiness.PRI
        elif c.state == states.SYN_SENT and _is_deferred(c):
            mask |= Readiness.OUT
        if c.error is not None:
            mask |= Readiness.ERR
        return mask

    def _low_water(self, c: Connection) -> int:
        if not c.options and not c.urgent_flags:
            return 1
        least = max(c.option("SO_RCVLOWAT", 1), 1)
        if c.urgent_flags and c.rcv_urgent == c.copied and not c.option("SO_OOBINLINE", 0):
            least += 1
        return least

    def take_error(self, *, soft: bool = True) -> Fault | None:
        """Pending error, which this call clears; `soft`: also what did not end the connection (an ICMP error)."""
        c = self.connection
        if c is None:
            return self._take_fault()
        fault, c.error = c.error, None
        if fault is None and soft:
            fault, c.soft_error = c.soft_error, None
        return fault

    # Options.

    def set_option(self, option: str, value: int | bytes) -> None:
        """Set an option by its Linux name; StackError(NO_PROTOCOL_OPTION or INVALID)."""
        socket_options.set_option(self, option, value)

    def get_option(self, option: str) -> int | bytes:
        """Value of an option by its Linux name; StackError(NO_PROTOCOL_OPTION)."""
        return socket_options.get_option(self, option)


def _is_any(address: bytes) -> bool:
    return address in (ANY4, ANY6)


def _is_deferred(c: Connection) -> bool:
    """Whether its SYN waits for the first data (Fast Open)."""
    return isinstance(c.fast_open, ClientHandshake) and c.fast_open.deferred

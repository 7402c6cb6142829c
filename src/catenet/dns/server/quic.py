"""DNS over QUIC (RFC 9250): all connections of one server's sockets as one core on datagrams, by aioquic."""

from __future__ import annotations

import heapq
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionIdIssued,
    ConnectionIdRetired,
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from catenet.dns.client.quic import ALPN, LONGEST, NO_ERROR, PROTOCOL_ERROR
from catenet.dns.options import KEEPALIVE
from catenet.dns.server.chain import Chain
from catenet.dns.server.request import QUIC
from catenet.dns.server.watch import Watch
from catenet.net import Peer, ServerLimits
from catenet.net.datagram import DatagramPeer
from catenet.net.tls import TlsError
from catenet.wire.dns.message import Message
from catenet.wire.errors import Malformed

__all__ = ["EXCESSIVE_LOAD", "MOST_HANDSHAKES", "PROTOCOL_ERROR", "QuicServer"]

EXCESSIVE_LOAD: Final = 0x4
"""A code of DNS over QUIC (RFC 9250 8.4)."""
CID_LENGTH: Final = 8
MOST_CONNECTIONS: Final = 10_000
MOST_HANDSHAKES: Final = 64
"""Handshakes under way with clients that may have forged their address; the next have to show that they have not."""
_KEY: Final = re.compile(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----.*?-----END ([A-Z]+ )?PRIVATE KEY-----", re.DOTALL)
UNIDIRECTIONAL: Final = 2
"""Bit of a stream's id (RFC 9000 2.1)."""


@dataclass(slots=True, eq=False)
class _Connection:
    quic: QuicConnection
    peer: DatagramPeer
    ids: set[bytes] = field(default_factory=set)
    inputs: dict[int, bytearray] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    """Streams whose queries wait for their answers."""
    owed: dict[int, int] = field(default_factory=dict)
    """Bytes of answers by stream, until the client has acknowledged them."""
    deadline: float | None = None
    established: bool = False
    ending: bool = False
    """Whether goodbye has been said: what comes is of no interest any more."""
    closed: bool = False

    def end(self, code: int) -> None:
        """Close it for a reason of RFC 9250 8.4."""
        if not self.ending:
            self.ending = True
            self.inputs.clear()
            self.waiting.clear()
            self.quic.close(code)


class QuicServer:
    """A server's side of all connections; queries are answered by a chain. A core of `catenet.net.datagram`.

    Args:
        chain, watch: as of the other transports.
        certificate: files of the chain and its key (PEM).
        limits: of the server.

    Raises:
        TlsError: the files cannot be used.
    """

    def __init__(self, chain: Chain, watch: Watch, certificate: tuple[str, str | None], limits: ServerLimits) -> None:
        self.chain = chain
        self.watch = watch
        self.flush: Callable[[], None] = lambda: None
        """What sends answers that come late; whoever has the sockets puts it here."""
        self._idle = limits.max_idle or 30.0
        self._configuration = self._configure(certificate)
        self._most = min(limits.max_connections or MOST_CONNECTIONS, MOST_CONNECTIONS)
        self._retry = QuicRetryTokenHandler()
        self._by_id: dict[bytes, _Connection] = {}
        self._connections: set[_Connection] = set()
        self._handshakes = 0
        self._touched: dict[_Connection, None] = {}
        self._output: deque[tuple[bytes, DatagramPeer]] = deque()
        self._timers: list[tuple[float, int, _Connection]] = []
        self._count = 0
        self._draining = False

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def use(self, chain: Chain, watch: Watch) -> None:
        """Answer by another chain from now on."""
        self.chain, self.watch = chain, watch

    def use_certificate(self, certificate: tuple[str, str | None]) -> None:
        """Begin connections with this certificate from now on. Raises TlsError."""
        self._configuration = self._configure(certificate)

    def _configure(self, certificate: tuple[str, str | None]) -> QuicConfiguration:
        configuration = QuicConfiguration(
            is_client=False,
            alpn_protocols=[ALPN],
            idle_timeout=self._idle,
            connection_id_length=CID_LENGTH,
            max_data=LONGEST * 4,
            max_stream_data=LONGEST,
        )
        _load_chain(configuration, *certificate)
        return configuration

    def close(self) -> None:
        """Say goodbye to all."""
        for connection in self._connections:
            connection.end(NO_ERROR)
            self._touched[connection] = None

    # The verbs.

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram: of a connection, or its first."""
        assert isinstance(peer, DatagramPeer)
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=CID_LENGTH)
        except ValueError:
            return
        connection = self._by_id.get(header.destination_cid)
        if connection is None:
            connection = self._begin(header, data, peer, now)
            if connection is None:
                return
        connection.quic.receive_datagram(data, peer, now)
        self.chain.tick(now)
        self._take_events(connection)

    def transmit(self, now: float) -> Sequence[tuple[bytes, Peer]]:
        """Return the next datagrams."""
        output = list(self._output)
        self._output.clear()
        touched, self._touched = self._touched, {}
        for connection in touched:
            output += connection.quic.datagrams_to_send(now)
            self._plan(connection)
        return output

    def next_event(self) -> None:
        """There are none: what comes is answered here."""

    def next_deadline(self) -> float | None:
        """Return when a connection has something to do."""
        timers = self._timers
        while timers and (timers[0][2].closed or timers[0][2].deadline != timers[0][0]):
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def handle_timeout(self, now: float) -> None:
        """Send again what was lost; forget who is silent."""
        while (due := self.next_deadline()) is not None and due <= now:
            connection = heapq.heappop(self._timers)[2]
            connection.deadline = None  # the next one is known when it has sent
            connection.quic.handle_timer(now)
            self._take_events(connection)

    def handle_error(self, error: OSError, now: float) -> None:
        """What is lost is sent again."""

    @property
    def idle(self) -> bool:
        """Whether no query waits."""
        return not any(connection.waiting for connection in self._connections)

    def drain(self, now: float) -> None:
        """Begin no connection."""
        self._draining = True

    # Connections.

    def _begin(self, header: QuicHeader, data: bytes, peer: DatagramPeer, now: float) -> _Connection | None:
        """The connection that a first datagram begins; None: it begins none."""
        version, configuration = header.version, self._configuration
        if version is None or header.packet_type is QuicPacketType.VERSION_NEGOTIATION or self._draining:
            return None
        if len(data) < SMALLEST_MAX_DATAGRAM_SIZE or len(self._connections) >= self._most:
            return None  # RFC 9000 14.1; who is refused asks again
        if version not in configuration.supported_versions:
            supported = configuration.supported_versions
            packet = encode_quic_version_negotiation(
                source_cid=header.destination_cid, destination_cid=header.source_cid, supported_versions=supported
            )
            self._output.append((packet, peer))
            return None
        if header.packet_type is not QuicPacketType.INITIAL:
            return None
        original, retried = header.destination_cid, None
        if header.token:
            try:
                original = self._retry.validate_token(
                    address=_address(peer), destination_cid=header.destination_cid, token=header.token, now=now
                )
            except ValueError:
                return None
            retried = header.destination_cid
        elif self._handshakes >= MOST_HANDSHAKES:
            self._ask_to_come_back(header, version, peer, now)
            return None
        quic = QuicConnection(
            configuration=configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        connection = _Connection(quic, peer)
        self._connections.add(connection)
        self._handshakes += 1
        for one in (header.destination_cid, quic.host_cid):
            connection.ids.add(one)
            self._by_id[one] = connection
        return connection

    def _ask_to_come_back(self, header: QuicHeader, version: int, peer: DatagramPeer, now: float) -> None:
        """Let the client show that its address is its own (RFC 9000 8.1.2)."""
        source = os.urandom(CID_LENGTH)
        token = self._retry.create_token(
            address=_address(peer),
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=now,
        )
        packet = encode_quic_retry(
            version=version,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self._output.append((packet, peer))

    def _plan(self, connection: _Connection) -> None:
        """Note when the connection has something to do by itself."""
        if connection.closed:
            return
        deadline = connection.quic.get_timer()
        if deadline != connection.deadline:
            connection.deadline = deadline
            if deadline is not None:
                self._count += 1
                heapq.heappush(self._timers, (deadline, self._count, connection))
                if len(self._timers) > 4 * len(self._connections) + 64:
                    self._timers = [one for one in self._timers if not one[2].closed and one[2].deadline == one[0]]
                    heapq.heapify(self._timers)

    def _take_events(self, connection: _Connection) -> None:
        self._touched[connection] = None
        while (event := connection.quic.next_event()) is not None:
            self._take(connection, event)

    def _take(self, connection: _Connection, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self._on_data(connection, event)
        elif isinstance(event, StreamReset):
            connection.inputs.pop(event.stream_id, None)
        elif isinstance(event, ConnectionIdIssued):
            connection.ids.add(event.connection_id)
            self._by_id[event.connection_id] = connection
        elif isinstance(event, ConnectionIdRetired):
            connection.ids.discard(event.connection_id)
            self._by_id.pop(event.connection_id, None)
        elif isinstance(event, HandshakeCompleted):
            self._established(connection)
        elif isinstance(event, ConnectionTerminated):
            self._established(connection)
            connection.closed = connection.ending = True
            connection.waiting.clear()
            self._connections.discard(connection)
            for one in connection.ids:
                self._by_id.pop(one, None)

    def _established(self, connection: _Connection) -> None:
        if not connection.established:
            connection.established = True
            self._handshakes -= 1

    # Queries.

    def _on_data(self, connection: _Connection, event: StreamDataReceived) -> None:
        """A query is complete when its stream ends (RFC 9250 4.2)."""
        if connection.ending:
            return
        stream = event.stream_id
        most = self.chain.settings.most_pipelined
        if stream & UNIDIRECTIONAL or (len(connection.inputs) >= most and stream not in connection.inputs):
            connection.end(PROTOCOL_ERROR if stream & UNIDIRECTIONAL else EXCESSIVE_LOAD)
            return
        buffer = connection.inputs.setdefault(stream, bytearray())
        buffer += event.data
        if len(buffer) > LONGEST:
            connection.end(PROTOCOL_ERROR)
        elif event.end_stream:
            del connection.inputs[stream]
            query = bytes(buffer[2:])
            if len(buffer) < 2 or int.from_bytes(buffer[:2], "big") != len(query) or not _is_allowed(query):
                connection.end(PROTOCOL_ERROR)  # RFC 9250 4.3.3
            elif len(connection.waiting) >= most:
                connection.quic.reset_stream(stream, EXCESSIVE_LOAD)
            else:
                self._ask(connection, stream, query)

    def _ask(self, connection: _Connection, stream: int, query: bytes) -> None:
        chain = self.chain
        chain.counters.values[f"queries_{QUIC.name}"] += 1
        host, port = _address(connection.peer)
        lane = chain.lane(host)
        kept = None if lane is None else lane.reply(query, chain.stream_forms)
        if kept is not None:
            self._put(connection, stream, query, query[:2] + kept)
            return
        connection.waiting.add(stream)
        reply = chain.receive(query, QUIC, host, port, partial(self._late, connection, stream, query))
        if reply is None:
            connection.waiting.discard(stream)
            connection.end(PROTOCOL_ERROR)  # it speaks something else, or is not wanted here
        elif reply:
            connection.waiting.discard(stream)
            self._put(connection, stream, query, reply)

    def _late(self, connection: _Connection, stream: int, query: bytes, reply: bytes) -> None:
        """An answer that had to be found out."""
        if stream in connection.waiting:
            connection.waiting.discard(stream)
            self._put(connection, stream, query, reply)
            self.flush()

    def _put(self, connection: _Connection, stream: int, query: bytes, reply: bytes) -> None:
        self.chain.counters.codes[reply[3]] += 1
        self.watch.saw(QUIC, *_address(connection.peer), query, reply[2:])
        connection.quic.send_stream_data(stream, len(reply).to_bytes(2, "big") + reply, end_stream=True)
        self._touched[connection] = None
        owed = connection.owed
        owed[stream] = len(reply)
        if sum(owed.values()) > self.chain.settings.most_stream_output:
            streams = connection.quic._streams  # aioquic tells nobody what is acknowledged
            connection.owed = owed = {one: size for one, size in owed.items() if one in streams}
            if sum(owed.values()) > self.chain.settings.most_stream_output:
                connection.end(EXCESSIVE_LOAD)


def _load_chain(configuration: QuicConfiguration, cert: str, key: str | None) -> None:
    """Read a certificate and its key, from one file in any order too, which aioquic's own reader does not."""
    try:
        chain = load_pem_x509_certificates(Path(cert).read_bytes())
        found = _KEY.search(Path(key or cert).read_bytes())
        if found is None:
            raise TlsError(f"{key or cert}: no key (PEM)")
        configuration.certificate, configuration.certificate_chain = chain[0], chain[1:]
        configuration.private_key = load_pem_private_key(found[0], None)
    except OSError as error:
        raise TlsError(f"{error.filename}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise TlsError(f"{cert}{f', {key}' if key else ''}: {error}") from None


def _address(peer: DatagramPeer) -> tuple[str, int]:
    return peer.address[0], peer.address[1]  # type: ignore[return-value]  # no path: it came by UDP


def _is_allowed(query: bytes) -> bool:
    """Whether its id is 0, and it asks for nothing that QUIC has itself (RFC 9250 4.2.1, 5.5.2)."""
    if query[:2] != b"\0\0":
        return False
    if b"\0\x0b" not in query:  # the code of the option
        return True
    try:
        edns = Message(query).edns
    except Malformed:
        return True  # the chain says what is wrong with it
    return edns is None or all(code != KEEPALIVE for code, _ in edns.options)

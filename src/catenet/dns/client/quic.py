"""Queries over QUIC (RFC 9250): one connection without I/O, by aioquic, and the channel that drives it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from catenet.dns.client.channel import MOST_WAITING
from catenet.dns.client.schemes import SCHEMES
from catenet.net import DatagramCore, DatagramEndpoint, Peer, PlainDatagramCore, connect_datagrams
from catenet.net.tls import explain

__all__ = [
    "ALPN",
    "LONGEST",
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "QuicAnswer",
    "QuicChannel",
    "QuicQueries",
    "connect_quic",
]

logging.getLogger("quic").addHandler(logging.NullHandler())  # aioquic would tell standard error what we tell callers

ALPN: Final = "doq"
NO_ERROR, PROTOCOL_ERROR, REQUEST_CANCELLED = 0x0, 0x2, 0x3
"""Codes of DNS over QUIC (RFC 9250 8.4)."""
LONGEST: Final = 2 + 65_535
IDLE: Final = 30.0
"""Seconds."""
SERVER_INITIATED: Final = 1
"""Bit of a stream's id (RFC 9000 2.1)."""
REASONS: Final = {
    0x1: "an internal error of the server",
    0x2: "a protocol error",
    0x3: "the query was cancelled",
    0x4: "too much load",
    0x5: "something unspecified",
}


@dataclass(frozen=True, slots=True)
class QuicAnswer:
    """What came on a stream: a message, or why none will; stream None: on the whole connection."""

    stream: int | None
    message: bytes = b""
    problem: str = ""


class QuicQueries(PlainDatagramCore):
    """A client's side of one connection: each query has a stream of its own (RFC 9250 4.2).

    Args:
        configuration: of the connection.
        peer: the server.
        now: seconds; the handshake begins.
    """

    def __init__(self, configuration: QuicConfiguration, peer: Peer, now: float) -> None:
        self._quic = QuicConnection(configuration=configuration)
        self._quic.connect(peer, now=now)
        self._peer = peer
        self._inputs: dict[int, bytearray] = {}
        self._answers: deque[QuicAnswer] = deque()
        self._established = False
        self.closed = False

    def send(self, query: bytes) -> int:
        """Send a query, whose id is to be 0 (RFC 9250 4.2.1); returns the stream on which its answers come."""
        stream = self._quic.get_next_available_stream_id()
        self._inputs[stream] = bytearray()
        self._quic.send_stream_data(stream, len(query).to_bytes(2, "big") + query, end_stream=True)
        return stream

    def cancel(self, stream: int) -> None:
        """The answers on a stream are wanted no more (RFC 9250 4.3.1)."""
        if self._inputs.pop(stream, None) is not None and not self.closed:
            self._quic.stop_stream(stream, REQUEST_CANCELLED)

    def close(self) -> None:
        """Say goodbye."""
        self._quic.close(NO_ERROR)

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram, which came from the server's address: the socket is connected."""
        self._quic.receive_datagram(data, self._peer, now)
        self._take_events()

    def transmit(self, now: float) -> Sequence[tuple[bytes, Peer]]:
        """Return the next datagrams."""
        return [(data, self._peer) for data, _ in self._quic.datagrams_to_send(now)]

    def next_event(self) -> QuicAnswer | None:
        """Return the next answer."""
        return self._answers.popleft() if self._answers else None

    def next_deadline(self) -> float | None:
        """Return when QUIC has something to do."""
        return None if self.closed else self._quic.get_timer()

    def handle_timeout(self, now: float) -> None:
        """Send again what was lost, or give up."""
        self._quic.handle_timer(now)
        self._take_events()

    def handle_error(self, error: OSError, now: float) -> None:
        """ICMP counts before the server has said anything; later it may be forged (RFC 9000 14.2.1)."""
        if not self._established:
            self._end(explain(error))

    def _take_events(self) -> None:
        while (event := self._quic.next_event()) is not None:
            self._take(event)

    def _take(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            if event.stream_id & SERVER_INITIATED:
                self._quic.close(PROTOCOL_ERROR, reason_phrase="a server opens no streams")
            elif (buffer := self._inputs.get(event.stream_id)) is not None:
                self._on_data(event.stream_id, buffer, event.data, event.end_stream)
        elif isinstance(event, StreamReset | StopSendingReceived):
            if self._inputs.pop(event.stream_id, None) is not None:
                self._answers.append(QuicAnswer(event.stream_id, problem=_reset_text(event.error_code)))
        elif isinstance(event, HandshakeCompleted):
            self._established = True
        elif isinstance(event, ConnectionTerminated):
            self._end(_end_text(event))

    def _on_data(self, stream: int, buffer: bytearray, data: bytes, end: bool) -> None:
        buffer += data
        at = 0
        while len(buffer) - at >= 2:
            until = at + 2 + int.from_bytes(buffer[at : at + 2], "big")
            if len(buffer) < until:
                break
            self._answers.append(QuicAnswer(stream, bytes(buffer[at + 2 : until])))
            at = until
        del buffer[:at]
        if end:
            del self._inputs[stream]
            problem = "the answer is incomplete" if buffer else "the server ended the answer"
            self._answers.append(QuicAnswer(stream, problem=problem))

    def _end(self, problem: str) -> None:
        if not self.closed:
            self.closed = True
            self._inputs.clear()
            self._answers.append(QuicAnswer(None, problem=problem))


def _reset_text(code: int) -> str:
    return f"the server broke off: {REASONS.get(code, f'code {code:#x}')}"


def _end_text(event: ConnectionTerminated) -> str:
    # 0x100 and more are alerts of TLS (RFC 9001 4.8), which both sides send; ours say what is wrong with a certificate.
    if event.reason_phrase:
        return f"QUIC ended: {event.reason_phrase}"
    if event.error_code == NO_ERROR:
        return "the server closed the connection"
    return f"QUIC ended: {REASONS.get(event.error_code, f'code {event.error_code:#x}')}"


class QuicChannel:
    """A connection on which answers come on the streams of their queries."""

    def __init__(self, endpoint: DatagramEndpoint[QuicAnswer]) -> None:
        assert isinstance(endpoint.core, QuicQueries)
        self._endpoint = endpoint
        self._core = endpoint.core
        self._waiting: dict[int, asyncio.Queue[QuicAnswer]] = {}
        self._error: str | None = None
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @property
    def usable(self) -> bool:
        """Whether the connection stands."""
        return self._error is None and not self._core.closed

    async def exchange(self, query: bytes) -> AsyncGenerator[bytes]:
        """Send a query with id 0; yield the answers, with the query's id."""
        if self._error is not None:
            raise ConnectionError(self._error)
        queue: asyncio.Queue[QuicAnswer] = asyncio.Queue(MOST_WAITING)
        stream = self._core.send(b"\0\0" + query[2:])
        self._waiting[stream] = queue
        self._endpoint.flush()
        try:
            while self.usable or not queue.empty():
                answer = await queue.get()
                if answer.problem:
                    raise ConnectionError(answer.problem)
                message = answer.message
                yield query[:2] + message[2:] if message[:2] == b"\0\0" else message
            raise ConnectionError(self._error or "the connection is closed")
        finally:
            del self._waiting[stream]
            self._core.cancel(stream)
            self._endpoint.flush()
            while not queue.empty():  # the reader may wait for room
                queue.get_nowait()

    async def close(self) -> None:
        """Close the connection; nobody waits for the server to have heard of it."""
        self._reader.cancel()
        self._core.close()
        self._endpoint.flush()
        self._endpoint.close()

    async def _read(self) -> None:
        async for answer in self._endpoint:
            if answer.stream is None:
                self._error = answer.problem
                break
            queue = self._waiting.get(answer.stream)
            if queue is not None:
                await queue.put(answer)
        if self._error is None:
            self._error = "the connection is closed"
        for queue in self._waiting.values():
            if not queue.full():
                queue.put_nowait(QuicAnswer(None, problem=self._error))


async def connect_quic(
    url: str, tls: ssl.SSLContext | None, server_name: str, source: tuple[str, int] | None = None
) -> QuicChannel:
    """Begin a connection; its handshake goes on with the first query.

    `tls` says which authorities are trusted, and whether a certificate is wanted. Raises `catenet.net.ConnectError`.
    """
    configuration = QuicConfiguration(alpn_protocols=[ALPN], idle_timeout=IDLE, server_name=server_name)
    _trust(configuration, tls)
    now = asyncio.get_running_loop().time()

    def core(peer: Peer) -> DatagramCore[QuicAnswer]:
        return QuicQueries(configuration, peer, now)

    return QuicChannel(await connect_datagrams(core, url, schemes=SCHEMES, source=source))


def _trust(configuration: QuicConfiguration, tls: ssl.SSLContext | None) -> None:
    """Trust the system's authorities, or those of a context, of which aioquic can use nothing else."""
    if tls is None:
        paths = ssl.get_default_verify_paths()
        configuration.load_verify_locations(paths.cafile, paths.capath)
        return
    found = "".join(ssl.DER_cert_to_PEM_cert(one) for one in tls.get_ca_certs(binary_form=True))
    configuration.load_verify_locations(cadata=found.encode() or None)
    configuration.verify_mode = tls.verify_mode

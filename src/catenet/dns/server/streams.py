"""DNS on connections: TCP, TLS (RFC 7858), Unix sockets.

Queries are pipelined, and answers go out as they are ready (RFC 7766 6.2.1.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Final

from catenet.dns.server.chain import Chain
from catenet.dns.server.request import TLS, Transport
from catenet.dns.server.watch import Watch
from catenet.net import AcceptedConnection, CoreServer, ServerLimits
from catenet.net.accept import Slot

__all__ = ["ServedStream", "Streams"]

HEAD: Final = 2
ALPN: Final = "dot"


class ServedStream:
    """A server's side of one connection: the five verbs.

    A client that does not read its answers is not read itself (`full`), nor is one with too many queries that wait.
    """

    def __init__(self, streams: Streams, transport: Transport) -> None:
        self._streams = streams
        self._transport = transport
        self._client: tuple[str, int] | None = None
        self._input = bytearray()
        self._output: deque[bytes] = deque()
        self._waiting = 0
        self._transfers: deque[tuple[bytes, Iterator[bytes]]] = deque()
        self._ended = False
        self.connection: AcceptedConnection[None] | None = None
        self.queued = 0
        self.served = 0

    # The five verbs.

    def receive(self, data: bytes, now: float) -> None:
        """Answer the queries that are complete."""
        if not data:
            self._ended = True
            return
        self._input += data
        self._go_on(now)

    def transmit(self, now: float) -> bytes:
        """Return the next answer."""
        if not self._output and not self._next_message():
            return b""
        data = self._output.popleft()
        self.queued -= len(data)
        if not self._output and len(self._input) > HEAD:
            self._go_on(now)  # what waited for the client to read
        return data

    def next_event(self) -> None:
        """There are none: what comes is answered here."""

    def next_deadline(self) -> float | None:
        """Return None: the server looks after silence."""
        return None

    def handle_timeout(self, now: float) -> None:
        """There are no deadlines."""

    @property
    def begun(self) -> bool:
        """Whether a first query has come."""
        return self.served > 0

    @property
    def unfinished(self) -> bool:
        """Whether a query has begun to come."""
        return len(self._input) > 0 and not self.full

    @property
    def closed(self) -> bool:
        """Whether the client has ended, and has its answers."""
        return self._ended and not self._waiting

    @property
    def full(self) -> bool:
        """Whether nothing more is taken for now."""
        settings = self._streams.chain.settings
        return self._waiting >= settings.most_pipelined or self.queued > settings.most_stream_output

    def drain(self, now: float) -> None:
        """Take no more queries; those that wait get their answers."""
        self._ended = True
        self._input.clear()

    # Queries.

    def _go_on(self, now: float) -> None:
        streams, data, at = self._streams, self._input, 0
        streams.chain.tick(now)
        while len(data) - at >= HEAD and not self.full:
            end = at + HEAD + (data[at] << 8 | data[at + 1])
            if len(data) < end:
                break
            self._ask(bytes(data[at + HEAD : end]))
            at = end
        del data[:at]

    def _ask(self, query: bytes) -> None:
        streams = self._streams
        chain = streams.chain
        self.served += 1
        address, port = self._place()
        transport = self._transport
        chain.counters.values[f"queries_{transport.name}"] += 1
        lane = chain.lane(address)
        kept = None if lane is None else lane.reply(query, chain.stream_forms)
        if kept is not None:
            self._put(query, query[:2] + kept)
            return
        late = partial(self._late, query)
        reply = chain.receive(query, transport, address, port, late, partial(self._send_all, query))
        if reply is None:
            self.drain(0.0)  # it speaks something else, or is not wanted here
        elif reply:
            self._put(query, reply)
        else:
            self._waiting += 1

    def _send_all(self, query: bytes, messages: Iterator[bytes]) -> None:
        """Send many messages, each when the client has read those before; other queries wait."""
        self._transfers.append((query, messages))

    def _next_message(self) -> bool:
        """Make the next message of a transfer; False: there is none."""
        while self._transfers:
            query, messages = self._transfers[0]
            reply = next(messages, None)
            if reply is not None:
                self._put(query, reply)
                return True
            self._transfers.popleft()
            self._waiting -= 1
        return False

    def _place(self) -> tuple[str, int]:
        """The client's address and port; "" over a Unix socket."""
        if self._client is None:
            name = None if self.connection is None else self.connection.peername
            self._client = (name[0], name[1]) if isinstance(name, tuple) else ("", 0)
        return self._client

    def _late(self, query: bytes, reply: bytes) -> None:
        """An answer that had to be found out."""
        connection = self.connection
        if connection is None or connection.transport is None:
            return  # the client has gone
        self._waiting -= 1
        if reply:
            self._put(query, reply)
        self._go_on(connection.loop.time())
        connection.touch()

    def _put(self, query: bytes, reply: bytes) -> None:
        streams = self._streams
        streams.chain.counters.codes[reply[3]] += 1
        streams.watch.saw(self._transport, *self._place(), query, reply[2:])
        self._output.append(len(reply).to_bytes(HEAD, "big") + reply)
        self.queued += len(reply) + HEAD


class Streams(CoreServer[None]):
    """A server for the connections of one transport."""

    def __init__(self, transport: Transport, chain: Chain, watch: Watch, limits: ServerLimits) -> None:
        super().__init__(partial(ServedStream, self, transport), None, limits, alpn=(ALPN,) if transport is TLS else ())
        self._made = partial(ServedStream, self, transport)
        self.chain = chain
        self.watch = watch

    def accepted(self, slot: Slot) -> AcceptedConnection[None]:
        """Return the protocol of a connection; its core answers later than it is asked, and says so to it."""
        assert self._shared is not None
        core = self._made()
        core.connection = AcceptedConnection(self, self._shared, slot, core, False)
        return core.connection

    def use(self, chain: Chain, watch: Watch) -> None:
        """Answer by another chain from now on."""
        self.chain, self.watch = chain, watch

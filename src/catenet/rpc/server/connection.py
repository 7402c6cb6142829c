"""One connection of a server: which HTTP it speaks, which calls it carries, when it is too quiet or too old."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from catenet.http.driver import IGNORE
from catenet.http.errors import HttpError
from catenet.http.events import Refusal
from catenet.http.message import RequestHead
from catenet.http.server.exchange import Exchange
from catenet.http.serving import Keeper, ServingProtocol, Shared
from catenet.http.stream import Stream
from catenet.net.accept import Slot
from catenet.net.sockopts import watch_peer
from catenet.rpc.model.context import Peer
from catenet.rpc.protocols.protocol import Answer
from catenet.rpc.server.access_log import Entry
from catenet.rpc.server.begin import begin_call
from catenet.rpc.server.peers import peer_of
from catenet.rpc.server.route import Route

if TYPE_CHECKING:
    from catenet.rpc.server.options import Counters, ServerOptions
    from catenet.rpc.server.server import Server

__all__ = ["ServerConnection"]


class ServerConnection(ServingProtocol):
    """Carries calls. `running` counts handlers that have not ended, also of streams that have."""

    __slots__ = ("_peer", "assembling", "counters", "options", "server")

    def __init__(self, server: Server, shared: Shared, slot: Slot, keeper: Keeper | None = None) -> None:
        super().__init__(keeper or server, shared, slot)
        self.server = server
        self.options: ServerOptions = server.options
        self.counters: Counters = server.counters
        self.assembling = 0
        self._peer: Peer | None = None

    # The connection.

    def may_rest(self) -> bool:
        """What concerns a call goes with it, and the peer can be asked again."""
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP looks after callers that vanish: their connections hold memory, and their calls go on."""
        super().connection_made(transport)
        if self.options.peer_timeout is not None:
            watch_peer(transport, self.options.peer_timeout)

    def eof_received(self) -> bool:
        """The client sends nothing more; calls that are running cannot be answered in RPC, so close."""
        return False

    def on_failed(self, error: HttpError | None) -> None:
        """The peer broke the protocol: its calls have ended."""
        if error is not None:
            self.counters.protocol_errors += 1
        super().on_failed(error)

    def on_refused(self, refusal: Refusal) -> None:
        """What was no request is in the access log of the application; what was meant for the services in theirs."""
        app, head, log = self.server.app, refusal.head, self.server.access_log
        if app is not None and (head is None or not self.server.is_call(head)):
            app.note_refusal(self, refusal)
        elif log is not None:
            log.write(Entry.of_refusal(refusal, self.peer))

    def may_wait(self, stream: Stream) -> bool:
        """Calls have deadlines and keepalive; what an application answers beside them is to be read."""
        return stream.tunnel or not isinstance(stream.owner, Exchange) or stream.owner.is_call

    def must_read(self, full: bool) -> bool:
        """Whether a response of the application waits; of calls that have ended something may wait as well."""
        return self.version_known and bool(self.core.streams) and super().must_read(full)

    def drain(self) -> None:
        """Take no new requests; what would never end by itself is told to."""
        if self.version_known and self.server.app is not None:
            self.server.app.drain(self)
        super().drain()

    # Requests.

    def on_head(self, stream: Stream, head: RequestHead, end: bool) -> None:
        """Find what serves the request, and begin."""
        route = head.note
        if type(route) is not Route:
            app = self.server.app
            if app is not None and not self.server.is_call(head):
                if not self.is_crowded(stream, head):
                    app.begin(self, stream, head, end)
                return
            found = self.server.route(head, self.core.version)
            if isinstance(found, Answer):
                self._answer(stream, head, found)
                return
            route = found
        if self.running >= self.shared.http.max_streams and self.is_crowded(stream, head):
            self.counters.started += 1
            return
        begin_call(self, stream, route, head, end)

    def _answer(self, stream: Stream, head: RequestHead, answer: Answer) -> None:
        stream.owner = IGNORE
        body = b"" if head.method == b"HEAD" else answer.body
        self.core.send_reply(stream, answer.head, body, answer.trailers)
        self.server.refuse(head, answer, self.peer)

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        if self._peer is None:
            self._peer = peer_of(self.transport)
        return self._peer

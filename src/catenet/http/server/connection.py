"""One connection of a server: its requests become exchanges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from catenet.http.errors import HttpError
from catenet.http.message import RequestHead
from catenet.http.server.exchange import Exchange
from catenet.http.serving import ServingProtocol, Shared
from catenet.http.stream import Stream
from catenet.net.accept import Slot

if TYPE_CHECKING:
    from catenet.http.server.server import HttpServer

__all__ = ["HttpConnection"]

_NO_HEAD = RequestHead(b"", b"", (), b"")


class HttpConnection(ServingProtocol):
    """One connection. `running` counts handlers that have not ended, also of streams that have."""

    __slots__ = ("_server", "_service")

    def __init__(self, server: HttpServer, shared: Shared, slot: Slot) -> None:
        super().__init__(shared, slot)
        self._server = server
        self._service = server.service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server holds the list."""
        super().connection_made(transport)
        self._server.connection_opened(self)

    def on_closed(self, error: Exception | None) -> None:
        """Tell the server, which holds the list."""
        self._server.connection_closed(self)

    def on_head(self, stream: Stream, head: RequestHead, end: bool) -> None:
        """Begin an exchange."""
        # The first is asked here, too: a call costs as much as the question.
        if self.running < self.shared.http.max_streams or not self.is_crowded(stream):
            stream.owner = exchange = self._service.exchange(self, stream, head)
            exchange.on_request(end)

    def on_failed(self, error: HttpError | None) -> None:
        """What was no request, and has been answered, is in the access log too."""
        if self.version_known and self.core.refusal and self._service.log is not None:
            refused = Exchange(self._service, self, Stream(0, 0, 0), _NO_HEAD)
            refused.status = self.core.refusal
            self._service.log.write(refused)
        super().on_failed(error)

    def on_half_closed(self) -> None:
        """Tell handlers that nobody may be there any more."""
        for stream in self.core.streams.values():
            if isinstance(stream.owner, Exchange):
                stream.owner.on_left()

    def may_wait(self, stream: Stream) -> bool:
        """Tunnels and calls (gRPC, passed on by a gateway) may wait for their client."""
        return stream.tunnel or (isinstance(stream.owner, Exchange) and stream.owner.is_call)

    def drain(self) -> None:
        """Take no new requests; what would never end by itself is told to."""
        if self.version_known:
            self._service.drain(self)
        super().drain()

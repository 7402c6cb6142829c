"""One connection of a server: its requests become exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.http.events import DATA, HEAD, Event, Refusal
from catenet.http.message import RequestHead
from catenet.http.server.exchange import Exchange
from catenet.http.serving import ServingProtocol, Shared
from catenet.http.stream import Stream
from catenet.net.accept import Slot

if TYPE_CHECKING:
    from catenet.http.server.server import HttpServer

__all__ = ["HttpConnection"]


class HttpConnection(ServingProtocol):
    """One connection. `running` counts handlers that have not ended, also of streams that have."""

    __slots__ = ("_service",)

    def __init__(self, server: HttpServer, shared: Shared, slot: Slot) -> None:
        super().__init__(server, shared, slot)
        self._service = server.service

    def dispatch(self, events: list[Event]) -> None:
        """Begin exchanges; give them what comes for them."""
        begin, most = self._service.begin, self.shared.http.max_streams
        for event in events:
            kind, stream, value, end = event
            if kind == HEAD and self.running < most:
                begin(self, stream, value, end)
            elif kind == DATA:
                stream.owner.on_data(value, end)
            else:
                super().dispatch([event])

    def may_rest(self) -> bool:
        """What concerns a request goes with it."""
        return True

    def on_head(self, stream: Stream, head: RequestHead, end: bool) -> None:
        """Begin an exchange."""
        if not self.is_crowded(stream, head):
            self._service.begin(self, stream, head, end)

    def on_refused(self, refusal: Refusal) -> None:
        """What was no request is in the access log too."""
        self._service.note_refusal(self, refusal)

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

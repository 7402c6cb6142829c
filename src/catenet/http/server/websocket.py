"""WebSockets of ASGI applications (ASGI WebSocket 2.4), over HTTP/1.1 (RFC 6455) and HTTP/2 (RFC 8441).

Frames are read as they come, so that Pings are answered and a Close is noticed while the application does something
else; messages wait for it up to a limit, from which on the client's window closes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from catenet.http.driver import TURN_BYTES
from catenet.http.events import StreamReset
from catenet.http.message import ResponseHead
from catenet.http.server.exchange import Disconnected, Exchange
from catenet.http.server.heads import made_fields
from catenet.http.websocket.codes import CloseCode
from catenet.http.websocket.connection import WebSocket
from catenet.http.websocket.errors import HandshakeError
from catenet.http.websocket.events import Closed, Ping, Pong
from catenet.http.websocket.handshake import Opening, read_opening

if TYPE_CHECKING:
    from catenet.http.server.asgi import AsgiService
    from catenet.net.deadlines import Entry

__all__ = ["SocketExchange"]

Message = dict[str, Any]

_MESSAGES: Final = 64
"""Messages that wait for the application."""
_CONNECTING: Final = 0
_OPEN: Final = 1
_DENYING: Final = 2
_CLOSED: Final = 3
_REFUSED: Final = ResponseHead(403)


class SocketExchange(Exchange):
    """A request that opens a WebSocket, and the WebSocket."""

    _phase: int = _CONNECTING
    _opening: Opening | None = None
    _socket: WebSocket | None = None
    _greeted: bool = False
    _held: int = 0
    _entry: Entry | None = None
    _denial: ResponseHead | None = None
    _messages: deque[str | bytes | Closed]

    @property
    def _service(self) -> AsgiService:
        return cast("AsgiService", self.service)

    # The application.

    def work(self) -> Coroutine[Any, Any, None]:
        """Answer the handshake, then call the application."""
        return self._serve()

    async def _serve(self) -> None:
        try:
            opening = self._opening = read_opening(self.head, self.version)
        except HandshakeError as error:
            head = ResponseHead(error.status, (*error.fields, (b"content-type", b"text/plain")))
            await self.reply(head, f"{error}\n".encode())
            return
        self._messages = deque()
        service = self._service
        scope = service.scope(self)
        scope["type"] = "websocket"
        del scope["method"]
        scope["scheme"] = "wss" if self.tls else "ws"
        scope["subprotocols"] = list(opening.subprotocols)
        told = scope["extensions"]
        scope["extensions"] = {"websocket.http.response": {}, **({"tls": told["tls"]} if "tls" in told else {})}
        await service.app(scope, self.receive, self.send)

    async def receive(self) -> Message:
        """Return the next event: that a client connects, a message, that the WebSocket has ended."""
        if not self._greeted:
            self._greeted = True
            return {"type": "websocket.connect"}
        while not self._messages:
            if self._lost is not None or (self.finished and self._socket is None):
                return {"type": "websocket.disconnect", "code": int(CloseCode.ABNORMAL), "reason": ""}
            await self.changed()
        message = self._messages[0]
        if isinstance(message, Closed):  # stays: whoever asks again is told again
            return {"type": "websocket.disconnect", "code": message.code, "reason": message.reason}
        self._messages.popleft()
        if len(self._messages) == _MESSAGES - 1 or self._held:
            self._pull()
        if isinstance(message, str):
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    async def send(self, message: Message) -> None:
        """Take an event. Raises `OSError` once the WebSocket has ended, `RuntimeError` for a wrong one."""
        kind = message["type"]
        if kind == "websocket.send" and self._phase in (_OPEN, _CLOSED):
            await self._send_message(message)
        elif kind == "websocket.accept" and self._phase == _CONNECTING:
            self._accept(message)
        elif kind == "websocket.close" and self._phase == _CONNECTING:
            self._phase = _CLOSED
            await self.reply(_REFUSED)
        elif kind == "websocket.close" and self._phase in (_OPEN, _CLOSED):
            self._close(message.get("code") or int(CloseCode.NORMAL), message.get("reason") or "")
        elif kind == "websocket.http.response.start" and self._phase == _CONNECTING:
            self._phase = _DENYING
            self._denial = self.service.heads.of(message["status"], message.get("headers", ()))
        elif kind == "websocket.http.response.body" and self._denial is not None:
            await self._deny(self._denial, message)
        else:
            raise RuntimeError(f"unexpected message {kind!r}")

    def _accept(self, message: Message) -> None:
        assert self._opening is not None
        if self._lost is not None:
            raise Disconnected(self._lost)
        fields = made_fields(message.get("headers") or ())
        head, deflate = self._opening.accept(message.get("subprotocol"), self._service.deflate, fields)
        self._socket = WebSocket(False, deflate=deflate, limits=self._service.socket_limits)
        self._phase = _OPEN
        self.upgrade(head)
        self._arm()
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._feed(data, False)

    async def _send_message(self, message: Message) -> None:
        socket = self._socket
        assert socket is not None
        if self._lost is not None:
            raise Disconnected(self._lost)
        data = message.get("text")
        if data is None:
            data = message.get("bytes")
        if data is None:
            raise RuntimeError("websocket.send has neither text nor bytes")
        before = socket.queued
        socket.send(data)
        self._unwritten += socket.queued - before
        self._flush_socket()
        self._connection.send_now()  # a message is waited for; what a loop of them makes joins in the transport
        if self._stream.queue is not None or self._unwritten >= TURN_BYTES:
            await self.room()

    def _close(self, code: int, reason: str) -> None:
        if self._socket is not None and self._lost is None:
            self._phase = _CLOSED
            self._socket.close(code, reason)
            self._arm()
            self._flush_socket()
            self._connection.touch()

    async def _deny(self, head: ResponseHead, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self.started and not more and (head.length is None or head.length == len(body)):
            self.reply_now(head, body)
            return
        if not self.started:
            self.start_now(head)
        await self.write(body)
        if not more:
            self.finish_now()

    def _complete_for_handler(self, error: BaseException | None) -> None:
        """The application has returned, or failed: the WebSocket ends with it."""
        if self._socket is None:
            super()._complete_for_handler(error)
        elif self._phase == _OPEN:
            self._close(CloseCode.NORMAL if error is None else CloseCode.INTERNAL_ERROR, "")

    # The client.

    def on_data(self, data: bytes, end: bool) -> None:
        """Bytes of frames have come, or what is behind the head of the request."""
        if self._socket is None:
            super().on_data(data, end)
        else:
            self._feed(data, end)

    def on_reset(self, reset: StreamReset) -> None:
        """The client has gone."""
        self._disarm()
        if self._socket is not None and not (self._messages and isinstance(self._messages[-1], Closed)):
            self._messages.append(Closed(CloseCode.ABNORMAL))
        super().on_reset(reset)

    def on_left(self) -> None:
        """The client has ended its direction; the WebSocket is told by its last bytes."""

    def on_drained(self) -> None:
        """What was sent has left."""
        super().on_drained()
        if self._socket is not None and self._lost is None:
            self._flush_socket()
            self._connection.touch()

    def on_drain(self) -> None:
        """The server is to end: say so."""
        if self._socket is not None and self._phase == _OPEN:
            self._close(CloseCode.GOING_AWAY, "")

    def owes(self) -> bool:
        """Whether the client has begun a message, and not finished it."""
        return self._socket is not None and self._socket.unfinished

    def _feed(self, data: bytes, end: bool) -> None:
        socket = self._socket
        assert socket is not None
        if data:
            self._held += len(data)
            socket.receive(data, self._connection.now)
        if end:
            socket.receive(b"", self._connection.now)
        self._pull()

    def _pull(self) -> None:
        """Read frames while the application keeps up; give the client credit for what has been read."""
        socket, messages = self._socket, self._messages
        assert socket is not None
        while len(messages) < _MESSAGES and socket.unread:
            event = socket.next_event()
            if event is None or (messages and isinstance(messages[-1], Closed)):
                break
            if not isinstance(event, Ping | Pong):
                messages.append(event)
        if self._held and len(messages) < _MESSAGES and not socket.full:
            held, self._held = self._held, 0
            self._connection.core.consume(self._stream, held)
        self._flush_socket()
        self._connection.touch()
        if self._waiters and messages:
            self._wake()

    def _flush_socket(self) -> None:
        """Send what the WebSocket has, unless the client reads nothing; end with it."""
        socket, stream, connection = self._socket, self._stream, self._connection
        if socket is None or self._lost is not None or self.finished:
            return
        core, now = connection.core, connection.now
        while stream.queue is None and (data := socket.transmit(now)):
            core.send_data(stream, data)
            self.sent += len(data)
        if socket.closed and not socket.queued:
            self._phase = _CLOSED
            self._disarm()
            core.send_data(stream, b"", True)
            self._end()
            connection.touch()

    # Time.

    def _arm(self) -> None:
        """See to it that the WebSocket is told when it is time for something."""
        self._disarm()
        due = None if self._socket is None else self._socket.next_deadline()
        if due is not None:
            now = self._connection.loop.time()
            self._entry = self._connection.shared.deadlines.add(max(due, now), self._expire)

    def _disarm(self) -> None:
        if self._entry is not None:
            self._connection.shared.deadlines.remove(self._entry)
            self._entry = None

    def _expire(self) -> None:
        self._entry = None
        socket = self._socket
        if socket is not None and self._lost is None and not self.finished:
            socket.handle_timeout(self._connection.loop.time())
            self._pull()
            if not self.finished:
                self._arm()

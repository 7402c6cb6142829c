"""What goes wrong with WebSockets: the peer's frames, the handshake, calls after the end."""

from __future__ import annotations

from catenet.http.message import Fields

__all__ = ["HandshakeError", "Violation", "WebSocketClosed"]


class Violation(Exception):
    """The peer has broken the protocol or a limit; `code` is what our Close frame says. Never leaves the core."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class HandshakeError(ConnectionError):
    """The opening handshake failed.

    At a server `status` and `fields` are what to answer; at a client they are what the server has answered, 0 if
    nothing.
    """

    def __init__(self, message: str, status: int = 0, fields: Fields = ()) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields


class WebSocketClosed(ConnectionError):
    """The WebSocket has ended, or is ending: nothing more can be sent, or will come. `code` as in `Closed`."""

    def __init__(self, code: int, reason: str = "", error: str = "") -> None:
        said = f"code {code}" + (f", {reason!r}" if reason else "")
        super().__init__(f"the WebSocket is closed ({said}{': ' + error if error else ''})")
        self.code = code
        self.reason = reason

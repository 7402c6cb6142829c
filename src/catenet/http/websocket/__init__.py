"""WebSockets (RFC 6455, 7692, 8441): a pure core for both sides, handshakes, a client."""

from catenet.http.websocket.client import WebSocketClient, connect
from catenet.http.websocket.codes import CloseCode
from catenet.http.websocket.connection import WebSocket
from catenet.http.websocket.deflate import Deflate, DeflateOptions
from catenet.http.websocket.errors import HandshakeError, WebSocketClosed
from catenet.http.websocket.events import Closed, Event, Ping, Pong
from catenet.http.websocket.limits import WebSocketLimits

__all__ = [
    "CloseCode",
    "Closed",
    "Deflate",
    "DeflateOptions",
    "Event",
    "HandshakeError",
    "Ping",
    "Pong",
    "WebSocket",
    "WebSocketClient",
    "WebSocketClosed",
    "WebSocketLimits",
    "connect",
]

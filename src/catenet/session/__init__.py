"""OSI layer 5: a byte stream that survives its connection, and messages on it (`docs/session.md`).

`reader, writer = await connect("session+tls://example.org:7000")`; `await serve(handler, "session+tls://:7000",
tls=context)` with `async def handler(reader, writer)`.
"""

from catenet.session.channel import Channel, connect_messages, serve_messages
from catenet.session.client import connect
from catenet.session.errors import SessionLost, SessionRefused, SessionReset
from catenet.session.server import SessionServer, serve
from catenet.session.table import SessionLimits
from catenet.session.transport import SessionInfo, SessionWriter
from catenet.session.words import Asking

__all__ = [
    "Asking",
    "Channel",
    "SessionInfo",
    "SessionLimits",
    "SessionLost",
    "SessionRefused",
    "SessionReset",
    "SessionServer",
    "SessionWriter",
    "connect",
    "connect_messages",
    "serve",
    "serve_messages",
]

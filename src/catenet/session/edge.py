"""What both edges do with a connection: tell the core what it is, and let it go when it is closed."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from catenet.net.connection import Connection
from catenet.net.target import Scheme
from catenet.session.link import Link

__all__ = ["SESSION_SCHEMES", "begin"]

SESSION_SCHEMES: Final[Mapping[str, Scheme]] = {"session+tcp": Scheme(), "session+tls": Scheme(tls=True)}


def begin(connection: Connection[None], link: Link) -> None:
    """A connection is made: let its core begin."""
    transport = connection.transport
    if transport is None:
        return
    link.wake = connection.touch
    link.begin(connection.loop.time(), _channel(transport.get_extra_info("ssl_object")))
    connection.flush()


def _channel(secured: ssl.SSLObject | ssl.SSLSocket | None) -> bytes:
    """What both ends of a TLS connection know, and nobody in between: the client's Finished (RFC 5929 section 3).

    In TLS 1.3 it covers the server's certificate and both keys of the exchange, as the exporter of RFC 9266 does, which
    Python 3.11 does not have.
    """
    if secured is None:
        return b""
    return b"tls-unique:" + (secured.get_channel_binding("tls-unique") or b"")

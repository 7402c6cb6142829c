"""How a channel connects: to one address, or to whichever answers first."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from catenet.http.client.connection import ClientConnection, Dial
from catenet.net import dial as net
from catenet.net.dial import ClientTls, Endpoint
from catenet.net.target import Target, host_and_port
from catenet.net.tls import client_context
from catenet.rpc.client.options import ChannelOptions

__all__ = ["client_tls", "connect", "connect_first", "name_of"]


async def connect(loop: asyncio.AbstractEventLoop, endpoint: Endpoint, dial: Dial) -> ClientConnection:
    """Connect to one address. Raises `OSError`."""
    return await net.connect(loop, endpoint, lambda: ClientConnection(loop, dial), dial.tls)


async def connect_first(
    loop: asyncio.AbstractEventLoop, endpoints: Sequence[Endpoint], dial: Dial
) -> tuple[Endpoint, ClientConnection]:
    """Connect to whichever address answers first (RFC 8305). Raises `OSError` of the last that failed."""
    return await net.connect_first(loop, endpoints, lambda endpoint: connect(loop, endpoint, dial))


def client_tls(given: ssl.SSLContext | None, options: ChannelOptions, target: Target) -> ClientTls:
    """Return how a channel does TLS."""
    context = given or client_context()
    context.set_alpn_protocols(["h2"] if options.protocol == "grpc" else ["h2", "http/1.1"])
    return ClientTls(context, options.server_name or target.host or "localhost")


def name_of(endpoint: Endpoint) -> str:
    """Return what gRPC calls an address, as places on rings of hashes are made of it."""
    address = endpoint.address
    return address if isinstance(address, str) else host_and_port(address[0], address[1])

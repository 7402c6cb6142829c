"""How a channel connects: to one address, or to whichever answers first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from catenet.http.client.connection import ClientConnection, Dial
from catenet.net import dial as net
from catenet.net.dial import Endpoint

__all__ = ["connect", "connect_first"]


async def connect(loop: asyncio.AbstractEventLoop, endpoint: Endpoint, dial: Dial) -> ClientConnection:
    """Connect to one address. Raises `OSError`."""
    return await net.connect(loop, endpoint, lambda: ClientConnection(loop, dial), dial.tls)


async def connect_first(
    loop: asyncio.AbstractEventLoop, endpoints: Sequence[Endpoint], dial: Dial
) -> tuple[Endpoint, ClientConnection]:
    """Connect to whichever address answers first (RFC 8305). Raises `OSError` of the last that failed."""
    return await net.connect_first(loop, endpoints, lambda endpoint: connect(loop, endpoint, dial))

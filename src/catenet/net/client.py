"""A client for a protocol core of five verbs: happy eyeballs, TLS, Unix sockets.

`connection = await connect(Core(), "tls://example.org:7000")`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import TypeVar

from catenet.net import dial
from catenet.net.connection import Connection
from catenet.net.core import StreamCore, check_core
from catenet.net.dial import Candidate, ClientTls, Endpoint
from catenet.net.target import DATAGRAM_SCHEMES, SCHEMES, Scheme, Target, parse_target, refuse_scheme
from catenet.net.tls import client_context, explain

__all__ = ["ConnectError", "connect"]

E = TypeVar("E")

CONNECT_TIMEOUT = 20.0


class ConnectError(ConnectionError):
    """No address could be connected to; the text is one line and names the target."""


async def connect(
    core: StreamCore[E],
    url: str,
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    alpn: Sequence[str] = (),
    connect_timeout: float | None = CONNECT_TIMEOUT,
    schemes: Mapping[str, Scheme] = SCHEMES,
    source: tuple[str, int] | None = None,
) -> Connection[E]:
    """Connect `core` to whichever address of `url` answers first, and return the connection.

    `tls`: for `tls://`, instead of one that trusts the system's authorities; `server_name`: what the certificate
    must name, instead of the host; `source`: address and port (0: any) to connect from. Raises `ValueError` for a wrong
    URL, `ConnectError`.
    """
    loop = asyncio.get_running_loop()
    check_core(core, "connect")
    refuse_scheme(url, schemes, DATAGRAM_SCHEMES, "connect_datagrams")
    target = parse_target(url, schemes=schemes)
    context = _client_tls(target, tls, server_name, alpn)
    try:
        async with asyncio.timeout(connect_timeout) as limit:
            candidate = await _dial(loop, target, context, source)
    except TimeoutError as error:
        if not limit.expired():  # the kernel's own, ETIMEDOUT
            raise ConnectError(f"cannot connect to {target.url}: {explain(error)}") from None
        raise ConnectError(f"cannot connect to {target.url}: no answer in {connect_timeout:g} s") from None
    except OSError as error:
        raise ConnectError(f"cannot connect to {target.url}: {explain(error)}") from None
    if candidate.error is not None:
        raise ConnectError(f"cannot connect to {target.url}: {candidate.error}")
    connection = Connection(loop, core)
    candidate.hand_over(connection)
    return connection


async def _dial(
    loop: asyncio.AbstractEventLoop, target: Target, tls: ClientTls | None, source: tuple[str, int] | None
) -> Candidate:
    async def dial_one(endpoint: Endpoint) -> Candidate:
        return await dial.connect(loop, endpoint, Candidate, tls)

    _, candidate = await dial.connect_first(loop, await dial.resolve(loop, target, source=source), dial_one)
    return candidate


def _client_tls(
    target: Target, context: ssl.SSLContext | None, server_name: str | None, alpn: Sequence[str]
) -> ClientTls | None:
    if not target.tls:
        return None
    context = context or client_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return ClientTls(context, server_name or target.host or "localhost")

"""A connection for another protocol through a proxy: always a tunnel, as a proxy forwards requests only."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from catenet.http.client.errors import ProxyError
from catenet.http.client.origin import Origin
from catenet.http.client.proxying import through_proxy
from catenet.http.url import Url
from catenet.net import dial
from catenet.net.dial import Candidate, ClientTls, Endpoint
from catenet.net.target import Target
from catenet.net.tls import explain

__all__ = ["tunnel"]


async def tunnel(
    url: Url, proxy: Url, proxy_tls: Callable[[], ssl.SSLContext], tls: ssl.SSLContext | None, server_name: str | None
) -> Candidate:
    """Connect to the server of `url` through a proxy, with TLS if `tls` is given. Raises `OSError`, `ProxyError`."""
    loop = asyncio.get_running_loop()

    async def addresses(host: str, port: int) -> Sequence[Endpoint]:
        return await dial.resolve(loop, Target("tcp", host, port), socket.SOCK_STREAM)

    async def attempt(endpoint: Endpoint) -> Candidate:
        return await dial.connect(loop, endpoint, Candidate)

    host = url.host or ""
    try:
        endpoints = await addresses(proxy.host or "", proxy.effective_port)
        _, candidate = await dial.connect_first(loop, endpoints, attempt)
        if proxy.tls:
            candidate = await dial.secure(loop, candidate, ClientTls(proxy_tls(), proxy.host or ""))
        origin = Origin(tls is not None, host, url.effective_port, "", proxy)
        await through_proxy(loop, candidate, origin, addresses)
    except ProxyError:
        raise
    except (OSError, ssl.SSLError) as error:
        raise ProxyError(f"cannot connect to the proxy {proxy.without_password()}: {explain(error)}") from error
    if tls is not None:
        name = (server_name or host).partition("%")[0].rstrip(".")
        candidate = await dial.secure(loop, candidate, ClientTls(tls, name))
    return candidate

"""Going through a proxy: its handshake on a connection that has been made, whatever its protocol."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Awaitable, Callable, Sequence

from catenet.http.client.errors import ProxyError
from catenet.http.client.origin import Origin
from catenet.http.client.proxy.handshake import Handshake, Refused
from catenet.http.client.proxy.socks import Socks4, Socks5
from catenet.http.client.proxy.tunnel import Connect
from catenet.http.message import Fields
from catenet.http.url import Url
from catenet.net.dial import Candidate, Endpoint
from catenet.net.target import host_and_port

__all__ = ["proxy_fields", "through_proxy"]

Addresses = Callable[[str, int], Awaitable[Sequence[Endpoint]]]


async def through_proxy(
    loop: asyncio.AbstractEventLoop, candidate: Candidate, origin: Origin, addresses: Addresses
) -> None:
    """Let the proxy connect to the origin. Raises `ProxyError`, `OSError`."""
    proxy = origin.proxy
    assert proxy is not None and candidate.transport is not None
    try:
        handshake = await _handshake(origin, proxy, addresses)
        exchange = _Exchange(loop, candidate, handshake)
        await exchange.run()
    except (Refused, ValueError) as error:
        candidate.close()
        failure = ProxyError(f"cannot connect to {origin}: {error}")
        failure.status = error.status if isinstance(error, Refused) else None
        raise failure from None
    except BaseException:
        candidate.close()
        raise


async def _handshake(origin: Origin, proxy: Url, addresses: Addresses) -> Handshake:
    host, port = origin.host.partition("%")[0], origin.port
    if proxy.scheme in ("http", "https"):
        return Connect(host_and_port(host, port), proxy_fields(proxy))
    if proxy.scheme in ("socks5", "socks4"):  # names are resolved here, as curl has it; with an h or an a, there
        host = await _resolved(host, port, addresses, only_ipv4=proxy.scheme == "socks4")
    if proxy.scheme in ("socks5", "socks5h"):
        return Socks5(host, port, proxy.user, proxy.password)
    return Socks4(host, port, proxy.user)


async def _resolved(host: str, port: int, addresses: Addresses, only_ipv4: bool) -> str:
    found = await addresses(host, port)
    for endpoint in found:
        if not isinstance(endpoint.address, str) and not (only_ipv4 and endpoint.family != socket.AF_INET):
            return str(endpoint.address[0])
    raise ValueError(f"{host} has no {'IPv4 ' if only_ipv4 else ''}address")


def proxy_fields(proxy: Url) -> Fields:
    """Return what a proxy wants to see of its user (RFC 9110 section 11.7.2)."""
    if proxy.user is None:
        return ()
    pair = f"{proxy.user}:{proxy.password or ''}".encode()
    return ((b"proxy-authorization", b"Basic " + base64.b64encode(pair)),)


class _Exchange(asyncio.Protocol):
    """Plays a handshake on the transport of a candidate, and gives the transport back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, candidate: Candidate, handshake: Handshake) -> None:
        transport = candidate.transport
        assert transport is not None
        self._candidate = candidate
        self._transport = transport
        self._handshake = handshake
        self._done: asyncio.Future[None] = loop.create_future()

    async def run(self) -> None:
        self._transport.set_protocol(self)
        self._transport.write(self._handshake.transmit())
        self._candidate.hand_over(self)
        await self._done

    def data_received(self, data: bytes) -> None:
        if self._done.done():
            return
        try:
            rest = self._handshake.receive(data)
        except Refused as error:
            self._done.set_exception(error)
            return
        if out := self._handshake.transmit():
            self._transport.write(out)
        if self._handshake.done:
            self._transport.set_protocol(self._candidate)
            self._transport.pause_reading()
            if rest:
                self._candidate.data_received(rest)
            self._done.set_result(None)

    def eof_received(self) -> bool:
        if not self._done.done():
            self.data_received(b"")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionResetError("the proxy closed the connection"))

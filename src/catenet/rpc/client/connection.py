"""How a channel connects: to one address, or to whichever answers first; over sessions in `sessions.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from catenet.http.client.connection import ClientConnection, Dial
from catenet.http.h1.memo import H1Memo
from catenet.http.h2.blocks import Memos
from catenet.http.target import authority
from catenet.net import dial as net
from catenet.net.dial import ClientTls, Endpoint
from catenet.net.target import Target, host_and_port
from catenet.net.tls import client_context, explain
from catenet.net.tls_source import TlsSource, with_alpn
from catenet.rpc.client.names import Resolver, usual_resolver
from catenet.rpc.client.options import ChannelOptions
from catenet.rpc.model.target import SESSION_SCHEMES

__all__ = ["Dialler", "NetworkDialler", "make_dialler", "name_of", "place_of", "reason"]

_SHOWN = 3


class Dialler(Protocol):
    """Makes the connections of a channel. `resolver`: finds what it connects to."""

    resolver: Resolver

    async def connect(self, endpoint: Endpoint) -> ClientConnection:
        """Connect to one address. Raises `OSError`."""

    async def connect_first(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ClientConnection]:
        """Connect to whichever address answers first. Raises `OSError` of the last that failed."""

    async def finish(self, closed: Collection[ClientConnection]) -> None:
        """Give connections that were closed the time that it takes."""


class NetworkDialler:
    """Connects over the network (RFC 8305)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dial: Dial, resolver: Resolver) -> None:
        self._loop = loop
        self._dial = dial
        self.resolver = resolver

    async def connect(self, endpoint: Endpoint) -> ClientConnection:
        """Connect to one address. Raises `OSError`."""
        loop, dial = self._loop, self._dial
        try:
            return await net.connect(loop, endpoint, lambda: ClientConnection(loop, dial), dial.tls)
        except OSError:
            raise
        except Exception as error:  # a port or a name that can be none, a source of TLS that fails: this address fails
            raise OSError(f"{name_of(endpoint)}: {str(error) or type(error).__name__}") from error

    async def connect_first(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ClientConnection]:
        """Connect to whichever address answers first. Raises `OSError` of the last that failed."""
        return await net.connect_first(self._loop, endpoints, self.connect)

    async def finish(self, closed: Collection[ClientConnection]) -> None:
        """Transports close in the next turn of the loop."""
        await asyncio.sleep(0)


def make_dialler(
    loop: asyncio.AbstractEventLoop, target: Target, options: ChannelOptions, tls: TlsSource | None
) -> Dialler:
    """Return how the connections of a channel are made. Raises `ValueError`."""
    dial = Dial(
        options.limits,
        Memos(),
        H1Memo(),
        None,
        options.http1,
        options.keepalive_time,
        options.keepalive_timeout,
        options.keepalive_without_calls,
        options.peer_timeout,
    )
    if target.scheme in SESSION_SCHEMES:
        from catenet.rpc.client.sessions import SessionDialler

        return SessionDialler(loop, target, dial, options, tls)
    if tls is not None or target.tls:
        dial.tls = _client_tls(tls, options, target)
    return NetworkDialler(loop, dial, options.resolver or usual_resolver(target))


def _client_tls(given: TlsSource | None, options: ChannelOptions, target: Target) -> ClientTls:
    """Return how a channel does TLS."""
    source = with_alpn(given or client_context(), ["h2"] if options.protocol == "grpc" else ["h2", "http/1.1"])
    return ClientTls(source, options.server_name or target.host or "localhost")


def name_of(endpoint: Endpoint) -> str:
    """Return what gRPC calls an address, as places on rings of hashes are made of it."""
    address = endpoint.address
    return address if isinstance(address, str) else host_and_port(address[0], address[1])


def place_of(target: Target) -> str:
    """Return where a channel connects to, as its failures say: the path of a socket, or all addresses of a list."""
    places = [f"unix:{one.unix}" if one.unix else authority(one) for one in (target, *target.alternatives)]
    more = len(places) - _SHOWN
    return ", ".join(places[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def reason(error: Exception, patience: float) -> str:
    """Return why a connection could not be made within `patience` seconds."""
    if isinstance(error, TimeoutError) and not str(error):  # not the kernel's own
        return f"no answer in {patience:g} s"
    return explain(error)

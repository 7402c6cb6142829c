"""Channels over sessions: what a call sees of its connection is a stream that does not break (docs/session.md).

The session connects again by itself, to whatever address the name has by then. To the channel its end is that of a
connection: it has expired, the server does not know it any more, or has ended it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, cast

from catenet.http.client.connection import ClientConnection, Dial
from catenet.net.client import ConnectError
from catenet.net.dial import Endpoint
from catenet.net.target import Target
from catenet.net.tls_source import TlsSource
from catenet.rpc.client.names import Resolved, Resolver
from catenet.rpc.client.options import ChannelOptions
from catenet.rpc.model.target import session_url
from catenet.session.client import Dialling, open_session
from catenet.session.core import Options
from catenet.session.heartbeat import MOST_INTERVAL

__all__ = ["SessionConnection", "SessionDialler"]

_LEAST_HEARTBEAT: Final = 0.1


class SessionConnection(ClientConnection):
    """A connection that rides on a session. `over`: the session has ended."""

    __slots__ = ("over",)

    def __init__(self, loop: asyncio.AbstractEventLoop, dial: Dial) -> None:
        super().__init__(loop, dial)
        self.over: asyncio.Future[None] = loop.create_future()

    def speaks_http1(self, transport: asyncio.BaseTransport) -> bool:
        """TLS is the session's, and chooses nothing for what rides on it."""
        return self._dial.http1

    def is_stale(self, expiry: float | None) -> bool:
        """Whether the connection was idle for too long; its socket says nothing of the session."""
        quiet = self.loop.time() - self.now
        return self.core.version < 2 and expiry is not None and quiet > expiry and not self.kept

    def watch_end(self) -> None:
        """A session that is closed ends when its peer has everything, over another connection if need be."""

    def connection_lost(self, error: Exception | None) -> None:
        """The session has ended."""
        super().connection_lost(error)
        if not self.over.done():
            self.over.set_result(None)


class SessionDialler:
    """Begins sessions. Each is one connection of the channel, whatever connections of TCP it has had."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: Target,
        dial: Dial,
        options: ChannelOptions,
        tls: TlsSource | None,
    ) -> None:
        self._loop = loop
        self._url = session_url(target, tls is not None or target.tls)
        self.resolver: Resolver = self._end
        self._close_timeout = options.session.close_timeout
        # Keepalive is the session's: who is silent is asked, and given up for another connection, not for good.
        asked = options.keepalive_time
        often = asked is not None and asked < MOST_INTERVAL
        self._options: Options = options.session.options(max(asked, _LEAST_HEARTBEAT) if asked and often else None)
        self._dial = replace(dial, keepalive_time=None, peer_timeout=None)
        name, patience = options.server_name, options.connect_timeout
        self._dialling = Dialling(tls, name, connect_timeout=patience, close_timeout=self._close_timeout)

    async def _end(self, target: Target) -> Resolved:
        """Return the one end that there is: the session looks names up itself, each time that it connects."""
        return Resolved((Endpoint(0, self._url),))

    async def connect(self, endpoint: Endpoint) -> ClientConnection:
        """Begin a session. Raises `OSError`."""
        url = self._url
        try:
            transport = await open_session(url, self._options, self._dialling)
        except ConnectError as error:
            raise OSError(str(error).removeprefix(f"cannot connect to {url}: ")) from None
        except ConnectionError as error:
            raise OSError(str(error).removeprefix(f"{url}: ")) from None
        connection = SessionConnection(self._loop, self._dial)
        transport.start(cast(asyncio.Protocol, connection))
        return connection

    async def connect_first(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ClientConnection]:
        """Begin a session. Raises `OSError`."""
        return endpoints[0], await self.connect(endpoints[0])

    async def finish(self, closed: Collection[ClientConnection]) -> None:
        """Let the server hear of the end, so that it waits for nobody; after `close_timeout` it has to find out."""
        waiting = [one.over for one in closed if isinstance(one, SessionConnection)]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=self._close_timeout)
            for connection in closed:
                if isinstance(connection, SessionConnection) and connection.over in late:
                    connection.abort()
            if late:
                await asyncio.wait(late)
        await asyncio.sleep(0)

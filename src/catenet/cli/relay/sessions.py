"""Sessions as ends of a relay: streams that outlive their connections (`docs/session.md`)."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.arguments import session_key
from catenet.net.ends import BUFFER
from catenet.net.relay import End, Piece
from catenet.net.sockopts import SocketOptions
from catenet.net.target import Target, host_and_port

if TYPE_CHECKING:
    from catenet.session.core import Options
    from catenet.session.server import SessionServer
    from catenet.session.transport import SessionTransport
    from catenet.session.words import SessionWords

__all__ = ["SessionEnd", "SessionTerms", "is_session", "open_session_end", "serve_session_ends", "session_terms"]

SCHEMES: Final = ("session+tcp", "session+tls")


def is_session(target: Target) -> bool:
    """Whether an end is a session."""
    return target.scheme in SCHEMES


class SessionTerms:
    """What the command line says of sessions; None: what is usual."""

    def __init__(
        self,
        expiry: float | None = None,
        buffer: int | None = None,
        heartbeat: float | None = None,
        key: bytes | None = None,
    ) -> None:
        self._words: SessionWords = {"expiry": expiry, "buffer": buffer, "heartbeat": heartbeat, "key": key}

    def options(self) -> Options:
        """Return the options of a session. Raises `UsageError`."""
        from catenet.session.words import make_options

        try:
            return make_options(self._words)
        except ValueError as error:
            option = "--session-" if str(error).startswith("key:") else "--"
            raise UsageError(f"{option}{error}") from None


def session_terms(args: argparse.Namespace) -> SessionTerms:
    """What `--expiry`, `--buffer`, `--heartbeat` and `--session-key` make. Raises `UsageError`."""
    key = session_key(args.session_key)
    terms = SessionTerms(args.expiry, args.buffer, args.heartbeat, key)
    if any(value is not None for value in (args.expiry, args.buffer, args.heartbeat, key)):
        terms.options()
    return terms


class SessionEnd:
    """One session. `finish` waits until the peer has everything, and knows that it has."""

    datagrams = False
    last_words: float | None = None
    afterlife: float | None = None

    def __init__(self, transport: SessionTransport, name: str) -> None:
        from catenet.session.transport import streams

        self.name = name
        self._reader, self._writer = streams(transport, BUFFER)
        self._ended = False

    async def read(self, most: int) -> Piece | None:
        """As `SocketEnd.read`."""
        return await self._reader.read(min(most, BUFFER)) or None

    async def write(self, data: Piece) -> None:
        """As `SocketEnd.write`; waits while too much is unacknowledged."""
        self._writer.write(bytes(data))
        await self._writer.drain()

    async def end(self) -> None:
        """End our direction."""
        if not self._ended:
            self._ended = True
            self._writer.write_eof()

    def close(self) -> None:
        """End the session when the peer has what was written."""
        self._writer.close()

    def abort(self) -> None:
        """Break it off."""
        self._writer.transport.abort()

    async def finish(self) -> None:
        """Wait for the end. Raises `OSError`."""
        await self._writer.wait_closed()


async def open_session_end(
    target: Target, options: SocketOptions, tls: ssl.SSLContext | None, server_name: str | None, terms: SessionTerms
) -> End:
    """Begin a session. Raises `OSError`."""
    from catenet.session.client import Dialling, open_session

    if options.family:
        raise OSError("-4 and -6 say nothing of a session, which goes on over any address")
    source = (options.host, options.port) if options.host else None
    dialling = Dialling(tls, server_name, source)
    return SessionEnd(await open_session(target.url, terms.options(), dialling), target.url)


async def serve_session_ends(
    target: Target,
    tls: ssl.SSLContext | None,
    terms: SessionTerms,
    most: int | None,
    begin: Callable[[SessionEnd, Callable[[], None]], None],
) -> SessionServer:
    """Serve sessions, at most so many at once; `begin` gets each as an end, and what to call when it is over.

    Raises `OSError`.
    """
    from catenet.session.server import serve_transports
    from catenet.session.table import SessionLimits, Terms

    async def carry(transport: SessionTransport) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        begin(SessionEnd(transport, _peer_name(transport, target)), lambda: _resolve(over))
        await over

    limits = SessionLimits() if most is None else SessionLimits(max_sessions=most)
    return await serve_transports(carry, target.listening_url, Terms(terms.options(), limits), tls=tls)


def _resolve(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


def _peer_name(transport: SessionTransport, target: Target) -> str:
    peer = transport.get_extra_info("peername")
    return f"{target.scheme}://{host_and_port(*peer[:2])}" if isinstance(peer, tuple) else "a peer that is gone"

"""Clients of sessions: they connect again, to whichever address answers, until the session ends.

`reader, writer = await connect("session+tls://example.org:7000")`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Unpack

from catenet import net
from catenet.net.backoff import ConnectionBackoff
from catenet.net.client import ConnectError
from catenet.net.connection import Connection
from catenet.net.target import Target, parse_target
from catenet.net.tls import client_context
from catenet.net.tls_source import TlsSource, context_now
from catenet.session.core import Ending, Options
from catenet.session.edge import SESSION_SCHEMES, begin
from catenet.session.errors import SessionLost, SessionRefused
from catenet.session.opening import ClientLink, client_session
from catenet.session.transport import READER_LIMIT, SessionTransport, SessionWriter, streams
from catenet.session.wire import MAX_CREDENTIALS
from catenet.session.words import ClientWords, make_options, refuse_unknown

__all__ = ["Dialling", "connect", "dialling_of", "open_session"]

CONNECT_TIMEOUT: Final = 20.0
CLOSE_TIMEOUT: Final = 60.0
TICK: Final = 2.0
LEAP: Final = 5.0
"""Seconds of sleep of this machine after which connections are not what they were."""
USE: Final = 1.0
"""Seconds after which a connection was of use, if nothing has come through it before."""
MOST_REDIRECTS: Final = 3


@dataclass(frozen=True, slots=True)
class Dialling:
    """How a client connects, each time. Seconds; `close_timeout`: how long a session that was closed here, and has
    no connection, waits for one to end in order when the peer has everything.
    """

    tls: TlsSource | None = None
    server_name: str | None = None
    source: tuple[str, int] | None = None
    connect_timeout: float = CONNECT_TIMEOUT
    close_timeout: float = CLOSE_TIMEOUT
    first_wait: float = 0.2
    longest_wait: float = 30.0


async def connect(
    url: str, *, limit: int = READER_LIMIT, **words: Unpack[ClientWords]
) -> tuple[asyncio.StreamReader, SessionWriter]:
    """Begin a session with the server at `url`, and return its reader and writer, of asyncio's kinds.

    `expiry`, `buffer`, `heartbeat`, `key`, `channel_binding`: see `Options`. `credentials`: what the server's
    `authorize` is shown, within TLS only. `tls`, `server_name`, `connect_timeout`: as in `catenet.net.connect`;
    `limit`: as in `asyncio.open_connection`. Raises `ValueError`, `ConnectError`, `SessionRefused`.
    """
    refuse_unknown(words, ClientWords, "connect")
    return streams(
        await open_session(url, make_options(words), dialling_of(words), words.get("credentials", b"")), limit
    )


def dialling_of(words: ClientWords) -> Dialling:
    """Return how a client connects that has said this."""
    timeout = words.get("connect_timeout", CONNECT_TIMEOUT)
    return Dialling(words.get("tls"), words.get("server_name"), connect_timeout=timeout)


async def open_session(url: str, options: Options, dialling: Dialling, credentials: bytes = b"") -> SessionTransport:
    """Begin a session; return its transport, which carries no protocol yet. Raises as `connect`."""
    target = parse_target(url, schemes=SESSION_SCHEMES)
    if credentials and not target.tls:
        raise ValueError(f"{url}: credentials are shown within TLS only; write session+tls://")
    if len(credentials) > MAX_CREDENTIALS:
        raise ValueError(f"credentials: at most {MAX_CREDENTIALS} bytes")
    client = _Client(asyncio.get_running_loop(), target, options, dialling, credentials)
    await client.open()
    return client.transport


class _Client:
    """Keeps one session connected."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: Target,
        options: Options,
        dialling: Dialling,
        credentials: bytes,
    ) -> None:
        self._loop = loop
        self._target = target
        self._options = options
        self._dialling = dialling
        self._tls = (dialling.tls or client_context()) if target.tls else None
        self._name = dialling.server_name or target.host
        self._session = client_session(options, os.urandom, credentials)
        self._rng = random.Random(int.from_bytes(os.urandom(8), "big"))
        self.transport = SessionTransport(loop, self._session, options.buffer, self._migrate)
        self._trouble = asyncio.Event()
        self._hurry = asyncio.Event()
        self._place = ""
        """Where the server has sent us, `host:port`."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed_since: float | None = None
        self._slept = 0.0

    async def open(self) -> None:
        """Begin the session. Raises `ConnectError`, `SessionRefused`."""
        link = await self._attempt()
        if not link.attached:
            text = f"{self._target.url}: {link.failure}"
            raise SessionRefused(text) if link.refused is not None else ConnectError(f"cannot connect to {text}")
        self._slept = _slept()
        self.transport.on_ended = self._stop
        self._spawn(self._keep())
        self._spawn(self._tick())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    # Connections.

    async def _attempt(self) -> ClientLink:
        """Make a connection and wait for the server's answer. Raises `ConnectError`."""
        deadline = self._loop.time() + self._dialling.connect_timeout
        place = self._place
        for _ in range(MOST_REDIRECTS):
            link = ClientLink(self._session, self._options, os.urandom)
            url = f"{self._target.scheme}://{place}" if place else self._target.url
            try:
                connection = await self._connect(link, url, deadline)
            except (ConnectError, ValueError) as error:
                if not place:
                    raise
                link.failure = str(error)
                place = ""
                continue
            await self._answered(link, connection, deadline)
            if link.redirect:
                place = link.redirect
                continue
            self._place = place if link.attached else ""
            return link
        return link

    async def _connect(self, link: ClientLink, url: str, deadline: float) -> Connection[None]:
        connection: Connection[None] = await net.connect(
            link,
            url,
            tls=None if self._tls is None else context_now(self._tls),
            server_name=self._name or None,
            connect_timeout=max(deadline - self._loop.time(), 0.001),
            schemes=SESSION_SCHEMES,
            source=self._dialling.source,
        )
        begin(connection, link)
        self._spawn(self._watch(link, connection))
        return connection

    async def _watch(self, link: ClientLink, connection: Connection[None]) -> None:
        """Tell the core when its connection is closed; close it when the client is through."""
        try:
            await connection.wait_closed()
        except asyncio.CancelledError:
            if self._session.ended is None:
                connection.abort()
            else:
                connection.close()
            raise
        finally:
            link.lost(self._loop.time())

    async def _answered(self, link: ClientLink, connection: Connection[None], deadline: float) -> None:
        answer: asyncio.Future[None] = self._loop.create_future()

        def look() -> None:
            if (link.attached or link.closed) and not answer.done():
                answer.set_result(None)

        link.on_progress = look
        look()
        try:
            async with asyncio.timeout_at(deadline):
                await answer
        except TimeoutError:
            link.fail("the server does not answer", self._loop.time())
        except BaseException:
            connection.abort()
            raise
        link.on_progress = self._look
        if link.attached:
            self.transport.use(connection)

    def _look(self) -> None:
        """A connection has changed: see whether there is trouble."""
        if self._is_troubled():
            self._trouble.set()

    def _is_troubled(self) -> bool:
        active = self._session.active
        return active is None or active.suspect or self._session.ended is not None

    def _migrate(self) -> None:
        self._hurry.set()
        self._trouble.set()

    async def _keep(self) -> None:
        """Connect again whenever there is no connection, or a doubtful one."""
        dialling, session = self._dialling, self._session
        backoff = ConnectionBackoff(dialling.first_wait, 1.6, dialling.longest_wait)
        before, begun = self._progress(), self._loop.time()
        while session.ended is None:
            self._look()
            await self._trouble.wait()
            if not self._is_troubled() and not self._hurry.is_set():
                self._trouble.clear()  # it was over before we came to it
                continue
            # A server that takes every connection and breaks it at once is not asked without end.
            if self._progress() != before or self._loop.time() - begun > USE:
                backoff.succeeded()
            elif not self._hurry.is_set():
                await self._pause(begun + backoff.failed(self._rng) - self._loop.time())
            self._trouble.clear()
            self._hurry.clear()
            before, begun = self._progress(), self._loop.time()
            while session.ended is None and not await self._came_through():
                await self._pause(begun + backoff.failed(self._rng) - self._loop.time())
                begun = self._loop.time()

    async def _came_through(self) -> bool:
        """Try once; return whether there is a connection now."""
        self._hurry.clear()
        try:
            return (await self._attempt()).attached
        except (ConnectError, ValueError):
            return not self._is_troubled()

    def _progress(self) -> tuple[int, int]:
        return self._session.acknowledged, self._session.receiving.received

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    # Clocks.

    async def _tick(self) -> None:
        """Notice that this machine has slept, and that the session has expired."""
        while self._session.ended is None:
            await asyncio.sleep(TICK)
            now, slept = self._loop.time(), _slept()
            if slept - self._slept > LEAP:
                self._woke(now)
            self._slept = slept
            self._expire(now)

    def _woke(self, now: float) -> None:
        active = self._session.active
        if active is not None:
            active.doubt(now)
        self._migrate()

    def _expire(self, now: float) -> None:
        session = self._session
        since = session.lost_since
        if since is None:
            self._closed_since = None
            return
        if self.transport.is_closing() and self._closed_since is None:
            self._closed_since = now
        closed = self._closed_since
        if now - since > session.expiry:
            self.transport.fail(SessionLost("the session has expired", session.acknowledged))
        elif closed is not None and now - closed > self._dialling.close_timeout and session.sending.complete:
            session.finish(Ending.DONE)
            self.transport.pump()


def _slept() -> float:
    """Return seconds that this machine has slept since some moment."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.time() - time.monotonic()

"""One question to one server, over whatever the server's URL names; connections are kept for the next."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from catenet.dns.client.channel import Channel, StreamChannel
from catenet.dns.client.datagrams import DatagramQuery, connect_query
from catenet.dns.client.query import Cookies, Query, Reply, Sent
from catenet.dns.client.schemes import SCHEMES
from catenet.dns.stream import StreamQueries
from catenet.net import Connection, StreamCore, connect, parse_target
from catenet.net.target import Target, host_and_port
from catenet.net.tls import client_context, explain
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Message, Question
from catenet.wire.dns.numbers import BADCOOKIE, RD, TC
from catenet.wire.errors import Malformed

__all__ = ["Client", "ask"]

E = TypeVar("E")

NO_ANSWER: Final = "no answer"
ALPN: Final = {"tls": ("dot",), "https": ("h2", "http/1.1")}


class Client:
    """Asks servers; keeps one connection to each over TCP, TLS and HTTP until it is closed.

    Args:
        tls: for `tls://`, `quic://` and `https://`, instead of a context that trusts the system's authorities.
        server_name: what the certificate must name, instead of the host of the URL.
        http_get: over HTTP send queries in the URL (RFC 8484 4.1).
        keep: keep connections for the next question.
        source: address and port (0: any) to ask from.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        http_get: bool = False,
        keep: bool = True,
        source: tuple[str, int] | None = None,
    ) -> None:
        self._tls = tls
        self._source = source
        self._server_name = server_name
        self._http_get = http_get
        self._keep = keep
        self._channels: dict[tuple[str, str | None], Channel] = {}
        self._dialling: dict[tuple[str, str | None], asyncio.Lock] = {}
        self._numbers: set[int] = set()
        """Ids of queries that are under way on connections."""
        self._cookies: dict[str, Cookies] = {}

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            await channel.close()

    async def ask(
        self,
        url: str,
        query: Query,
        *,
        attempt_timeout: float = 5.0,
        attempts: int = 3,
        server_name: str | None = None,
    ) -> Reply:
        """Ask one server one question.

        Args:
            url: `udp://server:port` (an answer that was cut is asked for again by TCP), `tcp://…`, `tls://…`,
                `quic://…` or `https://server/path`; without scheme `udp://`, without port that of the scheme.
            query: what to ask.
            attempt_timeout: seconds to wait after each datagram; a connection has as long as all attempts together.
            attempts: how often a datagram is sent.
            server_name: what the certificate must name, where `url` has an address.

        Raises:
            TimeoutError: nothing came.
            OSError: the server cannot be reached, or what it answers is malformed.
            ValueError: a wrong URL.
        """
        target = parse_target(url, schemes=SCHEMES, default="udp")
        asking = _Asking(target, query, attempt_timeout, attempts, server_name or self._server_name)
        begun = asyncio.get_running_loop().time()
        reply = await self._ask(asking)
        if query.cookies and reply.message.rcode == BADCOOKIE:
            reply = await self._ask(asking)  # with the cookie that came (RFC 7873 5.3)
        return replace(reply, seconds=asyncio.get_running_loop().time() - begun)

    async def transfer(
        self, url: str, query: Query, *, idle_timeout: float = 15.0, server_name: str | None = None
    ) -> AsyncGenerator[tuple[Message, bool]]:
        """Ask over a connection and yield each message of the answer (RFC 5936 2.2); the caller knows the last one.

        With each comes whether it may be the last: with a signature (RFC 8945 5.3.1).

        Raises:
            TimeoutError: nothing came for `idle_timeout` seconds.
            OSError: as `ask`.
            ValueError: a wrong URL.
        """
        target = parse_target(url, schemes=SCHEMES, default="tcp")
        asking = _Asking(target, query, idle_timeout, 1, server_name or self._server_name)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(idle_timeout) as limit:
                channel = await self._channel(asking)
                sent = self._send(asking)
                async with contextlib.aclosing(channel.exchange(sent.data)) as messages:
                    async for one in messages:
                        message = _of_stream(one, sent, target.url)
                        if message is not None:
                            limit.reschedule(None)
                            yield message, sent.is_complete
                            limit.reschedule(loop.time() + idle_timeout)
        except TimeoutError:
            raise TimeoutError(f"{NO_ANSWER} from {target.url} in {idle_timeout:g} s") from None
        except ConnectionError as error:
            raise _of_server(error, target) from None

    async def _ask(self, asking: _Asking) -> Reply:
        target = asking.target
        if target.scheme == "udp":
            reply = await _ask_by_udp(asking, self._send(asking), self._source)
            if not reply.message.flags & TC or asking.query.take_cut:
                return reply
            # There are servers that answer nobody else while a connection is open; UDP is what we mean to use.
            asking = replace(asking, target=replace(target, scheme="tcp"), keep=False)
        return await self._ask_by_channel(asking)

    def _send(self, asking: _Asking) -> Sent:
        query = asking.query
        cookies = self._cookies.setdefault(_cookie_key(asking.target), Cookies()) if query.cookies else None
        return Sent(query, secrets.randbelow(65536) if query.number is None else query.number, cookies)

    async def _ask_by_channel(self, asking: _Asking) -> Reply:
        seconds = asking.attempt_timeout * asking.attempts
        url = asking.target.url
        try:
            async with asyncio.timeout(seconds):
                if not (self._keep and asking.keep):
                    return await self._exchange_alone(asking)
                if (kept := self._kept(asking)) is not None:
                    try:
                        return await self._exchange(kept, asking)
                    except _BadAnswerError:
                        raise
                    except ConnectionError:  # it was closed meanwhile: once more on a new one
                        pass
                return await self._exchange(await self._channel(asking), asking)
        except TimeoutError:
            raise TimeoutError(f"{NO_ANSWER} from {url} in {seconds:g} s") from None
        except ConnectionError as error:
            raise _of_server(error, asking.target) from None

    async def _exchange_alone(self, asking: _Asking) -> Reply:
        """Ask over a connection of its own."""
        channel = await self._dial(asking)
        try:
            return await self._exchange(channel, asking)
        finally:
            await channel.close()

    async def _exchange(self, channel: Channel, asking: _Asking) -> Reply:
        with self._numbered(asking) as sent:
            url = asking.target.url
            async with contextlib.aclosing(channel.exchange(sent.data)) as messages:
                async for one in messages:
                    message = _of_stream(one, sent, url)
                    if message is not None:
                        return Reply(message, url, 0.0, sent.data)
        raise ConnectionError("no answer to the question")

    @contextlib.contextmanager
    def _numbered(self, asking: _Asking) -> Iterator[Sent]:
        """The query with an id that no other query under way has."""
        number = asking.query.number
        while number is None:
            drawn = secrets.randbelow(65536)
            number = None if drawn in self._numbers else drawn
        self._numbers.add(number)
        try:
            yield self._send(replace(asking, query=replace(asking.query, number=number)))
        finally:
            self._numbers.discard(number)

    def _kept(self, asking: _Asking) -> Channel | None:
        channel = self._channels.get((asking.target.url, asking.server_name))
        return channel if channel is not None and channel.usable else None

    async def _channel(self, asking: _Asking) -> Channel:
        """The kept connection to the server, or a new one; who asks meanwhile waits for the same."""
        key = asking.target.url, asking.server_name
        async with self._dialling.setdefault(key, asyncio.Lock()):
            channel = self._channels.get(key)
            if channel is not None:
                if channel.usable:
                    return channel
                del self._channels[key]
                await channel.close()
            channel = await self._dial(asking)
            self._channels[key] = channel
            return channel

    async def _dial(self, asking: _Asking) -> Channel:
        target = asking.target
        if target.scheme == "quic":
            from catenet.dns.client.quic import connect_quic  # which stands on an extra

            return await connect_quic(target.url, self._tls, asking.server_name or target.host, self._source)
        context = self._tls or client_context() if target.tls else None
        if target.scheme in ("http", "https"):
            return await self._dial_http(asking, context)
        core = StreamQueries()
        return StreamChannel(await _connect(core, asking, context, self._source), core)

    async def _dial_http(self, asking: _Asking, context: ssl.SSLContext | None) -> Channel:
        from catenet.dns.client.https import HttpsChannel, HttpsQueries  # two HTTP machines, which few calls need

        target = asking.target
        port = SCHEMES[target.scheme].port
        authority = host_and_port(asking.server_name or target.host, target.port).removesuffix(f":{port}")
        core = HttpsQueries(target.scheme, authority, target.base, self._http_get)
        connection = await _connect(core, asking, context, self._source)
        tls = None if connection.transport is None else connection.transport.get_extra_info("ssl_object")
        core.begin(2 if tls is not None and tls.selected_alpn_protocol() == "h2" else 1)
        return HttpsChannel(connection, core)


@dataclass(frozen=True, slots=True)
class _Asking:
    target: Target
    query: Query
    attempt_timeout: float
    attempts: int
    server_name: str | None
    keep: bool = True


async def _connect(
    core: StreamCore[E], asking: _Asking, context: ssl.SSLContext | None, source: tuple[str, int] | None
) -> Connection[E]:
    target = asking.target
    return await connect(
        core,
        target.url,
        tls=context,
        server_name=asking.server_name,
        alpn=ALPN.get(target.scheme, ()),
        connect_timeout=None,
        schemes=SCHEMES,
        source=source,
    )


async def ask(
    url: str,
    question: Question,
    *,
    flags: int = RD,
    edns: Edns | None = None,
    attempt_timeout: float = 5.0,
    attempts: int = 3,
) -> Reply:
    """Ask one server one question, as `Client.ask` does, and keep no connection."""
    async with Client() as client:
        return await client.ask(url, Query(question, flags, edns), attempt_timeout=attempt_timeout, attempts=attempts)


def _cookie_key(target: Target) -> str:
    """A server has one cookie for us, whatever we ask over."""
    return host_and_port(target.host, target.port)


def _of_server(error: ConnectionError, target: Target) -> ConnectionError:
    text = str(error)
    return error if target.url in text else ConnectionError(f"{target.url}: {text}")


def _of_stream(data: bytes, sent: Sent, url: str) -> Message | None:
    """The message if it answers; on a connection nobody else can have sent what is malformed: a ConnectionError."""
    try:
        return sent.answer(data)
    except Malformed as error:
        raise _BadAnswerError(f"{url} sent a malformed answer ({error})") from None


class _BadAnswerError(ConnectionError):
    """The server has answered, and asking again on a new connection would bring the same."""


async def _ask_by_udp(asking: _Asking, sent: Sent, source: tuple[str, int] | None) -> Reply:
    url, passed_over = asking.target.url, ""
    async with await connect_query(url, sent.data, source) as endpoint:
        for attempt in range(asking.attempts):
            if attempt:
                core = endpoint.core
                assert isinstance(core, DatagramQuery)
                core.send(sent.data)
                endpoint.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(asking.attempt_timeout):
                    async for event in endpoint:
                        if isinstance(event, OSError):
                            raise ConnectionError(f"{url}: {explain(event)}")
                        try:
                            message = sent.answer(event)
                        except Malformed as error:  # which may be forged, too
                            passed_over = f"; what came was malformed ({error})"
                            continue
                        if message is not None:
                            return Reply(message, url, 0.0, sent.data)
    raise TimeoutError(f"{NO_ANSWER} from {url} in {asking.attempts} x {asking.attempt_timeout:g} s{passed_over}")

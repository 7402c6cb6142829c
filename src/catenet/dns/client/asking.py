"""One question to one server, over whatever the server's URL names; connections are kept for the next."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Final

from catenet.dns.client.channel import Channel, StreamChannel
from catenet.dns.client.datagrams import DatagramQuery, connect_query
from catenet.dns.client.https import HttpsChannel, HttpsQueries
from catenet.dns.client.schemes import SCHEMES
from catenet.dns.options import COOKIE, padded, with_option
from catenet.dns.stream import StreamQueries
from catenet.net import connect, parse_target
from catenet.net.target import Target, host_and_port
from catenet.net.tls import client_context, explain
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Message, Question, is_same_question, pack, parse_reply
from catenet.wire.dns.numbers import BADCOOKIE, RD, TC
from catenet.wire.dns.record import Record
from catenet.wire.dns.stub import answers
from catenet.wire.errors import Malformed

__all__ = ["Client", "Query", "Reply", "ask"]

NO_ANSWER: Final = "no answer"
CLIENT_COOKIE: Final = 8
"""Bytes (RFC 7873 4)."""
ALPN: Final = {"tls": ("dot",), "https": ("h2", "http/1.1")}


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask, and how.

    Attributes:
        question: what to ask; None sends a header alone.
        flags: bits of the header, opcode included (`catenet.wire.dns.numbers`).
        edns: what the OPT record says; None without it.
        authority: records of the authority section (the SOA of IXFR, RFC 1995 3).
        cookies: send the server's cookie, and one of ours (RFC 7873); needs `edns`.
        padding: pad to a multiple of so many bytes (RFC 7830, RFC 8467); 0 does not.
        take_cut: take an answer that was cut, instead of asking again by TCP.
        number: id of the message; None draws one.
    """

    question: Question | None
    flags: int = RD
    edns: Edns | None = None
    authority: tuple[Record, ...] = ()
    cookies: bool = False
    padding: int = 0
    take_cut: bool = False
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the message, the URL that it came from, after how many seconds, and the query that it answers."""

    message: Message
    server: str
    seconds: float
    query: bytes = b""


@dataclass(slots=True)
class _Cookies:
    """What we know of one server: our cookie for it, and the one that it has given."""

    ours: bytes = field(default_factory=lambda: secrets.token_bytes(CLIENT_COOKIE))
    theirs: bytes = b""


class Client:
    """Asks servers; keeps one connection to each over TCP, TLS and HTTP until it is closed.

    Args:
        tls: for `tls://` and `https://`, instead of a context that trusts the system's authorities.
        server_name: what the certificate must name, instead of the host of the URL.
        http_get: over HTTP send queries in the URL (RFC 8484 4.1).
        keep: keep connections for the next question.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        http_get: bool = False,
        keep: bool = True,
    ) -> None:
        self._tls = tls
        self._server_name = server_name
        self._http_get = http_get
        self._keep = keep
        self._channels: dict[tuple[str, str | None], Channel] = {}
        self._cookies: dict[str, _Cookies] = {}

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
            url: `udp://server:port` (an answer that was cut is asked for again by TCP), `tcp://…`, `tls://…` or
                `https://server/path`; without scheme `udp://`, without port that of the scheme.
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
    ) -> AsyncGenerator[Message]:
        """Ask over a connection and yield each message of the answer (RFC 5936 2.2); the caller knows the last one.

        Raises:
            TimeoutError: nothing came for `idle_timeout` seconds.
            OSError: as `ask`.
            ValueError: a wrong URL.
        """
        target = parse_target(url, schemes=SCHEMES, default="tcp")
        asking = _Asking(target, query, idle_timeout, 1, server_name or self._server_name)
        data = self._pack(asking)
        try:
            async with asyncio.timeout(idle_timeout) as limit:
                channel = await self._channel(asking)
                async with contextlib.aclosing(channel.exchange(data)) as messages:
                    later = False
                    async for one in messages:
                        message = _of_stream(one, data, query.question, target.url, later)
                        if message is not None:
                            later = True
                            limit.reschedule(None)
                            yield message
                            limit.reschedule(asyncio.get_running_loop().time() + idle_timeout)
        except TimeoutError:
            raise TimeoutError(f"{NO_ANSWER} from {target.url} in {idle_timeout:g} s") from None
        except ConnectionError as error:
            raise _of_server(error, target) from None

    async def _ask(self, asking: _Asking) -> Reply:
        data = self._pack(asking)
        target = asking.target
        if target.scheme == "udp":
            message = await _ask_by_udp(asking, data)
            if not message.flags & TC or asking.query.take_cut:
                return self._reply(message, target, data)
            asking = replace(asking, target=replace(target, scheme="tcp"))
            data = self._pack(asking)
        message = await self._ask_by_channel(asking, data)
        return self._reply(message, asking.target, data)

    def _pack(self, asking: _Asking) -> bytes:
        query = asking.query
        edns = query.edns
        if edns is not None and query.cookies:
            known = self._cookies.setdefault(_cookie_key(asking.target), _Cookies())
            edns = with_option(edns, COOKIE, known.ours + known.theirs)
        number = secrets.randbelow(65536) if query.number is None else query.number

        def packed(edns: Edns | None) -> bytes:
            return pack(number, query.flags, query.question, authority=query.authority, edns=edns)

        data = packed(edns)
        return packed(padded(edns, len(data), query.padding)) if edns is not None and query.padding else data

    def _reply(self, message: Message, target: Target, data: bytes) -> Reply:
        reply = Reply(_checked(message, target.url), target.url, 0.0, data)
        known = self._cookies.get(_cookie_key(target))
        if known is not None and message.edns is not None:
            for code, value in message.edns.options:
                if code == COOKIE and CLIENT_COOKIE * 2 <= len(value) <= CLIENT_COOKIE * 5:
                    known.theirs = value[CLIENT_COOKIE:]
        return reply

    async def _ask_by_channel(self, asking: _Asking, data: bytes) -> Message:
        seconds = asking.attempt_timeout * asking.attempts
        url = asking.target.url
        try:
            async with asyncio.timeout(seconds):
                if (kept := self._kept(asking)) is not None:
                    try:
                        return await self._exchange(kept, asking, data)
                    except _BadAnswerError:
                        raise
                    except ConnectionError:  # it was closed meanwhile: once more on a new one
                        pass
                return await self._exchange(await self._channel(asking), asking, data)
        except TimeoutError:
            raise TimeoutError(f"{NO_ANSWER} from {url} in {seconds:g} s") from None
        except ConnectionError as error:
            raise _of_server(error, asking.target) from None
        finally:
            if not self._keep:
                await self.close()

    async def _exchange(self, channel: Channel, asking: _Asking, data: bytes) -> Message:
        async with contextlib.aclosing(channel.exchange(data)) as messages:
            async for one in messages:
                message = _of_stream(one, data, asking.query.question, asking.target.url)
                if message is not None:
                    return message
        raise ConnectionError("no answer to the question")

    def _kept(self, asking: _Asking) -> Channel | None:
        channel = self._channels.get((asking.target.url, asking.server_name))
        return channel if channel is not None and channel.usable else None

    async def _channel(self, asking: _Asking) -> Channel:
        """The kept connection to the server, or a new one."""
        key = asking.target.url, asking.server_name
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
        alpn = ALPN.get(target.scheme, ())
        context = self._tls or client_context() if target.tls else None
        if target.scheme in ("http", "https"):
            name = asking.server_name or target.host
            port = SCHEMES[target.scheme].port
            authority = host_and_port(name, target.port).removesuffix(f":{port}")
            core = HttpsQueries(target.scheme, authority, target.base, self._http_get)
            connection = await connect(
                core, target.url, tls=context, server_name=asking.server_name, alpn=alpn, schemes=SCHEMES
            )
            tls = None if connection.transport is None else connection.transport.get_extra_info("ssl_object")
            core.begin(2 if tls is not None and tls.selected_alpn_protocol() == "h2" else 1)
            return HttpsChannel(connection, core)
        queries = StreamQueries()
        stream = await connect(
            queries,
            target.url,
            tls=context,
            server_name=asking.server_name,
            alpn=alpn,
            connect_timeout=None,
            schemes=SCHEMES,
        )
        return StreamChannel(stream, queries)


@dataclass(frozen=True, slots=True)
class _Asking:
    target: Target
    query: Query
    attempt_timeout: float
    attempts: int
    server_name: str | None


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


def _checked(message: Message, url: str) -> Message:
    """The message, if the names in it and its OPT record can be read; ConnectionError if not."""
    try:
        _ = message.edns
        for record in (*message.answer, *message.authority, *message.additional):
            _ = record.name
    except Malformed as error:
        raise _BadAnswerError(f"{url} sent a malformed answer ({error})") from None
    return message


def _of_stream(data: bytes, query: bytes, question: Question | None, url: str, later: bool = False) -> Message | None:
    """As `_answer_to`; on a connection nobody else can have sent what is malformed: a ConnectionError."""
    try:
        message = _answer_to(data, query, question, later)
    except Malformed as error:
        raise _BadAnswerError(f"{url} sent a malformed answer ({error})") from None
    return None if message is None else _checked(message, url)


class _BadAnswerError(ConnectionError):
    """The server has answered, and asking again on a new connection would bring the same."""


async def _ask_by_udp(asking: _Asking, data: bytes) -> Message:
    url, passed_over = asking.target.url, ""
    async with await connect_query(url, data) as endpoint:
        for attempt in range(asking.attempts):
            if attempt:
                core = endpoint.core
                assert isinstance(core, DatagramQuery)
                core.send(data)
                endpoint.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(asking.attempt_timeout):
                    async for event in endpoint:
                        if isinstance(event, OSError):
                            raise ConnectionError(f"{url}: {explain(event)}")
                        try:
                            message = _answer_to(event, data, asking.query.question)
                        except Malformed as error:  # which may be forged, too
                            passed_over = f"; what came was malformed ({error})"
                            continue
                        if message is not None:
                            return message
    raise TimeoutError(f"{NO_ANSWER} from {url} in {asking.attempts} x {asking.attempt_timeout:g} s{passed_over}")


def _answer_to(data: bytes, query: bytes, question: Question | None, later: bool = False) -> Message | None:
    """The message, if it answers the query; anything else may be forged, and is ignored (RFC 5452 9.1).

    `later`: messages of a transfer after the first may leave the question out (RFC 5936 2.2.1). Raises Malformed.
    """
    if data[:2] != query[:2]:
        return None
    message = parse_reply(data)
    asked = message.question
    if not answers(message.flags, query[2] >> 3 & 15) or not _is_for_our_cookie(message, query):
        return None
    if asked is None:
        # Servers that cannot read a question leave it out of their error.
        return message if later or question is None or message.flags & 15 else None
    return message if question is None or is_same_question(asked, question) else None


def _is_for_our_cookie(message: Message, query: bytes) -> bool:
    """Whether a cookie in it, if there is one, begins with what the query's does (RFC 7873 5.3)."""
    edns = message.edns
    for code, value in () if edns is None else edns.options:
        if code == COOKIE:
            sent = parse_reply(query).edns
            ours = [data[:CLIENT_COOKIE] for kind, data in sent.options if kind == COOKIE] if sent else []
            return not ours or value[:CLIENT_COOKIE] in ours
    return True

"""Asking name servers on an event loop: one question of one server, or a name by the habits of resolv.conf(5)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.dns.config import server_host, system_config
from catenet.dns.stream import StreamQueries
from catenet.net import (
    DatagramCore,
    DatagramEndpoint,
    Peer,
    PlainDatagramCore,
    Scheme,
    connect,
    connect_datagrams,
    parse_target,
)
from catenet.net.target import host_and_port
from catenet.net.tls import explain
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Message, Question, is_same_question, pack, parse_reply
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import RD, TC
from catenet.wire.dns.stub import Answer, Send, Server, StubConfig, StubLookup, answers
from catenet.wire.errors import Malformed

__all__ = ["SCHEMES", "Reply", "ask", "lookup"]

SCHEMES: Final[Mapping[str, Scheme]] = {
    "udp": Scheme(port=53),
    "tcp": Scheme(port=53),
    "tls": Scheme(tls=True, port=853),
}
"""UDP, and TCP for what was cut (RFC 7766); TCP alone; TLS (RFC 7858)."""
NO_ANSWER: Final = "no answer"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the message, the URL that it came from, and after how many seconds."""

    message: Message
    server: str
    seconds: float


class _Datagrams(PlainDatagramCore):
    """One query to one server, by a socket of its own; events are datagrams."""

    def __init__(self, peer: Peer, query: bytes) -> None:
        self._peer = peer
        self._output = [query]
        self._input: list[bytes] = []
        self.error: OSError | None = None

    def send(self, query: bytes) -> None:
        """Send it (again)."""
        self._output.append(query)

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram, which came from the server's address: the socket is connected."""
        self._input.append(data)

    def transmit(self, now: float) -> Sequence[tuple[bytes, Peer]]:
        """Return what is to be sent."""
        output, self._output = self._output, []
        return [(query, self._peer) for query in output]

    def next_event(self) -> bytes | OSError | None:
        """Return a datagram, or what the network says of ours."""
        if self.error is not None:
            error, self.error = self.error, None
            return error
        return self._input.pop(0) if self._input else None

    def handle_error(self, error: OSError, now: float) -> None:
        """The server's port is closed, or there is no way to it."""
        self.error = error


async def ask(
    url: str,
    question: Question,
    *,
    flags: int = RD,
    edns: Edns | None = None,
    attempt_timeout: float = 5.0,
    attempts: int = 3,
) -> Reply:
    """Ask one server one question.

    Args:
        url: `udp://server:port` (an answer that was cut is asked for again by TCP), `tcp://…` or `tls://…`; without
            scheme `udp://`, without port 53 or 853.
        question: what to ask.
        flags: bits of the header (`catenet.wire.dns.numbers`).
        edns: what the OPT record says; none without it.
        attempt_timeout: seconds to wait after each datagram; a connection has as long as all attempts together.
        attempts: how often a datagram is sent.

    Raises:
        TimeoutError: nothing came.
        OSError: the server cannot be reached, or what it answers is malformed.
        ValueError: a wrong URL.
    """
    target = parse_target(url, schemes=SCHEMES, default="udp")
    query = pack(secrets.randbelow(65536), flags, question, edns=edns)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    if target.scheme == "udp":
        message = await _ask_by_udp(target.url, query, question, attempt_timeout, attempts)
        if not message.flags & TC:
            return _checked(Reply(message, target.url, loop.time() - begun))
        url = f"tcp://{host_and_port(target.host, target.port)}"
    else:
        url = target.url
    message = await _ask_by_stream(url, query, question, attempt_timeout * attempts)
    return _checked(Reply(message, url, loop.time() - begun))


def _checked(reply: Reply) -> Reply:
    """The reply, if the names in it and its OPT record can be read; ConnectionError if not."""
    message = reply.message
    try:
        _ = message.edns
        for record in (*message.answer, *message.authority, *message.additional):
            _ = record.name
    except Malformed as error:
        raise ConnectionError(f"{reply.server} sent a malformed answer ({error})") from None
    return reply


async def _ask_by_udp(url: str, query: bytes, question: Question, attempt_timeout: float, attempts: int) -> Message:
    async with await _connect(url, query) as endpoint:
        for attempt in range(attempts):
            if attempt:
                core = endpoint.core
                assert isinstance(core, _Datagrams)
                core.send(query)
                endpoint.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(attempt_timeout):
                    async for event in endpoint:
                        if isinstance(event, OSError):
                            raise ConnectionError(f"{url}: {explain(event)}")
                        message = _answer_to(event, query, question)
                        if message is not None:
                            return message
    raise TimeoutError(f"{NO_ANSWER} from {url} in {attempts} x {attempt_timeout:g} s")


async def _connect(url: str, query: bytes) -> DatagramEndpoint[bytes | OSError]:
    def core(peer: Peer) -> DatagramCore[bytes | OSError]:
        return _Datagrams(peer, query)

    return await connect_datagrams(core, url, schemes=SCHEMES)


async def _ask_by_stream(url: str, query: bytes, question: Question, seconds: float) -> Message:
    core = StreamQueries()
    try:
        async with asyncio.timeout(seconds):
            async with await connect(core, url, schemes=SCHEMES, connect_timeout=None) as connection:
                core.send(query)
                await connection.drained()
                async for event in connection:
                    message = _answer_to(event, query, question)
                    if message is not None:
                        return message
    except TimeoutError:
        raise TimeoutError(f"{NO_ANSWER} from {url} in {seconds:g} s") from None
    raise ConnectionError(f"{url} closed the connection without an answer")


def _answer_to(data: bytes, query: bytes, question: Question) -> Message | None:
    """The message, if it answers the query; anything else may be forged, and is ignored (RFC 5452 9.1)."""
    try:
        message = parse_reply(data)
        asked = message.question
    except Malformed:
        return None
    if message.data[:2] != query[:2] or not answers(message.flags):
        return None
    if asked is None:
        # Servers that cannot read a question leave it out of their error.
        return message if message.flags & 15 else None
    return message if is_same_question(asked, question) else None


async def lookup(name: str, types: Sequence[int], config: StubConfig | None = None) -> Answer:
    """Look a name up as programs do: search list, one server after another, TCP for what was cut.

    Args:
        name: as a user writes it; with a dot at its end it is complete.
        types: numbers of record types, which are asked for at once.
        config: servers and habits; this machine's resolv.conf(5) if it is left out.

    Raises:
        ValueError: `name` is no name.
    """
    loop = asyncio.get_running_loop()
    settings = system_config() if config is None else config
    machine = StubLookup(
        name_from_text(name),
        name.endswith("."),
        types,
        settings,
        lambda: secrets.randbelow(65536),
        secrets.randbelow(16),
    )
    machine.start(loop.time())
    async with asyncio.TaskGroup() as group:
        driver = _Driver(machine, group)
        await driver.run()
    assert machine.answer is not None
    return machine.answer


class _Driver:
    """Sends what the machine wants to be sent, a task each, and wakes it at its deadlines."""

    def __init__(self, machine: StubLookup, group: asyncio.TaskGroup) -> None:
        self._machine = machine
        self._group = group
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Go on until there is an answer."""
        loop, machine = asyncio.get_running_loop(), self._machine
        tasks: list[asyncio.Task[None]] = []
        while machine.answer is None:
            tasks += [self._group.create_task(self._exchange(send)) for send in machine.transmit()]
            self._news.clear()
            deadline = machine.next_deadline()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                machine.handle_timeout(max(loop.time(), deadline or 0.0))
        for task in tasks:
            task.cancel()

    async def _exchange(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            url = _url(send.server, send.tcp)
            if send.tcp:
                await self._by_stream(url, send)
            else:
                await self._by_udp(url, send)
        except OSError:
            self._machine.fail(send, loop.time())
            self._news.set()

    async def _by_udp(self, url: str, send: Send) -> None:
        async with await _connect(url, send.data) as endpoint:
            async for event in endpoint:
                if isinstance(event, OSError):
                    raise event
                self._take(event, send)

    async def _by_stream(self, url: str, send: Send) -> None:
        core = StreamQueries()
        async with await connect(core, url, schemes=SCHEMES) as connection:
            core.send(send.data)
            await connection.drained()
            async for event in connection:
                self._take(event, send)
                if event[:2] == send.data[:2]:
                    return
        raise ConnectionError("closed without an answer")

    def _take(self, data: bytes, send: Send) -> None:
        self._machine.receive(data, send.server, asyncio.get_running_loop().time())
        self._news.set()


def _url(server: Server, tcp: bool) -> str:
    return f"{'tcp' if tcp else 'udp'}://{host_and_port(server_host(server), server.port)}"

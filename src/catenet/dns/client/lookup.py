"""A name by the habits of resolv.conf(5), on an event loop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from catenet.dns.client.datagrams import connect_query
from catenet.dns.client.schemes import SCHEMES
from catenet.dns.config import server_host, system_config
from catenet.dns.stream import StreamQueries
from catenet.net import connect
from catenet.net.target import host_and_port
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.stub import Answer, Send, Server, StubConfig, StubLookup

__all__ = ["lookup"]


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
        async with await connect_query(url, send.data) as endpoint:
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

"""The resolver's core on sockets: for programs, and for servers."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from catenet.dns.dnssec import AnchorKeeper, Policy, TrustAnchors
from catenet.dns.resolver.cache import Cache
from catenet.dns.resolver.client import Client
from catenet.dns.resolver.config import ResolverConfig
from catenet.dns.resolver.core import Resolver
from catenet.dns.resolver.upstream import Upstream
from catenet.dns.response import Response
from catenet.dns.zone.secondary import Secondary
from catenet.net.connection import Alarm, Alarmed
from catenet.wire.dns.message import Question

__all__ = ["Recursor"]


class Recursor(Alarmed):
    """A recursive resolver or forwarder on the running event loop.

    `async with Recursor(ResolverConfig()) as recursor: response = await recursor.resolve(question)`.

    Args:
        config: all knobs; the defaults iterate from the public root.
        anchors: what is trusted; without, nothing is validated.
        policy: settings of validation.
        keeper: follows the roll-over of trust anchors.
        secondaries: keep zones that are fetched from their primaries.
        cache: one that others use too.
        rng: draws ids, the case of letters, servers; the system's by default.
        tls: trusted authorities for forwarders over TLS.
    """

    def __init__(
        self,
        config: ResolverConfig | None = None,
        *,
        anchors: TrustAnchors | None = None,
        policy: Policy | None = None,
        keeper: AnchorKeeper | None = None,
        secondaries: Sequence[Secondary] = (),
        cache: Cache | None = None,
        rng: random.Random | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        settings = ResolverConfig() if config is None else config
        offset = time.time() - self._loop.time()
        self.core = Resolver(
            settings,
            random.SystemRandom() if rng is None else rng,
            lambda now: now + offset,
            cache,
            anchors,
            policy,
            keeper,
            secondaries,
        )
        names = {server: zone.tls for zone in settings.forwards if zone.tls for server in zone.servers}
        self._upstream = Upstream(self._received, self._failed, names, tls)
        self._waiting: dict[int, Callable[[Response | None], None]] = {}
        self._alarm = Alarm(self._loop)
        self._alarm.set(self.core.next_deadline(), self)

    @property
    def cache(self) -> Cache:
        """What is known."""
        return self.core.cache

    async def resolve(
        self,
        question: Question,
        *,
        dnssec_ok: bool = False,
        checking_disabled: bool = False,
        recursion: bool = True,
        client: Client | None = None,
    ) -> Response:
        """Answer a question. What cannot be answered is SERVFAIL, with its reason; nothing is raised."""
        future: asyncio.Future[Response] = self._loop.create_future()

        def done(response: Response | None) -> None:
            if response is None:
                future.cancel()
            elif not future.done():
                future.set_result(response)

        ticket = self.begin(
            question,
            done,
            dnssec_ok=dnssec_ok,
            checking_disabled=checking_disabled,
            recursion=recursion,
            client=client,
        )
        try:
            return await future
        finally:
            if self._waiting.pop(ticket, None) is not None:
                self.core.cancel(ticket)

    def begin(
        self,
        question: Question,
        done: Callable[[Response | None], None],
        *,
        dnssec_ok: bool = False,
        checking_disabled: bool = False,
        recursion: bool = True,
        client: Client | None = None,
    ) -> int:
        """Answer a question; `done` is called once, perhaps before this returns; with None if we are closed."""
        ticket = self.core.ask(
            question,
            self._loop.time(),
            dnssec_ok=dnssec_ok,
            checking_disabled=checking_disabled,
            recursion=recursion,
            client=client,
        )
        self._waiting[ticket] = done
        self._go()
        return ticket

    async def close(self) -> None:
        """Close all sockets; questions that are open are cancelled."""
        self._alarm.close()
        waiting, self._waiting = list(self._waiting.values()), {}
        for done in waiting:
            done(None)
        await self._upstream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The core.

    def _received(self, token: int, data: bytes) -> None:
        self.core.receive(token, data, self._loop.time())
        self._go()

    def _failed(self, token: int) -> None:
        self.core.fail(token, self._loop.time())
        self._go()

    def _go(self) -> None:
        """See to what a verb has led to."""
        core = self.core
        for exchange in core.transmit(self._loop.time()):
            self._upstream.begin(exchange)
        for token in core.finished():
            self._upstream.end(token)
        while (event := core.next_event()) is not None:
            done = self._waiting.pop(event.ticket, None)
            if done is not None:
                done(event.response)
        self._alarm.set(self.core.next_deadline(), self)

    def on_alarm(self, due: float) -> None:
        """The core has something to do."""
        self.core.handle_timeout(max(self._loop.time(), due))
        self._go()

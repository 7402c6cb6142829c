"""What sees every query and its answer: rate limits for datagrams, the query log."""

from __future__ import annotations

import asyncio

from catenet.dns.server.counters import Counters
from catenet.dns.server.fast.drain import Address, Look
from catenet.dns.server.querylog import QueryLog
from catenet.dns.server.rates import RateLimiter, RateLimits
from catenet.dns.server.request import UDP, Transport

__all__ = ["Watch"]


class Watch:
    """Limits and log. `look`: what the datagrams' loop calls, None when nobody wants to see anything."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        rates: RateLimits | None = None,
        log: QueryLog | None = None,
    ) -> None:
        self._loop = loop
        self._counters = counters
        self._limiter = None if rates is None else RateLimiter(rates)
        self._log = log
        self.look: Look | None = None if rates is None and log is None else self._look

    def _look(self, query: bytes, client: Address, reply: bytes) -> bytes | None:
        limiter = self._limiter
        sent: bytes | None = reply
        if limiter is not None:
            sent = limiter.judge(query, client[0], reply, self._loop.time())
            values = self._counters.values
            values["rate_dropped"], values["rate_slipped"] = limiter.dropped, limiter.slipped
        if sent is not None and self._log is not None:
            self.saw(UDP, client[0], client[1], query, sent)
        return sent

    def saw(self, transport: Transport, address: str, port: int, query: bytes, reply: bytes) -> None:
        """Log a query and its reply (without its id)."""
        if self._log is not None:
            self._log.add(transport.name, address, port, query, reply)
            self._counters.values["log_lost"] = self._log.lost

    def reopen(self) -> None:
        """Logs may have been rotated."""
        if self._log is not None:
            self._log.reopen()

    def close(self) -> None:
        """Write what waits."""
        if self._log is not None:
            self._log.close()

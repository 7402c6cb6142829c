"""Whether a server says that a service is healthy (gRFC A17): a `Watch` stream on each connection."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from catenet.codec import CODECS
from catenet.http.client.connection import ClientConnection
from catenet.net.backoff import ConnectionBackoff
from catenet.rpc.client.attempt import Attempt, CallParameters
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.protocol import ClientWire, Outgoing

__all__ = ["HealthWatch"]

logger = logging.getLogger("catenet.rpc")

_SERVING = 1
_LIMIT = 1 << 16


class HealthWatch:
    """Asks servers for the health of `service`, which stands below the path `base` as all services do."""

    def __init__(
        self, service: str, wire: ClientWire, scheme: bytes, authority: bytes, agent: bytes, base: str = ""
    ) -> None:
        from catenet.rpc.model.wellknown import HEALTH

        method = next(method for method in HEALTH.methods if method.name == "Watch")
        outgoing = Outgoing(method, scheme, authority, "proto", "identity", (), None, (), agent, False, 2, base)
        self._request: Any = method.request(service=service)
        self._parameters = CallParameters(wire, outgoing, CODECS["proto"], {}, _LIMIT, wire.request(outgoing))

    async def watch(self, connection: ClientConnection, tell: Callable[[bool], None], rng: random.Random) -> None:
        """Tell whether the service is healthy, at first and whenever that changes, until the connection ends.

        A server without health checking counts as healthy. One whose stream fails before it says anything does not; a
        stream that ends later is begun again, and what it has said holds meanwhile.
        """
        backoff = ConnectionBackoff()
        while connection.alive:
            attempt = Attempt(connection, self._parameters, True)
            try:
                heard = await self._follow(attempt, tell)
            finally:
                attempt.cancel()
            error = attempt.error
            if error is not None and error.code is Code.UNIMPLEMENTED:
                logger.warning("the server has no health checking: its connection counts as healthy")
                tell(True)
                return
            if heard:
                backoff.succeeded()
            else:
                tell(False)
            await asyncio.sleep(backoff.failed(rng))

    async def _follow(self, attempt: Attempt, tell: Callable[[bool], None]) -> bool:
        """Return whether anything was said before the stream ended."""
        heard = False
        try:
            attempt.start_whole(self._request, None)
            assert attempt.inbox is not None
            while (frame := await attempt.inbox.get()) is not None:
                attempt.connection.touch()
                assert attempt.reply is not None
                tell(attempt.parameters.decode(frame, attempt.reply).status == _SERVING)
                heard = True
        except RpcError as error:
            logger.debug("health checking: %s", error)
        return heard

"""Getting keys: `await establish("a.example", 4460, client_context())`, and again when they are used up."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final

from OpenSSL import SSL

from catenet.net.client import ConnectError, connect
from catenet.net.target import host_and_port
from catenet.ntp.asking import PORT
from catenet.ntp.nts.establish import ClientCore, Failed
from catenet.ntp.nts.records import KE_PORT
from catenet.ntp.nts.session import Keys, Session
from catenet.ntp.nts.tls import Broken

__all__ = ["KeysError", "NtsServer", "establish"]

PATIENCE: Final = 10.0
"""Seconds for connecting, and as many for TLS."""
FIRST_PAUSE: Final = 10.0
PAUSE_GROWTH: Final = 1.5
LONGEST_PAUSE: Final = 432_000.0
"""Seconds until keys are asked for again after a failure, at first, and at most (RFC 8915 section 4.2)."""


class KeysError(OSError):
    """There are no keys; the message says why in one line."""


async def establish(host: str, port: int, context: SSL.Context, patience: float = PATIENCE) -> Keys:
    """Return keys from a server, which says where the time is told. Raises `KeysError`."""
    name = host_and_port(host, port)
    try:
        core = ClientCore(context, host)
        connection = await connect(core, f"tcp://{name}", connect_timeout=patience)
    except ConnectError as error:
        raise KeysError(str(error)) from None
    except (Broken, ValueError) as error:  # what can be no name
        raise KeysError(f"no keys from {name}: {error}") from None
    peer = connection.transport.get_extra_info("peername") if connection.transport is not None else None
    try:
        async with asyncio.timeout(patience):
            event = await connection.next_event()
    except TimeoutError:
        raise KeysError(f"no keys from {name}: no answer in {patience:g} s") from None
    finally:
        connection.close()
    if not isinstance(event, Keys):
        why = event.why if isinstance(event, Failed) else "the server has closed the connection"
        raise KeysError(f"no keys from {name}: {why}")
    server = event.server or (peer[0] if peer else host)
    return Keys(event.algorithm, event.to_server, event.to_client, event.cookies, server, event.port or PORT)


@dataclass(slots=True)
class NtsServer:
    """A server that gives keys: who has its session asks where to send before each request.

    Attributes:
        host, port: where keys are to be had; `host` is what the certificate must name.
        context: whom to trust.
        session: protects requests.
    """

    host: str
    port: int
    context: SSL.Context
    session: Session
    place: tuple[str, int] | None = None
    _pause: float = field(default=0.0, init=False)
    _again: float = field(default=0.0, init=False)

    @classmethod
    def make(cls, host: str, port: int, context: SSL.Context, rng: random.Random) -> NtsServer:
        """Make one that has no keys yet."""
        return cls(host, port or KE_PORT, context, Session(rng))

    async def locate(self, patience: float = PATIENCE) -> tuple[str, int]:
        """Return where the time is told, with keys in the session. Raises `KeysError`."""
        if self.place is None or self.session.needs_keys:
            now = asyncio.get_running_loop().time()
            if self._pause and now < self._again:
                raise KeysError(f"no keys from {host_and_port(self.host, self.port)}: asked again later")
            try:
                keys = await establish(self.host, self.port, self.context, patience)
            except KeysError:
                self._pause = min(self._pause * PAUSE_GROWTH or FIRST_PAUSE, LONGEST_PAUSE)
                self._again = asyncio.get_running_loop().time() + self._pause
                raise
            self._pause = 0.0
            self.session.use(keys)
            self.place = keys.server, keys.port or PORT
        return self.place

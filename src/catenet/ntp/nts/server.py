"""A server of the time that protects its answers, and gives keys for that on TCP (RFC 8915)."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from catenet.net.limits import ServerLimits
from catenet.net.server import CoreServer, serve
from catenet.net.target import Scheme, parse_target
from catenet.net.tls import TlsError
from catenet.ntp.asking import PORT, SCHEMES
from catenet.ntp.nts.cookies import SECRET_LENGTH, CookieKeys
from catenet.ntp.nts.establish import Issuer, ServerCore
from catenet.ntp.nts.records import KE_PORT
from catenet.ntp.nts.sealer import NtsSealer
from catenet.ntp.nts.tls import server_context
from catenet.ntp.reference import Reference
from catenet.ntp.responder import Counters
from catenet.ntp.server import Server, ServerOptions
from catenet.ntp.server import serve as serve_time

__all__ = ["SECRET_LENGTH", "SecureServer", "serve_securely"]

_log = logging.getLogger(__name__)
KE_SCHEMES: Final = {"nts": Scheme(port=KE_PORT)}
"""TLS is in the core."""
LIMITS: Final = ServerLimits(max_connections=512, handshake_timeout=5.0, max_idle=5.0, max_age=10.0, max_age_grace=1.0)
"""A client is through in a few round trips."""


class SecureServer:
    """A server of the time and one of its keys. Made by `serve_securely`. `urls`: where both listen."""

    def __init__(self, time_server: Server, key_server: CoreServer[None], renew: Callable[[], None]) -> None:
        self._time, self._keys, self._renew = time_server, key_server, renew

    @property
    def urls(self) -> list[str]:
        """Where they listen, the time first."""
        return [*self._time.urls, *self._keys.urls]

    @property
    def counters(self) -> Counters:
        """What became of the requests so far."""
        return self._time.counters

    def reload(self) -> None:
        """Read certificate and key again, for connections from now on; what is wrong with them is logged."""
        try:
            self._renew()
        except TlsError as error:
            _log.error("certificates are not read again: %s", error)

    async def __aenter__(self) -> SecureServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._time.close()
        await self._keys.close()

    async def drain(self, grace: float | None = None) -> None:
        """Give keys to who has begun to ask for them, and close."""
        await self._keys.drain(grace)
        await self._time.drain()


async def serve_securely(
    urls: Iterable[str],
    key_urls: Iterable[str],
    reference: Reference,
    options: ServerOptions,
    *,
    cert: str,
    key: str | None = None,
    secret: bytes | None = None,
    rng: random.Random | None = None,
    reuse_port: bool = False,
) -> SecureServer:
    """Tell the time on `urls`, with NTS and without, and give keys on `key_urls`, `nts://host:port`.

    `cert` and `key` are files (PEM). Processes that share ports share a `secret` of 32 octets. Clients are sent to the
    first of `urls`, on the address on which they got their keys. Raises `ValueError`, `OSError`,
    `catenet.net.tls.TlsError`; then nothing listens.
    """
    source = random.SystemRandom() if rng is None else rng
    contexts = [server_context(cert, key)]
    keys = CookieKeys(source.randbytes(SECRET_LENGTH) if secret is None else secret, time.time(), source)
    sealed = replace(options, sealer=NtsSealer(keys, time.time, source))
    time_server = await serve_time(urls, reference, sealed, rng=source, reuse_port=reuse_port)
    port = parse_target(time_server.urls[0], schemes=SCHEMES).port

    def make() -> ServerCore:
        return ServerCore(Issuer(contexts[0], keys, time.time, port=None if port == PORT else port))

    def renew() -> None:
        contexts[0] = server_context(cert, key)

    try:
        key_server: CoreServer[None] = await serve(
            make, key_urls, limits=LIMITS, schemes=KE_SCHEMES, reuse_port=reuse_port
        )
    except BaseException:
        time_server.close()
        raise
    return SecureServer(time_server, key_server, renew)

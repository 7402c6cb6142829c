"""The Workload API, as its client: one stream that lasts, and what it says in force for each new connection.

Source: SPIFFE Workload API and SPIFFE Workload Endpoint. A stream that ends is begun again with a growing wait; until
then what it said last stays. An answer that cannot be used is dropped, with a line in the log. PERMISSION_DENIED takes
the identity back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable
from typing import Any, Final

from catenet.net.backoff import ConnectionBackoff
from catenet.rpc.client.client import Channel
from catenet.rpc.client.options import ChannelOptions
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.model.wellknown import WORKLOAD_API
from catenet.rpc.spiffe.endpoint import find_endpoint
from catenet.rpc.spiffe.material import Material, Svid, read_bundles, read_svids
from catenet.rpc.spiffe.tls import Peers, make_context

__all__ = ["NoIdentity", "WorkloadIdentity"]

logger = logging.getLogger("catenet.rpc")

_HEADER: Final = (("workload.spiffe.io", "true"),)
"""Workload Endpoint section 3: proves that a request was meant for it."""
_FINAL: Final = frozenset((Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED))
"""Workload Endpoint, appendix A: not to be tried again."""
_MAXIMUM: Final = 30.0
_STEADY: Final = 1.0
"""Seconds after which the end of a stream is nothing to wait for."""


class NoIdentity(ConnectionError):
    """The Workload API has given no identity, or has taken it back."""


class WorkloadIdentity:
    """The identities of this workload, and whom it trusts, kept up to date.

    ::

        async with WorkloadIdentity() as identity:
            await server.listen("tls://[::]:8443", tls=identity.server())
            channel = Channel("tls://shop:8443", tls=identity.client(["spiffe://example.org/shop"]))

    Args:
        endpoint: `unix:///path` or `tcp://address:port`; None: what SPIFFE_ENDPOINT_SOCKET says.
        hint: which of several SVIDs is meant; empty: the default one.
        trust_only: asks for bundles alone: for clients that show no certificate.
        updated: called with each answer, after it is in force.
        backoff, rng: how long it waits between attempts.

    Raises `ValueError` for an endpoint that is none.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        hint: str = "",
        trust_only: bool = False,
        updated: Callable[[Material], None] | None = None,
        backoff: ConnectionBackoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._target = find_endpoint(endpoint)
        self._hint = hint
        self._trust_only = trust_only
        self._updated = updated
        self._backoff = backoff or ConnectionBackoff(maximum=_MAXIMUM)
        self._rng = rng or random.Random()
        self._material: Material | None = None
        self._why = "the Workload API has not answered yet"
        self._failed: RpcError | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._surprised = False
        self.updates = 0
        """How many answers have come into force."""

    # Its life.

    async def start(self, patience: float | None = None) -> None:
        """Begin, and wait for the first answer, for so many seconds.

        Raises `RpcError` if it is no use to try again, `TimeoutError`, `NoIdentity` if it is closed meanwhile.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="spiffe")
            self._task.add_done_callback(lambda _: self._tell())
        try:
            async with asyncio.timeout(patience):
                while self._material is None:
                    if self._failed is not None:
                        raise self._failed
                    if self._task is None or self._task.done():
                        raise NoIdentity(f"SPIFFE: {self._why}, and nobody listens any more")
                    await self.changed()
        except TimeoutError:
            raise TimeoutError(f"no identity in {patience:g} s: {self._why}") from None

    async def close(self) -> None:
        """Follow no more; contexts that were made stay as they are."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> WorkloadIdentity:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def changed(self) -> None:
        """Wait for the next answer, or for the end of all."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    # What it says.

    @property
    def material(self) -> Material:
        """What the last answer said. Raises `NoIdentity`."""
        if self._material is None:
            raise NoIdentity(f"SPIFFE: {self._why}")
        return self._material

    @property
    def svid(self) -> Svid:
        """The SVID that is shown to others. Raises `NoIdentity`."""
        found = self.material.svid(self._hint)
        if found is None:
            raise NoIdentity(f"SPIFFE: there is no SVID with the hint {self._hint!r}")
        return found

    def server(self, peers: Peers = None) -> Callable[[], ssl.SSLContext]:
        """Return the TLS of a server, which asks clients for their SVIDs; `peers`: which ids may call."""
        return self._source(peers, server=True)

    def client(self, peers: Peers = None) -> Callable[[], ssl.SSLContext]:
        """Return the TLS of a channel; `peers`: which ids the server may have."""
        return self._source(peers, server=False)

    def _source(self, peers: Peers, *, server: bool) -> Callable[[], ssl.SSLContext]:
        made: list[tuple[Material, ssl.SSLContext]] = []
        allowed = (peers,) if isinstance(peers, str) else peers  # a text has parts of itself in it, too

        def current() -> ssl.SSLContext:
            material = self.material
            if not made or made[0][0] is not material:
                svid = None if self._trust_only else self.svid
                made[:] = [(material, make_context(material, svid, allowed, server=server))]
            return made[0][1]

        return current

    # The stream.

    async def _follow(self) -> None:
        backoff = self._backoff
        loop = asyncio.get_running_loop()
        async with Channel(self._target, options=ChannelOptions()) as channel:
            while self._failed is None:
                began, before = loop.time(), self.updates
                try:
                    error = await self._listen(channel)
                except Exception as unexpected:  # of `updated`, too: who follows goes on, and says so once
                    self._say_once(unexpected)
                    error = RpcError(Code.INTERNAL, f"{type(unexpected).__name__}: {unexpected}")
                if error.code in _FINAL:
                    self._failed = error
                    logger.error("SPIFFE: %s, and it is no use to try again", error)
                    self._tell()
                    return
                if error.code is Code.PERMISSION_DENIED:
                    self._material = None
                self._why = str(error)
                if self.updates != before:
                    backoff.succeeded()
                steady = self.updates != before and loop.time() - began >= _STEADY
                wait = 0.0 if steady else backoff.failed(self._rng)
                logger.warning("SPIFFE: the Workload API: %s; asked again in %.1f s", error, wait)
                await asyncio.sleep(wait)

    def _say_once(self, error: Exception) -> None:
        if not self._surprised:
            self._surprised = True
            logger.error("SPIFFE: an answer has raised what nobody expected", exc_info=error)

    async def _listen(self, channel: Channel) -> RpcError:
        """Take answers as long as they come; return why no more do."""
        method = WORKLOAD_API.methods[1 if self._trust_only else 0]
        read = read_bundles if self._trust_only else read_svids
        try:
            async for response in channel.server_stream(method, method.request(), metadata=_HEADER):
                self._take(read, response)
        except RpcError as error:
            return error
        return RpcError(Code.UNAVAILABLE, "the stream has ended")

    def _take(self, read: Callable[[Any], Material], response: Any) -> None:
        try:
            material = read(response)
            if not self._trust_only:
                self._check(material)
        except Exception as error:  # ValueError, ssl.SSLError; whatever else libraries make of a stranger's bytes
            self._why = f"an answer that cannot be used: {error}"
            logger.error("SPIFFE: %s is dropped, what was before stays", self._why)
            return
        self._material = material
        self.updates += 1
        self._tell()
        if self._updated is not None:
            self._updated(material)

    def _check(self, material: Material) -> None:
        """A key that is not its certificate's, and authorities that are none, are found out here. Raises."""
        svid = material.svid(self._hint)
        if svid is None:
            raise ValueError(f"there is no SVID with the hint {self._hint!r}")
        make_context(material, svid, None, server=True)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

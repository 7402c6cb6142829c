"""What stands between a request head and its handler."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from catenet.rpc.identity.tokens import Tokens
from catenet.rpc.model.context import Peer
from catenet.rpc.model.metadata import Metadata
from catenet.rpc.policy.authenticate import Authenticator
from catenet.rpc.protocols.protocol import AnyMethod

__all__ = ["Gate", "Guard", "GuardedContext"]


class GuardedContext(Protocol):
    """A call, as its gate sees it."""

    peer: Peer

    @property
    def method(self) -> AnyMethod:
        """The method that was called."""

    @property
    def metadata(self) -> Metadata:
        """What the caller sent beside its messages."""


class Guard:
    """Decides who calls. `tokens`: whose bearer tokens are believed. `clock`: seconds since 1970."""

    def __init__(self, *, tokens: Tokens | None = None, clock: Callable[[], float] = time.time) -> None:
        self.authenticator = None if tokens is None else Authenticator(tokens, clock)

    def gate(self, method: AnyMethod, implementation: object) -> Gate | None:
        """Return what every call of a method passes; None: nothing."""
        return None if self.authenticator is None else Gate(self.authenticator)


class Gate:
    """What the calls of one method pass."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def admit(self, call: GuardedContext) -> Awaitable[None] | None:
        """Find out who calls, and whether the call may begin; None if that is known at once. Raises `RpcError`."""
        found = self._authenticator.authenticate(call.peer, call.metadata)
        if isinstance(found, Peer):
            call.peer = found
            return None
        return self._admit_later(call, found)

    async def _admit_later(self, call: GuardedContext, found: Awaitable[Peer]) -> None:
        call.peer = await found

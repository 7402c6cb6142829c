"""What a handler sees of its call."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from catenet.rpc.model.identity import NOBODY, Identity
from catenet.rpc.model.metadata import Metadata, check_metadata
from catenet.rpc.model.status import Code, Detail, RpcError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from catenet.rpc.protocols.protocol import AnyMethod

__all__ = ["SERVED_UNTIL", "Context", "Pairs", "Peer"]

Pairs = Iterable[tuple[str, str | bytes]]

SERVED_UNTIL: contextvars.ContextVar[float] = contextvars.ContextVar("catenet.rpc.served_until")
"""Deadline of the call that the running handler serves, in the time of its event loop: calls that it makes end with it.

A context variable, as it must follow the handler into its tasks and threads. Rejected: to look for the running task's
call, which a task that the handler started would not find.
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who called: `address` as the transport names it, and `identity`, what has been verified about the caller.

    `certificate` is what `ssl.SSLObject.getpeercert` returns, empty without one. `credentials` are the
    (pid, uid, gid) of a peer on a Unix socket; 0 or -1 where they mean nothing here.
    """

    address: str
    certificate: dict[str, Any] | None = None
    credentials: tuple[int, int, int] | None = None
    identity: Identity = NOBODY


class Context:
    """One call, seen from its handler: who calls, until when, with which metadata; and how to end it early.

    A context belongs to the event loop that serves the call. Handlers on threads may use all of it.
    """

    deadline: float | None = None
    """When the caller stops waiting, in the time of the event loop; None: never."""
    cancelled: bool = False
    """Whether the caller has gone away or the deadline has passed."""
    compression: str = ""
    """Name of the compression for what is sent; empty: as the server is configured. Ignored if the peer has it not."""

    _initial: Metadata = ()
    _trailing: Metadata = ()
    _head_sent: bool = False
    _on_cancel: tuple[Callable[[], None], ...] = ()

    @property
    def method(self) -> AnyMethod:
        """The method that was called."""
        raise NotImplementedError

    @property
    def metadata(self) -> Metadata:
        """What the caller sent beside its messages."""
        raise NotImplementedError

    @property
    def peer(self) -> Peer:
        """Who called."""
        raise NotImplementedError

    @property
    def protocol(self) -> str:
        """The wire in use: `grpc`, `grpc-web` or `connect`."""
        raise NotImplementedError

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves the call."""
        raise NotImplementedError

    def get(self, name: str) -> str | bytes | None:
        """Return the first value of the caller's metadata under that name, or None."""
        return next((value for key, value in self.metadata if key == name), None)

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline, not less than zero; None without a deadline."""
        return None if self.deadline is None else max(self.deadline - self.loop.time(), 0.0)

    def set_initial_metadata(self, metadata: Pairs) -> None:
        """Set what goes before the first message. Raises `RuntimeError` if that has been sent."""
        if self._head_sent:
            raise RuntimeError("initial metadata has been sent already")
        self._initial = check_metadata(metadata)

    def set_trailing_metadata(self, metadata: Pairs) -> None:
        """Set what goes after the last message, beside the status."""
        self._trailing = check_metadata(metadata)

    def add_trailing_metadata(self, metadata: Pairs) -> None:
        """Add to what goes after the last message."""
        self._trailing = (*self._trailing, *check_metadata(metadata))

    def send_initial_metadata(self, metadata: Pairs | None = None) -> None:
        """Send the head of the response now rather than with the first message."""
        raise NotImplementedError

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` (on the event loop) when the caller goes away or the deadline passes before the end."""
        if self.cancelled:
            callback()
        else:
            self._on_cancel = (*self._on_cancel, callback)

    def abort(self, code: Code, message: str = "", details: Iterable[Message | Detail] = ()) -> NoReturn:
        """End the call with that status: raises the `RpcError` that says it."""
        raise RpcError(code, message, details)

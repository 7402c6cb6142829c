"""A call that a guard looks at: before its head is acted on, and before its messages reach the handler.

What the guard can decide at once costs a call, no task. Where it has to wait (keys of an issuer, a rule that asks a
database), what comes of the request is kept as it is, and the windows of the stream bound how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from catenet.http.events import StreamReset
from catenet.http.message import Fields
from catenet.http.stream import Stream
from catenet.net.interrupts import is_interrupt
from catenet.rpc.model.context import Peer
from catenet.rpc.model.status import RpcError
from catenet.rpc.policy.guard import Gate
from catenet.rpc.server.call import ServerCall

if TYPE_CHECKING:
    from catenet.rpc.server.connection import ServerConnection
    from catenet.rpc.server.route import Route

__all__ = ["GuardedCall"]


class GuardedCall(ServerCall):
    """A `ServerCall` behind a gate."""

    _waiting: asyncio.Task[BaseException | None] | None = None
    _caller: Peer | None = None

    def __init__(self, connection: ServerConnection, stream: Stream, route: Route, gate: Gate) -> None:
        super().__init__(connection, stream, route)
        self._gate = gate
        self._held: list[Callable[[], None]] = []

    @property
    def peer(self) -> Peer:
        """Who called; once the call is admitted, with what its token says."""
        return self._caller or self._connection.peer

    @peer.setter
    def peer(self, peer: Peer) -> None:
        self._caller = peer

    # The head.

    def start(self, end: bool) -> None:
        """The head has come: begin if the guard lets it."""
        try:
            pending = self._gate.admit(self)
        except BaseException as error:
            self._refuse(error)
            return
        if pending is None:
            self._connection.begin_call(self, self._stream, end)
        else:
            self._wait(pending, lambda: self._connection.begin_call(self, self._stream, end))

    def _refuse(self, error: BaseException) -> None:
        """End the call before its handler has begun."""
        if not isinstance(error, RpcError):
            self.report(error, "the guard")
        self._end(self._explain(error))

    # Waiting.

    def _wait(self, pending: Awaitable[None], then: Callable[[], None]) -> None:
        connection = self._connection
        if self.deadline is not None and self._timer is None:
            self._timer = connection.shared.deadlines.add(self.deadline, self._expire)
        self._waiting = task = connection.loop.create_task(_outcome(pending))
        # A handler begins in its own task, which cannot be while this one runs.
        task.add_done_callback(lambda _: self._go_on(task, then))

    def _go_on(self, task: asyncio.Task[BaseException | None], then: Callable[[], None]) -> None:
        if self._waiting is not task:  # the call is over
            return
        self._waiting = None
        error = asyncio.CancelledError() if task.cancelled() else task.result()
        held, self._held = self._held, []
        if self._over:
            return
        if error is not None:
            self._refuse(error)
        else:
            for step in (then, *held):
                step()
        self._connection.touch()

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the request body has come."""
        if self._waiting is None:
            super().on_data(data, end)
        else:
            self._held.append(lambda: ServerCall.on_data(self, data, end))

    def on_trailers(self, fields: Fields) -> None:
        """The request has ended with trailers."""
        if self._waiting is None:
            super().on_trailers(fields)
        else:
            self._held.append(lambda: ServerCall.on_trailers(self, fields))

    def on_reset(self, reset: StreamReset) -> None:
        """The caller has gone."""
        super().on_reset(reset)
        self._stop_waiting()

    def _cancel(self, error: RpcError) -> None:
        super()._cancel(error)
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._held.clear()
            waiting.cancel()


async def _outcome(pending: Awaitable[None]) -> BaseException | None:
    """Return what waiting raises: of some exceptions a task would tell the event loop."""
    try:
        await pending
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        return error
    return None

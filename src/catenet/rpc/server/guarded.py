"""A call that a guard looks at: before its head is acted on, and before its messages reach the handler.

What the guard can decide at once costs a call, no task. Where it has to wait (keys of an issuer, a rule that asks a
database), what comes of the request is kept as it is, and the windows of the stream bound how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from catenet.http.events import StreamReset
from catenet.http.message import Fields
from catenet.http.stream import Stream
from catenet.net.interrupts import is_interrupt
from catenet.rpc.model.context import Peer
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.policy.guard import Gate
from catenet.rpc.policy.limits import Lease
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.requests import END

if TYPE_CHECKING:
    from catenet.rpc.server.carrier import Carrier
    from catenet.rpc.server.route import Route

__all__ = ["GuardedCall"]


class GuardedCall(ServerCall):
    """A `ServerCall` behind a gate."""

    lease: Lease | None = None
    number: int = 0
    decided: bool = False

    _waiting: asyncio.Task[BaseException | None] | None = None
    _holds: bool = True
    _caller: Peer | None = None
    _first: list[Any] | None = None
    _code: Code | None = None
    _received: int = 0
    _sent: int = 0
    _settled: bool = False

    def __init__(self, connection: Carrier, stream: Stream, route: Route, gate: Gate) -> None:
        super().__init__(connection, stream, route)
        self._gate = gate
        self._held: list[Callable[[], None]] = []
        self._began = connection.now

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
            self.open(end)
        else:
            self._wait(pending, lambda: self.open(end))

    def _refuse(self, error: BaseException) -> None:
        """End the call before its handler has begun."""
        if not isinstance(error, RpcError):
            self.report(error, "the guard")
        self._end(self._explain(error))

    # Waiting.

    def _wait(self, pending: Awaitable[None], then: Callable[[], None], holds: bool = True) -> None:
        """Go on with `then`; `holds`: what comes of the request meanwhile waits too."""
        self._holds = holds
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
        self._received += len(data)
        if self.lease is not None:
            try:
                self._gate.charge(self, len(data))
            except RpcError as error:
                self._stop_waiting()
                self._fail_request(error)
                return
        if self._waiting is None or not self._holds:
            super().on_data(data, end)
        else:
            self._held.append(lambda: ServerCall.on_data(self, data, end))

    def on_trailers(self, fields: Fields) -> None:
        """The request has ended with trailers."""
        if self._waiting is None or not self._holds:
            super().on_trailers(fields)
        else:
            self._held.append(lambda: ServerCall.on_trailers(self, fields))

    def on_reset(self, reset: StreamReset) -> None:
        """The caller has gone."""
        self._code = Code.CANCELLED
        super().on_reset(reset)
        self._stop_waiting()
        self._settle()

    def _cancel(self, error: RpcError) -> None:
        super()._cancel(error)
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._held.clear()
            waiting.cancel()

    # Messages.

    def _run(self, request: Any) -> None:
        """Call the handler, once the one request, or the first of a stream, has been looked at."""
        gate = self._gate
        if self.streams_in:
            if gate.waits(self):
                self._wait(self._take_first(), lambda: ServerCall._run(self, request), holds=False)
            else:
                super()._run(request)
            return
        if not gate.inspects:
            super()._run(request)
            return
        try:
            pending = gate.inspect(self, request)
        except BaseException as error:
            self._refuse(error)
            return
        if pending is None:
            super()._run(request)
        else:
            self._wait(pending, lambda: ServerCall._run(self, request))

    async def _take_first(self) -> None:
        first = await self.next_request()
        if first is END and self._gate.waits(self):
            self._gate.refuse_empty(self)
        self._first = [first]

    async def next_request(self) -> Any:
        """Return the next message of a request stream, once it has been looked at, or `END`."""
        if self._first:
            return self._first.pop()
        message = await super().next_request()
        if message is END or not self._gate.inspects:
            return message
        try:
            pending = self._gate.inspect(self, message)
            if pending is not None:
                await pending
        except RpcError as error:
            self._fail_request(error)  # whatever the handler does about it
            raise
        return message

    def _reply_quickly(self, response: Any) -> bool:
        """What is counted goes the way on which it is."""
        if self.lease is not None and self.lease.counts_bytes:
            return False
        return super()._reply_quickly(response)

    def _encode(self, response: Any) -> tuple[bytes, str]:
        payload, compression = super()._encode(response)
        self._sent += len(payload)
        self._gate.charge(self, len(payload))
        return payload, compression

    # The end.

    def _finished(self, value: Any, error: BaseException | None) -> None:
        super()._finished(value, error)
        self._settle()

    def _end(self, error: RpcError | None) -> None:
        self._code = None if error is None else error.code
        super()._end(error)
        self._settle()

    def _settle(self) -> None:
        """The call is over and its handler too: what it used may be used by others."""
        if self._over and self._task is None and not self._settled:
            self._settled = True
            self._gate.ended(self, self._code, self._connection.loop.time() - self._began, self._received, self._sent)


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

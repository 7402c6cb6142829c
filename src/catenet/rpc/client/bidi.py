"""Calls with a stream of requests: both directions are independent, and attempts that fail early are made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from catenet.rpc.client.attempt import Attempt
from catenet.rpc.client.call import CallOptions, pushback_of
from catenet.rpc.client.replay import Replay
from catenet.rpc.client.service_config import Retrying
from catenet.rpc.client.streams import IteratedCall
from catenet.rpc.model.method import Method
from catenet.rpc.model.status import Code, RpcError

if TYPE_CHECKING:
    from catenet.rpc.client.channel import Connections
    from catenet.rpc.client.client import Channel

__all__ = ["BidiCall"]

Q = TypeVar("Q")
S = TypeVar("S")


class BidiCall(IteratedCall[Q, S]):
    """A call whose two directions are independent.

    ::

        async with channel.bidi(method) as call:
            await call.send(request)
            response = await call.receive()  # None: the server has ended the call
            await call.done()  # no more requests
            async for response in call:
                ...
    """

    def __init__(self, channel: Channel, method: Method[Q, S], options: CallOptions, single: bool = False) -> None:
        super().__init__(channel, method, options, single)
        self._replay: Replay | None = None
        self._retrying: Retrying | None = None
        self._given_up = False
        self._connections: Connections | None = None
        self._failure: RpcError | None = None
        """Why there is no further attempt, if the last one does not know it."""
        self._recovery: asyncio.Task[None] | None = None
        self._resending: asyncio.Task[None] | None = None

    # Requests.

    async def start(self) -> None:
        """Send the head of the request, without a message."""
        if self._attempt is None:
            self._connections = connections = self._channel.connections()
            self._replay = Replay(self._channel.options.retry_buffer, connections.replay_room)
            await self._begin()

    async def _begin(self) -> None:
        attempt = await self._open()
        assert self._call is not None
        attempt.on_begun, attempt.on_over = self._on_begun, self._on_over
        attempt.start(self._call.deadline)

    async def send(self, request: Q) -> None:
        """Send one message, and wait if the server does not take it yet."""
        await self.start()
        if self._recovery is not None:
            await self._recovered()
        attempt, replay = self._attempt, self._replay
        assert attempt is not None and replay is not None
        payload = attempt.parameters.encode(self._channel.chain.on_request(self.info, request))
        if not self.over:
            replay.add(payload)
            await self._transmit()

    async def done(self) -> None:
        """Say that no more messages follow."""
        await self.start()
        await self._recovered()
        assert self._replay is not None
        self._replay.ended = True
        await self._transmit()

    async def _transmit(self) -> None:
        """Send what the attempt that is going on has yet to send."""
        replay = self._replay
        assert replay is not None
        while (attempt := self._attempt) is not None and not attempt.over:
            payload = replay.next()
            if payload is None:
                if replay.next_end():
                    attempt.end_requests()
                return
            await attempt.send(payload)

    async def send_all(self, requests: Iterable[Q] | AsyncIterable[Q]) -> None:
        """Send messages and say that no more follow. What `requests` raises ends the call."""
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await self.send(request)
            else:
                for request in requests:
                    await self.send(request)
            await self.done()
        except Exception as error:
            if self._attempt is not None:
                reason = (
                    error if isinstance(error, RpcError) else RpcError(Code.CANCELLED, f"requests failed: {error!r}")
                )
                self.give_up(reason)
            raise

    # Attempts.

    @property
    def over(self) -> bool:
        """Whether the call is over: no other attempt follows."""
        return super().over and self._recovery is None

    @property
    def error(self) -> RpcError | None:
        """How a call that is over has failed."""
        return self._failure or super().error

    def _on_begun(self) -> None:
        if self._replay is not None:
            self._replay.commit()
        if self._watchers is not None:
            self._watchers[0]()

    def _on_over(self) -> None:
        """An attempt has ended: see whether another is made."""
        attempt = self._attempt
        assert attempt is not None
        delay = None if attempt.error is None else self._delay(attempt, attempt.error)
        if delay is not None:
            self._recovery = recovery = attempt.connection.loop.create_task(self._recover(delay))
            recovery.add_done_callback(self._on_recovered)
            if self._connections is not None:
                self._connections.between_attempts.add(self)
            return
        call = self._call
        connections = self._connections
        if attempt.error is None and call is not None and call.config.retry is not None and connections is not None:
            connections.budget.succeeded()
        self._end()

    def _delay(self, attempt: Attempt, error: RpcError) -> float | None:
        """Return in how many seconds another attempt is made; None: it is not."""
        call, replay = self._call, self._replay
        connections = self._connections
        if attempt.committed or replay is None or replay.committed or call is None or connections is None:
            return None
        if self._cancelled or self._given_up or connections.state == "shutdown":
            return None
        if self._retrying is None:
            self._retrying = Retrying(call.config.retry, connections.budget)
        delay = self._retrying.next_delay(error.code, connections.random, pushback_of(error), attempt.refused)
        late = call.deadline is not None and delay is not None and connections.loop.time() + delay >= call.deadline
        return None if late else delay

    async def _recover(self, delay: float) -> None:
        """Make another attempt, which gets all requests again."""
        await asyncio.sleep(delay)
        assert self._replay is not None
        self._replay.rewind()
        await self._begin()

    def _on_recovered(self, recovery: asyncio.Task[None]) -> None:
        """The next attempt has begun, or cannot be made."""
        if self._recovery is not recovery:
            return  # it has failed already, and another one is being prepared
        self._recovery = None
        if self._connections is not None:
            self._connections.between_attempts.discard(self)
        error = None if recovery.cancelled() else recovery.exception()
        if isinstance(error, RpcError):
            self._failure = error
        elif error is not None:
            self._failure = RpcError(Code.INTERNAL, f"the call could not be repeated: {error!r}")
        elif recovery.cancelled() and self._failure is None:
            self._failure = RpcError(Code.CANCELLED, "the call was cancelled")
        if self._failure is not None:
            self._end()
        else:
            # Beside whoever reads: a server may want its responses to be taken before it takes more.
            self._resending = recovery.get_loop().create_task(self._transmit())

    def _end(self) -> None:
        """The call is over."""
        if self._replay is not None:
            self._replay.commit()
        if self._watchers is not None:
            self._watchers[1]()

    async def _recovered(self) -> None:
        """Wait until no attempt is being prepared."""
        while (recovery := self._recovery) is not None:
            await asyncio.wait([recovery])

    async def _final(self, attempt: Attempt, error: RpcError) -> RpcError | None:
        await self._recovered()
        if self._failure is not None:
            return self._failure
        return error if self._attempt is attempt else None

    def give_up(self, reason: RpcError) -> None:
        """End the call, for that reason."""
        self._given_up = True
        if self._recovery is not None:
            self._failure = reason
            self._recovery.cancel()
        elif self._attempt is not None:
            self._attempt.cancel(reason)

    def cancel(self) -> None:
        """Break the call off; one that has not begun never will."""
        super().cancel()
        if self._recovery is not None:
            self._failure = RpcError(Code.CANCELLED, "the call was cancelled")
            self._recovery.cancel()

    # Responses.

    async def receive(self) -> S | None:
        """Return the next response; None after the last."""
        return await anext(self, None)

    async def response(self) -> Any:
        """Return the one response of a call that has one."""
        while True:
            attempt = self._attempt
            assert attempt is not None and attempt.result is not None
            await attempt.result
            if attempt.error is None:
                break
            final = await self._final(attempt, attempt.error)
            if final is not None:
                await self._left(attempt, final)
                raise final
        await self._left(attempt, None)
        return self._channel.chain.on_response(self.info, attempt.response())

    async def __aenter__(self) -> BidiCall[Q, S]:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

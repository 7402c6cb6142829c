"""Calls with an attempt of their own: what they share, and those with one request and many responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from catenet.rpc.client.attempt import Attempt
from catenet.rpc.client.call import Call, CallInfo, CallOptions
from catenet.rpc.client.service_config import Retrying
from catenet.rpc.client.stream_interceptors import StreamInterceptors
from catenet.rpc.model.metadata import check_metadata
from catenet.rpc.model.method import Method
from catenet.rpc.model.status import Code, RpcError

if TYPE_CHECKING:
    from catenet.rpc.client.client import Channel

__all__ = ["IteratedCall", "ResponseStream", "StreamingCall"]

Q = TypeVar("Q")
S = TypeVar("S")


class StreamingCall(Generic[Q, S]):
    """What calls with an attempt of their own share."""

    def __init__(self, channel: Channel, method: Method[Q, S], options: CallOptions, single: bool) -> None:
        self._channel = channel
        self._method = method
        self._options = options
        self._single = single
        self._call: Call | None = None
        self._attempt: Attempt | None = None
        self._cancelled = False
        self._watchers: tuple[Callable[[], None], Callable[[], None]] | None = None
        self.info = options.setdefault("info", CallInfo())
        self._interceptors = StreamInterceptors(channel.chain, self.info) if channel.chain.around else None

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that is going on, or was the last."""
        return self._attempt

    @property
    def over(self) -> bool:
        """Whether the last attempt is over."""
        return self._attempt is not None and self._attempt.over

    @property
    def error(self) -> RpcError | None:
        """How a call that is over has failed."""
        return None if self._attempt is None else self._attempt.error

    def watch(self, on_begun: Callable[[], None], on_over: Callable[[], None]) -> None:
        """Hear of each attempt that its response has begun, and that it is over. Before the call starts."""
        self._watchers = (on_begun, on_over)

    async def _open(self) -> Attempt:
        channel = self._channel
        connections = channel.connections()
        if self._call is None:
            self._call = call = Call(channel.options, self._method, self._options, connections.loop.time())
            if self._interceptors is not None:
                await self._interceptors.enter()
                call.fix_deadline(connections.loop.time())
                self.info.metadata = check_metadata(self.info.metadata)
        attempt = None if self._cancelled else await channel.attempt(connections, self._call, not self._single)
        if attempt is None or self._cancelled:
            if attempt is not None:
                attempt.connection.has_room()
            raise RpcError(Code.CANCELLED, "the call was cancelled")
        self.info.attempts += 1
        self._attempt = attempt
        if self._watchers is not None:
            attempt.on_begun, attempt.on_over = self._watchers
        return attempt

    async def _next(self) -> Any:
        """Return the next response; raise `StopAsyncIteration` after the last, `RpcError` for a failure."""
        while True:
            attempt = self._attempt
            assert attempt is not None and attempt.inbox is not None
            if self._cancelled:
                # Also if the rest had come by then: whether it had must make no difference.
                raise RpcError(Code.CANCELLED, "the call was cancelled")
            try:
                frame = await attempt.inbox.get()
                break
            except RpcError as error:
                final = await self._final(attempt, error)
                if final is not None:
                    await self._left(attempt, final)
                    raise final from None
        attempt.connection.touch()  # taking it may have given back credit
        if frame is None:
            await self._left(attempt, None)
            raise StopAsyncIteration
        self._note(attempt)
        assert attempt.reply is not None
        message = attempt.parameters.decode(frame, attempt.reply)
        return self._channel.chain.on_response(self.info, message)

    async def _final(self, attempt: Attempt, error: RpcError) -> RpcError | None:
        """An attempt has failed: return what the call ends with; None: it goes on with another attempt."""
        return error

    async def _left(self, attempt: Attempt, error: RpcError | None) -> None:
        """The call has ended; interceptors may end it otherwise."""
        self._note(attempt)
        if self._interceptors is not None:
            await self._interceptors.leave(error)

    def _note(self, attempt: Attempt) -> None:
        if attempt.reply is not None:
            self.info.initial_metadata = attempt.initial
        self.info.trailing_metadata = attempt.trailing

    def cancel(self) -> None:
        """Break the call off; one that has not begun never will."""
        self._cancelled = True
        if self._attempt is not None:
            self._attempt.cancel()
        if self._interceptors is not None:
            self._interceptors.abandon()


class IteratedCall(StreamingCall[Q, S], AsyncIterator[S]):
    """A call whose responses are iterated over; the first `anext` begins it."""

    def __aiter__(self) -> AsyncIterator[S]:
        return self

    async def __anext__(self) -> S:
        try:
            await self.start()
            return await self._next()  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def start(self) -> None:
        """Begin the call."""
        raise NotImplementedError


class ResponseStream(IteratedCall[Q, S]):
    """The responses of a server-streaming call. The call begins with the first `anext`."""

    def __init__(self, channel: Channel, method: Method[Q, S], options: CallOptions, request: Q) -> None:
        super().__init__(channel, method, options, single=False)
        self._request = request

    async def start(self) -> None:
        """Make attempts until one begins to answer, or fails for good. The first `anext` does so too."""
        if self._attempt is not None:
            return
        retrying: Retrying | None = None
        while True:
            attempt = await self._open()
            call, connections = self._call, self._channel.connections()
            assert call is not None
            message = self._channel.chain.on_request(self.info, self._request)
            attempt.start_whole(message, call.deadline)
            assert attempt.inbox is not None
            await attempt.inbox.ready()
            error = attempt.error
            if error is None or attempt.committed:
                return
            if retrying is None:
                retrying = Retrying(call.config.retry, connections.budget)
            await self._channel.before_retry(connections, call, attempt, retrying, error)

    async def aclose(self) -> None:
        """Break the call off if it still runs."""
        self.cancel()

    def __del__(self) -> None:
        # Left in the middle (a break out of the loop): the server need not go on.
        attempt = self._attempt
        if attempt is not None and not attempt.over and not attempt.connection.loop.is_closed():
            attempt.connection.loop.call_soon_threadsafe(attempt.cancel)

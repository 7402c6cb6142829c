"""One call of a stub, on the event loop: what the asynchronous and the synchronous calls stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from catenet.rpc.client.bidi import BidiCall
from catenet.rpc.client.call import CallInfo, CallOptions
from catenet.rpc.client.client import Channel
from catenet.rpc.client.streams import ResponseStream
from catenet.rpc.grpc.status import Outcome, Pairs, StatusCode, outcome_of, pairs_of
from catenet.rpc.model.method import Kind, Method
from catenet.rpc.model.status import Code
from catenet.rpc.model.status import RpcError as CallError

__all__ = ["Exchange"]

_CANCELLED = "Locally cancelled by application!"
_EXCEEDED = "Deadline Exceeded"


class Exchange:
    """A call that begins when it is made, in a task of its own.

    `more` finds metadata before the call goes out (credentials). `request` is the message of a call that sends one.
    `max_send` bounds messages, in bytes.
    """

    def __init__(
        self,
        channel: Channel,
        method: Method[bytes, bytes],
        options: CallOptions,
        request: bytes | None,
        more: Callable[[], Awaitable[Pairs]] | None = None,
        max_send: int = 1 << 31,
    ) -> None:
        self.loop = loop = asyncio.get_running_loop()
        self.method = method
        self._channel = channel
        self._options = options
        self._more = more
        self._max_send = max_send
        self._info = options.setdefault("info", CallInfo())
        self._call: ResponseStream[bytes, bytes] | BidiCall[bytes, bytes] | None = None
        self._response: bytes | None = None
        self._begun = False
        self._sent_all = False
        self._cancelled = False
        timeout = options.get("timeout")
        self.deadline: float | None = None if timeout is None else loop.time() + timeout
        self._initial: asyncio.Future[Pairs] = loop.create_future()
        self._outcome: asyncio.Future[Outcome] = loop.create_future()
        self.over: Callable[[Exchange], None] | None = None
        """Is told when the call is over."""
        self._task = loop.create_task(self._run(request))

    # Running.

    async def _run(self, request: bytes | None) -> None:
        try:
            if self.deadline is not None and self.deadline <= self.loop.time():
                raise CallError(Code.DEADLINE_EXCEEDED, _EXCEEDED)
            if self._more is not None:
                more = await self._more()
                self._options["metadata"] = (*self._options.get("metadata", ()), *more)
            if self.method.kind is Kind.UNARY:
                await self._run_unary(request)
            else:
                await self._begin_stream(request)
        except CallError as error:
            self._settle(error)
        except asyncio.CancelledError:
            self._settle(CallError(Code.CANCELLED, _CANCELLED))
        except Exception as error:
            self._settle(CallError(Code.INTERNAL, f"{type(error).__name__}: {error}"))

    async def _run_unary(self, request: bytes | None) -> None:
        assert request is not None
        self._check_size(request)
        self._response = await self._channel.unary(self.method, request, **self._options)
        self._settle(None)

    async def _begin_stream(self, request: bytes | None) -> None:
        if request is None:
            self._call = BidiCall(self._channel, self.method, self._options)
        else:
            self._check_size(request)
            self._call = ResponseStream(self._channel, self.method, self._options, request)
        self._call.watch(self._on_begun, self._on_over)
        await self._call.start()
        self._begun = True
        if self._call.over:
            self._on_over()

    def _check_size(self, message: bytes) -> None:
        if len(message) > self._max_send:
            text = f"Sent message larger than max ({len(message)} vs. {self._max_send})"
            raise CallError(Code.RESOURCE_EXHAUSTED, text)

    def _on_begun(self) -> None:
        attempt = self._call.attempt if self._call is not None else None
        if attempt is not None and not self._initial.done():
            self._initial.set_result(pairs_of(attempt.initial))

    def _on_over(self) -> None:
        attempt = self._call.attempt if self._call is not None else None
        if attempt is not None and self._call is not None and self._begun:  # before that another attempt may follow
            self._info.initial_metadata, self._info.trailing_metadata = attempt.initial, attempt.trailing
            self._settle(self._call.error)

    def _settle(self, error: CallError | None) -> None:
        """The call is over."""
        if self._outcome.done():
            return
        if self.over is not None:
            self.over(self)
        if not self._initial.done():
            self._initial.set_result(pairs_of(self._info.initial_metadata))
        outcome = outcome_of(error, self._info.trailing_metadata)
        if outcome.code is StatusCode.DEADLINE_EXCEEDED and outcome.details.startswith("the deadline passed"):
            outcome = outcome._replace(details=_EXCEEDED)  # as programs know it, whichever end was first
        self._outcome.set_result(outcome)

    # What both kinds of calls use.

    @property
    def done(self) -> bool:
        """Whether the call is over."""
        return self._outcome.done()

    @property
    def was_cancelled(self) -> bool:
        """Whether the call ended because this end broke it off."""
        return self._cancelled

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when the call is over."""
        self._outcome.add_done_callback(lambda _: callback())

    def cancel(self, details: str = _CANCELLED) -> bool:
        """Break the call off; False if it was over."""
        if self._outcome.done():
            return False
        self._cancelled = True
        self._settle(CallError(Code.CANCELLED, details))
        if self._call is not None:
            self._call.cancel()
        self._task.cancel()
        return True

    def fail(self, details: str) -> None:
        """Break the call off for a fault of this end."""
        if not self._outcome.done():
            self._settle(CallError(Code.UNKNOWN, details))
            if self._call is not None:
                self._call.cancel()
            self._task.cancel()

    async def initial(self) -> Pairs:
        """Return the initial metadata, when it has come or the call is over."""
        return await asyncio.shield(self._initial)

    @property
    def initial_now(self) -> Pairs:
        """The initial metadata that has come so far."""
        return self._initial.result() if self._initial.done() else ()

    async def outcome(self) -> Outcome:
        """Return how the call ended, when it has."""
        return await asyncio.shield(self._outcome)

    @property
    def ended(self) -> Outcome | None:
        """How the call ended, None before."""
        return self._outcome.result() if self._outcome.done() else None

    def remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return None if self.deadline is None else max(self.deadline - self.loop.time(), 0.0)

    @property
    def response_now(self) -> bytes | None:
        """The one response of a unary call that is over; None if it failed."""
        return self._response

    async def response(self) -> bytes | None:
        """Return the one response, when the call is over; None if it failed."""
        if self.method.kind is Kind.UNARY:
            await self.outcome()
            return self._response
        message = await self.read()
        if message is not None and await self.read() is not None:
            self.cancel()
        outcome = await self.outcome()
        if outcome.code is StatusCode.OK and message is None:
            raise CallError(Code.UNIMPLEMENTED, "the method returns one message, none came")
        return message if outcome.code is StatusCode.OK else None

    async def read(self) -> bytes | None:
        """Return the next response; None after the last, or if the call fails: `outcome` tells."""
        await asyncio.wait([self._task])
        if self._call is None or self._cancelled:
            return None
        try:
            return await anext(self._call)
        except StopAsyncIteration:
            return None
        except CallError as error:
            self._settle(error)  # a message that cannot be decoded ends the call here
            if self._call.attempt is not None:
                self._call.attempt.cancel(error)
            return None

    async def write(self, message: bytes) -> bool:
        """Send a request, when there is room; False if the call is over."""
        self._check_size_of_stream(message)
        await asyncio.wait([self._task])
        if self._outcome.done() or not isinstance(self._call, BidiCall):
            return False
        try:
            await self._call.send(message)
        except CallError as error:
            self._settle(error)
            return False
        return not self._outcome.done()

    def _check_size_of_stream(self, message: bytes) -> None:
        try:
            self._check_size(message)
        except CallError as error:
            self._settle(error)
            if self._call is not None:
                self._call.cancel()

    async def writes_done(self) -> None:
        """Say that no more requests follow."""
        await asyncio.wait([self._task])
        if not self._sent_all and isinstance(self._call, BidiCall) and not self._outcome.done():
            self._sent_all = True
            await self._call.done()

    def __repr__(self) -> str:
        ended = self.ended
        return f"Exchange({self.method.full_name}, {ended.code.name if ended else 'running'})"

"""Calls of `grpc`, for threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import TimeoutError as ThreadTimeout
from functools import partial
from typing import Any

from catenet.net.loop_thread import LoopThread
from catenet.rpc.grpc.exchange import Exchange
from catenet.rpc.grpc.interfaces import Call, Future
from catenet.rpc.grpc.raw import serialize
from catenet.rpc.grpc.status import (
    FutureCancelledError,
    FutureTimeoutError,
    Outcome,
    Pairs,
    RpcError,
    StatusCode,
)
from catenet.rpc.model.status import RpcError as CallError

logger = logging.getLogger("catenet.rpc")

__all__ = ["CallThatIsOver", "InactiveRpcError", "MultiThreadedRendezvous"]


class CallThatIsOver(Call, Future):
    """What is the same for all calls that are over."""

    def is_active(self) -> bool:
        """It is over."""
        return False

    def time_remaining(self) -> float | None:
        """It is over."""
        return None

    def cancel(self) -> bool:
        """It is over."""
        return False

    def cancelled(self) -> bool:
        """It was not broken off by this end."""
        return False

    def running(self) -> bool:
        """It is over."""
        return False

    def done(self) -> bool:
        """It is over."""
        return True

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """It is over."""
        return False

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """It is over."""
        fn(self)


class InactiveRpcError(RpcError, CallThatIsOver):
    """A call that is over and did not end well; raised by calls with one response."""

    def __init__(self, outcome: Outcome, initial: Pairs) -> None:
        super().__init__(outcome)
        self._outcome = outcome
        self._initial = initial

    def initial_metadata(self) -> Pairs:
        """Return what came before the first message."""
        return self._initial

    def trailing_metadata(self) -> Pairs:
        """Return what came with the status."""
        return self._outcome.trailing

    def code(self) -> StatusCode:
        """Return the status."""
        return self._outcome.code

    def details(self) -> str:
        """Return the text of the status."""
        return self._outcome.details

    def debug_error_string(self) -> str:
        """Return the status as one text."""
        return self._outcome.debug_string

    def result(self, timeout: float | None = None) -> Any:
        """Raise it."""
        raise self

    def exception(self, timeout: float | None = None) -> BaseException:
        """Return it."""
        return self

    def traceback(self, timeout: float | None = None) -> Any:
        """Return where it was raised."""
        return self.__traceback__

    def __str__(self) -> str:
        return self._outcome.text("_InactiveRpcError", "terminated with")

    __repr__ = __str__


class MultiThreadedRendezvous(Call, Future, RpcError):
    """A call that any thread may use: iterate over its responses, or ask for its `result()`.

    It is the error, too, that iterating raises if it does not end well.
    """

    def __init__(
        self,
        thread: LoopThread,
        begin: Callable[[], Exchange],
        serializer: Any,
        deserializer: Any,
        single: bool,
        requests: Iterable[Any] | None,
        blocks: bool = False,
    ) -> None:
        super().__init__()
        self._thread = thread
        self._serializer = serializer
        self._deserializer = deserializer
        self._single = single
        self._over: ThreadFuture[Outcome] = ThreadFuture()
        self._response: Any = None
        self._cancelled = False
        self._error: BaseException | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._ended: threading.Lock | None = None
        if blocks:
            # Its thread waits for the end: to be woken for the beginning, too, would cost as much as the call. And it
            # waits for a lock, as a future of threads takes three.
            self._ended = ended = threading.Lock()
            ended.acquire()
            thread.call(self._begin_soon, begin, ended)
            return
        self._exchange = thread.run(self._begin(begin))
        if requests is not None:
            # The loop must not wait for what a program's iterator waits for.
            threading.Thread(target=self._send_all, args=(requests,), name="grpc-requests", daemon=True).start()

    def _begin_soon(self, begin: Callable[[], Exchange], ended: threading.Lock) -> None:
        try:
            if self._cancelled:
                raise FutureCancelledError
            self._exchange = exchange = begin()
            exchange.on_done(partial(self._finish_unary, exchange, ended))
        except BaseException as error:
            self._over.set_exception(error)
            ended.release()

    def _finish_unary(self, exchange: Exchange, ended: threading.Lock) -> None:
        """The call is over, and with it what has come."""
        self._take(exchange.response_now, _ended(exchange))
        ended.release()

    async def _begin(self, begin: Callable[[], Exchange]) -> Exchange:
        exchange = begin()
        if self._single:
            self._finishing = exchange.loop.create_task(self._finish(exchange))
        else:
            over = self._over  # not the call, which ends when nobody holds it any more
            exchange.on_done(lambda: over.set_result(_ended(exchange)))
        return exchange

    async def _finish(self, exchange: Exchange) -> None:
        """Take the response before anybody hears that the call is over."""
        try:
            payload = await exchange.response()
        except CallError as error:
            self._over.set_result(Outcome(StatusCode[error.code.name], error.message, ()))
            return
        self._take(payload, await exchange.outcome())

    def _take(self, payload: bytes | None, outcome: Outcome) -> None:
        if outcome.code is StatusCode.OK:
            try:
                self._response = payload if self._deserializer is None else self._deserializer(payload)
            except Exception as error:
                self._error = error
                outcome = Outcome(StatusCode.INTERNAL, "Exception deserializing response!", outcome.trailing)
        self._over.set_result(outcome)

    def __del__(self) -> None:
        exchange = getattr(self, "_exchange", None)
        if exchange is not None and not exchange.done:
            self._thread.soon(exchange.cancel)

    # Requests.

    def _send_all(self, requests: Iterable[Any]) -> None:
        exchange, thread = self._exchange, self._thread
        each = iter(requests)
        with contextlib.suppress(RuntimeError, CancelledError):  # the channel has been closed
            while True:
                try:
                    payload = serialize(next(each), self._serializer)
                except StopIteration:
                    break
                except Exception:
                    logger.exception("Exception iterating requests!")
                    thread.soon(exchange.fail, "Exception iterating requests!")
                    return
                if not thread.run(exchange.write(payload)):
                    return
            thread.run(exchange.writes_done())

    # Responses.

    def __iter__(self) -> MultiThreadedRendezvous:
        return self

    def __next__(self) -> Any:
        try:
            payload = self._thread.run(self._exchange.read())
        except KeyboardInterrupt:
            self.cancel()
            raise
        if payload is not None:
            return payload if self._deserializer is None else self._deserializer(payload)
        if self._over.result().code is StatusCode.OK:
            raise StopIteration
        raise self

    def next(self) -> Any:
        """As `next(call)`."""
        return self.__next__()

    # The call.

    def initial_metadata(self) -> Pairs:
        """Return what came before the first message, when it has."""
        return self._thread.run(self._exchange.initial()) if not self._exchange.done else self._exchange.initial_now

    def trailing_metadata(self) -> Pairs:
        """Return what came with the status, when the call is over."""
        return self._over.result().trailing

    def code(self) -> StatusCode:
        """Return the status, when the call is over."""
        return self._over.result().code

    def details(self) -> str:
        """Return the text of the status, when the call is over."""
        return self._over.result().details

    def debug_error_string(self) -> str:
        """Return the status as one text, when the call is over."""
        return self._over.result().debug_string

    def is_active(self) -> bool:
        """Whether the call is going on."""
        return not self._over.done()

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return self._exchange.remaining()

    def cancel(self) -> bool:
        """Break the call off; False if it was over."""
        if self._over.done():
            return False
        self._cancelled = True
        self._thread.soon(self._cancel_begun)
        return True

    def _cancel_begun(self) -> None:
        exchange = getattr(self, "_exchange", None)
        if exchange is not None:
            exchange.cancel()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call `callback()` at the end; False if the end has come already."""
        if self._over.done():
            return False
        self._over.add_done_callback(lambda _: callback())
        return True

    # The future.

    def cancelled(self) -> bool:
        """Whether this end broke the call off."""
        return self._cancelled or (self._over.done() and self._over.result().code is StatusCode.CANCELLED)

    def running(self) -> bool:
        """Whether the call is going on."""
        return not self._over.done()

    def done(self) -> bool:
        """Whether the call is over."""
        return self._over.done()

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Call `fn(self)` at the end, at once if it has come."""
        self._over.add_done_callback(lambda _: fn(self))

    def _wait(self, timeout: float | None) -> Outcome:
        try:
            outcome = self._over.result(timeout)
        except ThreadTimeout:
            raise FutureTimeoutError from None
        if self._exchange.was_cancelled:
            raise FutureCancelledError
        return outcome

    def result(self, timeout: float | None = None) -> Any:
        """Return the response, or for a stream the call. Raises `RpcError` and the errors of futures."""
        outcome = self._wait(timeout)
        if outcome.code is not StatusCode.OK:
            raise self
        return self._response if self._single else self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error that it ended with, or None."""
        return None if self._wait(timeout).code is StatusCode.OK else self

    def traceback(self, timeout: float | None = None) -> Any:
        """Return where that error was raised, or None."""
        error = self.exception(timeout)
        return None if error is None else error.__traceback__

    def outcome(self) -> Outcome:
        """Return how the call ended, when it has; Ctrl-C breaks it off."""
        try:
            return self._over.result()
        except BaseException:
            self.cancel()
            raise

    def wait(self) -> Any:
        """Return the response of a call whose maker waits for it. Raises `InactiveRpcError`; Ctrl-C breaks it off."""
        if self._ended is not None:
            try:
                self._ended.acquire()
            except BaseException:
                self.cancel()
                raise
        return self.response()

    def response(self) -> Any:
        """Return the one response of a call that has one. Raises `InactiveRpcError`."""
        outcome = self.outcome()
        if outcome.code is not StatusCode.OK:
            raise InactiveRpcError(outcome, self._exchange.initial_now) from self._error
        return self._response

    def _text(self) -> str:
        if not self._over.done():
            return "<_MultiThreadedRendezvous object of in-flight RPC>"
        return self._over.result().text("_MultiThreadedRendezvous", "terminated with")

    __repr__ = _text
    __str__ = _text


def _ended(exchange: Exchange) -> Outcome:
    ended = exchange.ended
    assert ended is not None
    return ended

"""A call as handlers of `grpc.aio` see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from catenet.rpc.grpc.aio.call import RpcContext
from catenet.rpc.grpc.aio.errors import EOF, AbortError, UsageError
from catenet.rpc.grpc.context import CallState
from catenet.rpc.grpc.dispatch import Reading, serialized
from catenet.rpc.grpc.status import sendable
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.requests import END

__all__ = ["ServicerContext"]


class ServicerContext(CallState, RpcContext):
    """A call as its coroutine sees it."""

    def __init__(self, call: ServerCall) -> None:
        super().__init__(call)
        self.last_written: Any = None
        self._reading: Reading | None = None
        self._serializer: Any = None
        self._finished = False

    def reads_from(self, reading: Reading, serializer: Any) -> None:
        """Where messages come from, and how those that go become bytes."""
        self._reading, self._serializer = reading, serializer

    def over(self) -> None:
        """The call is over: whoever waits for that hears it."""
        self._finished = True
        super().over()

    async def read(self) -> Any:
        """Return the next request; `EOF` after the last."""
        if self._reading is None or not self.served.method.kind.client_streams:
            raise UsageError("only a handler of request streams reads")
        message = await self._reading.next()
        return EOF if message is END else message

    async def write(self, message: Any) -> None:
        """Send a response, and wait if the caller does not take it yet."""
        if not self.served.method.kind.server_streams:
            raise UsageError("only a handler of response streams writes")
        await self.served.write(serialized(message, self._serializer))

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send metadata now, before the first response. Raises `UsageError` if it has been sent."""
        try:
            self.served.send_initial_metadata(sendable(initial_metadata))
        except RuntimeError:
            raise UsageError("Send initial metadata failed: already sent") from None

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with that status, by an exception."""
        if self.aborted:
            raise UsageError("Abort already called!")
        self.stop(code, details, trailing_metadata or None)
        raise AbortError("Locally aborted.")

    async def abort_with_status(self, status: Any) -> NoReturn:
        """End the call with a `Status`, by an exception."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback(self)` when the call is over."""
        if not self.add_callback(lambda: callback(self)):
            callback(self)

    def cancelled(self) -> bool:
        """Whether the caller has gone, or the deadline has passed."""
        return self.served.cancelled

    def done(self) -> bool:
        """Whether the call is over."""
        return self._finished or self.served.cancelled

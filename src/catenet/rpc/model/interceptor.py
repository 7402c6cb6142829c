"""Wrapping calls, on both sides and for all four kinds with one shape.

An interceptor overrides what it needs. `around` encloses the whole call::

    class Timing(Interceptor):
        async def around(self, call, proceed):
            started = time.perf_counter()
            try:
                return await proceed()
            finally:
                record(call.method.full_name, time.perf_counter() - started)

`request` and `response` see, and may replace, each message. The first interceptor is the outermost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

__all__ = ["Chain", "Interceptor", "Proceed"]

Proceed = Callable[[], Awaitable[Any]]


class Interceptor:
    """Does nothing; the base of those that do."""

    async def around(self, call: Any, proceed: Proceed) -> Any:
        """Enclose the call: `call` is the server's context or the client's call.

        Return what `proceed()` returned (the response of a call with one response, else None), or another response;
        raise `RpcError` to end the call. It may be called without calling `proceed`.
        """
        return await proceed()

    def request(self, call: Any, message: Any) -> Any:
        """Return the request message to go on with."""
        return message

    def response(self, call: Any, message: Any) -> Any:
        """Return the response message to go on with."""
        return message


class Chain:
    """The interceptors of one side, sorted by what they override, so that what nobody overrides costs nothing."""

    __slots__ = ("around", "request", "response")

    def __init__(self, interceptors: Sequence[Interceptor]) -> None:
        self.around = tuple(i for i in interceptors if type(i).around is not Interceptor.around)
        self.request = tuple(i.request for i in interceptors if type(i).request is not Interceptor.request)
        # A response passes on the way back: the outermost sees it last.
        self.response = tuple(
            i.response for i in reversed(interceptors) if type(i).response is not Interceptor.response
        )

    def wrap(self, call: Any, proceed: Proceed) -> Proceed:
        """Return `proceed` with all `around` methods around it."""
        for interceptor in reversed(self.around):
            proceed = partial(interceptor.around, call, proceed)
        return proceed

    def on_request(self, call: Any, message: Any) -> Any:
        """Pass a request message through all."""
        for hook in self.request:
            message = hook(call, message)
        return message

    def on_response(self, call: Any, message: Any) -> Any:
        """Pass a response message through all."""
        for hook in self.response:
            message = hook(call, message)
        return message

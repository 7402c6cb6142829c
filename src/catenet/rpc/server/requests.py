"""The requests of a stream, as handlers iterate over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from catenet.net.interrupts import is_interrupt

if TYPE_CHECKING:
    from catenet.rpc.server.call import ServerCall

__all__ = ["END", "Requests"]

END = object()
"""After the last request."""

_Q = TypeVar("_Q")


class Requests(Generic[_Q]):
    """The messages of a request stream: `async for` in a coroutine, `for` in a handler that runs on a thread."""

    __slots__ = ("_call",)

    def __init__(self, call: ServerCall) -> None:
        self._call = call

    def __aiter__(self) -> AsyncIterator[_Q]:
        return self

    async def __anext__(self) -> _Q:
        message = await self._call.next_request()
        if message is END:
            raise StopAsyncIteration
        return message  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[_Q]:
        return self

    def __next__(self) -> _Q:
        message, error = asyncio.run_coroutine_threadsafe(self._outcome(), self._call.loop).result()
        if error is not None:
            raise error
        if message is END:
            raise StopIteration
        return message  # type: ignore[no-any-return]

    async def _outcome(self) -> tuple[Any, BaseException | None]:
        """Return what an interceptor or a codec raises: some exceptions would end the event loop with their task."""
        try:
            return await self._call.next_request(), None
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise
            return None, error

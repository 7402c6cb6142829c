"""Interceptors around a streaming call of a client.

A stream has no function to enclose: it is opened here, read there, left anywhere. So `around` runs as a task beside
it; `proceed()` returns when the call has ended.
"""

from __future__ import annotations

import asyncio
from typing import Any

from catenet.rpc.model.failures import is_failure, logger
from catenet.rpc.model.interceptor import Chain
from catenet.rpc.model.status import Code, RpcError

__all__ = ["StreamInterceptors"]


class StreamInterceptors:
    """The interceptors of one streaming call."""

    __slots__ = ("_chain", "_ended", "_entered", "_info", "_task")

    def __init__(self, chain: Chain, info: Any) -> None:
        self._chain = chain
        self._info = info
        self._task: asyncio.Future[Any] | None = None
        self._entered: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    async def enter(self) -> None:
        """Run the interceptors up to where they proceed; raise the `RpcError` with which they do not."""
        loop = asyncio.get_running_loop()
        self._entered, self._ended = entered, ended = (loop.create_future(), loop.create_future())

        async def innermost() -> None:
            if not entered.done():
                entered.set_result(None)
            await ended

        self._task = task = asyncio.ensure_future(self._chain.wrap(self._info, innermost)())
        await asyncio.wait([entered, task], return_when=asyncio.FIRST_COMPLETED)
        if not entered.done():
            task.result()
            raise RpcError(Code.CANCELLED, "an interceptor ended the call")

    async def leave(self, error: RpcError | None) -> None:
        """The call has ended: let the interceptors end; raise the error they end with, which may be another."""
        if self._task is None or self._ended is None or self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
        await self._task

    def abandon(self) -> None:
        """The call was left in the middle: the interceptors hear that it was cancelled; what they raise is logged."""
        if self._task is not None and self._ended is not None and not self._ended.done():
            self._task.add_done_callback(_forget)
            self._ended.set_exception(RpcError(Code.CANCELLED, "the call was cancelled"))


def _forget(task: asyncio.Future[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and is_failure(error):
        logger.error("an interceptor of a call that was left in the middle failed", exc_info=error)

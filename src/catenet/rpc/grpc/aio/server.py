"""Servers of `grpc.aio`."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

from catenet.rpc.grpc.aio.context import ServicerContext
from catenet.rpc.grpc.aio.errors import AbortError
from catenet.rpc.grpc.context import ServicerContext as ContextOnThread
from catenet.rpc.grpc.dispatch import CallServer, chained, details_of, handle, is_plain, no_handler, run_handler
from catenet.rpc.grpc.handlers import Handlers
from catenet.rpc.grpc.handling import ServesHandlers
from catenet.rpc.grpc.ports import stop
from catenet.rpc.grpc.status import Compression
from catenet.rpc.model.status import RpcError as CallError
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.options import ServerOptions

__all__ = ["Server", "ServerInterceptor", "server"]


class ServerInterceptor(abc.ABC):
    """Chooses the handler of a call, or puts another around it."""

    @abc.abstractmethod
    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return a handler: that of `await continuation(handler_call_details)`, or another; None: there is none."""


class _CallServer(CallServer):
    def __init__(
        self,
        handlers: Handlers,
        options: ServerOptions,
        interceptors: Sequence[Any],
        executor: Executor | None,
        limit: int | None,
    ) -> None:
        super().__init__(handlers, options, limit)
        self._executor = executor

        async def find(details: Any) -> Any:
            return handlers.find(details)

        self._find = chained(interceptors, find)

    async def perform(self, request: Any, call: ServerCall) -> Any:
        """Run a handler on the loop, or one that is no coroutine function on a thread."""
        context = ServicerContext(call)
        try:
            handler = await self._find(details_of(call))
            if handler is None:
                raise no_handler(call)
            if is_plain(handler):
                return await run_handler(lambda _: handler, request, call, self._executor, ContextOnThread(call))
            return await handle(handler, request, call, context)
        except (CallError, asyncio.CancelledError):
            raise
        except AbortError:
            raise context.failed("Locally aborted.") from None
        except Exception as error:
            if not context.aborted:
                call.report(error)
            raise context.failed(f"Unexpected {type(error)}: {error}") from None
        finally:
            context.over()


class Server(ServesHandlers):
    """Serves handlers, on the loop that starts it."""

    def __init__(
        self,
        thread_pool: Executor | None,
        generic_handlers: Iterable[Any] | None,
        interceptors: Sequence[Any] | None,
        options: Iterable[tuple[str, Any]] | None,
        maximum_concurrent_rpcs: int | None,
        compression: Compression | None,
    ) -> None:
        for interceptor in interceptors or ():
            if not hasattr(interceptor, "intercept_service"):
                raise ValueError(f"Interceptor {interceptor} must be a ServerInterceptor, it has no intercept_service")
        super().__init__(
            _CallServer,
            thread_pool,
            generic_handlers,
            interceptors,
            options,
            maximum_concurrent_rpcs,
            compression,
        )
        self._terminated: asyncio.Event = asyncio.Event()

    async def start(self) -> None:
        """Take calls."""
        self._started = True
        await self._ports.listen(self._server)

    async def stop(self, grace: float | None) -> None:
        """Take no more calls, and break off those that run on after `grace` seconds."""
        self._ports.close()
        if self._started:
            await stop(self._server, grace)
        self._terminated.set()

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped; return whether it has not in that time."""
        try:
            await asyncio.wait_for(self._terminated.wait(), timeout)
        except TimeoutError:
            return True
        return False


def server(
    migration_thread_pool: Executor | None = None,
    handlers: Iterable[Any] | None = None,
    interceptors: Sequence[Any] | None = None,
    options: Iterable[tuple[str, Any]] | None = None,
    maximum_concurrent_rpcs: int | None = None,
    compression: Compression | None = None,
) -> Server:
    """Return a server for handlers; those that are no coroutine functions run on `migration_thread_pool`."""
    return Server(migration_thread_pool, handlers, interceptors, options, maximum_concurrent_rpcs, compression)

"""Servers of `grpc`, whose handlers run on a pool of threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

from catenet.net.loop_thread import LoopThread
from catenet.rpc.grpc.context import ServicerContext
from catenet.rpc.grpc.dispatch import CallServer, chained, run_handler
from catenet.rpc.grpc.handlers import Handlers
from catenet.rpc.grpc.handling import ServesHandlers
from catenet.rpc.grpc.interfaces import Server as AbstractServer
from catenet.rpc.grpc.ports import stop
from catenet.rpc.grpc.status import Compression
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.options import ServerOptions

__all__ = ["Server", "server"]


class _CallServer(CallServer):
    def __init__(
        self, handlers: Handlers, options: ServerOptions, interceptors: Sequence[Any], pool: Executor, limit: int | None
    ) -> None:
        super().__init__(handlers, options, limit)
        self._pool = pool
        self._find = chained(interceptors, handlers.find)

    async def perform(self, request: Any, call: ServerCall) -> Any:
        """Run interceptors and handler on a thread."""
        return await run_handler(self._find, request, call, self._pool, ServicerContext(call))


class Server(ServesHandlers, AbstractServer):
    """Serves handlers; the loop that carries their calls runs on a thread of its own."""

    def __init__(
        self,
        thread_pool: Executor,
        generic_handlers: Iterable[Any] | None,
        interceptors: Sequence[Any] | None,
        options: Iterable[tuple[str, Any]] | None,
        maximum_concurrent_rpcs: int | None,
        compression: Compression | None,
    ) -> None:
        super().__init__(
            _CallServer,
            thread_pool,
            generic_handlers,
            interceptors,
            options,
            maximum_concurrent_rpcs,
            compression,
        )
        self._thread = LoopThread("grpc-server")
        self._terminated = threading.Event()
        self._stopping = False

    def start(self) -> None:
        """Take calls. Raises `ValueError` if the server has started."""
        if self._started:
            raise ValueError("Cannot start already-started server!")
        self._started = True
        self._thread.run(self._ports.listen(self._server))

    def stop(self, grace: float | None) -> threading.Event:
        """Take no more calls, and break off those that run on after `grace` seconds; return what tells the end."""
        self._ports.close()
        if not self._started:
            self._terminated.set()
        elif not self._stopping or not grace:
            self._stopping = True
            self._thread.submit(self._stop(grace))
        return self._terminated

    async def _stop(self, grace: float | None) -> None:
        try:
            await stop(self._server, grace)
        finally:
            self._terminated.set()
            self._thread.close()

    def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped; return whether it has not in that time."""
        return not self._terminated.wait(timeout)

    def __del__(self) -> None:
        if getattr(self, "_started", False) and not self._terminated.is_set():
            with contextlib.suppress(RuntimeError):  # the loop has ended with its program
                self.stop(None)


def server(
    thread_pool: Executor,
    handlers: Iterable[Any] | None = None,
    interceptors: Sequence[Any] | None = None,
    options: Iterable[tuple[str, Any]] | None = None,
    maximum_concurrent_rpcs: int | None = None,
    compression: Compression | None = None,
    xds: bool = False,
) -> Server:
    """Return a server whose handlers run on `thread_pool`."""
    return Server(thread_pool, handlers, interceptors, options, maximum_concurrent_rpcs, compression)

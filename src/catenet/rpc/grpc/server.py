"""Servers of `grpc`, whose handlers run on a pool of threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from catenet.rpc.grpc.context import ServicerContext
from catenet.rpc.grpc.credentials import ServerCredentials
from catenet.rpc.grpc.dispatch import CallServer, chained, run_handler
from catenet.rpc.grpc.handlers import Handlers
from catenet.rpc.grpc.interfaces import Server as AbstractServer
from catenet.rpc.grpc.loop import LoopThread
from catenet.rpc.grpc.options import Arguments, server_options
from catenet.rpc.grpc.ports import Ports, stop
from catenet.rpc.grpc.status import Compression
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.server import ServerOptions

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


class Server(AbstractServer):
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
        arguments = Arguments(options)
        self._handlers = Handlers()
        self._handlers.add_generic(generic_handlers or ())
        self._server = _CallServer(
            self._handlers,
            server_options(arguments, compression),
            tuple(interceptors or ()),
            thread_pool,
            maximum_concurrent_rpcs,
        )
        self._ports = Ports(bool(arguments.get("so_reuseport", 0)))
        self._thread = LoopThread("grpc-server")
        self._terminated = threading.Event()
        self._started = False
        self._stopping = False

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Serve these."""
        self._handlers.add_generic(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Serve these methods of a service."""
        self._handlers.add_registered(service_name, method_handlers)

    def add_insecure_port(self, address: str) -> int:
        """Listen there, without TLS; return the port. Raises `RuntimeError`."""
        return self._ports.add(address, None)

    def add_secure_port(self, address: str, server_credentials: ServerCredentials) -> int:
        """Listen there, with TLS; return the port. Raises `RuntimeError`."""
        return self._ports.add(address, server_credentials)

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

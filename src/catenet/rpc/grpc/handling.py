"""What the servers of `grpc` and `grpc.aio` have in common: handlers, and ports that are bound before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from catenet.rpc.grpc.credentials import ServerCredentials
from catenet.rpc.grpc.dispatch import CallServer
from catenet.rpc.grpc.handlers import Handlers
from catenet.rpc.grpc.options import Arguments, server_options
from catenet.rpc.grpc.ports import Ports
from catenet.rpc.grpc.status import Compression

__all__ = ["ServesHandlers"]


class ServesHandlers:
    """A server that has not started. `make` makes ours, of handlers, options, interceptors, pool and limit."""

    def __init__(
        self,
        make: Callable[..., CallServer],
        thread_pool: Executor | None,
        generic_handlers: Iterable[Any] | None,
        interceptors: Sequence[Any] | None,
        options: Iterable[tuple[str, Any]] | None,
        maximum_concurrent_rpcs: int | None,
        compression: Compression | None,
    ) -> None:
        arguments = Arguments(options)
        self._handlers = Handlers()
        self._handlers.add_generic(generic_handlers or ())
        self._server = make(
            self._handlers,
            server_options(arguments, compression),
            tuple(interceptors or ()),
            thread_pool,
            maximum_concurrent_rpcs,
        )
        self._ports = Ports(bool(arguments.get("so_reuseport", 0)))
        self._started = False

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

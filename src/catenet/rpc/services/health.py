"""Health checking (gRPC `health-checking.md`, `grpc.health.v1`): which services are ready to take calls."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import AsyncIterator
from typing import Any, Protocol

from catenet.rpc.model.context import Context
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.model.wellknown import HEALTH

__all__ = ["MOST_LISTED", "Drainable", "Health", "ServingStatus"]

_Response: Any = HEALTH.methods[0].response
_ListResponse: Any = HEALTH.methods[1].response

MOST_LISTED = 100
"""A server with more services than this refuses to list them, as the protocol asks it to bound the answer."""


class ServingStatus(enum.IntEnum):
    """`grpc.health.v1.HealthCheckResponse.ServingStatus`."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class Drainable(Protocol):
    """A server that can be told to end."""

    async def drain(self, grace: float | None = None) -> None:
        """Take nothing new, let what goes on end within `grace` seconds, close."""


class Health:
    """The health service: put it among the services of a server, and `set` what is true.

    The empty name stands for the server as a whole and begins as serving. Safe to set from any thread. While it is
    `mask`ed, no service is said to be serving, whatever was set.
    """

    __service__ = HEALTH

    def __init__(self) -> None:
        self._statuses: dict[str, ServingStatus] = {"": ServingStatus.SERVING}
        self._watchers: dict[str, list[_Watcher]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._masked = False

    def set(self, service: str, status: ServingStatus) -> None:
        """Set the status of a service by its full name; those who watch it are told. Nothing after `shutdown`."""
        with self._lock:
            if self._closed:
                return
            self._store(service, status)

    def shutdown(self) -> None:
        """Say that no service is serving any more, finally: for a server that drains."""
        with self._lock:
            self._closed = True
            for service in list(self._statuses):
                self._store(service, ServingStatus.NOT_SERVING)

    def mask(self, masked: bool = True) -> None:
        """Say that no service is serving, or (False) what was set again; clients go elsewhere meanwhile."""
        with self._lock:
            self._masked = masked
            for watchers in self._watchers.values():
                for watcher in watchers:
                    watcher.wake()

    async def drain(self, server: Drainable, announce: float = 0.0, grace: float | None = None) -> None:
        """End a server that others should leave first.

        For `announce` seconds it takes calls and says that it is not serving, so that whoever watches its health sends
        no more. Then it announces its end on every connection, and lets what goes on end within `grace` seconds.
        """
        self.mask()
        await asyncio.sleep(announce)
        self.shutdown()
        await server.drain(grace)

    def _told(self, service: str) -> ServingStatus | None:
        status = self._statuses.get(service)
        return ServingStatus.NOT_SERVING if self._masked and status is not None else status

    def get(self, service: str) -> ServingStatus | None:
        """Return the status of a service, or None if nobody has set one."""
        return self._statuses.get(service)

    def _store(self, service: str, status: ServingStatus) -> None:
        self._statuses[service] = status
        for watcher in self._watchers.get(service, ()):
            watcher.wake()

    async def check(self, request: Any, context: Context) -> Any:
        """Return the status now; `NOT_FOUND` for a name nobody has set."""
        status = self._told(request.service)
        if status is None:
            raise RpcError(Code.NOT_FOUND, f"no status of a service {request.service!r}")
        return _Response(status=int(status))

    async def list(self, request: Any, context: Context) -> Any:
        """Return the statuses of all services."""
        statuses = {service: self._told(service) or ServingStatus.UNKNOWN for service in list(self._statuses)}
        if len(statuses) > MOST_LISTED:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"there are more than {MOST_LISTED} services")
        response = _ListResponse()
        for service, status in statuses.items():
            response.statuses[service].status = int(status)
        return response

    async def watch(self, request: Any, context: Context) -> AsyncIterator[Any]:
        """Send the status now and whenever it changes, until the caller goes away."""
        watcher = _Watcher(asyncio.get_running_loop())
        with self._lock:
            self._watchers.setdefault(request.service, []).append(watcher)
        try:
            told: ServingStatus | None = None
            while True:
                status = self._told(request.service)
                if status is None:
                    status = ServingStatus.SERVICE_UNKNOWN
                if status is not told:
                    told = status
                    yield _Response(status=int(status))
                else:
                    await watcher.changed()
        finally:
            with self._lock:
                watchers = self._watchers[request.service]
                watchers.remove(watcher)
                if not watchers:
                    del self._watchers[request.service]


class _Watcher:
    """Wakes one stream, on its loop, from any thread."""

    __slots__ = ("_event", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            # The loop has been closed, and the stream with it.
            return

    async def changed(self) -> None:
        await self._event.wait()
        self._event.clear()

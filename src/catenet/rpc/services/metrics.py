"""What a server has counted, as Prometheus scrapes it: an application of ASGI, to listen apart or to mount."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from catenet.rpc.model.local_names import host_of, is_local
from catenet.rpc.model.metrics import Family, Labels, Metrics, exposition

__all__ = ["HasConnections", "MetricsPage", "connection_families", "process_families"]

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_BEGAN: Final = time.time()

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Collect = Callable[[], Awaitable[list[Family]]]


class HasConnections(Protocol):
    """A server, as far as its connections are counted."""

    @property
    def connections(self) -> int:
        """How many there are."""

    @property
    def counters(self) -> Any:
        """What it has done so far."""


def connection_families(server: HasConnections, labels: Labels = ()) -> list[Family]:
    """Return what is known of the connections of a server."""
    counters = server.counters
    return [
        ("catenet_rpc_connections", "gauge", "Open connections.", [("", labels, float(server.connections))]),
        *(
            (f"catenet_rpc_{name}_total", "counter", text, [("", labels, float(value))])
            for name, text, value in (
                ("connections_opened", "Connections that were accepted.", counters.connections_opened),
                ("protocol_errors", "Connections whose peers broke HTTP.", counters.protocol_errors),
            )
        ),
    ]


def process_families(labels: Labels = ()) -> list[Family]:
    """Return what Prometheus' clients tell of their process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    told: list[tuple[str, str, str, float]] = [
        ("process_cpu_seconds_total", "counter", "Processor time, user and system.", used.ru_utime + used.ru_stime),
        ("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970.", _BEGAN),
    ]
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        told += [
            ("process_resident_memory_bytes", "gauge", "Memory that is in use.", float(pages * resource.getpagesize())),
            ("process_open_fds", "gauge", "Open descriptors.", float(len(os.listdir("/proc/self/fd")))),
        ]
    except OSError:
        pass
    return [(name, kind, text, [("", labels, value)]) for name, kind, text, value in told]


class MetricsPage:
    """Answers GET of `/metrics`.

    Args:
        metrics: what the server counts.
        collect: returns the families to show, where there are others than those of `metrics`.
        local: whether it is for this machine alone: a name of somebody else's (DNS rebinding) then gets 403.
    """

    def __init__(self, metrics: Metrics, collect: Collect | None = None, *, local: bool = False) -> None:
        self._metrics = metrics
        self._collect = collect
        self._local = local

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost").decode("latin-1")
        if self._local and not is_local(host_of(host)):
            await _answer(send, 403, b"metrics are for this machine: ask for them by localhost\n")
        elif scope["path"].removeprefix(scope.get("root_path", "")) not in ("/metrics", "/metrics/", "", "/"):
            await _answer(send, 404, b"there is /metrics\n")
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"", ((b"allow", b"GET, HEAD"),))
        else:
            families = self._metrics.families() if self._collect is None else await self._collect()
            await _answer(send, 200, exposition(families).encode(), kind=CONTENT_TYPE)


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    more: tuple[tuple[bytes, bytes], ...] = (),
    kind: bytes = b"text/plain; charset=utf-8",
) -> None:
    fields = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": [*fields, *more]})
    await send({"type": "http.response.body", "body": body})

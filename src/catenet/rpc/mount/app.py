"""What both kinds of application have in common: services, and who may call them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Generic, TypeVar

from catenet.rpc.model.interceptor import Interceptor
from catenet.rpc.model.method import ServiceDescriptor
from catenet.rpc.model.metrics import Meters
from catenet.rpc.mount.prefix import Prefix
from catenet.rpc.mount.request import Loops
from catenet.rpc.policy.guard import Guard
from catenet.rpc.server.dispatch import Dispatch
from catenet.rpc.server.options import Counters, ServerOptions

__all__ = ["MountedApp"]

A = TypeVar("A")


class MountedApp(Generic[A]):
    """Services within another server.

    Args:
        services: implementations.
        app: what answers all requests that are no calls.
        prefix: the path under which the services are, where nothing else mounts them there.
        interceptors, options, guard, browser_hosts, metrics: as `catenet.rpc.Server` has them.

    Raises `ValueError` for an implementation of nothing, or of what another one implements.
    """

    def __init__(
        self,
        services: Iterable[Any] = (),
        *,
        app: A | None = None,
        prefix: str = "",
        interceptors: Sequence[Interceptor] = (),
        options: ServerOptions | None = None,
        guard: Guard | None = None,
        browser_hosts: Collection[str] | None = None,
        metrics: Meters | None = None,
    ) -> None:
        self._dispatch = Dispatch(
            services,
            interceptors=interceptors,
            options=options,
            guard=guard,
            browser_hosts=browser_hosts,
            metrics=metrics,
        )
        self._app = app
        self._prefix = Prefix(prefix)
        self._loops = Loops()
        self._prepare()

    def _prepare(self) -> None:
        """Make what one kind of application has besides."""

    @property
    def services(self) -> Sequence[ServiceDescriptor]:
        """What is served, as reflection lists it."""
        return self._dispatch.services

    @property
    def counters(self) -> Counters:
        """What this process has done so far."""
        return self._dispatch.counters

    def add(self, implementation: Any) -> None:
        """Serve another implementation. Raises `ValueError`."""
        self._dispatch.add(implementation)

    def replace_guard(self, guard: Guard | None) -> None:
        """Let another guard decide on calls that begin from now on. Raises `ValueError`, and the one before stays."""
        self._dispatch.replace_guard(guard)

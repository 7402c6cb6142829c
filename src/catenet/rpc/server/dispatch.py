"""From a request to what serves it, whatever server the request came by: which methods there are, and who may call."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from catenet.http.message import RequestHead, ResponseHead
from catenet.rpc.model.context import Peer
from catenet.rpc.model.failures import FailureLog
from catenet.rpc.model.interceptor import Chain, Interceptor
from catenet.rpc.model.local_names import check_hosts, of_another_site
from catenet.rpc.model.method import ServiceDescriptor
from catenet.rpc.model.metrics import Meters
from catenet.rpc.policy.guard import Guard
from catenet.rpc.protocols.protocol import Answer, ServerWire
from catenet.rpc.protocols.registry import not_found, server_wires
from catenet.rpc.server.access_log import AccessLog, Entry
from catenet.rpc.server.cors import Cors
from catenet.rpc.server.options import Counters, ServerOptions
from catenet.rpc.server.route import Binding, Route, bind_service
from catenet.rpc.server.watch import Watch

__all__ = ["Dispatch"]

_UNKNOWN = Peer("")


class Dispatch:
    """Implementations of services by the paths of their methods. `assembling`: bytes of messages that are incomplete.

    `interceptors`, `guard`, `browser_hosts`, `cors`, `metrics` and `access_log` as `Server` has them.
    """

    def __init__(
        self,
        services: Iterable[Any] = (),
        *,
        interceptors: Sequence[Interceptor] = (),
        options: ServerOptions | None = None,
        wires: Sequence[ServerWire] | None = None,
        browser_hosts: Collection[str] | None = None,
        guard: Guard | None = None,
        metrics: Meters | None = None,
        access_log: AccessLog | None = None,
        cors: Cors | None = None,
    ) -> None:
        self.cors = cors
        self.metrics = metrics
        self.access_log = access_log
        self.options = options or ServerOptions()
        self.counters = Counters()
        self.failures = FailureLog()
        self.assembling = 0
        self.services: list[ServiceDescriptor] = []
        self.guard = guard
        self._chain = Chain(interceptors)
        self._bindings: dict[str, Binding] = {}
        self._implementations: list[Any] = []
        codecs, compressions = list(self.options.codecs), list(self.options.compressions)
        self._wires = list(wires) if wires is not None else server_wires(codecs, compressions)
        self._browser_hosts = None if browser_hosts is None else check_hosts(browser_hosts)
        for service in services:
            self.add(service)

    def add(self, implementation: Any) -> None:
        """Serve what `implementation` implements of its `__service__`. Raises `ValueError`."""
        bindings = bind_service(implementation, self._chain, self.options.executor, self.guard)
        taken = self._bindings.keys() & bindings.keys()
        if taken:
            raise ValueError(f"{min(taken)[1:]} is implemented twice")
        if self.metrics is not None or self.access_log is not None:
            for binding in bindings.values():
                meter = None if self.metrics is None else self.metrics.method(binding.method.full_name)
                binding.watch = Watch(meter, self.access_log)
        self._bindings.update(bindings)
        self.services.append(implementation.__service__)
        self._implementations.append(implementation)

    def replace_guard(self, guard: Guard | None) -> None:
        """Let another guard decide on calls that begin from now on. Raises `ValueError`, and the one before stays.

        Callers keep what they have used of limits that are the same as before, and issuers their keys until they are
        fetched again.
        """
        gates = {}
        for implementation in self._implementations:
            for method in implementation.__service__.methods:
                if guard is not None and method.path in self._bindings:
                    gates[method.path] = guard.gate(method, implementation)
        if guard is not None and guard.policy is not None:
            guard.policy.check_methods(method.full_name for service in self.services for method in service.methods)
        if guard is not None:
            guard.inherit(self.guard)
        self.guard = guard
        for path, binding in self._bindings.items():
            binding.gate = gates.get(path)

    def is_call(self, head: RequestHead) -> bool:
        """Whether a request is for the services, rather than for the application beside them."""
        if head.path.partition(b"?")[0].decode("latin-1") in self._bindings:
            return True
        return (head.get(b"content-type") or b"").startswith(b"application/grpc")

    def refuse(self, head: RequestHead, answer: Answer, peer: Peer = _UNKNOWN) -> None:
        """Count a request that becomes no call, and note it in the access log."""
        self.counters.refused += 1
        path = head.path.partition(b"?")[0].decode("latin-1")
        status = answer.head.status
        if self.metrics is not None:
            self.metrics.refuse(status, path in self._bindings)
        if self.access_log is not None:
            self.access_log.write(Entry(head, peer, path[1:], status=status, sent=len(answer.body)))

    def binding(self, path: str) -> Binding | None:
        """Return what serves a path, or None."""
        return self._bindings.get(path)

    def route(self, head: RequestHead, http_version: int) -> Route | Answer:
        """Work out what serves a head, and note it there if the head is one that may come again."""
        cors = self.cors
        if cors is not None and (answer := cors.answer(head)) is not None:
            return answer
        allowed = cors is not None and cors.allows(head)
        if not allowed and self._browser_hosts is not None and of_another_site(head, self._browser_hosts):
            return Answer(ResponseHead(403, ((b"content-type", b"text/plain"),)), b"not for pages of other sites\n")
        wire = next((wire for wire in self._wires if wire.recognises(head)), None)
        if wire is None:
            return not_found(head, self._bindings)
        path = head.path.partition(b"?")[0].decode("latin-1")
        binding = self.binding(path)
        plan = wire.plan(head, binding.method if binding is not None else None, http_version)
        if isinstance(plan, Answer) or binding is None:
            return plan if isinstance(plan, Answer) else not_found(head, self._bindings)
        options = self.options
        limits = (options.max_receive, options.max_send)
        extra = () if cors is None else cors.fields(head)
        route = Route(plan, binding, options.codecs, options.compressions, limits, options.compression, extra)
        head.note = route
        return route

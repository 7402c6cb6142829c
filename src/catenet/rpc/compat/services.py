"""Rules of services: methods that are deleted, their types, streams and idempotency."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import MethodOptions

from catenet.rpc.compat.model import Method, Service
from catenet.rpc.compat.rules import Finding

__all__ = ["service_findings"]

_INPUT, _OUTPUT, _OPTIONS, _IDEMPOTENCY = 2, 3, 4, 34


def service_findings(old: Service, new: Service) -> Iterator[Finding]:
    """Compare two versions of a service."""
    for name, method in old.methods.items():
        if name in new.methods:
            yield from _method(method, new.methods[name])
        else:
            text = f"method {method.full}{method.place().before} is deleted"
            yield Finding("RPC_NO_DELETE", new.place(), method.full, "deleted", text, old.file.package)


def _method(old: Method, new: Method) -> Iterator[Finding]:
    one, other = old.proto, new.proto
    package = old.file.package

    def changed(rule: str, aspect: str, what: str, was: object, now: object, *path: tuple[int, ...]) -> Finding:
        text = f"method {new.full}: {what} was {was}, is {now}"
        return Finding(rule, new.place(*path), new.full, aspect, text, package)

    if one.input_type != other.input_type:
        types = one.input_type[1:], other.input_type[1:]
        yield changed("RPC_SAME_REQUEST_TYPE", "request", "the request", *types, (_INPUT,))
    if one.output_type != other.output_type:
        types = one.output_type[1:], other.output_type[1:]
        yield changed("RPC_SAME_RESPONSE_TYPE", "response", "the response", *types, (_OUTPUT,))
    words = ("one message", "a stream")
    if one.client_streaming != other.client_streaming:
        kinds = words[one.client_streaming], words[other.client_streaming]
        yield changed("RPC_SAME_CLIENT_STREAMING", "request stream", "the request", *kinds)
    if one.server_streaming != other.server_streaming:
        kinds = words[one.server_streaming], words[other.server_streaming]
        yield changed("RPC_SAME_SERVER_STREAMING", "response stream", "the response", *kinds)
    levels = one.options.idempotency_level, other.options.idempotency_level
    if levels[0] != levels[1]:
        names = (MethodOptions.IdempotencyLevel.Name(levels[0]), MethodOptions.IdempotencyLevel.Name(levels[1]))
        path = (_OPTIONS, _IDEMPOTENCY)
        yield changed("RPC_SAME_IDEMPOTENCY_LEVEL", "idempotency", "idempotency_level", *names, path)

"""What the channels of `grpc` and `grpc.aio` make of a method's path: something to call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from catenet.rpc.grpc.raw import method_of
from catenet.rpc.model.method import Kind

__all__ = ["MakesCallables", "MultiCallable"]


class MultiCallable:
    """Calls one method of a channel."""

    _kind: Kind

    def __init__(self, channel: Any, method: str, serializer: Any, deserializer: Any) -> None:
        self._channel = channel
        self._method = method_of(method, self._kind)
        self._serializer = serializer
        self._deserializer = deserializer


class MakesCallables:
    """What of a channel generated code calls; `callables` are the classes for each kind of method."""

    callables: ClassVar[Mapping[Kind, type[MultiCallable]]]

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Return what calls that method."""
        return self.callables[Kind.UNARY](self, method, request_serializer, response_deserializer)

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Return what calls that method."""
        return self.callables[Kind.SERVER_STREAM](self, method, request_serializer, response_deserializer)

    def stream_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Return what calls that method."""
        return self.callables[Kind.CLIENT_STREAM](self, method, request_serializer, response_deserializer)

    def stream_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Return what calls that method."""
        return self.callables[Kind.BIDI](self, method, request_serializer, response_deserializer)

"""Handlers of methods, as generated code and programs make them, and how the one for a call is found."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "GenericRpcHandler",
    "HandlerCallDetails",
    "Handlers",
    "RpcMethodHandler",
    "ServerInterceptor",
    "ServiceRpcHandler",
    "method_handlers_generic_handler",
    "stream_stream_rpc_method_handler",
    "stream_unary_rpc_method_handler",
    "unary_stream_rpc_method_handler",
    "unary_unary_rpc_method_handler",
]


class RpcMethodHandler(abc.ABC):
    """What serves a method, and how its messages become bytes.

    Attributes `request_streaming`, `response_streaming`, `request_deserializer`, `response_serializer` and, of which
    one is not None, `unary_unary`, `unary_stream`, `stream_unary`, `stream_stream`.
    """


class _MethodHandler(
    NamedTuple(
        "_MethodHandler",
        [
            ("request_streaming", bool),
            ("response_streaming", bool),
            ("request_deserializer", Any),
            ("response_serializer", Any),
            ("unary_unary", Any),
            ("unary_stream", Any),
            ("stream_unary", Any),
            ("stream_stream", Any),
        ],
    ),
    RpcMethodHandler,
):
    """A handler that a function below made."""


def unary_unary_rpc_method_handler(
    behavior: Any, request_deserializer: Any = None, response_serializer: Any = None
) -> RpcMethodHandler:
    """Return the handler of a method with one message each way."""
    return _MethodHandler(False, False, request_deserializer, response_serializer, behavior, None, None, None)


def unary_stream_rpc_method_handler(
    behavior: Any, request_deserializer: Any = None, response_serializer: Any = None
) -> RpcMethodHandler:
    """Return the handler of a method whose response is a stream."""
    return _MethodHandler(False, True, request_deserializer, response_serializer, None, behavior, None, None)


def stream_unary_rpc_method_handler(
    behavior: Any, request_deserializer: Any = None, response_serializer: Any = None
) -> RpcMethodHandler:
    """Return the handler of a method whose request is a stream."""
    return _MethodHandler(True, False, request_deserializer, response_serializer, None, None, behavior, None)


def stream_stream_rpc_method_handler(
    behavior: Any, request_deserializer: Any = None, response_serializer: Any = None
) -> RpcMethodHandler:
    """Return the handler of a method with a stream each way."""
    return _MethodHandler(True, True, request_deserializer, response_serializer, None, None, None, behavior)


class HandlerCallDetails(NamedTuple):
    """What is known of a call before its handler is."""

    method: str
    invocation_metadata: Any


class GenericRpcHandler(abc.ABC):
    """Finds handlers, of one service or of many."""

    @abc.abstractmethod
    def service(self, handler_call_details: Any) -> Any:
        """Return what serves the call, or None."""


class ServiceRpcHandler(GenericRpcHandler):
    """Finds the handlers of one service."""

    @abc.abstractmethod
    def service_name(self) -> str:
        """Return the name of the service, with its package."""


class _DictionaryHandler(ServiceRpcHandler):
    def __init__(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._service = service
        self._handlers = {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def service_name(self) -> str:
        """Return the name of the service, with its package."""
        return self._service

    def service(self, handler_call_details: Any) -> Any:
        """Return what serves the call, or None."""
        return self._handlers.get(handler_call_details.method)


def method_handlers_generic_handler(service: str, method_handlers: Mapping[str, Any]) -> ServiceRpcHandler:
    """Return what finds the handlers of one service by the names of its methods."""
    return _DictionaryHandler(service, method_handlers)


class ServerInterceptor(abc.ABC):
    """Chooses the handler of a call, or puts another around it."""

    @abc.abstractmethod
    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return a handler: that of `continuation(handler_call_details)`, or another; None: there is none."""


class Handlers:
    """All that a server has been given. Methods that were registered go before generic handlers."""

    def __init__(self, generic: Iterable[Any] = ()) -> None:
        self._generic = list(generic)
        self._registered: dict[str, Any] = {}

    def add_generic(self, handlers: Iterable[Any]) -> None:
        """Add generic handlers. Raises `AttributeError` for what is none."""
        for handler in handlers:
            if getattr(handler, "service", None) is None:
                raise AttributeError(f"{handler!r} is no GenericRpcHandler: it has no method service()")
            self._generic.append(handler)

    def add_registered(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the methods of a service."""
        self._registered.update({f"/{service}/{name}": handler for name, handler in handlers.items()})

    def find(self, details: HandlerCallDetails) -> Any:
        """Return what serves a call, or None."""
        handler = self._registered.get(details.method)
        if handler is not None:
            return handler
        for generic in self._generic:
            handler = generic.service(details)
            if handler is not None:
                return handler
        return None

"""The abstract classes of `grpc`, which programs derive from and test for."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

__all__ = [
    "AuthMetadataContext",
    "AuthMetadataPlugin",
    "AuthMetadataPluginCallback",
    "Call",
    "CallDetails",
    "Channel",
    "ClientCallDetails",
    "Future",
    "RpcContext",
    "Server",
    "ServicerContext",
    "StreamStreamClientInterceptor",
    "StreamStreamMultiCallable",
    "StreamUnaryClientInterceptor",
    "StreamUnaryMultiCallable",
    "UnaryStreamClientInterceptor",
    "UnaryStreamMultiCallable",
    "UnaryUnaryClientInterceptor",
    "UnaryUnaryMultiCallable",
]


class Future(abc.ABC):
    """A computation that may not have finished."""

    @abc.abstractmethod
    def cancel(self) -> bool:
        """Try to stop it; return whether it was stopped."""

    @abc.abstractmethod
    def cancelled(self) -> bool:
        """Whether it was stopped before it had finished."""

    @abc.abstractmethod
    def running(self) -> bool:
        """Whether it is going on."""

    @abc.abstractmethod
    def done(self) -> bool:
        """Whether it has finished or was stopped."""

    @abc.abstractmethod
    def result(self, timeout: float | None = None) -> Any:
        """Return what came of it. Raises `FutureTimeoutError`, `FutureCancelledError`, or its own error."""

    @abc.abstractmethod
    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error that it ended with, or None. Raises as `result` does."""

    @abc.abstractmethod
    def traceback(self, timeout: float | None = None) -> Any:
        """Return the traceback of that error, or None."""

    @abc.abstractmethod
    def add_done_callback(self, fn: Any) -> None:
        """Call `fn(self)` at the end, at once if it has come."""


class RpcContext(abc.ABC):
    """What both ends know of a call."""

    @abc.abstractmethod
    def is_active(self) -> bool:
        """Whether the call is going on."""

    @abc.abstractmethod
    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one."""

    @abc.abstractmethod
    def cancel(self) -> Any:
        """Break the call off."""

    @abc.abstractmethod
    def add_callback(self, callback: Any) -> bool:
        """Call `callback()` at the end; False if the end has come already."""


class Call(RpcContext):
    """A call, as its client sees it. What is not there yet is waited for."""

    @abc.abstractmethod
    def initial_metadata(self) -> Any:
        """Return what came before the first message."""

    @abc.abstractmethod
    def trailing_metadata(self) -> Any:
        """Return what came with the status."""

    @abc.abstractmethod
    def code(self) -> Any:
        """Return the `StatusCode`."""

    @abc.abstractmethod
    def details(self) -> Any:
        """Return the text of the status."""


class ClientCallDetails(abc.ABC):
    """What interceptors see of a call that begins.

    Attributes `method`, `timeout`, `metadata`, `credentials`, `wait_for_ready`, `compression`.
    """


class CallDetails(
    NamedTuple(
        "CallDetails",
        [
            ("method", str),
            ("timeout", float | None),
            ("metadata", Any),
            ("credentials", Any),
            ("wait_for_ready", bool | None),
            ("compression", Any),
        ],
    ),
    ClientCallDetails,
):
    """The details of a call of ours."""

    def updated(self, details: Any) -> CallDetails:
        """Return these with what `details` has: interceptors may give an object of their own, with some of them."""
        return CallDetails(*(getattr(details, name, value) for name, value in zip(self._fields, self, strict=True)))


class UnaryUnaryClientInterceptor(abc.ABC):
    """Encloses calls with one message each way."""

    @abc.abstractmethod
    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Return a call: that of `continuation(client_call_details, request)`, or another."""


class UnaryStreamClientInterceptor(abc.ABC):
    """Encloses calls whose response is a stream."""

    @abc.abstractmethod
    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Return a call: that of `continuation(client_call_details, request)`, or another."""


class StreamUnaryClientInterceptor(abc.ABC):
    """Encloses calls whose request is a stream."""

    @abc.abstractmethod
    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Return a call: that of `continuation(client_call_details, request_iterator)`, or another."""


class StreamStreamClientInterceptor(abc.ABC):
    """Encloses calls with a stream each way."""

    @abc.abstractmethod
    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Return a call: that of `continuation(client_call_details, request_iterator)`, or another."""


class AuthMetadataContext(abc.ABC):
    """Which call an `AuthMetadataPlugin` is asked for. Attributes `service_url` and `method_name`."""


class AuthMetadataPluginCallback(abc.ABC):
    """What an `AuthMetadataPlugin` calls with what it has found."""

    def __call__(self, metadata: Any, error: Any) -> None:
        """Give the metadata, or the error because of which there is none."""


class AuthMetadataPlugin(abc.ABC):
    """Finds metadata that authenticates a call."""

    @abc.abstractmethod
    def __call__(self, context: Any, callback: Any) -> None:
        """Call `callback(metadata, error)`, now or later."""


class UnaryUnaryMultiCallable(abc.ABC):
    """Calls one method, with one message each way."""

    @abc.abstractmethod
    def __call__(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Call, and return the response."""

    @abc.abstractmethod
    def with_call(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Call, and return the response and the call."""

    @abc.abstractmethod
    def future(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Begin to call, and return the call, a `Future` too."""


class UnaryStreamMultiCallable(abc.ABC):
    """Calls one method whose response is a stream."""

    @abc.abstractmethod
    def __call__(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the call, an iterator over the responses."""


class StreamUnaryMultiCallable(UnaryUnaryMultiCallable):
    """Calls one method whose request is a stream, given as an iterator."""


class StreamStreamMultiCallable(UnaryStreamMultiCallable):
    """Calls one method with a stream each way."""


class Channel(abc.ABC):
    """Calls the methods of a server."""

    @abc.abstractmethod
    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        """Call `callback(connectivity)` now and at each change."""

    @abc.abstractmethod
    def unsubscribe(self, callback: Any) -> None:
        """Call it no more."""

    @abc.abstractmethod
    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""

    @abc.abstractmethod
    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""

    @abc.abstractmethod
    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""

    @abc.abstractmethod
    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""

    @abc.abstractmethod
    def close(self) -> None:
        """End all calls and connections."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> Any:
        self.close()
        return False


class ServicerContext(RpcContext):
    """A call, as the handler sees it."""

    @abc.abstractmethod
    def invocation_metadata(self) -> Any:
        """Return what the caller sent beside its messages."""

    @abc.abstractmethod
    def peer(self) -> str:
        """Who calls, as gRPC writes addresses: `ipv4:192.0.2.1:1234`, `ipv6:[2001:db8::1]:1234`, `unix:`."""

    @abc.abstractmethod
    def peer_identities(self) -> Any:
        """Return the names that the caller's certificate proves, or None."""

    @abc.abstractmethod
    def peer_identity_key(self) -> Any:
        """Return which property of `auth_context` they are, or None."""

    @abc.abstractmethod
    def auth_context(self) -> Any:
        """Return what is known of the caller, name to list of bytes."""

    def set_compression(self, compression: Any) -> None:
        """Compress the responses with that, where the caller takes it."""
        raise NotImplementedError

    @abc.abstractmethod
    def send_initial_metadata(self, initial_metadata: Any) -> Any:
        """Send metadata now, before the first response."""

    @abc.abstractmethod
    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Set what goes with the status."""

    def trailing_metadata(self) -> Any:
        """Return what has been set."""
        raise NotImplementedError

    @abc.abstractmethod
    def abort(self, code: Any, details: Any) -> Any:
        """End the call with that status, by an exception."""

    @abc.abstractmethod
    def abort_with_status(self, status: Any) -> Any:
        """End the call with a `Status`, by an exception."""

    @abc.abstractmethod
    def set_code(self, code: Any) -> None:
        """Set the status that the call shall end with."""

    @abc.abstractmethod
    def set_details(self, details: Any) -> None:
        """Set the text of the status."""

    def code(self) -> Any:
        """Return what has been set."""
        raise NotImplementedError

    def details(self) -> Any:
        """Return what has been set."""
        raise NotImplementedError

    def disable_next_message_compression(self) -> None:
        """Send the next message as it is."""


class Server(abc.ABC):
    """Serves handlers."""

    @abc.abstractmethod
    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        """Serve these; before the start."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """Serve these methods of a service; before the start."""

    @abc.abstractmethod
    def add_insecure_port(self, address: str) -> int:
        """Listen there, without TLS; return the port. Raises `RuntimeError`."""

    @abc.abstractmethod
    def add_secure_port(self, address: str, server_credentials: Any) -> int:
        """Listen there, with TLS; return the port. Raises `RuntimeError`."""

    @abc.abstractmethod
    def start(self) -> Any:
        """Take calls."""

    @abc.abstractmethod
    def stop(self, grace: float | None) -> Any:
        """Take no more calls, and break off those that run on after `grace` seconds."""

    def wait_for_termination(self, timeout: float | None = None) -> Any:
        """Wait until the server has stopped."""
        raise NotImplementedError

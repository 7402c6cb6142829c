"""Interceptors of `grpc`'s clients: a channel around a channel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from catenet.rpc.grpc.call import CallThatIsOver
from catenet.rpc.grpc.interfaces import (
    CallDetails,
    Channel,
    StreamStreamClientInterceptor,
    StreamStreamMultiCallable,
    StreamUnaryClientInterceptor,
    StreamUnaryMultiCallable,
    UnaryStreamClientInterceptor,
    UnaryStreamMultiCallable,
    UnaryUnaryClientInterceptor,
    UnaryUnaryMultiCallable,
)
from catenet.rpc.grpc.status import RpcError, StatusCode

__all__ = ["intercept_channel"]


class _Finished(CallThatIsOver):
    """A call that is over, with its response; what it does not know it asks the call that made it."""

    def __init__(self, response: Any, call: Any) -> None:
        self._response = response
        self._call = call

    def initial_metadata(self) -> Any:
        """Return what came before the first message."""
        return self._call.initial_metadata()

    def trailing_metadata(self) -> Any:
        """Return what came with the status."""
        return self._call.trailing_metadata()

    def code(self) -> Any:
        """Return the status."""
        return self._call.code()

    def details(self) -> Any:
        """Return the text of the status."""
        return self._call.details()

    def time_remaining(self) -> Any:
        """Return what is left of the call's time."""
        return self._call.time_remaining()

    def result(self, timeout: float | None = None) -> Any:
        """Return the response."""
        return self._response

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """There is none."""
        return None

    def traceback(self, timeout: float | None = None) -> Any:
        """There is none."""
        return None


class _Failed(_Finished, RpcError):
    """A call that an interceptor, or what it called, ended by an exception of its own."""

    def __init__(self, error: BaseException) -> None:
        RpcError.__init__(self)
        self._error = error
        self._traceback = sys.exc_info()[2]

    def initial_metadata(self) -> Any:
        """None came."""
        return None

    trailing_metadata = initial_metadata
    time_remaining = initial_metadata

    def code(self) -> Any:
        """Return INTERNAL."""
        return StatusCode.INTERNAL

    def details(self) -> Any:
        """Return what is known."""
        return "Exception raised while intercepting the RPC"

    def result(self, timeout: float | None = None) -> Any:
        """Raise the error."""
        raise self._error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error."""
        return self._error

    def traceback(self, timeout: float | None = None) -> Any:
        """Return where it was raised."""
        return self._traceback

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        raise self._error


class _MultiCallable:
    """Calls a method of a channel through an interceptor."""

    def __init__(self, make: Callable[[str], Any], method: str, intercept: Any) -> None:
        self._make = make
        self._method = method
        self._intercept = intercept

    def _details(
        self,
        timeout: Any = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: Any = None,
        compression: Any = None,
    ) -> CallDetails:
        return CallDetails(self._method, timeout, metadata, credentials, wait_for_ready, compression)

    def _inner(self, details: CallDetails, changed: Any) -> tuple[Any, dict[str, Any]]:
        """Return what to call, with which arguments, when an interceptor proceeds."""
        new = details.updated(changed)
        return self._make(new.method), dict(zip(new._fields[1:], new[1:], strict=True))

    def _enter(self, details: CallDetails, request: Any, proceed: Callable[[Any, Any], Any]) -> Any:
        try:
            return self._intercept(proceed, details, request)
        except Exception as error:
            return _Failed(error)


class _WithOneResponse(_MultiCallable):
    def __call__(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Call, and return the response."""
        return self.with_call(request, timeout, metadata, *args, **kwargs)[0]

    def with_call(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Call, and return the response and the call."""
        details = self._details(timeout, metadata, *args, **kwargs)

        def proceed(changed: Any, request: Any) -> Any:
            inner, arguments = self._inner(details, changed)
            try:
                return _Finished(*inner.with_call(request, **arguments))
            except RpcError as error:
                return error
            except Exception as error:
                return _Failed(error)

        call = self._enter(details, request, proceed)
        return call.result(), call

    def future(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Begin to call, and return the call, a `Future` too."""
        details = self._details(timeout, metadata, *args, **kwargs)

        def proceed(changed: Any, request: Any) -> Any:
            inner, arguments = self._inner(details, changed)
            return inner.future(request, **arguments)

        return self._enter(details, request, proceed)


class _WithManyResponses(_MultiCallable):
    def __call__(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Begin to call, and return the call, an iterator over the responses."""
        details = self._details(timeout, metadata, *args, **kwargs)

        def proceed(changed: Any, request: Any) -> Any:
            inner, arguments = self._inner(details, changed)
            return inner(request, **arguments)

        return self._enter(details, request, proceed)


class _UnaryUnary(_WithOneResponse, UnaryUnaryMultiCallable):
    pass


class _UnaryStream(_WithManyResponses, UnaryStreamMultiCallable):
    pass


class _StreamUnary(_WithOneResponse, StreamUnaryMultiCallable):
    pass


class _StreamStream(_WithManyResponses, StreamStreamMultiCallable):
    pass


class _InterceptedChannel(Channel):
    """A channel whose calls one interceptor encloses."""

    def __init__(self, channel: Any, interceptor: Any) -> None:
        self._channel = channel
        self._interceptor = interceptor

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        """Call `callback(connectivity)` now and at each change."""
        self._channel.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        """Call it no more."""
        self._channel.unsubscribe(callback)

    def _intercepted(self, kind: str, base: type, made: Any, method: str, args: Any, kwargs: Any) -> Any:
        make = getattr(self._channel, kind)

        def inner(method: str) -> Any:
            return make(method, *args, **kwargs)

        if not isinstance(self._interceptor, base):
            return inner(method)
        return made(inner, method, getattr(self._interceptor, f"intercept_{kind}"))

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""
        return self._intercepted("unary_unary", UnaryUnaryClientInterceptor, _UnaryUnary, method, args, kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""
        return self._intercepted("unary_stream", UnaryStreamClientInterceptor, _UnaryStream, method, args, kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""
        return self._intercepted("stream_unary", StreamUnaryClientInterceptor, _StreamUnary, method, args, kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what calls that method."""
        return self._intercepted("stream_stream", StreamStreamClientInterceptor, _StreamStream, method, args, kwargs)

    def close(self) -> None:
        """End all calls and connections."""
        self._channel.close()


_KINDS = (
    UnaryUnaryClientInterceptor,
    UnaryStreamClientInterceptor,
    StreamUnaryClientInterceptor,
    StreamStreamClientInterceptor,
)


def intercept_channel(channel: Any, *interceptors: Any) -> Any:
    """Return a channel whose calls go through the interceptors, the first one outermost. Raises `TypeError`."""
    for interceptor in reversed(interceptors):
        if not isinstance(interceptor, _KINDS):
            names = ", ".join(kind.__name__ for kind in _KINDS)
            raise TypeError(f"interceptor {interceptor!r} must be one of: {names}")
        channel = _InterceptedChannel(channel, interceptor)
    return channel

"""The calls of `grpc.experimental` that need no channel: one is kept for each target."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

from catenet.rpc.grpc import aio as aio
from catenet.rpc.grpc import channel as channels
from catenet.rpc.grpc.credentials import insecure_channel_credentials as insecure_channel_credentials
from catenet.rpc.grpc.interfaces import Channel

__path__: list[str] = []
"""Programs import `grpc.experimental.aio`, so this is a package."""

_channels: dict[tuple[Any, ...], Channel] = {}
_lock = threading.Lock()


def experimental_api(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that may change."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def _channel(target: str, options: Any, credentials: Any, insecure: bool, compression: Any) -> Channel:
    # Of one process: a child after `fork`, and another host of a simulated world, have their own.
    key = (os.getpid(), target, tuple(options or ()), id(credentials), insecure, compression)
    with _lock:
        if key not in _channels:
            given = None if insecure else credentials
            _channels[key] = channels.Channel(target, options, given, compression)
        return _channels[key]


def _call(kind: str) -> Callable[..., Any]:
    def call(
        request: Any,
        target: str,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        options: Any = (),
        channel_credentials: Any = None,
        insecure: bool = False,
        call_credentials: Any = None,
        compression: Any = None,
        wait_for_ready: Any = None,
        timeout: float | None = 60.0,
        metadata: Any = None,
        _registered_method: Any = False,
    ) -> Any:
        channel = _channel(target, options, channel_credentials, insecure, compression)
        callable_ = getattr(channel, kind)(method, request_serializer, response_deserializer)
        return callable_(request, timeout, metadata, call_credentials, wait_for_ready)

    call.__name__ = kind
    call.__doc__ = f"Call a method of the kind {kind} at `target`."
    return call


unary_unary = _call("unary_unary")
unary_stream = _call("unary_stream")
stream_unary = _call("stream_unary")
stream_stream = _call("stream_stream")


def wrap_server_method_handler(wrapper: Callable[[Any], Any], handler: Any) -> Any:
    """Return a handler whose function is `wrapper` of that of `handler`."""
    if handler is None:
        return None
    names = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    name = names[2 * bool(handler.request_streaming) + bool(handler.response_streaming)]
    return handler._replace(**{name: wrapper(getattr(handler, name))})

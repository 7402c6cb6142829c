"""HTTP/2 and HTTP/1.1 as pure protocol cores, clients and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catenet.http.client.client import Client
    from catenet.http.client.errors import RequestError, RequestTimeout, StatusError
    from catenet.http.client.request import Request
    from catenet.http.client.response import Response
    from catenet.http.client.timeouts import Timeouts
    from catenet.http.server.exchange import Exchange
    from catenet.http.server.server import HttpLimits, HttpServer, serve

__all__ = [
    "Client",
    "Exchange",
    "HttpLimits",
    "HttpServer",
    "Request",
    "RequestError",
    "RequestTimeout",
    "Response",
    "StatusError",
    "Timeouts",
    "serve",
]

_HOMES = {
    "Client": "client.client",
    "Request": "client.request",
    "RequestError": "client.errors",
    "RequestTimeout": "client.errors",
    "Response": "client.response",
    "StatusError": "client.errors",
    "Timeouts": "client.timeouts",
    "Exchange": "server.exchange",
    "HttpLimits": "server.server",
    "HttpServer": "server.server",
    "serve": "server.server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

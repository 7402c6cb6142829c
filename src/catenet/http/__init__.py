"""HTTP/2 and HTTP/1.1 as pure protocol cores, clients and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catenet.http.server.exchange import Exchange
    from catenet.http.server.server import HttpLimits, HttpServer, serve

__all__ = ["Exchange", "HttpLimits", "HttpServer", "serve"]

_HOMES = {
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

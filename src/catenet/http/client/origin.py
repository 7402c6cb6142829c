"""What two requests must have in common to share connections."""

from __future__ import annotations

from catenet.http.url import Url
from catenet.net.target import Target

__all__ = ["Origin", "Origins"]

_TLS = ("https", "wss")


class Origin:
    """A server as the pool knows it: one object for each in a client, so that it is compared by identity.

    `unix`: the path of a socket to be connected to instead (`@name`: abstract). `proxy`: through which it is reached.
    """

    __slots__ = ("host", "port", "proxy", "tls", "unix")

    def __init__(self, tls: bool, host: str, port: int, unix: str, proxy: Url | None) -> None:
        self.tls = tls
        self.host = host
        self.port = port
        self.unix = unix
        self.proxy = proxy

    @property
    def target(self) -> Target:
        """The server as it is dialled."""
        return Target("https" if self.tls else "http", self.host, self.port, self.unix, self.tls)

    @property
    def forwards(self) -> bool:
        """Whether a proxy forwards requests, rather than bytes: its requests name the whole URL."""
        return self.proxy is not None and not self.tls and self.proxy.scheme in ("http", "https")

    def __str__(self) -> str:
        if self.forwards and self.proxy is not None:
            return f"the proxy {self.proxy.without_password()}"
        where = self.unix or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")
        return where if self.proxy is None else f"{where} through {self.proxy.without_password()}"


class Origins:
    """The origins of one client; forgets all of them when there are too many, which costs their connections' reuse."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._known: dict[tuple[bool, str, int, str, str], Origin] = {}

    def of(self, url: Url, unix: str, proxy: Url | None) -> Origin:
        """Return the origin of a URL that has a host."""
        tls = url.scheme in _TLS
        forwards = proxy is not None and not tls and proxy.scheme in ("http", "https")
        host, port = ("", 0) if forwards and not unix else (url.host or "", url.effective_port)
        key = tls, host, port, unix, "" if proxy is None else str(proxy)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= self._limit:
                self._known.clear()
            found = self._known[key] = Origin(tls, host, port, unix, proxy)
        return found

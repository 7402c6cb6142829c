"""The path below which services are, where the application itself takes it away."""

from __future__ import annotations

from catenet.http.message import RequestHead

__all__ = ["Prefix"]


class Prefix:
    """A path such as `/rpc`; empty: the services are at the root. Raises `ValueError`."""

    def __init__(self, path: str) -> None:
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError(f"prefix {path!r}: it begins with a slash and ends with none, as /rpc does")
        self.path = path
        self._bytes = path.encode()

    def strip(self, head: RequestHead) -> RequestHead | None:
        """Return the head with the path below; None: it is not there."""
        if not self._bytes:
            return head
        if not head.path.startswith(self._bytes + b"/"):
            return None
        path = head.path[len(self._bytes) :]
        return RequestHead(head.method, path, head.fields, head.authority, head.scheme)

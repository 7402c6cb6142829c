"""The explorer: an application that shows the services beside it, and lets a person call them.

Its page calls the same server, over Connect, with JSON. What guards it: it is there only when asked for, for callers on
this machine that ask for it by a name of this machine (so that no name of somebody else's, bound to a loopback address,
gets it), it loads nothing from elsewhere, no other page may frame it, and no text of a peer or a .proto becomes markup.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any

from catenet.rpc.model.local_names import check_hosts, host_of, is_local, is_loopback
from catenet.rpc.services.explorer.schema import schema_of

__all__ = ["Explorer"]

PLACE = "/explorer/"

_FILES = {
    "": ("page.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Explorer:
    """An ASGI application for the `app` of a `Server`.

    `implementations` are those that the server serves. `hosts` are names under which callers from elsewhere may have
    the page, too; without any it is for callers on this machine.
    """

    def __init__(self, implementations: Iterable[Any], hosts: Iterable[str] = ()) -> None:
        self.hosts = check_hosts(hosts)
        text = json.dumps(schema_of(implementations), ensure_ascii=True)
        self._pages = {"services.json": (text.encode(), "application/json")}
        for name, (file, kind) in _FILES.items():
            self._pages[name] = ((files(__package__) / file).read_bytes(), f"{kind}; charset=utf-8")

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        """Answer a request for the page, or what it loads."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        if not self._may(scope):
            await _answer(send, scope, 403, b"the explorer is for this machine: --explorer-host NAME\n", "text/plain")
            return
        path = scope["path"]
        if path in ("/", PLACE.rstrip("/")):
            await _answer(send, scope, 303, b"", "text/plain", ((b"location", PLACE.encode()),))
            return
        found = self._pages.get(path.removeprefix(PLACE)) if path.startswith(PLACE) else None
        if found is None:
            await _answer(send, scope, 404, b"there is the explorer at /explorer/, and the services\n", "text/plain")
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, scope, 405, b"", "text/plain", ((b"allow", b"GET, HEAD"),))
        else:
            await _answer(send, scope, 200, *found)

    def _may(self, scope: Mapping[str, Any]) -> bool:
        host = host_of(next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1"))
        if host in self.hosts:
            return True
        client = scope.get("client")  # None: a Unix socket
        return is_local(host) and (client is None or is_loopback(client[0]))


async def _answer(
    send: Send,
    scope: Mapping[str, Any],
    status: int,
    body: bytes,
    kind: str,
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    fields = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)), *_GUARDS, *more]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

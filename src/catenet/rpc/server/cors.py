"""Pages of other sites that may call: what browsers ask before, and what lets a page read the answer (Fetch, CORS)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.rpc.protocols.protocol import Answer

__all__ = ["Cors"]

ANY: Final = "*"
"""Pages of all sites, without cookies and certificates of the browser's."""

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?")
_MAX_AGE: Final = b"7200"
"""Seconds for which browsers need not ask again: the most that Chromium takes."""
_VARY: Final = (b"vary", b"origin")


class Cors:
    """Lets pages of `origins` call, as `https://shop.example` or `*`.

    They may send any field, and read all of the answer; no cookies are sent along. Raises `ValueError` for no origin.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._any = False
        self._origins = set[bytes]()
        for origin in origins:
            if origin == ANY:
                self._any = True
            elif _ORIGIN.fullmatch(origin.lower()):
                self._origins.add(origin.lower().encode())
            else:
                raise ValueError(f"{origin!r} is no origin; write https://shop.example, with scheme and no path, or *")

    def allows(self, head: RequestHead) -> bool:
        """Whether a request is of a page that may call."""
        origin = head.get(b"origin")
        return origin is not None and (self._any or origin.lower() in self._origins)

    def answer(self, head: RequestHead) -> Answer | None:
        """Return the answer to a browser that asks whether a page may send a request; None: this is no question."""
        method = head.get(b"access-control-request-method")
        if head.method != b"OPTIONS" or method is None or not self.allows(head):
            return None
        asked = head.get(b"access-control-request-headers")
        fields: Fields = (
            (b"access-control-allow-origin", self._name(head)),
            (b"access-control-allow-methods", b"GET, POST"),
            *(() if asked is None else ((b"access-control-allow-headers", asked),)),
            (b"access-control-max-age", _MAX_AGE),
            (b"vary", b"origin, access-control-request-headers"),
        )
        return Answer(ResponseHead(204, fields))

    def fields(self, head: RequestHead) -> Fields:
        """Return what the response to a request gets, so that the page may read it."""
        if not self.allows(head):
            return () if self._any else (_VARY,)
        return (
            (b"access-control-allow-origin", self._name(head)),
            (b"access-control-expose-headers", b"*"),
            *(() if self._any else (_VARY,)),
        )

    def _name(self, head: RequestHead) -> bytes:
        return b"*" if self._any else head.get(b"origin") or b""

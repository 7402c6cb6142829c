"""Asking a proxy for a tunnel by CONNECT over HTTP/1.1 (RFC 9110 section 9.3.6, RFC 9112 section 3.2.3)."""

from __future__ import annotations

from catenet.http.client.proxy.handshake import Handshake, Refused
from catenet.http.errors import HttpError
from catenet.http.h1.memo import H1Memo
from catenet.http.message import Fields
from catenet.printable import printable

__all__ = ["Connect"]

LIMIT = 64 << 10
"""Bytes that all heads of the proxy may have."""
MAX_INTERIM = 20


class Connect(Handshake):
    """One CONNECT for `authority` (`host:port`); `fields` are those that go with it, authorization for example."""

    def __init__(self, authority: str, fields: Fields = ()) -> None:
        super().__init__()
        target = authority.encode("ascii")
        lines = [b"CONNECT %b HTTP/1.1" % target, b"host: " + target]
        lines += [name + b": " + value for name, value in fields]
        self._out = b"\r\n".join((*lines, b"", b""))
        self._interim = 0

    def _step(self) -> bool:
        stop = self._buffer.find(b"\r\n\r\n") + 4
        if stop < 4:
            if len(self._buffer) > LIMIT:
                raise Refused("the proxy's response is too long")
            return False
        block, self._buffer = self._buffer[:stop], self._buffer[stop:]
        self._take(block)
        return True

    def _take(self, block: bytes) -> None:
        try:
            head = H1Memo().response(block).head
        except HttpError as error:
            raise Refused(f"the proxy does not speak HTTP: {error}") from None
        if head.status < 200:
            self._interim += 1
            if head.status == 101 or self._interim > MAX_INTERIM:
                raise Refused("the proxy does not answer CONNECT", head.status)
            return
        if head.status >= 300:
            text = block.partition(b"\r\n")[0].decode("latin-1").partition(" ")[2]
            raise Refused(f"the proxy refuses: {printable(text)}", head.status)
        self.done = True

"""A line for each call of a server when it has ended, and for each request that became none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Final

from catenet.http.events import Refusal
from catenet.http.message import RequestHead
from catenet.net.line_log import LineLog, Value, chosen, timestamp
from catenet.rpc.model.context import Peer
from catenet.rpc.model.status import Code

__all__ = ["DEFAULT", "FIELDS", "AccessLog", "Entry"]

_NO_HEAD: Final = RequestHead(b"", b"", (), b"")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be told: of a call its code, of a request that became none the status of HTTP that it got.

    Sizes are bytes of messages as they came and went; `seconds` from the head of the request on; `timeout` is what the
    caller gave.
    """

    head: RequestHead
    peer: Peer
    method: str
    protocol: str | None = None
    code: Code | None = None
    message: str = ""
    status: int | None = None
    received: int = 0
    sent: int = 0
    seconds: float = 0.0
    timeout: float | None = None

    @classmethod
    def of_refusal(cls, refusal: Refusal, peer: Peer) -> Entry:
        """Return the entry of what was no request that could be read."""
        head = refusal.head or _NO_HEAD
        method = head.path.partition(b"?")[0].decode("latin-1")[1:]
        return cls(head, peer, method, message=refusal.message, status=refusal.status)


def _field(name: bytes) -> Callable[[Entry], Value]:
    def value(entry: Entry) -> Value:
        found = entry.head.get(name)
        return None if found is None else found.decode("latin-1")

    return value


FIELDS: Final[dict[str, Callable[[Entry], Value]]] = {
    "time": lambda _: timestamp(),
    "client": lambda entry: entry.peer.address or None,
    "caller": lambda entry: entry.peer.identity.name if entry.peer.identity.authenticated else None,
    "method": lambda entry: entry.method or None,
    "protocol": lambda entry: entry.protocol,
    "code": lambda entry: None if entry.code is None else entry.code.name,
    "message": lambda entry: entry.message or None,
    "status": lambda entry: entry.status,
    "received": lambda entry: entry.received,
    "sent": lambda entry: entry.sent,
    "ms": lambda entry: round(entry.seconds * 1000, 3),
    "timeout": lambda entry: entry.timeout,
    "agent": _field(b"user-agent"),
    "forwarded": _field(b"x-forwarded-for"),
}
"""What there is to choose from; `request:NAME` is any field of the request."""

DEFAULT: Final = ("time", "client", "caller", "method", "protocol", "code", "status", "received", "sent", "ms", "agent")


class AccessLog(LineLog[Entry]):
    """Writes a line to `file` for each call. `fields` are names of `FIELDS`; `as_json`: one object a line.

    A value that is not there is `-`, or null. `owned`: the file is closed with the server. Raises `ValueError` for a
    name that there is not.
    """

    def __init__(
        self, file: IO[str], fields: Sequence[str] = DEFAULT, *, as_json: bool = False, owned: bool = False
    ) -> None:
        super().__init__(file, chosen(fields, FIELDS, _field), as_json=as_json, owned=owned)

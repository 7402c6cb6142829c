"""A line for each response of a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Final

from catenet.net.line_log import LineLog, Value, chosen, timestamp

if TYPE_CHECKING:
    from catenet.http.server.exchange import Exchange

__all__ = ["DEFAULT", "FIELDS", "AccessLog"]


def _client(exchange: Exchange) -> str | None:
    client = exchange.client
    return None if client is None else client[0]


def _port(exchange: Exchange) -> int | None:
    client = exchange.client
    return None if client is None else client[1]


def _milliseconds(exchange: Exchange) -> float:
    return round((exchange.now - exchange.began) * 1000, 3)


def _field(name: bytes) -> Callable[[Exchange], Value]:
    def value(exchange: Exchange) -> Value:
        found = exchange.head.get(name)
        return None if found is None else found.decode("latin-1")

    return value


FIELDS: Final[dict[str, Callable[[Exchange], Value]]] = {
    "time": lambda _: timestamp(),
    "client": _client,
    "port": _port,
    "method": lambda exchange: exchange.head.method.decode("latin-1") or None,
    "target": lambda exchange: exchange.head.path.decode("latin-1") or None,
    "protocol": lambda exchange: f"HTTP/{exchange.http_version}",
    "scheme": lambda exchange: exchange.scheme,
    "host": lambda exchange: exchange.head.authority.decode("latin-1") or None,
    "status": lambda exchange: exchange.status or None,
    "bytes": lambda exchange: exchange.sent,
    "ms": _milliseconds,
    "referer": _field(b"referer"),
    "agent": _field(b"user-agent"),
    "forwarded": _field(b"x-forwarded-for"),
    "refused": lambda exchange: exchange.refused or None,
    "gone": lambda exchange: "gone" if exchange.gone else None,
}
"""What there is to choose from; `request:NAME` is any field of the request."""

DEFAULT: Final = ("time", "client", "method", "target", "protocol", "status", "bytes", "ms", "agent")


class AccessLog(LineLog["Exchange"]):
    """Writes to `file` a line for each response. `fields` are names of `FIELDS`; `as_json`: one object a line.

    A value that is not there is `-`, or null. `owned`: the file is closed with the server. Raises `ValueError` for a
    name that there is not.
    """

    def __init__(
        self, file: IO[str], fields: Sequence[str] = DEFAULT, *, as_json: bool = False, owned: bool = False
    ) -> None:
        super().__init__(file, chosen(fields, FIELDS, _field), as_json=as_json, owned=owned)

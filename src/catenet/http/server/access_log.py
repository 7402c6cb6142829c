"""A line for each response: fields that are chosen, as text or JSON.

What clients have sent is escaped, so that no request can forge a line or move a terminal. Lines are gathered and
written together, once a second or when there are many.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Final

from catenet.printable import printable, printable_json

if TYPE_CHECKING:
    from catenet.http.server.exchange import Exchange

__all__ = ["DEFAULT", "FIELDS", "AccessLog"]

_GATHERED: Final = 256
_LONGEST: Final = 2048
"""Characters of a value; targets and fields of clients may have thousands."""

Value = str | int | float | None


def _time(_: Exchange) -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


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
    "time": _time,
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


class AccessLog:
    """Writes to `file` a line for each response. `fields` are names of `FIELDS`; `as_json`: one object a line.

    A value that is not there is `-`, or null. `owned`: the file is closed with the server. Raises `ValueError` for a
    name that there is not.
    """

    def __init__(
        self, file: IO[str], fields: Sequence[str] = DEFAULT, *, as_json: bool = False, owned: bool = False
    ) -> None:
        self._file = file
        self._names = tuple(fields)
        self._values = [_value_of(name) for name in fields]
        self._as_json = as_json
        self._owned = owned
        self._lines: list[str] = []

    def write(self, exchange: Exchange) -> None:
        """Note a response that is complete, or broken off."""
        values = [value(exchange) for value in self._values]
        if self._as_json:
            known = {name: _cut(value) for name, value in zip(self._names, values, strict=True)}
            line = printable_json(json.dumps(known, ensure_ascii=False))
        else:
            line = " ".join([_word(value) for value in values])
        self._lines.append(line)
        if len(self._lines) >= _GATHERED:
            self.flush()

    @property
    def pending(self) -> int:
        """Lines that wait to be written."""
        return len(self._lines)

    def flush(self) -> None:
        """Write what has been gathered. A file that takes nothing more loses lines, and no response."""
        if self._lines:
            text = "\n".join(self._lines) + "\n"
            self._lines.clear()
            try:
                self._file.write(text)
                self._file.flush()
            except (OSError, ValueError):
                pass

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        if self._owned:
            self._file.close()


def _value_of(name: str) -> Callable[[Exchange], Value]:
    if name.startswith("request:") and name.isascii():
        return _field(name.removeprefix("request:").lower().encode())
    try:
        return FIELDS[name]
    except KeyError:
        raise ValueError(f"no field {name!r} of the access log; known: {', '.join(FIELDS)}, request:NAME") from None


def _cut(value: Value) -> Value:
    return value[:_LONGEST] if isinstance(value, str) else value


def _word(value: Value) -> str:
    if value is None:
        return "-"
    if not isinstance(value, str):
        return str(value)
    text = printable(value[:_LONGEST].replace("\\", "\\\\"))
    if '"' in text or " " in text or not text or text == "-":
        return '"' + text.replace('"', '\\"') + '"'
    return text

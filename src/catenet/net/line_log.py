"""A log of a line for each thing that a server has done: fields that are chosen, as text or JSON.

What peers have sent is escaped, so that none can forge a line or move a terminal. Lines are gathered and written
together: whoever writes them looks after `flush`, about once a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final, Generic, TypeVar

from catenet.printable import printable, printable_json

__all__ = ["LineLog", "Value", "chosen", "timestamp"]

_GATHERED: Final = 256
_LONGEST: Final = 2048
"""Characters of a value; what peers send may have thousands."""

Value = str | int | float | None
T = TypeVar("T")


def timestamp(now: float | None = None) -> str:
    """Return a time of day, or that of now, in UTC, to the millisecond (RFC 3339)."""
    if now is None:
        now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


class LineLog(Generic[T]):
    """Writes a line to `file` for each entry.

    `values` has a function for each field, in order; `as_json`: one object a line; a value that is not there is `-`, or
    null. `owned`: the file is closed with the log.
    """

    def __init__(
        self,
        file: IO[str],
        values: Mapping[str, Callable[[T], Value]],
        *,
        as_json: bool = False,
        owned: bool = False,
    ) -> None:
        self._file = file
        self._values = dict(values)
        self._as_json = as_json
        self._owned = owned
        self._lines: list[str] = []

    def write(self, entry: T) -> None:
        """Note what has been done."""
        if self._as_json:
            known = {name: _cut(value(entry)) for name, value in self._values.items()}
            line = printable_json(json.dumps(known, ensure_ascii=False))
        else:
            line = " ".join([_word(value(entry)) for value in self._values.values()])
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


def chosen(
    names: Sequence[str], known: Mapping[str, Callable[[T], Value]], request: Callable[[bytes], Callable[[T], Value]]
) -> dict[str, Callable[[T], Value]]:
    """Return the functions of the fields `names`, of `known` ones or `request:NAME`; ValueError for any other."""
    found: dict[str, Callable[[T], Value]] = {}
    for name in names:
        if name.startswith("request:") and name.isascii():
            found[name] = request(name.removeprefix("request:").lower().encode())
        elif name in known:
            found[name] = known[name]
        else:
            raise ValueError(f"no field {name!r} of the access log; known: {', '.join(known)}, request:NAME")
    return found


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

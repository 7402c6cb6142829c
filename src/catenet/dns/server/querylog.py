"""The query log: a line of JSON for each query, in a file, in bounded memory."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from typing import Final

from catenet.wire.dns.name import name_to_text, read_name
from catenet.wire.dns.numbers import class_to_text, flags_to_text, rcode_to_text, type_to_text
from catenet.wire.errors import Malformed

__all__ = ["MOST_WAITING", "QueryLog"]

logger = logging.getLogger("catenet.dns")

MOST_WAITING: Final = 10_000
"""Lines; those of what is asked beyond are lost, and counted."""
INTERVAL: Final = 0.2
"""Seconds between two writes."""


class QueryLog:
    """Appends to a file, from a thread, so that a slow disk delays no answer. Raises OSError."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        self._loop = loop
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._lines: list[str] = []
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.lost = 0

    def add(self, transport: str, address: str, port: int, query: bytes, reply: bytes) -> None:
        """Note a query and its reply, which is without its id."""
        if len(self._lines) >= MOST_WAITING:
            self.lost += 1
            return
        self._lines.append(_line(transport, address, port, query, reply))
        if self._timer is None and self._writing is None:
            self._timer = self._loop.call_later(INTERVAL, self._begin)

    def reopen(self) -> None:
        """Open the file again: whoever rotates logs has moved it."""
        try:
            opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            logger.error("query log %s: %s", self._path, error.strerror)
            return
        os.dup2(opened, self._file, inheritable=False)
        os.close(opened)

    def close(self) -> None:
        """Write what waits, and close."""
        if self._timer is not None:
            self._timer.cancel()
        if self._lines:
            _write(self._file, "".join(self._lines))
            self._lines.clear()
        os.close(self._file)

    def _begin(self) -> None:
        self._timer = None
        text = "".join(self._lines)
        self._lines.clear()
        self._writing = self._loop.run_in_executor(None, _write, self._file, text)
        self._writing.add_done_callback(self._written)

    def _written(self, done: asyncio.Future[None]) -> None:
        self._writing = None
        if not done.cancelled() and (error := done.exception()) is not None:
            logger.error("query log %s: %s", self._path, error)
        if self._lines and self._timer is None:
            self._timer = self._loop.call_later(INTERVAL, self._begin)


def _write(file: int, text: str) -> None:
    data = memoryview(text.encode())
    while data:
        data = data[os.write(file, data) :]


def _line(transport: str, address: str, port: int, query: bytes, reply: bytes) -> str:
    told: dict[str, object] = {
        "time": round(time.time(), 6),
        "client": address,
        "port": port,
        "transport": transport,
        "id": query[0] << 8 | query[1],
    }
    try:
        name = read_name(query, 12)
        end = 12 + len(name)
        told["name"] = name_to_text(name)
        told["type"] = type_to_text(query[end] << 8 | query[end + 1])
        told["class"] = class_to_text(query[end + 2] << 8 | query[end + 3])
    except (Malformed, IndexError):
        told["name"] = None
    told["flags"] = flags_to_text(query[2] << 8 | query[3])
    told["rcode"] = rcode_to_text(reply[1] & 15)
    told["size"] = len(reply) + 2
    return json.dumps(told, ensure_ascii=True) + "\n"

"""Server-sent events (WHATWG HTML, section 9.2): `text/event-stream`, read in linear time and written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from catenet.codec.text import ANY, Lines, LineTooLong

__all__ = ["EventParser", "EventStreamError", "ServerEvent", "format_event"]

_LINE_ENDS = re.compile("\r\n|\r|\n")
MAX_EVENT = 1 << 20
"""Characters that an event may have, and a line that has not ended."""


class EventStreamError(ValueError):
    """An event is larger than its limit."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event. `id` is the last one that the stream named, to be sent as Last-Event-ID by who connects again."""

    data: str
    event: str = "message"
    id: str = ""


class EventParser:
    """Reads a stream as its bytes come; lines end with CR, LF or CRLF, wherever these are cut.

    `last_id` and `retry` (milliseconds; None: never said) are what a client needs to connect again.
    """

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._lines = Lines(limit, ANY)
        self._held = 0  # characters of the event that has not ended
        self._started = False
        self._data: list[str] = []
        self._kind = ""
        self._id = ""
        self.last_id = ""
        self.retry: int | None = None

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Return the events that the next bytes complete; raise `EventStreamError` for one over the limit."""
        events: list[ServerEvent] = []
        try:
            lines = self._lines.feed(data)
        except LineTooLong:
            raise self._excess() from None
        for line in lines:
            text = line.decode("utf-8", "replace")
            if not self._started:
                self._started = True
                text = text.removeprefix("\ufeff")
            self._take(text, events)
        self._charge(0, self._lines.held)
        return events

    def _take(self, line: str, events: list[ServerEvent]) -> None:
        if not line:
            self._dispatch(events)
            return
        if line.startswith(":"):
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._charge(len(value) + 1)
        elif name == "event":
            self._kind = value
            self._charge(len(value))
        elif name == "id" and "\0" not in value:
            self._id = value
            self._charge(len(value))
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value[:12])

    def _dispatch(self, events: list[ServerEvent]) -> None:
        self.last_id = self._id
        if self._data:
            events.append(ServerEvent("\n".join(self._data), self._kind or "message", self.last_id))
        self._data, self._kind, self._held = [], "", 0

    def _charge(self, count: int, partial: int = 0) -> None:
        self._held += count
        if self._held + partial > self._limit:
            raise self._excess()

    def _excess(self) -> EventStreamError:
        return EventStreamError(f"an event is over its limit of {self._limit} characters")


def format_event(data: str, event: str | None = None, id: str | None = None, retry: int | None = None) -> bytes:
    """Return the bytes of an event; `retry` in milliseconds. Raises `ValueError` for what would end a line."""
    lines = []
    for name, value in (("event", event), ("id", id)):
        if value is not None:
            if re.search("[\r\n\0]", value):
                raise ValueError(f"{name} of an event has a line end or NUL: {value!r}")
            lines.append(f"{name}: {value}")
    if retry is not None:
        lines.append(f"retry: {retry}")
    lines += [f"data: {line}" for line in _LINE_ENDS.split(data)]
    return ("\n".join(lines) + "\n\n").encode()

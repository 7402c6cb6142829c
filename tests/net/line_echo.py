"""A protocol of lines, as small as one can be: what net/ makes a client and a server of."""

from __future__ import annotations

LIMIT = 1000


class LineCore:
    """Lines in both directions. A server sends each line back; `quit`, a long line or `idle` seconds end it."""

    def __init__(self, echo: bool = True, idle: float | None = None) -> None:
        self.begun = self.closed = False
        self._echo, self._idle = echo, idle
        self._input = b""
        self._output: list[bytes] = []
        self._lines: list[bytes] = []
        self._due: float | None = None

    @property
    def unfinished(self) -> bool:
        return bool(self._input)

    def receive(self, data: bytes, now: float) -> None:
        self._due = None if self._idle is None else now + self._idle
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            self._receive_line(line)
        if len(self._input) > LIMIT:
            self._close(b"too long")
        elif not data:
            self._close()

    def transmit(self, now: float) -> bytes:
        return self._output.pop(0) if self._output else b""

    def next_event(self) -> bytes | None:
        return self._lines.pop(0) if self._lines else None

    def next_deadline(self) -> float | None:
        return self._due

    def handle_timeout(self, now: float) -> None:
        self._close(b"idle")

    def drain(self, now: float) -> None:
        self._close(b"bye")

    def send(self, line: bytes) -> None:
        self._output.append(line + b"\n")

    def _receive_line(self, line: bytes) -> None:
        self.begun = True
        if self.closed:
            return
        self._lines.append(line)
        if self._echo and line == b"quit":
            self._close(b"bye")
        elif self._echo:
            self.send(line)

    def _close(self, *last: bytes) -> None:
        if not self.closed:
            self._output += [line + b"\n" for line in last if self._echo]
            self.closed, self._due = True, None

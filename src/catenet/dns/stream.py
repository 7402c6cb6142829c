"""Queries and answers on a byte stream: each message behind its length in two bytes (RFC 1035 4.2.2, RFC 7766)."""

from __future__ import annotations

from collections import deque

from catenet.net import PlainCore

__all__ = ["StreamQueries"]


class StreamQueries(PlainCore):
    """A client's side: queries go out at once, one behind another; events are the messages that come, in any order."""

    def __init__(self) -> None:
        self._input = bytearray()
        self._output: deque[bytes] = deque()

    def send(self, message: bytes) -> None:
        """Send a message of at most 65,535 bytes."""
        self._output.append(len(message).to_bytes(2, "big") + message)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes. What was begun and is not finished when the server closes is lost."""
        if data:
            self._input += data
        else:
            self.closed = True

    def transmit(self, now: float) -> bytes:
        """Return the next query."""
        return self._output.popleft() if self._output else b""

    def next_event(self) -> bytes | None:
        """Return the next whole message."""
        if len(self._input) < 2:
            return None
        end = 2 + int.from_bytes(self._input[:2], "big")
        if len(self._input) < end:
            return None
        message = bytes(self._input[2:end])
        del self._input[:end]
        return message

"""The clocks of a WebSocket: when to ask whether the peer is there, when to stop waiting for it."""

from __future__ import annotations

import enum

from catenet.http.websocket.limits import WebSocketLimits

__all__ = ["Due", "KeepAlive"]


class Due(enum.Enum):
    """What is to be done."""

    PING = enum.auto()
    SILENT = enum.auto()
    """The peer has said nothing since a Ping."""
    CLOSE = enum.auto()
    """The peer has not ended what is closing."""


class KeepAlive:
    """Decides what is due. It learns what time it is from its first deadline, which is in the past.

    Whatever comes after a Ping shows that the peer is there: within a long frame it cannot send a Pong.
    """

    __slots__ = ("_closing", "_closing_since", "_heard", "_limits", "_number", "_pinged", "_running", "latency")

    def __init__(self, limits: WebSocketLimits) -> None:
        self.latency: float | None = None
        """Seconds from a Ping of ours to its Pong."""
        self._limits = limits
        self._running = limits.ping_interval is not None
        self._heard: float | None = None
        self._pinged: float | None = None
        self._number = 0
        self._closing = False
        self._closing_since: float | None = None

    @property
    def payload(self) -> bytes:
        """What the last Ping says."""
        return self._number.to_bytes(4)

    def heard(self, now: float) -> None:
        """Something has come."""
        self._heard = now

    def answered(self, payload: bytes) -> None:
        """A Pong has come."""
        if self._pinged is not None and self._heard is not None and payload == self.payload:
            self.latency = self._heard - self._pinged

    def stop(self) -> None:
        """Nothing is due any more."""
        self._running = self._closing = False

    def begin_closing(self) -> None:
        """From now on the peer has `close_timeout`."""
        self._running, self._closing, self._closing_since = False, True, None

    def next_deadline(self) -> float | None:
        """Return when to call `expire`, or None."""
        if self._closing:
            return 0.0 if self._closing_since is None else self._closing_since + self._limits.close_timeout
        if not self._running or self._limits.ping_interval is None:
            return None
        if self._heard is None:
            return 0.0
        if self._pinged is not None and self._pinged >= self._heard:
            return self._pinged + self._limits.ping_timeout
        return self._heard + self._limits.ping_interval

    def expire(self, now: float) -> Due | None:
        """Return what is due."""
        if self._closing and self._closing_since is None:
            self._closing_since = now
        elif self._running and self._heard is None:
            self._heard = now
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return None
        if self._closing:
            return Due.CLOSE
        if self._heard is not None and self._pinged is not None and self._pinged >= self._heard:
            return Due.SILENT
        self._number += 1
        self._pinged = now
        return Due.PING

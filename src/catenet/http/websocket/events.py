"""What a WebSocket reports. A message is its own event: `str` is a text message, `bytes` a binary one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Closed", "Event", "Ping", "Pong"]


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer has sent a Ping; it is answered already."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer has sent a Pong, an answer to a Ping or not."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event.

    `code` and `reason` are those of the peer's Close frame, or ours when the peer has broken the protocol: then `error`
    says how. 1005: the peer's frame had no code; 1006: the connection ended without one. `clean`: both sides have said
    Close.
    """

    code: int
    reason: str = ""
    clean: bool = False
    error: str = ""


Event = str | bytes | Ping | Pong | Closed

"""What strangers may cost a server, whatever it speaks: one set of names for all protocols."""

from __future__ import annotations

from dataclasses import dataclass

from catenet.checks import check_numbers

__all__ = ["ServerLimits"]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of one server in one process. Times in seconds, sizes in bytes. Raises `ValueError` that names the field.

    * `max_connections`: open at once, over all listeners, those in their handshake included. At the limit the server
      stops accepting, and goes on when a connection closes: whoever comes meanwhile waits in the backlog. None: as many
      as the process may have descriptors, less a reserve for files and connections of its own.
    * `handshake_timeout`: from accept to the end of what a connection begins with: TLS, and the first request head or
      the preface. Later heads have as long, from their first byte on.
    * `min_rate`: bytes per second of whatever else the peer has begun and not finished (a body, part of a message);
      `handshake_timeout` seconds are granted before it counts (`catenet.net.pace.Pace`).
    * `send_timeout`: for a peer to take something of a response that waits for it; what it takes must be `min_rate`
      then. Bounds what a protocol sends as one answer; tunnels and streams of calls may wait as long as they like.
    * `max_queued_total`: bytes that all connections together may have waiting for their peers to read. From half of
      it on, producers wait; beyond it, the connections that hold most are closed
      (`catenet.net.budget.Budget`).
    * `backlog`: connections that wait to be accepted, per listener (`listen(2)`).
    * `write_limit`: what a peer that does not read may have waiting in its transport.
    * `max_idle`: close connections on which nothing is going on; `max_age`: drain those that are older, and close
      them `max_age_grace` later. None: never.
    * `park_after`: on uvloop, connections of HTTP/2 without TLS on which nothing goes on for so long are kept in a few
      hundred bytes from then on (`catenet.net.parking`); what comes wakes them. None: never.
    """

    max_connections: int | None = None
    handshake_timeout: float = 10.0
    min_rate: float = 240.0
    send_timeout: float = 60.0
    max_queued_total: int = 64 << 20
    backlog: int = 1024
    write_limit: int = 8 << 20
    max_idle: float | None = None
    max_age: float | None = None
    max_age_grace: float = 30.0
    park_after: float | None = 2.0

    def __post_init__(self) -> None:
        check_numbers(self, ("max_connections",), 1, none=True, whole=True)
        check_numbers(self, ("max_queued_total", "backlog", "write_limit"), whole=True)
        check_numbers(self, ("handshake_timeout", "min_rate", "send_timeout", "max_age_grace"))
        check_numbers(self, ("max_idle", "max_age", "park_after"), none=True)

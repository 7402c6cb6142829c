"""What calls say of the sessions that they ride on (docs/session.md): `session+grpc://` and `session+grpcs://`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catenet.checks import check_numbers

if TYPE_CHECKING:
    from catenet.session.core import Options

__all__ = ["SessionOptions"]

_USUAL: Final = (24 * 3600.0, 8 << 20, None, None)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How sessions carry calls. Times in seconds, sizes in bytes. Raises `ValueError` that names the field.

    Both ends:

    * `expiry`: how long a session waits for a connection; the lower one holds.
    * `buffer`: bytes unacknowledged at the sender, and unread at the receiver.
    * `heartbeat`: silence after which the peer is asked; None: what the path bears.
    * `key`: a shared secret of 16 random bytes or more, without which no session begins.
    * `channel_binding`: False where TLS ends at a load balancer.

    Clients:

    * `close_timeout`: for the server to hear that a channel is closed.

    Servers, in each process:

    * `max_sessions`, `max_of_peer`, `max_held`: as in `catenet.session.SessionLimits`.
    * `max_away`, `max_away_calls`: sessions without a connection, and the handlers that run for them. Beyond either,
      of the addresses that have most of it, those sessions end that have been away for longest.
    """

    expiry: float = 24 * 3600.0
    buffer: int = 8 << 20
    heartbeat: float | None = None
    key: bytes | None = None
    channel_binding: bool = True
    close_timeout: float = 2.0
    max_sessions: int = 10_000
    max_of_peer: int | None = 2_500
    max_held: int = 256 << 20
    max_away: int = 1_000
    max_away_calls: int = 10_000

    def __post_init__(self) -> None:
        if (self.expiry, self.buffer, self.heartbeat, self.key) != _USUAL:  # who has no sessions loads none of them
            self.options()
        check_numbers(self, ("close_timeout",))
        check_numbers(self, ("max_sessions", "max_held", "max_away", "max_away_calls"), whole=True)
        check_numbers(self, ("max_of_peer",), none=True, whole=True)

    def options(self, heartbeat: float | None = None) -> Options:
        """Return what one end of a session wants; `heartbeat`: if none was said. Raises `ValueError`."""
        from catenet.session.core import Options

        wanted = self.heartbeat if self.heartbeat is not None else heartbeat
        return Options(self.expiry, self.buffer, wanted, self.key, channel_binding=self.channel_binding)

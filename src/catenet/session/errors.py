"""What ends a session otherwise than in order; all of them are `ConnectionError`."""

from __future__ import annotations

import errno
import os

__all__ = ["SessionLost", "SessionRefused", "SessionReset"]


class SessionRefused(ConnectionError):
    """The server does not take the session, or has proved nothing: it never began."""


class SessionLost(ConnectionError):
    """The session cannot go on: it has expired, or the server does not know it any more.

    `acknowledged`: how many bytes of what was written the peer has said to have; what came after them may have arrived
    or not.
    """

    def __init__(self, reason: str, acknowledged: int) -> None:
        super().__init__(f"{reason}; the peer has acknowledged {acknowledged} bytes")
        self.reason = reason
        self.acknowledged = acknowledged


class SessionReset(ConnectionResetError):
    """The peer has broken the session off. `acknowledged` as in `SessionLost`."""

    def __init__(self, reason: str, acknowledged: int) -> None:
        super().__init__(errno.ECONNRESET, f"{os.strerror(errno.ECONNRESET)}: {reason}")
        self.reason = reason
        self.acknowledged = acknowledged

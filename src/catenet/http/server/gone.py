"""That a client has gone, as an exception, and whether another exception is one of the same cause."""

from __future__ import annotations

__all__ = ["Disconnected", "is_disconnect"]


class Disconnected(ConnectionResetError):
    """The client has gone, or has broken the request off."""


def is_disconnect(error: BaseException | None) -> bool:
    """Whether an exception is, or was raised for, a `Disconnected`."""
    for _ in range(16):
        if error is None or isinstance(error, Disconnected):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, Disconnected)

"""The one error that bytes from the network can raise."""

from __future__ import annotations

__all__ = ["Malformed"]


class Malformed(Exception):
    """The peer's bytes are not what the standard allows; the message names the field."""

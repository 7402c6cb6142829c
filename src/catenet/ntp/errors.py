"""What is wrong with what a peer sent."""

from __future__ import annotations

__all__ = ["Malformed"]


class Malformed(ValueError):
    """Octets that are no packet, no record, no cookie; the message says why, in a few words."""

"""How the processing of a segment tells its caller to answer with a reset."""

from __future__ import annotations

__all__ = ["Refuse"]


class Refuse(Exception):
    """The segment is to be answered with a reset that belongs to no connection."""

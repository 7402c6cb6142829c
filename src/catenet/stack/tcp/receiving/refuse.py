"""The exception by which the processing of a segment asks for a reset."""

from __future__ import annotations

__all__ = ["Refuse"]


class Refuse(Exception):
    """The segment is to be answered with a reset that belongs to no connection."""

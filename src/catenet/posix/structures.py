"""C structures that several socket options and control messages have in common."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["EXTENDED_ERROR", "INT"]

INT: Final = struct.Struct("=i")
EXTENDED_ERROR: Final = struct.Struct("=IBBBBII")
"""`struct sock_extended_err` (ip(7)): errno, origin, type, code, padding, information, data."""

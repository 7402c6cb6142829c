"""Numbers of RFC 6455: opcodes (section 5.2), status codes of Close frames (section 7.4)."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "CloseCode", "may_be_sent"]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


class CloseCode(enum.IntEnum):
    """Why a connection ends (section 7.4.1, and IANA's registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    """The peer's Close frame had none; never sent."""
    ABNORMAL = 1006
    """The connection ended without a Close frame; never sent."""
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    EXTENSION_MISSING = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


_SENT: Final = frozenset(CloseCode) - {CloseCode.NO_STATUS, CloseCode.ABNORMAL}


def may_be_sent(code: int) -> bool:
    """Whether a Close frame may have this code (section 7.4.2): registered, or of libraries and applications."""
    return code in _SENT or 3000 <= code <= 4999

"""adjtimex(2): how the clock of the day is slewed, for programs that discipline it, behind one function.

Python has no name for this system call. `clock_adjtime` is the one place that makes it, by the C library; inside of a
simulated world the same function works on the clock of the program's host (`world/patches/clocks.py`), so a program
that disciplines a clock through it is the same on both. Nothing here is called on import.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ADJ_ESTERROR",
    "ADJ_FREQUENCY",
    "ADJ_MAXERROR",
    "ADJ_MICRO",
    "ADJ_NANO",
    "ADJ_OFFSET",
    "ADJ_OFFSET_SINGLESHOT",
    "ADJ_OFFSET_SS_READ",
    "ADJ_SETOFFSET",
    "ADJ_STATUS",
    "ADJ_TAI",
    "ADJ_TICK",
    "ADJ_TIMECONST",
    "STA_CLOCKERR",
    "STA_FLL",
    "STA_FREQHOLD",
    "STA_MODE",
    "STA_NANO",
    "STA_PLL",
    "STA_READ_ONLY",
    "STA_UNSYNC",
    "TIME_DEL",
    "TIME_ERROR",
    "TIME_INS",
    "TIME_OK",
    "Timex",
    "clock_adjtime",
]

ADJ_OFFSET: Final = 0x0001
ADJ_FREQUENCY: Final = 0x0002
ADJ_MAXERROR: Final = 0x0004
ADJ_ESTERROR: Final = 0x0008
ADJ_STATUS: Final = 0x0010
ADJ_TIMECONST: Final = 0x0020
ADJ_TAI: Final = 0x0080
ADJ_SETOFFSET: Final = 0x0100
ADJ_MICRO: Final = 0x1000
ADJ_NANO: Final = 0x2000
ADJ_TICK: Final = 0x4000
ADJ_OFFSET_SINGLESHOT: Final = 0x8001
"""adjtime(3): slew by `offset` microseconds, 500 microseconds a second."""
ADJ_OFFSET_SS_READ: Final = 0xA001
"""How much of that is left."""

STA_PLL: Final = 0x0001
STA_FLL: Final = 0x0008
STA_UNSYNC: Final = 0x0040
STA_FREQHOLD: Final = 0x0080
STA_CLOCKERR: Final = 0x1000
STA_NANO: Final = 0x2000
STA_MODE: Final = 0x4000
STA_READ_ONLY: Final = 0xFF00
"""Bits of the status that only the kernel changes."""

TIME_OK: Final = 0
TIME_INS: Final = 1
TIME_DEL: Final = 2
"""A second is added, or left out, at the end of the day."""
TIME_ERROR: Final = 5
"""What a call returns while the clock is not synchronised."""


@dataclass(slots=True)
class Timex:
    """The members of `struct timex` that are not about pulses per second; units as in adjtimex(2)."""

    modes: int = 0
    offset: int = 0
    """Microseconds, or nanoseconds with STA_NANO."""
    freq: int = 0
    """Parts per million, shifted left by 16."""
    maxerror: int = 0
    esterror: int = 0
    status: int = 0
    constant: int = 0
    precision: int = 0
    tolerance: int = 0
    seconds: int = 0
    """Of the time: what it is, or with ADJ_SETOFFSET what is added to it."""
    fraction: int = 0
    """Microseconds or nanoseconds of the time."""
    tick: int = 0
    """Microseconds for each of 100 ticks a second."""
    tai: int = 0


class _Struct(ctypes.Structure):
    """`struct timex` (linux/timex.h)."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("pulses", ctypes.c_long * 2),
        ("shift", ctypes.c_int),
        ("stability", ctypes.c_long * 5),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    ]


NAMES: Final = tuple(Timex.__slots__)


def clock_adjtime(clock: int, request: Timex) -> tuple[int, Timex]:
    """Adjust a clock (0: that of the day) as `request.modes` says; return the clock's state and what is set now.

    Raises OSError: EPERM for who may not, EINVAL, EOPNOTSUPP for a clock that cannot be adjusted.
    """
    buffer = _Struct(**{name: getattr(request, name) for name in NAMES})
    state = ctypes.CDLL(None, use_errno=True).clock_adjtime(ctypes.c_int(clock), ctypes.byref(buffer))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return state, Timex(**{name: getattr(buffer, name) for name in NAMES})

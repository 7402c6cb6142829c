"""What a server says of its clock: stratum, where its time comes from, and how far it may be wrong.

`Kernel` reads that from adjtimex(2), where whoever keeps the clock has noted it, `Stated` says what an administrator
has said. Neither sets anything.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final, Protocol

from catenet import timex
from catenet.ntp.clock_filter import FREQUENCY_TOLERANCE
from catenet.ntp.packet import UNSYNCHRONIZED
from catenet.timex import Timex, clock_adjtime

__all__ = [
    "LOCAL",
    "MOST_STRATUM",
    "UNKNOWN",
    "Kernel",
    "Reference",
    "State",
    "Stated",
    "reference_id",
]

MOST_STRATUM: Final = 15
BEHIND_ANOTHER: Final = 10
"""Stratum of a clock that somebody else keeps: the kernel does not say how far from a reference clock that one is."""
LOCAL: Final = b"LOCL"
_MICROSECONDS: Final = 1_000_000
_LEAPS: Final = {timex.TIME_INS: 1, timex.TIME_DEL: 2}


@dataclass(frozen=True, slots=True)
class State:
    """What the packets of a server say of its clock (RFC 5905 section 7.3). Seconds; `reference` is Unix time.

    `stratum` 0 is that of a clock that is not synchronized. `root_dispersion` is what it was at `reference`.
    """

    leap: int
    stratum: int
    reference_id: bytes
    root_delay: float = 0.0
    root_dispersion: float = 0.0
    reference: float = 0.0

    def dispersion(self, now: float) -> float:
        """The root dispersion at `now`, Unix time: it grows while nobody corrects the clock."""
        return self.root_dispersion + FREQUENCY_TOLERANCE * max(0.0, now - self.reference)


UNKNOWN: Final = State(UNSYNCHRONIZED, 0, b"INIT")
"""Of a clock that is not synchronized; the code is that of a kiss-o'-death, which clients ask again after."""


class Reference(Protocol):
    """Where a server learns that."""

    def state(self, now: float) -> State:
        """What is to be said at `now`, Unix time of the clock."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the kernel knows of the clock, which another program keeps."""

    stratum: int = BEHIND_ANOTHER
    reference_id: bytes = LOCAL

    def state(self, now: float) -> State:
        """See `Reference`. The kernel lets its bound grow by itself."""
        try:
            code, found = clock_adjtime(0, Timex())
        except OSError:
            return UNKNOWN
        if code == timex.TIME_ERROR or found.status & timex.STA_UNSYNC:
            return UNKNOWN
        bound = found.maxerror / _MICROSECONDS
        return State(_LEAPS.get(code, 0), self.stratum, self.reference_id, 0.0, bound, now)


@dataclass(frozen=True, slots=True)
class Stated:
    """What an administrator says of a clock that is right, whatever the kernel knows."""

    stratum: int = 1
    reference_id: bytes = LOCAL
    leap: int = 0
    root_dispersion: float = 0.0

    def state(self, now: float) -> State:
        """See `Reference`."""
        return State(self.leap, self.stratum, self.reference_id, 0.0, self.root_dispersion, now)


def reference_id(text: str) -> bytes:
    """Return the four octets of a reference id: up to four characters of ASCII, or an IPv4 address; `ValueError`."""
    try:
        return ipaddress.IPv4Address(text).packed
    except ValueError:
        pass
    if not 0 < len(text) <= 4 or not text.isascii() or not text.isprintable():
        raise ValueError(f"{text!r} is neither an IPv4 address nor one to four characters of ASCII, like GPS")
    return text.encode().ljust(4, b"\0")

"""What is known about the ACK that is being processed; handed from step to step."""

from __future__ import annotations

from typing import Final

from catenet.control.delivery_rate import RateSample

__all__ = [
    "ACKED",
    "ALERT",
    "DATA",
    "DATA_ACKED",
    "DATA_SACKED",
    "DSACKING",
    "DSACK_TLP",
    "ECE",
    "FORWARD",
    "LOST_RETRANS",
    "MAYBE_DELAYED",
    "NOT_DUPLICATE",
    "ORIG_SACK_ACKED",
    "RENEGING",
    "RETRANS_DATA_ACKED",
    "REXMIT_LOST",
    "REXMIT_NEW",
    "REXMIT_NONE",
    "SET_TIMER",
    "SYN_ACKED",
    "TIME_PROGRESS",
    "UNA_ADVANCED",
    "WINDOW_UPDATE",
    "AckState",
]

DATA: Final = 0x01
WINDOW_UPDATE: Final = 0x02
DATA_ACKED: Final = 0x04
RETRANS_DATA_ACKED: Final = 0x08
SYN_ACKED: Final = 0x10
DATA_SACKED: Final = 0x20
ECE: Final = 0x40
LOST_RETRANS: Final = 0x80
ORIG_SACK_ACKED: Final = 0x200
UNA_ADVANCED: Final = 0x400
DSACKING: Final = 0x800
SET_TIMER: Final = 0x1000
RENEGING: Final = 0x2000
MAYBE_DELAYED: Final = 0x10000
DSACK_TLP: Final = 0x20000
TIME_PROGRESS: Final = 0x40000

ACKED: Final = DATA_ACKED | SYN_ACKED
NOT_DUPLICATE: Final = DATA | WINDOW_UPDATE | ACKED
ALERT: Final = DATA_SACKED | ECE | DSACKING
FORWARD: Final = ACKED | DATA_SACKED

REXMIT_NONE: Final = 0
REXMIT_LOST: Final = 1
REXMIT_NEW: Final = 2


class AckState:
    """One ACK: its flags and what they led to."""

    __slots__ = (
        "delivered_bytes",
        "echo",
        "first_sacked_at",
        "flags",
        "last_sacked_at",
        "rate",
        "reordered",
        "rexmit",
        "sack_delivered",
    )

    def __init__(self, flags: int, snd_nxt: int, echo: int) -> None:
        self.flags = flags
        self.echo = echo
        """TSecr of its segment, in milliseconds of our timestamps; 0: none."""
        self.first_sacked_at = 0
        self.last_sacked_at = 0
        self.reordered = snd_nxt
        """Lowest position delivered out of order, `snd_nxt` for none."""
        self.rate = RateSample()
        self.rexmit = REXMIT_NONE
        self.sack_delivered = 0
        self.delivered_bytes = 0

"""Leaving slow start before it loses half of a window: HyStart++ (RFC 9406), or Linux's HyStart.

Both watch the round trip time, round by round. HyStart++ takes a rise of the smallest one as a hint that the pipe is
full, grows a quarter as fast for five rounds (Conservative Slow Start, CSS) and goes back should the rise have been
none. Linux's HyStart leaves at once, and also when ACKs that follow each other closely have come for half a round trip.
Which of them a host uses is its setting `tcp_hystart`; scripts for packetdrill expect Linux's.

The state is of plain numbers, so that an idle connection can be parked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.control.base import Congestion, in_slow_start, slow_start
from catenet.control.states import INFINITE

if TYPE_CHECKING:
    from catenet.control.sender import Sender

__all__ = ["HyStart"]

OFF: Final = 0
LINUX: Final = 1
RFC9406: Final = 2

# RFC 9406 4.3; times in microseconds.
_MIN_THRESHOLD: Final = 4_000
_MAX_THRESHOLD: Final = 16_000
_DIVISOR: Final = 8
_SAMPLES: Final = 8
_CSS_DIVISOR: Final = 4
_CSS_ROUNDS: Final = 5
_UNPACED_LIMIT: Final = 8

_NO_RTT: Final = 1 << 31
_LINUX_LOW_WINDOW: Final = 16
_LINUX_ACK_SPACING: Final = 2_000


class HyStart(Congestion):
    """An algorithm whose first slow start ends when the round trip grows."""

    __slots__ = (
        "css_baseline",
        "css_count",
        "css_rounds",
        "current_rtt",
        "delay_min",
        "found",
        "last_ack",
        "last_rtt",
        "round_end",
        "round_start",
        "samples",
    )

    def __init__(self) -> None:
        self.round_end = self.round_start = self.last_ack = 0
        self.reset_slow_start()

    def reset_slow_start(self) -> None:
        """Forget what was seen, as at the beginning."""
        self.current_rtt = self.last_rtt = self.css_baseline = _NO_RTT
        self.samples = self.css_rounds = self.css_count = self.delay_min = 0
        self.found = False

    def new_round(self, c: Sender) -> None:
        """The round ends when what is in flight now is acknowledged (RFC 9406 4.2)."""
        self.round_end = c.snd_nxt
        self.round_start = self.last_ack = c.now
        self.last_rtt = self.current_rtt
        self.current_rtt = _NO_RTT
        self.samples = 0

    def grow(self, c: Sender, acked: int) -> int:
        """Slow start by `acked` segments, or the part of them that CSS allows; returns what is left for avoidance."""
        if c.ssthresh == INFINITE and c.settings.tcp_hystart == RFC9406:
            if acked > _UNPACED_LIMIT and not c.pacing_limit:
                acked = _UNPACED_LIMIT
            if self.css_baseline != _NO_RTT:
                self.css_count += acked
                acked = self.css_count // _CSS_DIVISOR
                self.css_count %= _CSS_DIVISOR
        return slow_start(c, acked)

    def watch(self, c: Sender, rtt: int) -> None:
        """Take one round trip sample in slow start, and leave it if that is the sign."""
        if not self.delay_min or rtt < self.delay_min:
            self.delay_min = rtt
        if not in_slow_start(c):
            return
        kind = c.settings.tcp_hystart
        if kind == RFC9406:
            # Only the first slow start has no better bound (RFC 9406 4.3, last paragraphs).
            if c.ssthresh == INFINITE:
                self._watch_rounds(c, rtt)
        elif kind == LINUX and not self.found:
            self._watch_as_linux(c, rtt)

    def _watch_rounds(self, c: Sender, rtt: int) -> None:
        if c.snd_una >= self.round_end:
            if self.css_baseline != _NO_RTT:
                # The round in which CSS began counts, though it was not a whole one.
                self.css_rounds += 1
                if self.css_rounds >= _CSS_ROUNDS:
                    self._leave(c)
                    return
            self.new_round(c)
        if rtt < self.current_rtt:
            self.current_rtt = rtt
        self.samples += 1
        if self.samples < _SAMPLES:
            return
        if self.css_baseline != _NO_RTT:
            if self.current_rtt < self.css_baseline:
                # The rise was none: back to slow start.
                self.css_baseline = _NO_RTT
        elif self.last_rtt != _NO_RTT:
            threshold = max(_MIN_THRESHOLD, min(self.last_rtt // _DIVISOR, _MAX_THRESHOLD))
            if self.current_rtt >= self.last_rtt + threshold:
                self.css_baseline = self.current_rtt
                self.css_rounds = self.css_count = 0

    def _watch_as_linux(self, c: Sender, rtt: int) -> None:
        # Linux 5.16 to 6.12 count rounds from this window on only, and so does what scripts state.
        if c.cwnd < _LINUX_LOW_WINDOW:
            return
        if c.snd_una > self.round_end:
            self.new_round(c)
        now = c.now
        if now - self.last_ack <= _LINUX_ACK_SPACING:
            self.last_ack = now
            threshold = self.delay_min + self._ack_delay(c)
            if now - self.round_start > (threshold if c.is_paced else threshold >> 1):
                self._leave(c)
        if rtt < self.current_rtt:
            self.current_rtt = rtt
        if self.samples < _SAMPLES:
            self.samples += 1
        elif self.current_rtt > self.delay_min + min(max(self.delay_min >> 3, _MIN_THRESHOLD), _MAX_THRESHOLD):
            self._leave(c)

    def _ack_delay(self, c: Sender) -> int:
        """Time that a burst of the largest size takes to leave, at most a millisecond."""
        return min(1_000, 65536 * 4 * 1_000_000 // c.pacing_rate) if c.pacing_rate else 0

    def _leave(self, c: Sender) -> None:
        self.found = True
        self.css_baseline = _NO_RTT
        c.ssthresh = c.cwnd

"""The end that takes blocks: acknowledges each window, and the last block before a gap (RFC 1350, RFC 7440).

Pure. What comes behind a gap is kept, a window at most. One block or two behind a gap may have overtaken; with the
third the gap is taken for a loss (as TCP takes three duplicate acknowledgments, RFC 5681 section 3.2), and the sender
told to go back to it. A window whose end is lost shows no such gap: after two round trips without the rest the receiver
acknowledges what it has, instead of leaving it to the sender's time-out. A block that has come before is acknowledged
again if it is the last one and our ACK may have been lost, that is when it comes later than a round trip after it and
nothing new has come since; duplicates that the network made are closer together.
"""

from __future__ import annotations

from typing import Final

from catenet.tftp.options import Granted
from catenet.tftp.packets import HEADER, build_ack
from catenet.tftp.sender import LAST, numbers
from catenet.tftp.timing import Timer

__all__ = ["Receiver"]

_DATA: Final = b"\0\3"
_LOW: Final = bytes(range(256))
_HALF: Final = (LAST + 1) // 2
OVERTAKEN: Final = 3
"""Blocks behind a gap from which on it counts as a loss."""


def _follow(data: bytes, size: int, number: int, count: int) -> bool:
    """Whether each `size` bytes begin with the header of DATA, its numbers counting from `number`."""
    return (
        data[::size] == bytes(count)
        and data[1::size] == b"\3" * count
        and data[2::size] == bytes((number >> 8,)) * count
        and data[3::size] == _LOW[number & 255 : (number & 255) + count]
    )


class Receiver:
    """`take` what has come in order; `held`: its bytes. `hold`: acknowledge nothing, so that the sender waits.

    `ended`: the last block is there. Its ACK waits for `release`: nobody is told that a file has arrived before it is
    stored. `too_large`: a block was larger than agreed on.
    """

    def __init__(self, granted: Granted, timer: Timer, now: float, *, acknowledge: bool = False) -> None:
        self.held = 0
        self.ended = False
        self.released = False
        self.hold = False
        self.too_large = False
        self.repeated = 0
        self.received = 0
        self._size = granted.block
        self._window = granted.window
        self._rollover = granted.rollover
        self._may_find_rollover = granted.window == 1
        self._numbers = numbers(granted.rollover)
        self._timer = timer
        self._pieces: list[bytes | memoryview] = []
        self._last = 0
        self._next = 1
        self._since = 0
        self._is_due = acknowledge
        self._gap_told = False
        self._later: dict[int, memoryview] = {}
        self._ack_at: float | None = None
        self._is_again = False
        self._active_at = now

    # The file.

    def take(self) -> list[bytes | memoryview]:
        """Return what has come since the last time."""
        pieces, self._pieces, self.held = self._pieces, [], 0
        return pieces

    def release(self) -> None:
        """The file is stored: say so."""
        self.released = True
        self._is_due = True

    @property
    def done(self) -> bool:
        """Whether the last ACK has left."""
        return self.released and not self._is_due

    @property
    def awaited(self) -> int:
        """How many blocks of the window have not come yet."""
        return max(1, self._window - self._since)

    def acknowledge(self) -> None:
        """Say again what has come."""
        self._is_due = True

    # The verbs.

    def receive(self, data: bytes, now: float) -> None:
        """A DATA packet has come."""
        self._receive(data[2] << 8 | data[3], memoryview(data)[HEADER:], now)
        self._watch(now)

    def receive_many(self, data: bytes, size: int, now: float) -> None:
        """Datagrams of `size` bytes have come at once, the last may be shorter; what is no DATA is passed over."""
        view = memoryview(data)
        start, stop = 0, len(data)
        while start < stop:
            if size == self._size + HEADER and not self._later and not self.ended:
                start = self._receive_run(data, view, start, now)
            if data[start : start + 2] == _DATA and start + HEADER <= stop:
                self._receive(data[start + 2] << 8 | data[start + 3], view[start + HEADER : start + size], now)
            start += size
        self._watch(now)

    def _receive_run(self, data: bytes, view: memoryview, start: int, now: float) -> int:
        """Take full blocks in order, as nearly all are; return where the first of another kind begins."""
        number, size = self._next, self._size + HEADER
        count = min((len(data) - start) // size, 256 - number % 256)  # with one upper half of their numbers
        stop = start + count * size
        if not count or not _follow(data[start:stop], size, number, count):
            return start
        if self._since == 0:
            self._first(now)
        self._pieces += [view[at : at + self._size] for at in range(start + HEADER, stop, size)]
        self._last = number + count - 1
        self._next = self._last + 1 if self._last < LAST else self._rollover
        self._note(count, now)
        self.held += count * self._size
        self._is_due = self._is_due or self._since >= self._window
        return stop

    def _receive(self, number: int, payload: memoryview, now: float) -> None:
        if number != self._next or self.ended:
            self._other(number, payload, now)
            return
        self._append(payload, number, now)
        while self._later and (later := self._later.pop(self._next, None)) is not None and not self.ended:
            self._append(later, self._next, now)

    def _append(self, payload: memoryview, number: int, now: float) -> None:
        count = len(payload)
        if count > self._size:
            self.too_large = True
            return
        if self._since == 0:
            self._first(now)
        self._last = number
        self._next = number + 1 if number < LAST else self._rollover
        self._note(1, now)
        if count:
            self._pieces.append(payload)
            self.held += count
        if count < self._size:
            self.ended = True
            self._timer.stop()
        elif self._since >= self._window:
            self._is_due = True

    def _note(self, count: int, now: float) -> None:
        """So many blocks more are there."""
        self._active_at = now
        self._since += count
        self.received += count
        self._gap_told = False

    def _watch(self, now: float) -> None:
        """A window that has begun and is not complete is waited for, but not long."""
        if not self.ended and not self._is_due and (self._since or self._later):
            self._timer.deadline = now + self._timer.quiet

    def _first(self, now: float) -> None:
        """The first block since our ACK."""
        self._timer.progress(now)
        if self._ack_at is not None:
            self._timer.sample(now - self._ack_at, self.received, self.received + self._window)
            self._ack_at = None

    def _other(self, number: int, payload: memoryview, now: float) -> None:
        """A block out of order."""
        if self._found_rollover(number) and not self.ended:
            self._append(payload, number, now)
            return
        ahead = (number - self._next) % self._numbers
        if self.ended or ahead >= _HALF:
            self.repeated += 1
            self._earlier(number, now)
        elif ahead < self._window and self._rollover <= number and len(payload) <= self._size:
            self._later[number] = payload
            if len(self._later) >= OVERTAKEN and not self._gap_told:
                self._gap_told = self._is_due = True

    def _found_rollover(self, number: int) -> bool:
        """Whether 1 follows 65,535 here, which nobody has agreed on; a window of one block shows it."""
        if self._may_find_rollover and self._next == 0 and self._last == LAST and number == 1:
            self._rollover, self._numbers = 1, numbers(1)
            return True
        return False

    def _earlier(self, number: int, now: float) -> None:
        """A block that has come before: the sender has gone back to it, or it is a duplicate."""
        if now - self._active_at < self._timer.quiet / 2:
            return
        if number == self._last:
            self._is_again = self._is_due = not self.ended or self.released
            return
        behind = (self._next - number) % self._numbers
        if 0 < behind < self._window and not self.ended:
            # The sender's window may begin there, and then ends earlier than we would count.
            self._since = max(self._since, behind)

    def transmit(self, now: float) -> bytes | None:
        """Return an ACK that is to be sent, None: none."""
        if not self._is_due or self.hold:
            return None
        self._is_due = False
        self._since = 0
        self._active_at = now
        # What answers a repeated ACK may answer either (Karn's algorithm).
        self._ack_at = None if self._is_again else now
        self._is_again = False
        if self.ended:
            self._timer.stop()
        else:
            self._timer.start(now)
        return build_ack(self._last)

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do."""
        return None if self.hold else self._timer.deadline

    def handle_timeout(self, now: float) -> None:
        """The rest of the window, or the next one, has not come in time."""
        if self._timer.due(now) and not self.ended:
            if self._since == 0 and not self._later:
                self._timer.back_off()
            self._timer.stop()
            self._is_again = self._is_due = True

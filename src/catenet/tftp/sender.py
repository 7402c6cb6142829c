"""The end that sends blocks: a window at a time, again from the first that was not acknowledged (RFC 1350, RFC 7440).

Pure. An ACK in the middle of a window says that what follows is lost: the next window begins there. A second ACK for
the block before the window is one of two things. With windows of one block it is a duplicate, and to answer it would
double every packet from then on (Sorcerer's Apprentice Syndrome, RFC 1123 section 4.2.3.1), so it means nothing. With
larger ones it also is how a receiver says that the first block is lost; it counts once for each window, and not before
a round trip has passed since that was sent.
"""

from __future__ import annotations

from typing import Final

from catenet.net.segments import MOST_BYTES, MOST_SEGMENTS, Segments
from catenet.tftp.options import Granted
from catenet.tftp.packets import HEADER
from catenet.tftp.timing import Timer

__all__ = ["LAST", "Sender", "numbers"]

LAST: Final = 0xFFFF
_DATA: Final = 3 << 16
"""The first four bytes of a block, without its number."""
_NOTHING: Final = memoryview(b"")


def numbers(rollover: int) -> int:
    """How many block numbers there are: from `rollover` to 65,535."""
    return LAST + 1 - rollover


class Sender:
    """`feed` it with the file, `end` it; `held`: bytes that have not been sent yet. `done`: all is acknowledged."""

    def __init__(self, granted: Granted, timer: Timer) -> None:
        self.held = 0
        self.done = False
        self.sent = 0
        self.repeated = 0
        self._size = granted.block
        self._window = granted.window
        self._rollover = granted.rollover
        self._numbers = numbers(granted.rollover)
        most = max(1, min(MOST_SEGMENTS, MOST_BYTES // (granted.block + HEADER)))
        calls = -(-granted.window // most)
        self._most = -(-granted.window // calls)  # in parts of one size
        self._timer = timer
        self._chunks: list[bytes | bytearray] = []
        self._current = _NOTHING
        self._offset = 0
        self._ended = False
        self._final = False
        # Blocks on their way: `_before` is the number on the wire of the block before the first, `_unsent` the index of
        # the next to send, `_reached` how many have been sent at least once.
        self._flight: list[memoryview] = []
        # The next window, made while the ACK is on its way: its blocks, and its buffers, which follow `_built_for`.
        self._ready: list[memoryview] = []
        self._built: list[bytes | memoryview] = []
        self._built_for = -1
        self._before = 0
        self._acknowledged = 0
        self._unsent = 0
        self._reached = 0
        self._begun_at = 0.0
        self._sent_at = 0.0
        self._is_clean = True
        self._may_repeat = True

    # The file.

    def feed(self, data: bytes | bytearray) -> None:
        """Add the next bytes, which the caller does not change any more."""
        if data:
            self._chunks.append(data)
            self.held += len(data)

    def end(self) -> None:
        """There are no more."""
        self._ended = True

    def _cut(self, most: int) -> list[memoryview]:
        """Return the next blocks, `most` at most, as far as they are there."""
        blocks: list[memoryview] = []
        size = self._size
        while (missing := most - len(blocks)) > 0:
            current, begin = self._current, self._offset
            count = min(missing, (len(current) - begin) // size)
            if count:
                end = begin + count * size
                blocks += [current[at : at + size] for at in range(begin, end, size)]
            elif self._chunks:
                self._join()
                continue
            elif self._ended and not self._final:
                self._final = True
                end = len(current)
                blocks.append(current[begin:])
            else:
                break
            self._offset = end
            self.held -= end - begin
        return blocks

    def _join(self) -> None:
        rest = self._current[self._offset :]
        if rest or len(self._chunks) > 1:
            self._current = memoryview(b"".join([rest, *self._chunks]))
        else:
            self._current = memoryview(self._chunks[0])
        self._chunks.clear()
        self._offset = 0

    # The verbs.

    def transmit(self, now: float) -> bytes | Segments | None:
        """Return blocks of the window that are to be sent, None: none."""
        if len(self._flight) < self._window:
            self._fill()
        first = self._unsent
        count = min(len(self._flight) - first, self._most)
        if count <= 0:
            if self._window > 1 and self._reached == self._window and not self._ready:
                self._prepare()
            return None
        if self._built_for == self._before and 2 * (first + count) <= len(self._built):
            buffers = self._built[2 * first : 2 * (first + count)]
        else:
            buffers = self._build(self._flight[first : first + count], self._after(self._before, first))
        self._note(count, now)
        if count == 1:
            return b"".join(buffers)
        return Segments(buffers, self._size + HEADER, 2)

    def _fill(self) -> None:
        """Complete the window, as far as there is something."""
        if not self._flight:
            self._flight, self._ready = self._ready, self._flight
        elif self._ready:
            missing = self._window - len(self._flight)
            self._flight += self._ready[:missing]
            del self._ready[:missing]
        if len(self._flight) < self._window:
            self._flight += self._cut(self._window - len(self._flight))

    def _prepare(self) -> None:
        """The window has left: make the next one meanwhile."""
        self._ready = self._cut(self._window)
        self._built_for = self._after(self._before, self._window)
        self._built = self._build(self._ready, self._built_for)

    def _build(self, blocks: list[memoryview], before: int) -> list[bytes | memoryview]:
        """Return header and block of each; `before`: number of the block before them."""
        left = LAST - before
        if len(blocks) > left:
            return self._build(blocks[:left], before) + self._build(blocks[left:], self._rollover - 1)
        start = _DATA + before + 1
        headers = [header.to_bytes(4, "big") for header in range(start, start + len(blocks))]
        return [part for pair in zip(headers, blocks, strict=True) for part in pair]

    def _note(self, count: int, now: float) -> None:
        """So many blocks leave."""
        if self._unsent == 0:
            self._begun_at = now
            if self._reached == 0:
                self._timer.listen(now)
        again = min(count, self._reached - self._unsent)
        if again > 0:
            self.repeated += again
            self._is_clean = False
        self.sent += count
        self._unsent += count
        self._reached = max(self._reached, self._unsent)
        self._sent_at = now
        self._timer.start(now)

    def _after(self, number: int, count: int) -> int:
        """Number on the wire, so many after another."""
        if number + count <= LAST:
            return number + count
        return (number + count - self._rollover) % self._numbers + self._rollover

    def handle_ack(self, number: int, now: float) -> None:
        """An ACK has come."""
        ahead = number - self._before
        if ahead < 0:
            ahead += self._numbers
        if ahead == 0:
            self._repeat(now)
            return
        if ahead > self._reached:
            return
        if ahead == self._reached and self._is_clean:
            self._timer.sample(now - self._sent_at, self._acknowledged, self._acknowledged + ahead)
        if ahead == len(self._flight):
            self._flight.clear()
        else:
            del self._flight[:ahead]
        self._before = number
        if number != self._built_for:
            self._built = []
        self._acknowledged += ahead
        self._reached -= ahead
        self._unsent = 0
        self._is_clean = self._reached == 0
        self._may_repeat = True
        self._timer.progress(now)
        self._timer.stop()
        self.done = self._final and not self._flight and not self._ready

    def _repeat(self, now: float) -> None:
        """The block before the window has been acknowledged again."""
        round_trip = self._timer.least_rtt or self._timer.timeout
        if self._window > 1 and self._may_repeat and self._reached and now - self._begun_at >= round_trip:
            self._unsent = 0
            self._may_repeat = False

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do."""
        return self._timer.deadline

    def handle_timeout(self, now: float) -> None:
        """No ACK has come in time."""
        if self._timer.due(now):
            self._timer.stop()
            self._timer.back_off()
            self._unsent = 0
            self._may_repeat = True

"""What the world's process and that of a host say to each other: a message each way, in turn, over two pipes.

The world's process asks: `(verb, when, packets, calls)`.

* `ADVANCE`: do all that happens before `when`; `ROUND`: do what is to be done at `when`, a round of that instant;
  `BARRIERS`: do what is due between the instants, at `when`; `CRASH`: lose power at `when`, and answer with what is
  left; `ASK`: answer the question named by the only call; `END`: end.
* `packets` arrive, each `(when, number of the port, packet)`, in the order in which they do.
* `calls` are `(name, argument)`, to be done first; between instants, last.

The answer to the first three is `(items, next, waited_for, reached, failure)`: what has come of it, in order, each
`(time, kind, ...)`; when the next event is due (infinite: never); whether a program runs or is about to start for which
the run has to wait; up to and including which time all is done (None: all that was asked); a text if an action between
instants failed. Kinds of items:

* `SENT, sender, parcels`: what a port has sent in a round, each `(receiver, when, step, packet, key, number,
  stopped)`: a packet that arrives at `when`, as an `Arrival` of `network/links.py`; sender and receiver are numbers of
  ports. With `SECOND_QUEUE` it arrives at the receiver's own link, and `key` is its addresses. `number` (0: none) names
  it as long as it can be taken back: `TAKEN_BACK, number`; or stopped by a partition: `STOPPED, number, whether`.
* `LINE, stream, text`; `EXPECT, count, service`; `STARTED, pid, name, declared, is_child`; `ENDED, pid, status,
  replaced`: what the world is told of programs.
* `ADDRESSES, when, told`: addresses that the host has got from its networks, as of `configuring.Asking`; all know at
  `when`.
* `RECORDED, port, direction, packet`: what is traced, for taps.
* `LOST, status, how`: noted by the world's process itself, when that of the host has ended without an answer.

Both ends are the same program on one machine. But a host's process runs others' code, which can write what it likes:
bytes that are no message are taken for the end of the host.
"""

from __future__ import annotations

import os
import select
from posix import read  # what it is outside of worlds
from time import monotonic
from typing import Any, Final, TypeAlias

from catenet.world.engine.children.wire import Wire, WireError
from catenet.world.patches import install

__all__ = [
    "ADDRESSES",
    "ADVANCE",
    "ASK",
    "BARRIERS",
    "CRASH",
    "END",
    "ENDED",
    "EXPECT",
    "LINE",
    "LOST",
    "RECORDED",
    "ROUND",
    "SENT",
    "STARTED",
    "STOPPED",
    "TAKEN_BACK",
    "Channel",
    "Item",
    "Packet",
    "Parcel",
]

ADVANCE: Final = 0
ROUND: Final = 1
BARRIERS: Final = 2
CRASH: Final = 3
ASK: Final = 4
END: Final = 5

SENT: Final = 0
TAKEN_BACK: Final = 1
STOPPED: Final = 2
LINE: Final = 3
EXPECT: Final = 4
STARTED: Final = 5
ENDED: Final = 6
RECORDED: Final = 7
ADDRESSES: Final = 8
LOST: Final = 9

LARGEST: Final = 1 << 30
"""Bytes of a message."""

Item: TypeAlias = tuple[Any, ...]
Packet: TypeAlias = tuple[float, int, bytes]
Parcel: TypeAlias = tuple[int, float, int, bytes, bytes, int, bool]


class Channel(Wire):
    """One end. Raises EOFError when the other end is gone or sends no message, and ValueError for one too large."""

    def __init__(self, reader: int, writer: int) -> None:
        super().__init__(reader, LARGEST, writer)
        self._limit_at: float | None = None

    def have_patience(self, seconds: float | None) -> None:
        """Wait for messages for so many seconds of real time from now on (None: as long as it takes).

        Also for a wait that goes on: a handler of a signal calls this, and the wait begins anew after it.
        """
        self._limit_at = None if seconds is None else monotonic() + seconds
        if self.descriptor >= 0:
            install.original(os, "set_blocking")(self.descriptor, seconds is None)

    def has_news(self, seconds: float = 0.0) -> bool:
        """Wait for so many seconds of real time until there is something to read; whether there is."""
        poll = install.original(select, "poll")()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _read(self, size: int) -> bytes:
        """See `Wire`; BlockingIOError when patience is over, or there is none and the other end is known to be gone."""
        while True:
            try:
                return read(self.descriptor, size)
            except ConnectionError:
                return b""
            except BlockingIOError:
                left = -1.0 if self._limit_at is None else self._limit_at - monotonic()
                if left <= 0:
                    raise
                self.has_news(left)

    def say(self, message: Any) -> None:
        """Send a message."""
        try:
            self.send((message,))
        except OSError:  # also where a program has closed what is not its own
            raise EOFError from None

    def hear(self) -> Any:
        """Wait for the next message."""
        try:
            message = self.receive()
        except (OSError, MemoryError, WireError):  # closed, or it does not wait any more for one that has ended
            raise EOFError from None
        if message is None:
            raise EOFError
        return message[0]

"""The least that speaks NTP: requests and answers of 48 octets, and a server as a `Source` of the steering."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Final

__all__ = ["Sample", "Source", "answer"]

HEAD: Final = struct.Struct("!BBbbII4sQQQQ")
UNIX: Final = 2_208_988_800
MAX_DISPERSION: Final = 16.0
TOLERANCE: Final = 15e-6
LEAST: Final = 4
MOST: Final = 6
BURST: Final = 4


def stamp(seconds: float) -> int:
    """An NTP timestamp."""
    return round((seconds + UNIX) * 2**32)


def seconds(timestamp: int) -> float:
    """Seconds since 1970."""
    return timestamp / 2**32 - UNIX


def answer(request: bytes, received: float, sent: float) -> bytes:
    """What a server of stratum 1 answers."""
    asked = HEAD.unpack_from(request)
    times = (stamp(received), asked[10], stamp(received), stamp(sent))
    return HEAD.pack(0o44, 1, asked[2], -20, 0, round(0.0005 * 65536), b"GPS\0", *times)


@dataclass(frozen=True)
class Sample:
    """One exchange."""

    offset: float
    delay: float
    time: float


class Source:
    """Asks four times at the beginning, then every 16 s, and every 64 s after ten answers."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._sent: tuple[int, float] | None = None
        self._polls = self._answers = 0
        self._delay = MAX_DISPERSION
        self._heard = 0.0
        self.reach = 0
        self.next_poll: float | None = None
        self.stopped = False

    @property
    def waiting(self) -> bool:
        return self._sent is not None

    def poll(self, now: float) -> bytes:
        self._polls += 1
        self._sent = self._rng.getrandbits(64), now
        self.reach = self.reach << 1 & 0xFF
        interval = 2.0 if self._polls < BURST else 2.0 ** (LEAST if self._answers < 10 else MOST)
        self.next_poll = now + interval
        return HEAD.pack(0o43, 0, LEAST, -20, 0, 0, bytes(4), 0, 0, 0, self._sent[0])

    def receive(self, data: bytes, now: float) -> Sample | None:
        fields = HEAD.unpack_from(data)
        if self._sent is None or fields[8] != self._sent[0]:
            return None
        (_, begun), self._sent = self._sent, None
        self.reach |= 1
        self._answers += 1
        received, sent = seconds(fields[9]), seconds(fields[10])
        delay = (now - begun) - (sent - received)
        self._delay, self._heard = min(self._delay, delay), now
        return Sample(((received - begun) + (sent - now)) / 2, delay, now)

    def step(self, seconds: float) -> None:
        self._sent = None
        self._heard += seconds
        if self.next_poll is not None:
            self.next_poll += seconds

    def root_distance(self, now: float) -> float:
        unsure = MAX_DISPERSION * 0.5**self._answers
        return self._delay / 2 + 0.005 + TOLERANCE * max(0.0, now - self._heard) + unsure

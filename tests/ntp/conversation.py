"""An association and a server that answers as the test says, on one time line."""

from __future__ import annotations

import random
from dataclasses import replace

from catenet.ntp.association import Association, PollRange
from catenet.ntp.clock_filter import Sample
from catenet.ntp.keys import Key
from catenet.ntp.packet import Mode, Packet, parse
from catenet.ntp.timestamp import from_unix

__all__ = ["START", "Conversation", "answer_to"]

START = 1_800_000_000.0


def answer_to(request: bytes, received: float, sent: float, **changes: object) -> Packet:
    """What a server of stratum 2 says to a request in basic mode. Times of the server's clock, Unix."""
    asked = parse(request)
    packet = Packet(
        mode=Mode.SERVER,
        version=asked.version,
        stratum=2,
        poll=asked.poll,
        precision=-20,
        root_delay=655,
        root_dispersion=66,
        reference_id=b"\xc0\0\2\1",
        reference=from_unix(received - 10),
        origin=asked.transmit,
        receive=from_unix(received),
        transmit=from_unix(sent),
    )
    return replace(packet, **changes)  # type: ignore[arg-type]


class Conversation:
    """The client's clock shows `now`; the server's is `offset` ahead of it."""

    def __init__(self, *, offset: float = 0.25, start: float = START, key: Key | None = None, **options: bool) -> None:
        self.association = Association(random.Random(1), key=key, polls=PollRange(), **options)  # type: ignore[arg-type]
        self.now = start
        self.offset = offset

    def exchange(self, there: float = 0.01, back: float = 0.01, **changes: object) -> Sample | None:
        """Ask, be answered, and return the sample."""
        request = self.association.poll(self.now)
        received = self.now + there + self.offset
        answer = answer_to(request, received, received + 0.001, **changes)
        self.now += there + back + 0.001
        sample = self.association.receive(answer.build(), self.now)
        self.now += 64
        return sample

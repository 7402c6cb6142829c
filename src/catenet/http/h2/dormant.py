"""An HTTP/2 connection on which nothing happens, in few bytes: what is left of it when all that is empty is left out.

A connection has some twenty objects, nearly all of which say that nothing is there. A server with a hundred thousand
idle ones keeps them like this instead (`catenet.http.parking`).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from catenet.http.h2.hpack import Table

__all__ = ["Dormant", "Numbers"]

_NUMBERS = struct.Struct("<QQIIIIIIIII???ddQ")


class Numbers(NamedTuple):
    """The numbers of a connection; those of the guard against glitches are the last three."""

    served: int
    flowed: int
    send_window: int
    peer_initial_window: int
    peer_max_frame: int
    peer_max_streams: int
    next_id: int
    last_peer_id: int
    recv_window: int
    unreturned: int
    list_limit: int
    guessing: bool
    acknowledged: bool
    connect_protocol: bool
    tokens: float
    then: float
    spent_at: int


class Dormant:
    """All that a connection needs to go on. The tables of HPACK are shared with other connections.

    `forgotten` are the streams whose late frames are ignored.
    """

    __slots__ = ("_packed", "decoding", "encoding", "forgotten")

    def __init__(self, numbers: Numbers, encoding: Table, decoding: Table, forgotten: tuple[int, ...]) -> None:
        self._packed = _NUMBERS.pack(*numbers)
        self.encoding = encoding
        self.decoding = decoding
        self.forgotten = forgotten

    @property
    def numbers(self) -> Numbers:
        """The numbers, unpacked."""
        return Numbers(*_NUMBERS.unpack(self._packed))

"""A packet that a device cuts into segments. Not in `offload.py`: classes derived from bytes are not compiled."""

from __future__ import annotations

from catenet.wire.gather import Gather

__all__ = ["GsoPacket"]


class GsoPacket(bytes):
    """One packet that stands for several. As bytes it is its headers, whose length fields count the payload too.

    `payload` is what follows them, `mss` the payload of each segment but the last.
    """

    payload: bytes | bytearray | memoryview | Gather
    mss: int

    def __new__(cls, headers: bytes, payload: bytes | bytearray | memoryview | Gather, mss: int) -> GsoPacket:
        """Join headers and payload without copying."""
        self = super().__new__(cls, headers)
        self.payload = payload
        self.mss = mss
        return self

    @property
    def size(self) -> int:
        """Length of the packet."""
        return len(self) + len(self.payload)

    def whole(self) -> bytes:
        """The packet in one piece."""
        payload = self.payload
        return b"".join((self, *payload.pieces) if isinstance(payload, Gather) else (self, payload))

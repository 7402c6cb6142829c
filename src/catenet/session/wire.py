"""Frames of the session protocol (`docs/session.md`), to bytes and back. Pure.

A frame is a type, a length of 24 bits and a payload. Offsets of the two streams are integers without end inside, and
their low 32 bits in frames that are frequent: no two that could be confused are 2^31 apart.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

__all__ = [
    "ACCEPT",
    "ACK",
    "BYE",
    "CONFIRM",
    "DATA",
    "FIN",
    "MAX_BUFFER",
    "MAX_CREDENTIALS",
    "MAX_TOKEN",
    "NEW",
    "NONCE",
    "OPTIONAL",
    "PING",
    "PONG",
    "PROOF",
    "REDIRECT",
    "REFUSED",
    "RESET",
    "RESUME",
    "RESUMED",
    "STOP",
    "Accept",
    "ForeignError",
    "FrameError",
    "FrameReader",
    "New",
    "Refusal",
    "ResetCode",
    "Resume",
    "Resumed",
    "ack",
    "data_header",
    "expand",
    "fin",
    "frame",
    "parse_ack",
    "parse_fin",
]

NEW: Final = 0x01
ACCEPT: Final = 0x02
CONFIRM: Final = 0x03
RESUME: Final = 0x04
RESUMED: Final = 0x05
REFUSED: Final = 0x06
REDIRECT: Final = 0x07
DATA: Final = 0x10
ACK: Final = 0x11
FIN: Final = 0x12
RESET: Final = 0x13
PING: Final = 0x14
PONG: Final = 0x15
BYE: Final = 0x16
STOP: Final = 0x17
OPTIONAL: Final = 0x80
"""Types from here on are passed over by those who do not know them; any other is an error."""

MAGIC: Final = b"CSESSION"
VERSION: Final = 1
PROOF: Final = 32
NONCE: Final = 32
MAX_TOKEN: Final = 64
MAX_DATA: Final = 1 << 20
"""Bytes of a DATA frame. Its receiver takes them as they come and need not hold it whole."""
MAX_CREDENTIALS: Final = 4096
MAX_CONTROL: Final = PROOF + MAX_CREDENTIALS
MAX_BUFFER: Final = 1 << 30
"""Bytes that may be sent and not acknowledged: half of what 32 bits can tell apart, and half of that for safety."""

MAX_EPOCH: Final = (1 << 63) - 1
"""As large as databases keep integers."""

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31
_HEADER: Final = struct.Struct("!I")
_DATA: Final = struct.Struct("!II")
_ACK: Final = struct.Struct("!III")


class FrameError(ValueError):
    """What came is no frame of this protocol, or not one that may come now."""


class ForeignError(FrameError):
    """What came cannot be the beginning of a frame, whatever follows."""


class Refusal:
    """Why a connection is not taken: codes of REFUSED."""

    UNKNOWN: Final = 1
    """There is no such session, it has expired, the proof is wrong or the epoch is old: nobody is told which."""
    BUSY: Final = 2
    """No room for another session now."""
    DENIED: Final = 3
    """A new session is not permitted: no or another key, channel binding, version or kind of stream."""


class ResetCode:
    """Why a session was broken off: codes of RESET."""

    ABORTED: Final = 1
    DENIED: Final = 2
    LIMIT: Final = 3
    SHUTDOWN: Final = 4
    MESSAGE: Final = 5
    """A message was larger than its receiver takes."""


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return _HEADER.pack(kind << 24 | len(payload)) + payload


def data_header(offset: int, size: int) -> bytes:
    """Return what stands before `size` bytes of a stream that begin at `offset`."""
    return _DATA.pack(DATA << 24 | size + 4, offset & _MASK)


def ack(received: int, limit: int) -> bytes:
    """Return an ACK: everything below `received` has come, and the peer may send up to `limit`."""
    return _ACK.pack(ACK << 24 | 8, received & _MASK, limit & _MASK)


def parse_ack(payload: bytes) -> tuple[int, int]:
    """Return what an ACK says, 32 bits of each. Raises `FrameError`."""
    if len(payload) != 8:
        raise FrameError("an ACK has 8 bytes")
    received, limit = _DATA.unpack(payload)
    return received, limit


def fin(offset: int) -> bytes:
    """Return a FIN: our stream ends at `offset`."""
    return frame(FIN, _HEADER.pack(offset & _MASK))


def parse_fin(payload: bytes) -> int:
    """Return what a FIN says, 32 bits of it. Raises `FrameError`."""
    if len(payload) != 4:
        raise FrameError("a FIN has 4 bytes")
    return int.from_bytes(payload, "big")


def expand(low: int, near: int) -> int:
    """Return the integer with these 32 low bits that is nearest to `near` (RFC 1982 and RFC 9000 appendix A.3)."""
    return near + ((low - near + _HALF) & _MASK) - _HALF


class FrameReader:
    """Bytes in, frames out. What a DATA frame brings comes in pieces, as soon as it is there."""

    __slots__ = ("_buffer", "_left", "_position", "offset")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._left = 0
        self.offset = 0
        """Where the piece of DATA ends that was returned last, 32 bits."""

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._left > 0 or self._position < len(self._buffer)

    @property
    def head(self) -> bytes:
        """The four bytes with which the next frame begins, or those of them that are there."""
        return self._buffer[self._position : self._position + 4]

    def feed(self, data: bytes) -> None:
        """Add what has come, after everything before has been taken."""
        rest = self._buffer[self._position :]
        self._buffer = rest + data if rest else data
        self._position = 0

    def next(self) -> tuple[int, bytes] | None:
        """Return the type and the payload of the next frame, or a piece of DATA. Raises `FrameError`."""
        buffer, position = self._buffer, self._position
        available = len(buffer) - position
        if self._left:
            return self._piece(position, available, self.offset)
        if available < 4:
            return None
        head = int.from_bytes(buffer[position : position + 4], "big")
        kind, size = head >> 24, head & 0xFFFFFF
        if kind == DATA:
            if not 4 < size <= MAX_DATA + 4:
                raise ForeignError(f"a DATA frame of {size} bytes")
            if available < 8:
                return None
            self._left = size - 4
            offset = int.from_bytes(buffer[position + 4 : position + 8], "big")
            if available == 8:
                self._position, self.offset = position + 8, offset
                return None
            return self._piece(position + 8, available - 8, offset)
        if size > MAX_CONTROL:
            raise ForeignError(f"a frame of type {kind:#x} with {size} bytes")
        if available < 4 + size:
            return None
        self._position = position + 4 + size
        return kind, buffer[position + 4 : position + 4 + size]

    def _piece(self, position: int, available: int, offset: int) -> tuple[int, bytes] | None:
        if not available:
            return None
        size = min(available, self._left)
        self._left -= size
        self._position = position + size
        self.offset = (offset + size) & _MASK
        return DATA, self._buffer[position : position + size]


# What connections begin with.


@dataclass(frozen=True, slots=True)
class New:
    """NEW: a client wants a session. Times in seconds, sizes in bytes; `start`: the first offset of its stream."""

    FIXED: ClassVar[struct.Struct] = struct.Struct("!8sBBHIII32s32s")

    bound: bool
    messages: bool
    heartbeat: int
    expiry: int
    window: int
    start: int
    nonce: bytes
    public: bytes

    def pack(self) -> bytes:
        """Return the payload."""
        flags = int(self.bound) | self.messages << 1
        return self.FIXED.pack(
            MAGIC,
            VERSION,
            flags,
            self.heartbeat,
            self.expiry,
            self.window,
            self.start,
            self.nonce,
            self.public,
        )

    @classmethod
    def parse(cls, payload: bytes) -> New:
        """Read a payload. Raises `FrameError`."""
        if len(payload) != cls.FIXED.size:
            raise FrameError("NEW has a wrong length")
        magic, version, flags, *rest = cls.FIXED.unpack(payload)
        _check_version(magic, version)
        return cls(bool(flags & 1), bool(flags & 2), *rest)


@dataclass(frozen=True, slots=True)
class Accept:
    """ACCEPT: a server offers a session. `proof` shows that it has the same keys."""

    FIXED: ClassVar[struct.Struct] = struct.Struct("!III32s32sB")

    expiry: int
    window: int
    start: int
    nonce: bytes
    public: bytes
    token: bytes
    proof: bytes = b""

    def pack(self) -> bytes:
        """Return the payload, without the proof if there is none yet."""
        token = self.token
        head = self.FIXED.pack(self.expiry, self.window, self.start, self.nonce, self.public, len(token))
        return head + token + self.proof

    @classmethod
    def parse(cls, payload: bytes) -> Accept:
        """Read a payload. Raises `FrameError`."""
        fixed = cls.FIXED.size
        if len(payload) < fixed:
            raise FrameError("ACCEPT is too short")
        expiry, window, start, nonce, public, size = cls.FIXED.unpack_from(payload)
        token, proof = payload[fixed : fixed + size], payload[fixed + size :]
        _check_token(token, size, proof)
        return cls(expiry, window, start, nonce, public, token, proof)


@dataclass(frozen=True, slots=True)
class Resume:
    """RESUME: a client goes on. `received`, `limit`: what an ACK says, whole; `epoch` is higher than any before."""

    FIXED: ClassVar[struct.Struct] = struct.Struct("!8sBBHQQQ32sB")

    bound: bool
    heartbeat: int
    epoch: int
    received: int
    limit: int
    nonce: bytes
    token: bytes
    proof: bytes = b""

    def pack(self) -> bytes:
        """Return the payload, without the proof if there is none yet."""
        head = self.FIXED.pack(
            MAGIC,
            VERSION,
            int(self.bound),
            self.heartbeat,
            self.epoch,
            self.received,
            self.limit,
            self.nonce,
            len(self.token),
        )
        return head + self.token + self.proof

    @classmethod
    def parse(cls, payload: bytes) -> Resume:
        """Read a payload. Raises `FrameError`."""
        fixed = cls.FIXED.size
        if len(payload) < fixed:
            raise FrameError("RESUME is too short")
        magic, version, flags, heartbeat, epoch, received, limit, nonce, size = cls.FIXED.unpack_from(payload)
        _check_version(magic, version)
        if epoch > MAX_EPOCH:
            raise FrameError("an epoch has 63 bits")
        token, proof = payload[fixed : fixed + size], payload[fixed + size :]
        _check_token(token, size, proof)
        return cls(bool(flags & 1), heartbeat, epoch, received, limit, nonce, token, proof)


@dataclass(frozen=True, slots=True)
class Resumed:
    """RESUMED: the server goes on, as the client does."""

    FIXED: ClassVar[struct.Struct] = struct.Struct("!QQQ")

    epoch: int
    received: int
    limit: int
    proof: bytes = b""

    def pack(self) -> bytes:
        """Return the payload, without the proof if there is none yet."""
        return self.FIXED.pack(self.epoch, self.received, self.limit) + self.proof

    @classmethod
    def parse(cls, payload: bytes) -> Resumed:
        """Read a payload. Raises `FrameError`."""
        if len(payload) != cls.FIXED.size + PROOF:
            raise FrameError("RESUMED has a wrong length")
        epoch, received, limit = cls.FIXED.unpack_from(payload)
        return cls(epoch, received, limit, payload[cls.FIXED.size :])


def _check_version(magic: bytes, version: int) -> None:
    if magic != MAGIC:
        raise FrameError("this is not the session protocol")
    if version != VERSION:
        raise FrameError(f"version {version} of the session protocol is not known")


def _check_token(token: bytes, size: int, proof: bytes) -> None:
    if not 0 < size <= MAX_TOKEN or len(token) != size or len(proof) != PROOF:
        raise FrameError("a token or a proof has a wrong length")

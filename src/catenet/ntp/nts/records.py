"""Records of NTS key establishment (RFC 8915 section 4): what client and server say to each other inside of TLS."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from catenet.ntp.errors import Malformed

__all__ = [
    "AEAD_KEY_LENGTHS",
    "ALPN",
    "KE_PORT",
    "MOST_COOKIES",
    "NTPV4",
    "ErrorCode",
    "Kind",
    "Reader",
    "Record",
    "Refused",
    "Request",
    "Response",
    "build_request",
    "read_request",
    "read_response",
]

KE_PORT: Final = 4460
ALPN: Final = b"ntske/1"
NTPV4: Final = 0
"""The protocol that is negotiated (section 7.7)."""
AEAD_KEY_LENGTHS: Final = {15: 32, 16: 48, 17: 64}
"""AEAD_AES_SIV_CMAC_256, 384 and 512 (RFC 5297): octets of their keys by their numbers. All must have the first."""
MOST_COOKIES: Final = 8
LONGEST: Final = 16_384
"""Octets of all records together; a message of a server with eight cookies has less than a tenth of that."""
_MOST_PER_COOKIE: Final = 1024
_CRITICAL: Final = 0x8000
_HEAD: Final = struct.Struct(">HH")
_NUMBER: Final = struct.Struct(">H")
_LONGEST_NAME: Final = 255


class Kind(IntEnum):
    """Types of records (section 7.6)."""

    END = 0
    NEXT_PROTOCOL = 1
    ERROR = 2
    WARNING = 3
    AEAD = 4
    COOKIE = 5
    SERVER = 6
    PORT = 7


class ErrorCode(IntEnum):
    """What a server says instead of an answer (section 7.8)."""

    UNRECOGNIZED_CRITICAL = 0
    BAD_REQUEST = 1
    INTERNAL = 2


_WORDS: Final = {
    ErrorCode.UNRECOGNIZED_CRITICAL: "it does not know a critical record",
    ErrorCode.BAD_REQUEST: "bad request",
    ErrorCode.INTERNAL: "internal error",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `critical`: who does not know its type must give up."""

    kind: int
    body: bytes = b""
    critical: bool = False

    def build(self) -> bytes:
        """Return the octets. Raises `ValueError`."""
        if not 0 <= self.kind < _CRITICAL or len(self.body) > 0xFFFF:
            raise ValueError(f"a record of type {self.kind} with {len(self.body)} octets cannot be sent")
        return _HEAD.pack(self.kind | (_CRITICAL if self.critical else 0), len(self.body)) + self.body


class Reader:
    """Octets to records, up to the end of a message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._taken = 0
        self.records: list[Record] = []
        self.complete = False

    def receive(self, data: bytes) -> None:
        """Take octets; what follows the end of the message is not read. Raises `Malformed`."""
        if self.complete:
            return
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._buffer)
            if self._taken + _HEAD.size + length > LONGEST:
                raise Malformed("a message that is too long")
            if len(self._buffer) < _HEAD.size + length:
                return
            body = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            self._taken += _HEAD.size + length
            if kind & ~_CRITICAL == Kind.END:
                if length:
                    raise Malformed("an end of message with a body")
                self.complete = True
                self._buffer.clear()
                return
            self.records.append(Record(kind & ~_CRITICAL, body, bool(kind & _CRITICAL)))


def _numbers(values: Iterable[int]) -> bytes:
    return b"".join(_NUMBER.pack(value) for value in values)


def _read_numbers(body: bytes) -> tuple[int, ...]:
    if len(body) % 2:
        raise Malformed("a list of numbers with half of one")
    return tuple(number for (number,) in _NUMBER.iter_unpack(body))


def _build(records: Sequence[Record]) -> bytes:
    return b"".join(one.build() for one in (*records, Record(Kind.END, critical=True)))


@dataclass(frozen=True, slots=True)
class Request:
    """What a client offers: protocols and algorithms, the best first."""

    protocols: tuple[int, ...] = (NTPV4,)
    algorithms: tuple[int, ...] = (15,)


@dataclass(frozen=True, slots=True)
class Response:
    """What a server has chosen; `error` instead of all that, or the warnings that it has.

    `algorithm` None: it knows none of those; `protocol` None: likewise. `server` and `port`: where the time is told, if
    that is somewhere else.
    """

    protocol: int | None = NTPV4
    algorithm: int | None = None
    cookies: tuple[bytes, ...] = ()
    server: str = ""
    port: int | None = None
    error: int | None = None
    warnings: tuple[int, ...] = field(default=())

    def build(self) -> bytes:
        """Return the octets of the message."""
        if self.error is not None:
            return _build([Record(Kind.ERROR, _NUMBER.pack(self.error), True)])
        protocols = [] if self.protocol is None else [self.protocol]
        records = [Record(Kind.NEXT_PROTOCOL, _numbers(protocols), True)]
        if self.protocol is not None:
            records.append(Record(Kind.AEAD, _numbers([] if self.algorithm is None else [self.algorithm]), True))
        if self.server:
            records.append(Record(Kind.SERVER, self.server.encode("ascii")))
        if self.port is not None:
            records.append(Record(Kind.PORT, _NUMBER.pack(self.port)))
        return _build([*records, *(Record(Kind.COOKIE, cookie) for cookie in self.cookies)])

    @property
    def problem(self) -> str:
        """Why nothing comes of it, or nothing."""
        if self.error is not None:
            known = self.error in _WORDS
            return (
                f"the server says: {_WORDS[ErrorCode(self.error)]}" if known else f"the server says: error {self.error}"
            )
        if self.protocol is None:
            return "the server does not offer NTPv4"
        if self.algorithm is None:
            return "the server has no algorithm in common with us"
        return "" if self.cookies else "the server gave no cookies"


def build_request(request: Request) -> bytes:
    """Return the octets of a client's message."""
    return _build(
        [
            Record(Kind.NEXT_PROTOCOL, _numbers(request.protocols), True),
            Record(Kind.AEAD, _numbers(request.algorithms), True),
        ]
    )


class Refused(Malformed):
    """A message that is answered by an error."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(_WORDS[code])
        self.code = code


def read_request(records: Sequence[Record]) -> Request:
    """Return what a client offers. Raises `Refused`."""
    protocols: tuple[int, ...] | None = None
    algorithms: tuple[int, ...] = ()
    seen: set[int] = set()
    try:
        for record in records:
            if record.kind in seen and record.kind in (Kind.NEXT_PROTOCOL, Kind.AEAD):
                raise Refused(ErrorCode.BAD_REQUEST)
            seen.add(record.kind)
            if record.kind == Kind.NEXT_PROTOCOL:
                protocols = _read_numbers(record.body)
            elif record.kind == Kind.AEAD:
                algorithms = _read_numbers(record.body)
            elif record.kind in (Kind.ERROR, Kind.WARNING, Kind.COOKIE):
                raise Refused(ErrorCode.BAD_REQUEST)
            elif record.critical and record.kind not in (Kind.SERVER, Kind.PORT):
                raise Refused(ErrorCode.UNRECOGNIZED_CRITICAL)
    except Refused:
        raise
    except Malformed:
        raise Refused(ErrorCode.BAD_REQUEST) from None
    if protocols is None or (NTPV4 in protocols and Kind.AEAD not in seen):
        raise Refused(ErrorCode.BAD_REQUEST)
    return Request(protocols, algorithms)


def read_response(records: Sequence[Record], offered: Request) -> Response:
    """Return what a server has chosen of what was offered. Raises `Malformed`."""
    found: dict[int, list[bytes]] = {}
    for record in records:
        if record.critical and record.kind not in tuple(Kind):
            raise Malformed(f"a critical record of type {record.kind}, which is none that is known")
        found.setdefault(record.kind, []).append(record.body)
    if any(len(found.get(kind, ())) > 1 for kind in (Kind.NEXT_PROTOCOL, Kind.AEAD, Kind.SERVER, Kind.PORT)):
        raise Malformed("a record that may be there once is there twice")
    if Kind.ERROR in found:
        return Response(error=_one_number(found[Kind.ERROR][0], "error"))
    if Kind.NEXT_PROTOCOL not in found:
        raise Malformed("no protocol is named")
    protocol = _chosen(found[Kind.NEXT_PROTOCOL][0], offered.protocols, "protocol")
    algorithm = _chosen(found.get(Kind.AEAD, [b""])[0], offered.algorithms, "algorithm")
    cookies = tuple(one for one in found.get(Kind.COOKIE, ()) if one)[:MOST_COOKIES]
    if any(len(one) > _MOST_PER_COOKIE for one in cookies):
        raise Malformed("a cookie that is too long")
    return Response(
        protocol,
        algorithm,
        cookies,
        _read_name(found.get(Kind.SERVER, [b""])[0]),
        _one_number(found[Kind.PORT][0], "port") if Kind.PORT in found else None,
        warnings=tuple(_one_number(one, "warning") for one in found.get(Kind.WARNING, ())),
    )


def _chosen(body: bytes, offered: Sequence[int], what: str) -> int | None:
    numbers = _read_numbers(body)
    if not numbers:
        return None
    if len(numbers) > 1 or numbers[0] not in offered:
        raise Malformed(f"a {what} that was not offered")
    return numbers[0]


def _one_number(body: bytes, what: str) -> int:
    if len(body) != _NUMBER.size:
        raise Malformed(f"a record with a {what} of {len(body)} octets")
    return int(_NUMBER.unpack(body)[0])


def _read_name(body: bytes) -> str:
    """A name or address of a server (section 4.1.7): printable ASCII."""
    try:
        name = body.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("the name of a server that is not ASCII") from None
    if len(name) > _LONGEST_NAME or any(not "!" <= character <= "~" for character in name):
        raise Malformed("the name of a server that is none")
    return name

"""ICMP for both IP versions: one set of names, two tables of numbers (RFC 792, RFC 1122 3.2.2, RFC 4443).

`Problem` names what went wrong; which (type, code) says so depends on the version, and is data. Messages that are
neither echo nor error (neighbour discovery, multicast listeners, timestamps) come as `Other`, for `wire.nd` and
`wire.multicast` to read.
"""

from __future__ import annotations

import enum
import struct
from typing import Final, NamedTuple, TypeAlias

from catenet.wire.checksum import pseudo_sum, residue, sum_words
from catenet.wire.errors import Malformed

__all__ = [
    "PROTOCOLS",
    "Echo",
    "ErrorMessage",
    "Other",
    "Problem",
    "build",
    "is_error",
    "numbers",
    "parse",
]

PROTOCOLS: Final = {4: 1, 6: 58}
"""IP protocol number of ICMP by version."""

_HEAD: Final = struct.Struct("!BBHI")
_ECHO_HEAD: Final = struct.Struct("!BBHHH")


class Problem(enum.Enum):
    """What an ICMP error reports."""

    NO_ROUTE = "no route to destination"
    ADDRESS_UNREACHABLE = "address unreachable"
    PROTOCOL_UNREACHABLE = "protocol unreachable"
    PORT_UNREACHABLE = "port unreachable"
    PACKET_TOO_BIG = "packet too big"
    SOURCE_ROUTE_FAILED = "source route failed"
    NETWORK_UNKNOWN = "destination network unknown"
    HOST_UNKNOWN = "destination host unknown"
    HOST_ISOLATED = "source host isolated"
    NETWORK_PROHIBITED = "destination network administratively prohibited"
    HOST_PROHIBITED = "destination host administratively prohibited"
    NETWORK_SERVICE = "network unreachable for type of service"
    HOST_SERVICE = "host unreachable for type of service"
    PROHIBITED = "communication administratively prohibited"
    PRECEDENCE_VIOLATION = "host precedence violation"
    PRECEDENCE_CUTOFF = "precedence cutoff in effect"
    BEYOND_SCOPE = "beyond scope of source address"
    POLICY = "source address failed ingress or egress policy"
    REJECT_ROUTE = "reject route to destination"
    SOURCE_QUENCH = "source quench"
    HOP_LIMIT = "hop limit exceeded in transit"
    REASSEMBLY_TIME = "fragment reassembly time exceeded"
    ERRONEOUS_FIELD = "erroneous header field"
    MISSING_OPTION = "required option missing"
    BAD_LENGTH = "bad length"
    UNKNOWN_OPTION = "unrecognised IPv6 option"
    INCOMPLETE_FIRST_FRAGMENT = "first fragment with incomplete header chain"


_NUMBERS: Final[dict[int, dict[Problem, tuple[int, int]]]] = {
    4: {
        Problem.NO_ROUTE: (3, 0),
        Problem.ADDRESS_UNREACHABLE: (3, 1),
        Problem.PROTOCOL_UNREACHABLE: (3, 2),
        Problem.PORT_UNREACHABLE: (3, 3),
        Problem.PACKET_TOO_BIG: (3, 4),
        Problem.SOURCE_ROUTE_FAILED: (3, 5),
        Problem.NETWORK_UNKNOWN: (3, 6),
        Problem.HOST_UNKNOWN: (3, 7),
        Problem.HOST_ISOLATED: (3, 8),
        Problem.NETWORK_PROHIBITED: (3, 9),
        Problem.HOST_PROHIBITED: (3, 10),
        Problem.NETWORK_SERVICE: (3, 11),
        Problem.HOST_SERVICE: (3, 12),
        Problem.PROHIBITED: (3, 13),
        Problem.PRECEDENCE_VIOLATION: (3, 14),
        Problem.PRECEDENCE_CUTOFF: (3, 15),
        Problem.SOURCE_QUENCH: (4, 0),
        Problem.HOP_LIMIT: (11, 0),
        Problem.REASSEMBLY_TIME: (11, 1),
        Problem.ERRONEOUS_FIELD: (12, 0),
        Problem.MISSING_OPTION: (12, 1),
        Problem.BAD_LENGTH: (12, 2),
    },
    6: {
        Problem.NO_ROUTE: (1, 0),
        Problem.PROHIBITED: (1, 1),
        Problem.BEYOND_SCOPE: (1, 2),
        Problem.ADDRESS_UNREACHABLE: (1, 3),
        Problem.PORT_UNREACHABLE: (1, 4),
        Problem.POLICY: (1, 5),
        Problem.REJECT_ROUTE: (1, 6),
        Problem.PACKET_TOO_BIG: (2, 0),
        Problem.HOP_LIMIT: (3, 0),
        Problem.REASSEMBLY_TIME: (3, 1),
        Problem.ERRONEOUS_FIELD: (4, 0),
        Problem.PROTOCOL_UNREACHABLE: (4, 1),
        Problem.UNKNOWN_OPTION: (4, 2),
        Problem.INCOMPLETE_FIRST_FRAGMENT: (4, 3),
    },
}
_PROBLEMS: Final = {
    version: {number: problem for problem, number in table.items()} for version, table in _NUMBERS.items()
}
_ECHO: Final = {4: (8, 0), 6: (128, 129)}
"""(request, reply) types."""


class Echo(NamedTuple):
    """Echo request or reply."""

    reply: bool
    identifier: int
    sequence: int
    data: bytes | memoryview = b""


class ErrorMessage(NamedTuple):
    """An error about a packet that this host is said to have sent."""

    problem: Problem
    quoted: bytes | memoryview
    """The packet from its IP header on, as much as fits (RFC 1812 4.3.2.3, RFC 4443 2.4)."""
    value: int = 0
    """Next-hop MTU of PACKET_TOO_BIG (0: a router older than RFC 1191); pointer of ERRONEOUS_FIELD and its like."""


class Other(NamedTuple):
    """Any other message: its type, code and all that follows the checksum."""

    type: int
    code: int
    body: bytes | memoryview


Message: TypeAlias = Echo | ErrorMessage | Other

_POINTERS: Final = {4: frozenset((12,)), 6: frozenset((4,))}


def numbers(problem: Problem, version: int) -> tuple[int, int] | None:
    """(type, code) that report `problem` in this version of IP, None when it has none."""
    return _NUMBERS[version].get(problem)


def is_error(data: bytes | memoryview, version: int) -> bool:
    """Whether a message, by its type alone, is an error or a redirect, in answer to which no error may be sent.

    RFC 1122 3.2.2; RFC 4443 2.4 (e): types below 128, unknown ones too, and redirects.
    """
    if not data:
        return True
    if version == 4:
        return data[0] in (3, 4, 5, 11, 12)
    return data[0] < 128 or data[0] == 137


def parse(data: bytes | memoryview, source: bytes, destination: bytes, verify: bool = True) -> Message:
    """Read a message; the length of the addresses says which ICMP it is.

    Raises:
        Malformed: shorter than 8 bytes (4 for types that have no more), or a wrong checksum.
    """
    version = 4 if len(source) == 4 else 6
    size = len(data)
    if size < 4:
        raise Malformed("icmp: message shorter than its header")
    if verify and ((residue(data) << 8) + _initial(source, destination, size)) % 65535:
        raise Malformed("icmp: checksum")
    kind, code = data[0], data[1]
    if size < 8:
        return Other(kind, code, data[4:])
    request, reply = _ECHO[version]
    if kind in (request, reply) and code == 0:
        _, _, _, identifier, sequence = _ECHO_HEAD.unpack_from(data)
        return Echo(kind == reply, identifier, sequence, data[8:])
    problem = _PROBLEMS[version].get((kind, code))
    if problem is None:
        return Other(kind, code, data[4:])
    word = _HEAD.unpack_from(data)[3]
    if version == 4:
        if problem is Problem.PACKET_TOO_BIG:
            word &= 0xFFFF
        elif kind == 12:
            word >>= 24
        else:
            word = 0
    elif kind not in (2, 4):
        word = 0
    return ErrorMessage(problem, data[8:], word)


def build(message: Message, source: bytes, destination: bytes) -> bytes:
    """Build a message, checksum included, for these addresses.

    Raises:
        ValueError: a problem that this version of ICMP has no number for, or a value out of range.
    """
    version = 4 if len(source) == 4 else 6
    try:
        if isinstance(message, Echo):
            kind, code = _ECHO[version][message.reply], 0
            body = struct.pack("!HH", message.identifier, message.sequence) + message.data
        elif isinstance(message, Other):
            kind, code, body = message.type, message.code, bytes(message.body)
        else:
            number = numbers(message.problem, version)
            if number is None:
                raise ValueError(f"ICMP for IPv{version} has no number for {message.problem.value!r}")
            kind, code = number
            word = message.value << 24 if version == 4 and kind == 12 else message.value
            body = struct.pack("!I", word) + message.quoted
        head = bytes((kind, code))
    except struct.error as error:
        raise ValueError(f"icmp message: {error}") from None
    total = sum_words(head + b"\0\0" + body) + _initial(source, destination, 4 + len(body))
    return head + (-total % 65535 if total else 0xFFFF).to_bytes(2, "big") + body


def _initial(source: bytes, destination: bytes, length: int) -> int:
    """Only ICMPv6 sums a pseudo header (RFC 4443 2.3)."""
    return pseudo_sum(source, destination, PROTOCOLS[6]) + length if len(source) == 16 else 0

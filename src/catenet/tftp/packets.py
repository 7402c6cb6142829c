"""Packets of TFTP: bytes to values and back (RFC 1350 section 5, RFC 2347). Pure.

Blocks of data are not parsed here, since they are many: `receiver.py` and `sender.py` read their four bytes in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "ACK",
    "DATA",
    "ERROR",
    "HEADER",
    "NETASCII",
    "OACK",
    "OCTET",
    "RRQ",
    "WRQ",
    "Malformed",
    "Request",
    "build_ack",
    "build_error",
    "build_oack",
    "build_request",
    "opcode_of",
    "parse_error",
    "parse_oack",
    "parse_request",
]

RRQ: Final = 1
WRQ: Final = 2
DATA: Final = 3
ACK: Final = 4
ERROR: Final = 5
OACK: Final = 6

HEADER: Final = 4
"""Bytes before a block."""
OCTET: Final = "octet"
NETASCII: Final = "netascii"

MAX_REQUEST: Final = 512
"""Bytes that a request may have (RFC 2347)."""
MAX_OPTIONS: Final = 32
MAX_TEXT: Final = 512


class Malformed(ValueError):
    """Bytes that are no such packet."""


@dataclass(frozen=True, slots=True)
class Request:
    """RRQ, or WRQ if `writes`. `options`: names in lower case; of two with one name the first counts."""

    name: str
    writes: bool = False
    mode: str = OCTET
    options: Mapping[str, str] = field(default_factory=dict)


def opcode_of(data: bytes) -> int:
    """Return the opcode, 0 if there is none."""
    return int.from_bytes(data[:2], "big") if len(data) >= 2 else 0


def parse_request(data: bytes) -> Request:
    """Return the request. Raises `Malformed`; octets of the name that are no UTF-8 survive (`os.fsencode`)."""
    code = opcode_of(data)
    if code not in (RRQ, WRQ):
        raise Malformed("no request")
    if len(data) > MAX_REQUEST:
        raise Malformed(f"a request over {MAX_REQUEST} bytes")
    name, mode, *rest = _strings(data[2:])
    if not name:
        raise Malformed("no file name")
    return Request(name, code == WRQ, mode.lower(), _options(rest))


def build_request(request: Request) -> bytes:
    """Return RRQ or WRQ. Raises `ValueError` for what no packet can carry."""
    code = WRQ if request.writes else RRQ
    words = [request.name, request.mode, *(text for pair in request.options.items() for text in pair)]
    if any("\0" in word for word in words) or not request.name:
        raise ValueError("a name that is empty or has a NUL in it")
    data = code.to_bytes(2, "big") + b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)
    if len(data) > MAX_REQUEST:
        raise ValueError(f"a name that is too long: a request has {MAX_REQUEST} bytes at most")
    return data


def parse_oack(data: bytes) -> dict[str, str]:
    """Return the options of an OACK. Raises `Malformed`."""
    if opcode_of(data) != OACK:
        raise Malformed("no OACK")
    return _options(_strings(data[2:], least=0))


def build_oack(options: Mapping[str, str]) -> bytes:
    """Return an OACK."""
    return b"\0\6" + b"".join(text.encode() + b"\0" for pair in options.items() for text in pair)


def build_ack(block: int) -> bytes:
    """Return the ACK of a block number (16 bits)."""
    return b"\0\4" + block.to_bytes(2, "big")


def parse_error(data: bytes) -> tuple[int, str]:
    """Return code and text of an ERROR, whatever state they are in; a missing terminator is forgiven."""
    code = int.from_bytes(data[2:4], "big")
    return code, data[4 : 4 + MAX_TEXT].partition(b"\0")[0].decode("utf-8", "replace")


def build_error(code: int, text: str) -> bytes:
    """Return an ERROR."""
    return b"\0\5" + code.to_bytes(2, "big") + text.encode("utf-8", "replace")[:MAX_TEXT] + b"\0"


def _strings(data: bytes, least: int = 2) -> list[str]:
    *raw, rest = data.split(b"\0")
    if rest or len(raw) < least or len(raw) > 2 + 2 * MAX_OPTIONS:
        raise Malformed("strings without end, too few, or too many")
    return [text.decode("utf-8", "surrogateescape") for text in raw]


def _options(words: list[str]) -> dict[str, str]:
    """Pairs of names and values; what is left over at the end, and empty names, count as nothing."""
    options: dict[str, str] = {}
    for name, value in zip(words[::2], words[1::2], strict=False):
        if name:
            options.setdefault(name.lower(), value)
    return options

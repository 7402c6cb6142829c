"""Texts of errors: made fit to be sent, spelled for a header field, cut to what a peer takes."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from urllib.parse import quote, unquote_to_bytes

__all__ = ["cut", "encoded_size", "percent_decode", "percent_encode", "shown", "well_formed"]

# Printable ASCII but the percent sign (gRPC PROTOCOL-HTTP2, "Percent-Encoded").
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_COSTS = bytes(1 if chr(code) in _PLAIN else 3 for code in range(256))
_LONGEST_QUOTE = 200


def well_formed(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair that stands alone, which UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def percent_encode(text: str) -> bytes:
    """Return the text as `grpc-message` spells it. Blanks at its ends are encoded: HTTP would take them off."""
    if text.isascii() and text.isprintable() and "%" not in text and text[:1] != " " and text[-1:] != " ":
        return text.encode()
    inner = text.strip(" ")
    if not inner:
        return b"%20" * len(text)
    start = text.index(inner[0])
    end = len(text) - start - len(inner)
    return b"%20" * start + quote(well_formed(inner), safe=_PLAIN).encode() + b"%20" * end


def percent_decode(field: bytes) -> str:
    """Return the text that a `grpc-message` spells, with U+FFFD for what is no UTF-8."""
    return unquote_to_bytes(field).decode("utf-8", "replace")


def encoded_size(text: str) -> int:
    """Return the number of bytes of `percent_encode(text)`, or some more."""
    return sum(well_formed(text).encode().translate(_COSTS)) + 4


def cut(text: str, room: int) -> str:
    """Return as much of the text as `percent_encode` makes `room` bytes of, and how much was cut off.

    Characters stay whole. With too little room for the remark, nothing remains but the remark.
    """
    data = well_formed(text).encode()
    if sum(data.translate(_COSTS)) <= room:
        return text
    # The remark is as long as it can get; "…" takes nine bytes.
    room -= len(f"  ({len(data)} bytes cut)") + 9
    kept = bisect_right(list(accumulate(data[: max(room, 0)].translate(_COSTS))), room)
    while kept and data[kept] & 0xC0 == 0x80:
        kept -= 1
    return f"{data[:kept].decode()}… ({len(data) - kept} bytes cut)"


def shown(name: str) -> str:
    """Return a name that a peer gave, cut to what a text of ours should quote of it."""
    return name if len(name) <= _LONGEST_QUOTE else cut(name, _LONGEST_QUOTE)

"""Data of records from the words of a master file."""

from __future__ import annotations

import binascii
from typing import Final

from catenet.dns.fields import Field
from catenet.dns.layouts import LAYOUTS
from catenet.wire.dns.numbers import TYPES, type_to_text
from catenet.wire.dns.rdata import split
from catenet.wire.errors import Malformed

__all__ = ["check_data", "data_from_words"]

_GENERIC: Final = "\\#"


def data_from_words(kind: int, words: list[str], origin: bytes) -> bytes:
    r"""Data of type `kind`, uncompressed; names in it that do not end in a dot are under `origin`.

    Words that were quoted begin with their quote. `\# LENGTH HEX` is taken for every type (RFC 3597 5). Raises
    ValueError saying what is wrong.
    """
    if words and words[0] == _GENERIC:
        return _generic(kind, words[1:])
    layout = LAYOUTS.get(kind)
    if layout is None:
        return _by_library(kind, words, origin)
    count = len(layout)
    if len(words) == count and not layout[-1].rest:
        if count == 1:
            return layout[0].read(words, origin)
        return b"".join([field.read([word], origin) for field, word in zip(layout, words, strict=True)])
    return _with_rest(kind, layout, words, origin)


def _with_rest(kind: int, layout: tuple[Field, ...], words: list[str], origin: bytes) -> bytes:
    """Data whose last field takes all words that are left."""
    fixed = layout[:-1] if layout[-1].rest else layout
    least = len(fixed) + (layout[-1].rest and layout[-1].title != "types")
    if len(words) < least or (len(words) > len(fixed) and not layout[-1].rest):
        takes = " ".join(field.title.replace(" ", "-") for field in layout)
        raise ValueError(f"{type_to_text(kind)} takes {takes!r}, not {len(words)} words")
    pieces = [field.read([word], origin) for field, word in zip(fixed, words, strict=False)]
    if layout[-1].rest:
        pieces.append(layout[-1].read(words[len(fixed) :], origin))
    return b"".join(pieces)


def _generic(kind: int, words: list[str]) -> bytes:
    if not words or not (words[0].isdecimal() and words[0].isascii()):
        raise ValueError("behind \\# stands how many bytes follow, and then these in hexadecimal digits")
    try:
        data = binascii.unhexlify("".join(words[1:]))
    except ValueError:
        raise ValueError("hexadecimal digits in pairs are expected behind \\#") from None
    if len(data) != int(words[0]):
        raise ValueError(f"\\# says {words[0]} bytes, and {len(data)} follow")
    check_data(kind, data)
    return data


def check_data(kind: int, data: bytes) -> None:
    """Raises ValueError for data that are not of their type, as far as that is known."""
    layout = LAYOUTS.get(kind)
    try:
        split(data, kind)
        if layout is not None:
            at = 0
            for field in layout:
                _, at = field.write(data, at)
            if at != len(data):
                raise Malformed("too long")
    except Malformed as error:
        raise ValueError(f"these bytes are no {type_to_text(kind)} data: {str(error).removeprefix('dns: ')}") from None


def _by_library(kind: int, words: list[str], origin: bytes) -> bytes:
    """Data of a type whose format dnspython knows."""
    try:
        import dns.exception
        import dns.name
        import dns.rdata
        import dns.rdatatype
    except ImportError:
        raise ValueError(f"{type_to_text(kind)} data need dnspython (catenet[dns]), or the form \\#") from None
    text = " ".join(word + '"' if word.startswith('"') else word for word in words)
    if kind not in TYPES:
        raise ValueError(f"data of TYPE{kind} are written as \\# LENGTH HEX")
    try:
        base = dns.name.from_wire(origin, 0)[0]
        data = dns.rdata.from_text("IN", type_to_text(kind), text, base, False).to_wire()
    except (dns.exception.DNSException, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{type_to_text(kind)} data: {reason}") from None
    assert data is not None
    return data

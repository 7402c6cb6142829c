"""Which data of records contains names: to follow their pointers, to compress them, and to compare them (RFC 3597 4).

Data of every other type is opaque here; what is in it is told by who knows the type.
"""

from __future__ import annotations

from typing import Final

from catenet.wire.dns.name import LONGEST_LABEL, Known, fold, read_name, skip_name
from catenet.wire.errors import Malformed

__all__ = ["COMPRESSED", "IS_NAME", "canonical", "expand", "split"]

NAME: Final = -1
"""In a layout: a name. A positive number is so many bytes."""
STRING: Final = -2
"""A character-string: its length in one byte."""
REST: Final = -3
"""All that is left."""

_LAYOUTS: Final[dict[int, tuple[int, ...]]] = {
    2: (NAME,),
    3: (NAME,),
    4: (NAME,),
    5: (NAME,),
    6: (NAME, NAME, 20),
    7: (NAME,),
    8: (NAME,),
    9: (NAME,),
    12: (NAME,),
    14: (NAME, NAME),
    15: (2, NAME),
    17: (NAME, NAME),
    18: (2, NAME),
    21: (2, NAME),
    24: (18, NAME, REST),
    26: (2, NAME, NAME),
    30: (NAME, REST),
    33: (6, NAME),
    35: (4, STRING, STRING, STRING, NAME),
    36: (2, NAME),
    39: (NAME,),
    46: (18, NAME, REST),
    47: (NAME, REST),
}
"""Of the types whose names a receiver decompresses (RFC 3597 4), and of those of DNSSEC."""

COMPRESSED: Final = frozenset((2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15))
"""Types whose names a sender may compress: those of RFC 1035."""

IS_NAME: Final = frozenset((2, 3, 4, 5, 7, 8, 9, 12))
"""Those of them whose data is one name."""

_UNCOMPRESSED: Final = frozenset((24, 46))
"""Types whose name no sender compresses (RFC 4034 3.1.7), and that anything may follow: it need not be taken apart."""

_CASE_MATTERS: Final = frozenset((47,))
"""Types whose names keep their case in canonical form: NSEC (RFC 6840 5.1)."""


def expand(data: bytes, kind: int, at: int, size: int, known: Known | None = None) -> bytes:
    """Data of type `kind` at `data[at:at + size]`, its pointers followed; Malformed when it is not that type's."""
    layout = _LAYOUTS.get(kind)
    if layout is None:
        return data[at : at + size]
    if kind in IS_NAME and skip_name(data, at) == at + size:
        return read_name(data, at, known)
    if kind in _UNCOMPRESSED and _is_plain(data, at + layout[0], at + size):
        return data[at : at + size]
    return b"".join(_pieces(data, layout, at, at + size, True, known))


def _is_plain(data: bytes, at: int, end: int) -> bool:
    """Whether there is a name without pointers at `at` that ends before `end`."""
    while at < end:
        length = data[at]
        at += 1 + length
        if not length:
            return True
        if length > LONGEST_LABEL:
            break
    return False


def split(data: bytes, kind: int) -> list[tuple[bool, bytes]]:
    """Parts of expanded record data in turn, each with whether it is a name."""
    layout = _LAYOUTS.get(kind)
    if layout is None:
        return [(False, data)]
    pieces = _pieces(data, layout, 0, len(data), False)
    return [(part == NAME, piece) for part, piece in zip(layout, pieces, strict=True)]


def canonical(data: bytes, kind: int) -> bytes:
    """Expanded record data in canonical form (RFC 4034 6.2, RFC 6840 5.1): its names in lower case."""
    layout = _LAYOUTS.get(kind)
    if layout is None or kind in _CASE_MATTERS:
        return data
    pieces = _pieces(data, layout, 0, len(data), False)
    return b"".join([fold(piece) if part == NAME else piece for part, piece in zip(layout, pieces, strict=True)])


def _pieces(
    data: bytes, layout: tuple[int, ...], at: int, end: int, pointers: bool, known: Known | None = None
) -> list[bytes]:
    pieces = []
    for part in layout:
        if part == NAME:
            following = skip_name(data, at)
            pieces.append(read_name(data, at, known) if pointers else data[at:following])
        elif part == REST:
            following = end
            pieces.append(data[at:end])
        else:
            if part == STRING:
                if at >= end:
                    raise Malformed("dns: record data is cut off")
                following = at + 1 + data[at]
            else:
                following = at + part
            pieces.append(data[at:following])
        if following > end:
            raise Malformed("dns: record data is cut off")
        at = following
    if at != end:
        raise Malformed("dns: record data is too long")
    return pieces

"""Record sets as a master file: one record a line, names absolute, so that any line stands for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from catenet.dns.rrset import RRset
from catenet.dns.text import text_of_data
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.numbers import RRSIG, class_to_text, type_to_text
from catenet.wire.errors import Malformed

__all__ = ["lines_of"]


def lines_of(sets: Iterable[RRset]) -> Iterator[str]:
    """A line for each record, its end included; signatures behind the set that they cover.

    Data that are not those of their type are written as bytes (RFC 3597 5).
    """
    for one in sets:
        head = f"{name_to_text(one.name)} {one.ttl} {class_to_text(one.rclass)} "
        for data in one.data:
            yield f"{head}{type_to_text(one.type)} {_text(one.type, data)}\n"
        for data in one.signatures:
            yield f"{head}RRSIG {_text(RRSIG, data)}\n"


def _text(kind: int, data: bytes) -> str:
    try:
        return text_of_data(kind, data)
    except Malformed:
        return f"\\# {len(data)} {data.hex()}".rstrip()

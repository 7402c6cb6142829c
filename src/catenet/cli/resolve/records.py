"""Records as lines: aligned columns, `+multiline`, `+ttlunits`, `+unknownformat`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from catenet.cli.resolve.switches import Options

if TYPE_CHECKING:
    from catenet.wire.dns.message import Message
    from catenet.wire.dns.record import Record

__all__ = ["data_text", "lines", "section"]

UNITS: Final = (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
WIDE: Final = 80
"""Characters of data beyond which `+multiline` breaks it."""
SOA_FIGURES: Final = ("serial", "refresh", "retry", "expire", "minimum")


def section(message: Message, name: str) -> list[Record]:
    """The records of a section but OPT, which is not data."""
    from catenet.wire.dns.numbers import OPT

    records: list[Record] = getattr(message, name)
    return [record for record in records if record.type != OPT]


def data_text(record: Record, options: Options | None = None) -> str:
    """The data of a record; a remark in parentheses where it is not that of its type."""
    from catenet.dns.text import data_to_text
    from catenet.wire.errors import Malformed

    try:
        if options is not None and options.unknownformat:
            data = record.data
            return f"\\# {len(data)} {data.hex().upper()}".rstrip()
        return data_to_text(record)
    except Malformed as error:
        return f"({error})"


def lines(records: Sequence[Record], options: Options) -> Iterator[str]:
    """One line a record, with the columns that are wanted; a record may take several with `+multiline`."""
    heads = [_head(record, options) for record in records]
    widths = [max(map(len, column)) for column in zip(*heads, strict=True)]
    for record, head in zip(records, heads, strict=True):
        columns = [word.ljust(width) for word, width in zip(head, widths, strict=True)]
        data = data_text(record, options)
        if options.multiline:
            yield from _broken("  ".join(columns), record, data)
        else:
            yield "  ".join([*columns, data]).rstrip()


def _head(record: Record, options: Options) -> list[str]:
    from catenet.wire.dns.name import name_to_text
    from catenet.wire.dns.numbers import class_to_text, type_to_text

    words = [name_to_text(record.name)]
    if options.ttl:
        words.append(_span(record.ttl) if options.ttlunits else str(record.ttl))
    if options.rclass:
        words.append(f"CLASS{record.rclass}" if options.unknownformat else class_to_text(record.rclass))
    words.append(f"TYPE{record.type}" if options.unknownformat else type_to_text(record.type))
    return words


def _span(seconds: int) -> str:
    parts = []
    for unit, size in UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _broken(head: str, record: Record, data: str) -> Iterator[str]:
    from catenet.wire.dns import numbers

    words = data.split(" ")
    if record.type == numbers.SOA and len(words) == 7:
        yield f"{head}  {words[0]} {words[1]} ("
        for figure, name in zip(words[2:], SOA_FIGURES, strict=True):
            yield f"    {figure:<10} ; {name}" + ("" if name == "serial" else f" ({_span(int(figure))})")
        yield "    )"
    elif len(data) <= WIDE or '"' in data:
        yield f"{head}  {data}"
    else:
        yield f"{head}  ("
        yield from (f"    {line}" for line in _filled(words))
        yield "    )"


def _filled(words: Sequence[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > WIDE:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line

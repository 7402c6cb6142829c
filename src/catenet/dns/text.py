"""Records as text (RFC 1035 5.1, RFC 3597 5): what their data says, in the words of zone files.

The commonest types are here. Of others dnspython knows the format, if it is installed; otherwise data is shown as that
of an unknown type.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from catenet.wire.address import format_address
from catenet.wire.dns import numbers
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.rdata import split
from catenet.wire.dns.record import Record
from catenet.wire.errors import Malformed

__all__ = ["data_to_text"]


def data_to_text(record: Record) -> str:
    """The data of a record as a zone file has it. Raises Malformed when it is not that of its type."""
    kind, data = record.type, record.data
    known = _FORMATS.get(kind)
    if known is not None:
        return known(data, kind)
    return _by_library(kind, data) or f"\\# {len(data)} {data.hex()}".rstrip()


def _by_library(kind: int, data: bytes) -> str | None:
    try:
        import dns.exception
        import dns.rdata
    except ImportError:
        return None
    try:
        return dns.rdata.from_wire("IN", f"TYPE{kind}", data, 0, len(data)).to_text()
    except dns.exception.DNSException:
        raise Malformed(f"dns: data of type {numbers.type_to_text(kind)}") from None


def _address(data: bytes, kind: int) -> str:
    if len(data) != (4 if kind == numbers.A else 16):
        raise Malformed("dns: address of a wrong length")
    return format_address(data)


def _names(data: bytes, kind: int) -> str:
    """Names and 16-bit numbers in turn, as the layout of the type has them."""
    words = []
    for is_name, piece in split(data, kind):
        words += [name_to_text(piece)] if is_name else [str(one[0]) for one in struct.iter_unpack("!H", piece)]
    return " ".join(words)


def _start_of_authority(data: bytes, kind: int) -> str:
    (_, primary), (_, mailbox), (_, figures) = split(data, kind)
    words = [name_to_text(primary), name_to_text(mailbox), *map(str, struct.unpack("!5I", figures))]
    return " ".join(words)


def _strings(data: bytes, kind: int) -> str:
    words, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise Malformed("dns: text is cut off")
        words.append('"' + "".join(map(_letter, data[at + 1 : end])) + '"')
        at = end
    return " ".join(words)


def _letter(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}"


_FORMATS: Final[dict[int, Callable[[bytes, int], str]]] = {
    numbers.A: _address,
    numbers.AAAA: _address,
    numbers.NS: _names,
    numbers.CNAME: _names,
    numbers.PTR: _names,
    numbers.DNAME: _names,
    numbers.MX: _names,
    numbers.SRV: _names,
    numbers.SOA: _start_of_authority,
    numbers.TXT: _strings,
}

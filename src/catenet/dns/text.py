"""Records as text (RFC 1035 5.1, RFC 3597 5): what their data says, in the words of zone files.

Of types without a layout dnspython knows the format, if it is installed; otherwise data is shown as that of an unknown
type.
"""

from __future__ import annotations

from catenet.dns.layouts import LAYOUTS, text_of_fields
from catenet.wire.dns.numbers import type_to_text
from catenet.wire.dns.record import Record
from catenet.wire.errors import Malformed

__all__ = ["data_to_text", "text_of_data"]


def data_to_text(record: Record) -> str:
    """The data of a record as a zone file has it. Raises Malformed when it is not that of its type."""
    return text_of_data(record.type, record.data)


def text_of_data(kind: int, data: bytes) -> str:
    """Data of a type, uncompressed, as a zone file has it. Raises Malformed when it is not that of its type."""
    layout = LAYOUTS.get(kind)
    if layout is not None:
        return text_of_fields(layout, data)
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
        raise Malformed(f"dns: data of type {type_to_text(kind)}") from None

"""EDNS(0) (RFC 6891): the OPT record, which extends the header."""

from __future__ import annotations

from typing import Final, NamedTuple

from catenet.wire.dns.name import ROOT
from catenet.wire.dns.numbers import OPT
from catenet.wire.dns.record import HEAD_LENGTH, Record, make_record
from catenet.wire.errors import Malformed

__all__ = ["DNSSEC_OK", "Edns", "edns_from_record", "edns_to_record"]

DNSSEC_OK: Final = 0x8000
"""In `flags`: the sender wants signatures (RFC 3225)."""
DEFAULT_PAYLOAD: Final = 1232
"""Bytes that fit into one packet of IPv6 on every path (DNS flag day 2020, RFC 9715)."""


class Edns(NamedTuple):
    """What an OPT record says."""

    payload: int = DEFAULT_PAYLOAD
    """Largest UDP message that its sender takes, in bytes."""
    flags: int = 0
    options: tuple[tuple[int, bytes], ...] = ()
    """(code, data) pairs, in order."""
    extended_rcode: int = 0
    """High bits of the response code."""
    version: int = 0


def edns_from_record(record: Record) -> Edns:
    """Read an OPT record. Raises Malformed for an owner that is not the root, and for options that do not fit."""
    source, head = record.source, record.head
    if source[record.at] or head != record.at + 1:
        raise Malformed("dns: the owner of the OPT record is not the root")
    at, options = head + HEAD_LENGTH, []
    while at < record.end:
        start = at + 4
        if start > record.end:
            raise Malformed("dns: EDNS option is cut off")
        at = start + (source[start - 2] << 8 | source[start - 1])
        if at > record.end:
            raise Malformed("dns: EDNS option is cut off")
        options.append((source[start - 4] << 8 | source[start - 3], source[start:at]))
    flags = source[head + 6] << 8 | source[head + 7]
    return Edns(record.rclass, flags, tuple(options), source[head + 4], source[head + 5])


def edns_to_record(edns: Edns) -> bytes:
    """Write an OPT record."""
    data = b"".join([code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value for code, value in edns.options])
    extra = edns.extended_rcode << 24 | edns.version << 16 | edns.flags
    return make_record(ROOT, OPT, extra, data, edns.payload).source

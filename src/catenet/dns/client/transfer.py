"""Where a transfer of a zone ends (RFC 5936 2.2, RFC 1995 4): one of records, in messages whose number nobody says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from catenet.wire.dns.numbers import SOA
from catenet.wire.dns.rdata import split
from catenet.wire.dns.record import Record
from catenet.wire.errors import Malformed

__all__ = ["TransferReader"]

FIGURES: Final = 20
"""Bytes of the numbers in a SOA; the serial comes first."""


class TransferReader:
    """Reads the records of AXFR and IXFR in turn.

    Attributes:
        done: whether the last record has come.
        is_incremental: whether there are differences instead of the whole zone.
    """

    def __init__(self, is_incremental: bool) -> None:
        self.done = False
        self.is_incremental = False
        self._may_be_incremental = is_incremental
        self._count = 0
        self._serial = b""
        self._is_adding = False

    def read(self, records: list[Record]) -> Iterator[Record]:
        """The records of the next message that belong to the transfer. Raises Malformed for what is none."""
        for record in records:
            if self.done:
                raise Malformed("dns: records behind the end of the transfer")
            self._take(record)
            yield record
        if self._count == 1 and self._may_be_incremental:
            self.done = True  # the SOA alone: there is nothing newer (RFC 1995 2)

    def _take(self, record: Record) -> None:
        self._count += 1
        serial = _serial(record) if record.type == SOA else None
        if self._count == 1:
            if serial is None:
                raise Malformed("dns: the transfer does not begin with a SOA")
            self._serial = serial
        elif serial is None:
            return
        elif self._count == 2 and self._may_be_incremental and serial != self._serial:
            self.is_incremental = True
        elif not self.is_incremental or (self._is_adding and serial == self._serial):
            self.done = True
        else:
            self._is_adding = not self._is_adding


def _serial(record: Record) -> bytes:
    figures = split(record.data, SOA)[-1][1]
    if len(figures) != FIGURES:
        raise Malformed("dns: SOA data is cut off")
    return figures[:4]

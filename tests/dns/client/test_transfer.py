"""Where transfers end: whole zones, differences, nothing newer, and what is none."""

from __future__ import annotations

import pytest

from catenet.dns.client.transfer import TransferReader
from catenet.wire.dns import numbers
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.record import make_record
from catenet.wire.errors import Malformed

ZONE = name_from_text("example.")


def soa(serial):
    return make_record(ZONE, numbers.SOA, 60, ZONE + ZONE + serial.to_bytes(4, "big") + bytes(16))


def a(last):
    return make_record(ZONE, numbers.A, 60, bytes((192, 0, 2, last)))


WHOLE = [soa(3), a(1), a(2), soa(3)]
DIFFERENCES = [soa(3), soa(1), a(1), soa(2), a(2), soa(2), a(2), soa(3), a(3), soa(3)]
LAST_CHANGE = [soa(3), soa(2), a(1), soa(3), soa(3)]


def read(messages, is_incremental):
    reader = TransferReader(is_incremental)
    records = []
    for message in messages:
        assert not reader.done
        records += reader.read(message)
    return reader, records


@pytest.mark.parametrize("size", [1, 2, 3, 20])
@pytest.mark.parametrize(
    ("records", "asked", "incremental"),
    [
        (WHOLE, False, False),
        ([soa(3), soa(3)], False, False),
        (WHOLE[:1] + WHOLE[1:], True, False),
        (DIFFERENCES, True, True),
        (LAST_CHANGE, True, True),
    ],
)
def test_transfers_end_however_they_are_cut_into_messages(records, asked, incremental, size):
    if asked and size == 1:
        size = 2  # the SOA alone in the first message says that there is nothing newer
    reader, found = read([records[at : at + size] for at in range(0, len(records), size)], asked)
    assert (reader.done, reader.is_incremental, found) == (True, incremental, records)


def test_a_soa_alone_says_that_there_is_nothing_newer():
    reader, _ = read([[soa(3)]], True)
    assert reader.done
    reader, _ = read([[soa(3)]], False)
    assert not reader.done


@pytest.mark.parametrize(
    "records",
    [[a(1)], [*WHOLE, a(1)], [make_record(ZONE, numbers.SOA, 60, ZONE + ZONE + bytes(20)), soa(0), soa(0)]],
)
def test_what_is_no_transfer(records):
    with pytest.raises(Malformed):
        read([records], False)

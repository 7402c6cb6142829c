"""Data as text, as dnspython writes it."""

from __future__ import annotations

import dns.rdata
import pytest

from catenet.dns.text import data_to_text
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import type_from_text
from catenet.wire.dns.record import make_record
from catenet.wire.errors import Malformed

OWNER = name_from_text("example.")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("NS", "ns1.example."),
        ("CNAME", r"a\.b.example."),
        ("PTR", "host.example."),
        ("DNAME", "other.example."),
        ("MX", "10 mail.example."),
        ("SRV", "1 2 5060 sip.example."),
        ("SOA", "ns1.example. hostmaster.example. 2026112901 7200 900 1209600 300"),
        ("TXT", r'"v=spf1 -all" "a \"quoted\" \\ word" "\195\188\000"'),
        ("CAA", '0 issue "ca.example"'),
        ("HTTPS", '1 . alpn="h2,h3" port="8443"'),
        ("DS", "12345 13 2 49fd46e6c4b45c55d4ac49fd46e6c4b45c55d4ac49fd46e6c4b45c55d4ac0000"),
        ("TYPE65280", r"\# 3 010203"),
        ("TYPE65280", r"\# 0"),
    ],
)
def test_data_is_written_as_in_zone_files(kind: str, text: str) -> None:
    rdata = dns.rdata.from_text("IN", kind, text)
    wire = rdata.to_wire()
    assert wire is not None
    assert data_to_text(make_record(OWNER, type_from_text(kind), 60, wire)) == rdata.to_text()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("A", b"abc"),
        ("AAAA", bytes(4)),
        ("TXT", b"\5abc"),
        ("MX", b"\0\1"),
        ("SOA", b"\0\0"),
        ("CAA", b"\0"),
        ("DS", b""),
    ],
)
def test_data_that_is_not_its_type_s_is_malformed(kind: str, data: bytes) -> None:
    with pytest.raises(Malformed):
        data_to_text(make_record(OWNER, type_from_text(kind), 60, data))

"""MATCH: each word passes what is equal, and names what is not."""

from __future__ import annotations

import pytest

from catenet.testing.rpl.compare import difference
from catenet.testing.rpl.reader import read_scenario
from catenet.testing.rpl.replies import make_replies
from catenet.testing.rpl.syntax import Dialect, Entry
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Message, Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import RD

BASE = """\
REPLY QR RD RA NOERROR
SECTION QUESTION
www.example. IN A
SECTION ANSWER
www.example. 60 IN CNAME host.example.
host.example. 60 IN A 192.0.2.1
host.example. 60 IN A 192.0.2.2
SECTION AUTHORITY
example. 60 IN NS ns.example.
"""


def entry(text: str) -> Entry:
    scenario = read_scenario(
        f"CONFIG_END\nSCENARIO_BEGIN t\nSTEP 1 QUERY\nENTRY_BEGIN\n{text}ENTRY_END\nSCENARIO_END\n"
    )
    found = scenario.steps[0].entry
    assert found is not None
    return found


def message(text: str = BASE, edns: Edns | None = None) -> Message:
    packet = entry(text).packets[0]
    data = pack(0, packet.flags, packet.question, packet.answer, packet.authority, packet.additional, edns)
    return parse(data)


def compare(
    match: str, expected: str, got: Message, transport: str = "udp", dialect: Dialect = Dialect.UNBOUND
) -> str | None:
    return difference(entry(f"MATCH {match}\n{expected}"), got, transport, dialect)


@pytest.mark.parametrize(
    "match", ["all", "all ttl", "opcode qtype qname rcode flags answer authority additional", "question"]
)
def test_equal(match: str) -> None:
    assert compare(match, BASE, message()) is None


def test_case_and_order_within_sections_do_not_matter() -> None:
    shuffled = BASE.replace("192.0.2.1", "?").replace("192.0.2.2", "192.0.2.1").replace("?", "192.0.2.2")
    assert compare("all ttl", shuffled.replace("host.", "HOST."), message()) is None


@pytest.mark.parametrize(
    ("match", "old", "new", "found"),
    [
        ("all", "NOERROR", "NXDOMAIN", "NOERROR, expected NXDOMAIN"),
        ("rcode", "NOERROR", "SERVFAIL", "NOERROR, expected SERVFAIL"),
        ("all", "RD RA", "RD", "flags qr rd ra, expected qr rd"),
        ("flags", "QR", "QR AA", "flags qr rd ra, expected qr aa rd ra"),
        ("opcode", "QR", "QR NOTIFY", "opcode 0, expected 4"),
        ("qtype", "www.example. IN A", "www.example. IN MX", "question of type A, expected MX"),
        ("qname", "www.example. IN A", "w.example. IN A", "question www.example., expected w.example."),
        ("qcase", "www.example. IN A", "Www.example. IN A", "question www.example., expected Www.example."),
        ("subdomain", "www.example. IN A", "b.example. IN A", "question www.example., expected one under b.example."),
        ("question", "www.example. IN A", "www.example. CH A", "question of class IN, expected CH"),
        ("answer", "192.0.2.2", "192.0.2.3",
         "answer section without host.example. IN A 192.0.2.3 and with host.example. IN A 192.0.2.2"),
        ("all", "host.example. 60 IN A 192.0.2.2\n", "", "answer section with host.example. IN A 192.0.2.2"),
        ("all ttl", "example. 60 IN NS", "example. 61 IN NS",
         "authority section without example. 61 IN NS ns.example. and with example. 60 IN NS ns.example."),
        ("answertypes", "CNAME host.example.", "TXT x", "types of the answer A CNAME, expected A TXT"),
        ("tcp", "", "", "came by udp, not tcp"),
        ("do", "", "", "DO is not set"),
        ("ede=3", "", "", "extended errors none, expected 3"),
        ("ede=any", "", "", "extended errors none, expected one"),
        ("serial=5", "", "", "serial 0, expected 5"),
    ],
)  # fmt: skip
def test_differences(match: str, old: str, new: str, found: str) -> None:
    assert compare(match, BASE.replace(old, new) if old else BASE, message()) == found


def test_edns() -> None:
    with_edns = message(edns=Edns(flags=DNSSEC_OK, options=((15, b"\0\3stale"), (3, b"A"))))
    assert compare("all", BASE, with_edns) == "an OPT record"
    assert compare("all_noedns", BASE, with_edns) is None
    assert compare("all", BASE, with_edns, dialect=Dialect.DECKARD) is None
    assert compare("noedns", BASE, with_edns) == "an OPT record"
    expecting = BASE.replace("NOERROR", "NOERROR DO")
    assert compare("all do ede=3", expecting, with_edns) is None
    assert compare("all ede=any", expecting, with_edns) is None
    expired = message(edns=Edns(flags=DNSSEC_OK, options=((15, b"\0\7"),)))
    assert compare("ede=6", expecting, expired) is None
    assert compare("ede=9", expecting, expired) == "extended errors 7, expected 9"
    assert compare("ede=4", expecting, with_edns) == "extended errors 3, expected 4"
    assert compare("all", expecting, message()) == "no OPT record"
    assert compare("all", expecting, message(edns=Edns())) == "DO is not set"
    wanted = BASE + "HEX_EDNSDATA_BEGIN\n0003000141\nHEX_EDNSDATA_END\n"
    assert compare("ednsdata", wanted, message(edns=Edns(options=((3, b"A"),)))) is None
    assert compare("ednsdata", wanted, message()) == "EDNS options none, expected 0003000141"
    assert compare("nsid", BASE, with_edns) == "a server identifier"


def test_unreadable_records() -> None:
    broken = BASE.replace("A 192.0.2.2", "MX \\# 1 00")
    assert (
        compare("all", BASE, reply("copy_id", broken)) == "a message that cannot be read (dns: record data is cut off)"
    )


QUERY = parse(pack(77, RD, Question(name_from_text("wWw.example."), 1), edns=Edns(flags=DNSSEC_OK)))


def reply(adjust: str, text: str = BASE, dialect: Dialect = Dialect.UNBOUND) -> Message:
    [data] = make_replies(entry(f"ADJUST {adjust}\n{text}"), QUERY, dialect)
    return parse(data)


def test_adjustments() -> None:
    other = BASE.replace("www.example. IN A", "example. IN MX")
    assert reply("copy_id copy_query", other).question == QUERY.question
    assert reply("copy_id", other).question == (name_from_text("example."), 15, 1)
    assert (reply("copy_id").id, reply("").id, reply("", dialect=Dialect.DECKARD).id) == (77, 77, 0)
    copied = reply("copy_id", dialect=Dialect.DECKARD)
    assert copied.question == QUERY.question and copied.edns is not None and copied.edns.flags == DNSSEC_OK
    assert reply("copy_id").edns is None
    assert make_replies(entry(f"ADJUST do_not_answer\n{BASE}"), QUERY, Dialect.DECKARD) == []


def test_raw_answers() -> None:
    raw = pack(1, 0, Question(b"\1a\0", 16)).hex()
    text = f"ADJUST copy_id copy_query\nHEX_ANSWER_BEGIN\n{raw}\nHEX_ANSWER_END\n"
    [data] = make_replies(entry(text), QUERY, Dialect.UNBOUND)
    assert parse(data).id == 77 and parse(data).question == QUERY.question
    assert make_replies(entry("RAW\nff\n"), QUERY, Dialect.DECKARD) == [b"\xff"]
    assert make_replies(entry("ADJUST raw_id\nRAW\nffffff\n"), QUERY, Dialect.DECKARD) == [b"\0M\xff"]


def test_packets_of_a_stream() -> None:
    two = entry(f"ADJUST copy_id\n{BASE}EXTRA_PACKET\n{BASE}")
    assert len(make_replies(two, QUERY, Dialect.UNBOUND)) == 2

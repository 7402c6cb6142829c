"""Messages: read and written as dnspython reads and writes them, cut to fit, and never more than Malformed."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire.dns import numbers
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Message, Question, pack, parse, parse_reply
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.rdata import canonical, expand
from catenet.wire.dns.record import Record, make_record
from catenet.wire.errors import Malformed

ZONE = """
example. 3600 IN SOA ns1.example. hostmaster.example. 1 7200 900 1209600 300
example. 3600 IN NS ns1.example.
example. 3600 IN NS NS2.Example.
example. 3600 IN MX 10 mail.example.
example. 3600 IN TXT "a text" "and another"
WWW.example. 300 IN CNAME web.example.
web.example. 300 IN A 192.0.2.1
web.example. 300 IN AAAA 2001:db8::1
_sip._tcp.example. 60 IN SRV 1 2 5060 SIP.example.
old.example. 60 IN DNAME New.example.
1.2.0.192.in-addr.arpa. 60 IN PTR web.example.
n.example. 60 IN NAPTR 100 10 "u" "sip+E2U" "!^.*$!sip:a@example!" Replacement.example.
r.example. 60 IN RP Admin.example. Text.example.
example. 60 IN DS 12345 13 2 49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC0000
example. 60 IN RRSIG A 13 2 300 20300101000000 20250101000000 1 Example. AAAA
example. 60 IN NSEC Next.example. A RRSIG
example. 60 IN HTTPS 1 . alpn="h2,h3" port=8443
example. 60 IN CAA 0 issue "ca.example"
example. 60 IN TYPE65280 \\# 3 010203
"""
SETS = [dns.rrset.from_text(*line.split(maxsplit=4)) for line in ZONE.split("\n") if line]


def to_record(text_set: dns.rrset.RRset) -> Record:
    (data,) = text_set
    name = text_set.name.to_wire()
    assert name is not None
    wire = data.to_wire()
    assert wire is not None
    return make_record(name, int(text_set.rdtype), text_set.ttl, wire)


RECORDS = [to_record(one) for one in SETS]


def as_text(message: bytes) -> list[str]:
    """Every record as dnspython reads it."""
    whole = dns.message.from_wire(message, one_rr_per_rrset=True)
    return [one.to_text() for section in whole.sections[1:] for one in section]


@given(st.lists(st.sampled_from(range(len(SETS))), max_size=12), st.integers(0, 65535), st.booleans())
def test_what_we_write_dnspython_reads(chosen: list[int], number: int, edns: bool) -> None:
    question = Question(name_from_text("WWW.example."), numbers.A)
    extra = Edns(1400, DNSSEC_OK, ((10, b"12345678"), (3, b""))) if edns else None
    records = [RECORDS[one] for one in chosen]
    wire = pack(number, numbers.QR | numbers.AA, question, records[:4], records[4:8], records[8:], extra)
    theirs = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert theirs.id == number
    assert theirs.flags == dns.flags.QR | dns.flags.AA
    assert theirs.question[0].name.to_text() == "WWW.example."
    assert as_text(wire) == [SETS[one].to_text() for one in chosen]
    assert theirs.edns == (0 if edns else -1)
    if edns:
        assert (theirs.payload, theirs.ednsflags) == (1400, DNSSEC_OK)
        assert [(int(one.otype), one.to_wire()) for one in theirs.options] == [(10, b"12345678"), (3, b"")]
    ours = parse(wire)
    assert ours.edns == extra
    assert [*ours.answer, *ours.authority, *ours.additional[: len(records[8:])]] == records


@given(st.lists(st.sampled_from(range(len(SETS))), max_size=12))
def test_what_dnspython_writes_we_read(chosen: list[int]) -> None:
    query = dns.message.make_query("www.example.", "A", use_edns=0, payload=1232, want_dnssec=True)
    response = dns.message.make_response(query)
    response.answer = [SETS[one] for one in chosen]
    ours = parse(response.to_wire(max_size=65535))
    assert ours.question == Question(name_from_text("www.example."), numbers.A)
    assert [record.ttl for record in ours.answer] == [SETS[one].ttl for one in chosen]
    for record, one in zip(ours.answer, chosen, strict=True):
        name = SETS[one].name
        (data,) = SETS[one]
        assert fold(record.name) == fold(name.to_wire() or b"")
        assert canonical(record.data, record.type) == data.to_digestable()
        # dnspython compresses across cases, so that a name may come out in another one's.
        assert canonical(record.data, record.type) == canonical(RECORDS[one].data, record.type)


def test_compression_is_as_good_as_dnspython_s() -> None:
    query = dns.message.make_query("www.example.", "A")
    response = dns.message.make_response(query)
    response.answer = [dns.rrset.from_text(*line.lower().split(maxsplit=4)) for line in ZONE.split("\n") if line]
    question = Question(name_from_text("www.example."), numbers.A)
    records = [to_record(one) for one in response.answer]
    assert len(pack(response.id, response.flags, question, records)) <= len(response.to_wire(max_size=65535))


@pytest.mark.parametrize("limit", [200, 300, 512, 700, 1232])
def test_what_does_not_fit_is_left_out_by_record_sets(limit: int) -> None:
    question = Question(name_from_text("example."), numbers.ANY)
    owners = [name_from_text(f"{number // 3}.example.") for number in range(90)]
    records = [make_record(owner, numbers.A, 60, bytes((192, 0, 2, n))) for n, owner in enumerate(owners)]
    wire = pack(1, numbers.QR, question, records, edns=Edns())
    assert not parse(wire).flags & numbers.TC
    short = parse(pack(1, numbers.QR, question, records, RECORDS[:1], RECORDS[1:2], Edns(), limit))
    assert short.flags & numbers.TC
    assert len(short.data) <= limit
    assert short.answer == records[: len(short.answer)]
    assert len(short.answer) % 3 == 0
    assert not short.authority
    assert short.edns == Edns()
    assert len(short.data) + 3 * 32 > limit


def test_additional_records_are_left_out_without_a_word() -> None:
    question = Question(name_from_text("example."), numbers.A)
    short = parse(pack(1, numbers.QR, question, RECORDS[6:7], (), RECORDS * 3, None, 512))
    assert not short.flags & numbers.TC
    assert short.answer == RECORDS[6:7]
    assert 0 < len(short.additional) < 3 * len(RECORDS)


def test_a_limit_below_the_question_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        pack(1, 0, Question(name_from_text("example."), 1), limit=20)


def test_the_extended_response_code_joins_the_header_s() -> None:
    message = parse(pack(1, numbers.QR | 7, None, edns=Edns(extended_rcode=1)))
    assert message.rcode == 23
    assert numbers.rcode_to_text(message.rcode) == "BADCOOKIE"
    assert message.question is None
    assert dns.message.from_wire(message.data).rcode() == 23


def test_a_ttl_with_the_highest_bit_is_zero() -> None:
    assert make_record(name_from_text("a."), numbers.A, 0x80000001, bytes(4)).ttl == 0
    assert make_record(name_from_text("a."), numbers.A, 0x7FFFFFFF, bytes(4)).ttl == 0x7FFFFFFF


HEAD = bytes(4) + b"\0\1\0\0\0\0\0\0"
OPT_RECORD = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "header"),
        (bytes(11), "header"),
        (HEAD, "cut off"),
        (HEAD + b"\x01a\0\0\1", "question is cut off"),
        (bytes(4) + b"\0\2" + bytes(6) + b"\0\0\1\0\1" * 2, "more than one question"),
        (bytes(12) + b"x", "behind the last record"),
        (bytes(6) + b"\0\1" + bytes(4) + b"\0\0\1\0\1\0\0\0\0", "record is cut off"),
        (bytes(6) + b"\0\1" + bytes(4) + b"\0\0\1\0\1\0\0\0\0\0\4abc", "record data is cut off"),
    ],
)
def test_a_wrong_structure_is_malformed(data: bytes, problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        parse(data)


@pytest.mark.parametrize("size", range(29, 120, 7))
def test_an_answer_that_says_that_it_was_cut_may_be_cut_anywhere(size: int) -> None:
    whole = pack(1, numbers.QR | numbers.TC, QUESTION, RECORDS)
    reply = parse_reply(whole[:size])
    assert (reply.question, reply.flags & numbers.TC, reply.answer) == (QUESTION, numbers.TC, [])
    with pytest.raises(Malformed):
        parse(whole[:size])
    with pytest.raises(Malformed):
        parse_reply(pack(1, numbers.QR, QUESTION, RECORDS)[:size])


@pytest.mark.parametrize(
    ("tail", "count"),
    [
        (OPT_RECORD * 2, 2),
        (b"\1a" + OPT_RECORD, 1),
        (OPT_RECORD[:-2] + b"\0\3\0\1\0", 1),
        (OPT_RECORD[:-2] + b"\0\5\0\1\0\2x", 1),
    ],
    ids=["two", "owner", "option cut", "option data cut"],
)
def test_a_wrong_opt_record_is_malformed(tail: bytes, count: int) -> None:
    message = parse(bytes(11) + bytes((count,)) + tail)
    with pytest.raises(Malformed):
        _ = message.edns
    with pytest.raises(Malformed):
        _ = message.rcode


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (numbers.NS, b"\x01a"),
        (numbers.NS, b"\x01a\0x"),
        (numbers.MX, b"\0"),
        (numbers.SOA, b"\0\0" + bytes(19)),
        (numbers.SOA, b"\0\0" + bytes(21)),
        (numbers.RRSIG, bytes(17)),
        (35, bytes(4) + b"\x09abc"),
        (35, bytes(4)),
    ],
)
def test_data_that_is_not_its_type_s_is_malformed_when_it_is_asked_for(kind: int, data: bytes) -> None:
    record = parse(pack(1, 0, None, [make_record(b"\0", 65280, 0, data)]).replace(b"\xff\x00", kind.to_bytes(2, "big")))
    with pytest.raises(Malformed):
        _ = record.answer[0].data


def look(message: Message) -> None:
    _ = message.question, message.opcode
    for record in (*message.answer, *message.authority, *message.additional):
        _ = record.name, record.type, record.rclass, record.ttl, record.data
    _ = message.edns, message.rcode


QUESTION = Question(name_from_text("www.example."), numbers.A)
WHOLE = pack(1, numbers.QR, QUESTION, RECORDS, RECORDS, RECORDS, Edns(options=((10, b"x" * 8),)))
CHANGES = st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8)


@given(CHANGES, st.integers(0, 40))
def test_a_damaged_message_is_malformed_or_says_something(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    try:
        look(parse(bytes(data[: len(data) - cut])))
    except Malformed:
        pass


@given(st.binary(max_size=80))
def test_any_bytes_are_malformed_or_say_something(data: bytes) -> None:
    try:
        look(parse(data))
    except Malformed:
        pass


@given(st.sampled_from(range(len(SETS))))
def test_data_is_expanded_only_within_its_record(one: int) -> None:
    record = RECORDS[one]
    data = record.data
    assert expand(b"\x05" + data + b"xyz", record.type, 1, len(data)) == data


def test_mnemonics() -> None:
    assert numbers.type_from_text("https") == 65
    assert numbers.type_from_text("TYPE65280") == 65280
    assert numbers.type_to_text(65280) == "TYPE65280"
    assert numbers.class_from_text("CH") == numbers.CH
    assert numbers.flags_to_text(numbers.QR | numbers.RD | numbers.RA) == "qr rd ra"
    for wrong in ("", "AAAAA", "TYPE", "TYPE65536", "TYPE-1", "TYPE²"):
        with pytest.raises(ValueError, match="not a record type"):
            numbers.type_from_text(wrong)


def test_many_names_that_share_a_long_chain_of_pointers_cost_little() -> None:
    looks = 0

    class Counted(bytes):
        def __getitem__(self, key):  # type: ignore[no-untyped-def,override]
            nonlocal looks
            looks += 1
            return super().__getitem__(key)

    count, records, at, last = 4000, [], 17, 12
    for number in range(count):
        label = b"\1a" if number < 100 else b""
        record = label + (0xC000 | last).to_bytes(2, "big") + bytes((0, 1, 0, 1, 0, 0, 0, 60, 0, 4))
        records.append(record + number.to_bytes(4, "big"))
        last = at if number < 100 else last
        at += len(records[-1])
    header = bytes((0, 1, 0x84, 0, 0, 1)) + count.to_bytes(2, "big") + bytes(4)
    message = parse(Counted(header + b"\0\0\1\0\1" + b"".join(records)))
    names = [record.name for record in message.answer]
    assert names[-1] == b"\1a" * 100 + b"\0" and names[1] == b"\1a\1a\0"
    assert looks < 40 * count  # and 200 of the last name alone

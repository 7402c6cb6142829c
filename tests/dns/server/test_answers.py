"""Answers as wire bytes: what is patched, what is cut, what is passed on, and how much is kept."""

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catenet.dns.response import Response, Security
from catenet.dns.rrset import RRset
from catenet.dns.server.fast.answers import Answers, make_entry
from catenet.dns.server.fast.form import Forms
from catenet.dns.server.reply import entry_of
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AA, AD, CD, NS, QR, RA, RD, TC, A

NAME = name_from_text("www.example.org.")
QUESTION = Question(NAME, A)
ADDRESS = RRset(name_from_text("WWW.example.org."), A, 300, (b"\xc0\0\2\1",))
ZONE_NS = RRset(name_from_text("example.org."), NS, 600, (name_from_text("ns.example.org."),))


def answers(most=1232, room=1 << 20, memo=1 << 20):
    return Answers(Forms(most, 1232), room, memo)


def query(name=NAME, kind=A, flags=RD, edns=None, number=0x1234):
    return pack(number, flags, Question(name, kind), edns=edns)


def put(table, response, *, prefix=1, lasting=False, name=NAME, now=100):
    entry = entry_of(response, Question(name, A), now, with_signatures=False, recursion=True, lasting=lasting)
    table.insert(bytes((prefix,)) + name + b"\0\1\0\1", entry)
    table.tick(now)


def test_id_case_and_flags_are_the_clients_and_ttls_age():
    table = answers()
    put(table, Response(answer=[ADDRESS], authority=[ZONE_NS]))
    mixed = name_from_text("wWw.eXample.oRg.")
    for now, ttl in ((100, 300), (101, 299), (350, 50)):
        table.tick(now)
        reply = parse(b"\x12\x34" + table.look_up(query(mixed)))
        assert reply.question.name == mixed
        assert reply.answer[0].name == mixed
        assert reply.answer[0].ttl == ttl
        assert reply.authority[0].ttl == ttl + 300
        assert reply.flags == QR | RD | RA
    table.tick(400 - 30)  # a tenth early
    assert table.look_up(query(mixed)) is None


def test_what_authorities_say_does_not_age():
    table = answers()
    put(table, Response(answer=[ADDRESS], authoritative=True), lasting=True)
    table.look_up(query())
    for now in (100, 10_000_000):
        table.tick(now)
        assert query()[2:] in table.memo
        assert parse(b"\0\0" + table.look_up(query())).answer[0].ttl == 300


def test_the_memo_forgets_what_ages_each_second():
    table = answers()
    put(table, Response(answer=[ADDRESS]))
    put(table, Response(answer=[ADDRESS], authoritative=True), lasting=True, name=name_from_text("a."))
    assert table.look_up(query()) and table.look_up(query(name_from_text("a.")))
    assert len(table.memo) == 2
    table.tick(101)
    assert list(table.memo) == [query(name_from_text("a."))[2:]]


@pytest.mark.parametrize(
    ("flags", "edns", "prefix", "expected"),
    [
        (RD, None, 1, QR | RD | RA),
        (RD | AD, None, 1, QR | RD | RA | AD),
        (RD | CD, None, 3, QR | RD | RA | CD),
        (0, None, 0, QR | RA),
        (RD, Edns(), 1, QR | RD | RA),
        (RD, Edns(flags=DNSSEC_OK), 5, QR | RD | RA | AD),
    ],
)
def test_bits_of_the_header(flags, edns, prefix, expected):
    table = answers()
    put(table, Response(answer=[ADDRESS], security=Security.SECURE), prefix=prefix)
    reply = parse(b"\0\0" + table.look_up(query(flags=flags, edns=edns)))
    assert reply.flags == expected
    assert (reply.edns is None) == (edns is None)
    if edns is not None:
        assert reply.edns.flags == edns.flags and reply.edns.payload == 1232


def test_cut_to_what_the_client_takes():
    table = answers()
    many = RRset(NAME, A, 60, tuple(bytes((1, 2, 3, number)) for number in range(100)))
    put(table, Response(answer=[many]))
    cut = parse(b"\0\0" + table.look_up(query()))
    assert cut.flags & TC and not cut.answer and len(cut.data) <= 512
    cut = parse(b"\0\0" + table.look_up(query(edns=Edns(payload=65535))))
    assert cut.flags & TC and cut.edns is not None
    whole = parse(b"\0\0" + table.reply(query(), Forms(65535, 1232, stream=True)))
    assert not whole.flags & TC and len(whole.answer) == 100


@pytest.mark.parametrize(
    "other",
    [
        query(flags=QR),
        query(flags=1 << 11),
        query(flags=TC),
        query(edns=Edns(version=1)),
        query(edns=Edns(options=((10, bytes(8)),))),
        query() + b"\0",
        query(edns=Edns()) + b"\0",
        query()[:-1],
        query()[:12],
        b"",
        pack(1, RD, QUESTION, answer=[]).replace(b"\0\1\0\0", b"\0\2\0\0", 1),
        query(name_from_text("www.example.com.")),
        query(kind=65),
        query(kind=97),
    ],
)
def test_all_else_is_left_to_others(other):
    table = answers()
    put(table, Response(answer=[ADDRESS]))
    assert table.look_up(other) is None


def test_types_that_differ_by_the_case_bit_are_two():
    table = answers()
    entry = entry_of(Response(answer=[ADDRESS]), QUESTION, 100, with_signatures=False, recursion=True, lasting=True)
    table.insert(b"\1" + NAME + b"\0\x61\0\1", entry)
    assert table.look_up(query(kind=0x41)) is None
    assert table.look_up(query(kind=0x61)) is not None


def test_memory_is_bounded_and_what_is_asked_for_stays():
    table = answers(room=200_000, memo=100_000)
    hot = name_from_text("hot.example.")
    put(table, Response(answer=[ADDRESS], authoritative=True), lasting=True, name=hot)
    most = 0
    for number in range(5_000):
        name = name_from_text(f"name{number}.example.")
        put(table, Response(answer=[ADDRESS], authoritative=True), lasting=True, name=name)
        assert table.look_up(query(name)) is not None
        assert table.find(b"\1" + hot + b"\0\1\0\1") is not None
        most = max(most, len(table))
    assert most < 200_000 // 330
    assert len(table.memo) < 100_000 // 180


def test_forms_are_few_however_many_there_are():
    table = answers()
    put(table, Response(answer=[ADDRESS], authoritative=True), lasting=True)
    forms = Forms(1232, 1232)
    for payload in range(512, 5000):
        assert table.reply(query(edns=Edns(payload=payload)), forms) is not None
    assert len(forms.known) <= 256


names = st.lists(st.binary(min_size=1, max_size=20), min_size=0, max_size=5).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
)
sets = st.lists(
    st.builds(
        RRset,
        names,
        st.sampled_from([A, NS, 16, 6500]),
        st.integers(0, 0x7FFFFFFF),
        st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
    ),
    max_size=3,
)


@given(sets, sets, sets, names, st.sampled_from([0, 3]), st.booleans())
def test_an_entry_says_what_the_message_says(answer, authority, additional, name, rcode, authoritative):
    response = Response(rcode, answer, authority, additional, authoritative)
    entry = entry_of(response, Question(name, 16), 0, with_signatures=False, recursion=False, lasting=True)
    table = answers()
    table.insert(b"\0" + name.lower() + b"\0\x10\0\1", entry)
    reply = parse(b"\0\1" + table.reply(pack(1, 0, Question(name, 16), edns=Edns()), Forms(65535, 1232, stream=True)))
    assert reply.flags == QR | AA * authoritative | rcode
    for section, expected in ((reply.answer, answer), (reply.authority, authority)):
        assert [(one.name.lower(), one.type, one.ttl) for one in section] == [
            (one.name.lower(), one.type, one.ttl) for one in expected for _ in one.data
        ]
    assert len(reply.additional) == sum(len(one.data) for one in additional) + 1


OPT_AS_ANSWER = query()[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query()[12:] + b"\0\0\x29" + bytes(8)


@example(OPT_AS_ANSWER)
@given(st.binary(max_size=80))
def test_no_message_makes_an_entry_raise(data):
    make_entry(data, 0, False)
    make_entry(query()[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query()[12:] + data, 0, False)


@given(st.binary(max_size=400))
def test_nothing_makes_a_look_up_raise(data):
    table = answers()
    put(table, Response(answer=[dataclasses.replace(ADDRESS, ttl=0x7FFFFFFF)]))
    table.look_up(data)
    table.look_up(query()[:12] + data)
    table.look_up(query(edns=Edns())[:-11] + data)

"""The stub's memory: as long as records live, denials as long as the zone says, and never more than its bytes."""

from __future__ import annotations

import itertools

import pytest

from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AAAA, NXDOMAIN, QR, RA, SERVFAIL, SOA, A
from catenet.wire.dns.record import Record, make_record
from catenet.wire.dns.stub import Outcome, Server, StubConfig, StubLookup
from catenet.wire.dns.stub_cache import LONGEST, OVERHEAD, StubCache

NAME = name_from_text("host.example.")
SERVER = Server(bytes((192, 0, 2, 1)))


def message(code: int = 0, ttls: tuple[int, ...] = (), authority: tuple[Record, ...] = (), kind: int = A) -> bytes:
    records = [make_record(NAME, kind, ttl, bytes(4 if kind == A else 16)) for ttl in ttls]
    return pack(1, QR | RA | code, Question(NAME, kind), records, authority)


def soa(ttl: int, minimum: int) -> Record:
    numbers = b"".join(number.to_bytes(4, "big") for number in (1, 2, 3, 4, minimum))
    return make_record(name_from_text("example."), SOA, ttl, b"\0\0" + numbers)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (message(ttls=(60,)), 60),
        (message(ttls=(60, 30, 90)), 30),
        (message(ttls=(0,)), 0),
        (message(ttls=(1_000_000,)), LONGEST),
        (message(), 0),
        (message(authority=(soa(300, 60),)), 60),
        (message(authority=(soa(20, 60),)), 20),
        (message(NXDOMAIN, authority=(soa(300, 60),)), 60),
        (message(NXDOMAIN), 0),
        (message(SERVFAIL, authority=(soa(300, 60),)), 0),
        # The name in the data becomes one that is longer than the data.
        (message(authority=(soa(300, 60),)).replace(b"\0\0" + bytes(3) + b"\1", b"\7\0" + bytes(3) + b"\1"), 0),
    ],
)
def test_an_answer_is_kept_as_long_as_it_lives(data: bytes, seconds: int) -> None:
    cache = StubCache()
    cache.store(NAME, [parse(data)], 100.0)
    if seconds:
        assert cache.find(NAME.upper(), [A], 100.0 + seconds - 0.5)
    assert cache.find(NAME, [A], 100.0 + seconds) is None
    assert len(cache) == 0


def test_all_types_have_to_be_known() -> None:
    cache = StubCache()
    cache.store(NAME, [parse(message(ttls=(60,)))], 0.0)
    assert cache.find(NAME, [A, AAAA], 1.0) is None
    cache.store(NAME, [parse(message(ttls=(60,), kind=AAAA))], 0.0)
    assert [each.data for each in cache.find(NAME, [AAAA, A], 1.0) or ()] == [
        message(ttls=(60,), kind=AAAA),
        message(ttls=(60,)),
    ]


def test_the_oldest_make_room() -> None:
    one = message(ttls=(60,))
    cache = StubCache(3 * (len(one) + OVERHEAD))
    for number in range(1000):
        cache.store(name_from_text(f"host{number:03d}.example."), [parse(one)], 0.0)
    assert len(cache) == 3
    assert cache.find(name_from_text("host999.example."), [A], 1.0)
    huge = pack(1, QR | RA, Question(NAME, A), [make_record(NAME, A, 60, bytes(4)) for _ in range(200)])
    cache.store(NAME, [parse(huge)], 0.0)
    assert cache.find(NAME, [A], 1.0) is None


def test_a_lookup_finds_what_an_earlier_one_has_learnt() -> None:
    cache, numbers = StubCache(), itertools.count()
    config = StubConfig((SERVER,))
    asked = 0
    for now in (0.0, 10.0, 59.9, 60.0):
        lookup = StubLookup(NAME, False, (A, AAAA), config, lambda: next(numbers), cache=cache)
        lookup.start(now)
        for send in lookup.transmit():
            asked += 1
            query = parse(send.data)
            assert query.question is not None
            records = [make_record(NAME, A, 60, bytes(4))] if query.question.type == A else []
            denial = [] if records else [soa(300, 300)]
            lookup.receive(pack(query.id, QR | RA, query.question, records, denial), SERVER, now)
        assert lookup.answer is not None
        assert lookup.answer.outcome is Outcome.ANSWER
        assert len(lookup.answer.records) == 1
    assert asked == 4

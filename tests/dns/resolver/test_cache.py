"""The cache: trust, expiry, denial, room."""

from __future__ import annotations

import gc
import tracemalloc

from tests.dns.resolver.hierarchy import rrset

from catenet.dns.resolver import Cache, CacheLimits
from catenet.dns.resolver.cache import Trust
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import NOERROR, NS, NXDOMAIN, SOA, A

NAME = name_from_text("www.example.")


def address(number: int, ttl: int = 60, name: bytes = NAME) -> RRset:
    return RRset(name, A, ttl, (number.to_bytes(4, "big"),))


def test_what_is_trusted_less_replaces_nothing_that_has_not_expired() -> None:
    cache = Cache()
    cache.store(address(1), Trust.ANSWER, 0)
    assert cache.store(address(2), Trust.ADDITIONAL, 1).data == address(1).data
    assert cache.store(address(3), Trust.ANSWER, 2).data == address(3).data
    assert cache.store(address(4), Trust.ADDITIONAL, 63).data == address(4).data


def test_additional_data_answers_nobody() -> None:
    cache = Cache()
    cache.store(address(1), Trust.ADDITIONAL, 0)
    assert cache.peek(NAME, A, 1) is not None
    assert cache.peek(NAME, A, 1, Trust.OTHER_ANSWER) is None
    assert cache.find(NAME, A, 1) is None


def test_seconds_are_not_lost_by_rounding() -> None:
    """111.64 + 100 - 111.64 is a little less than 100."""
    cache, now = Cache(), 111.64
    entry = cache.store(address(1, 100), Trust.ANSWER, now)
    cache.store_answer(NAME, A, NOERROR, ((entry,), (), ()), now)
    found = cache.find(NAME, A, now)
    assert found is not None and cache.response(found, now).answer[0].ttl == 100


def test_an_answer_ends_with_its_sets() -> None:
    cache = Cache()
    entry = cache.store(address(1), Trust.ANSWER, 0)
    cache.store_answer(NAME, A, NOERROR, ((entry,), (), ()), 0)
    found = cache.find(NAME, A, 20)
    assert found is not None
    assert cache.response(found, 20).answer[0].ttl == 40
    assert cache.find(NAME, A, 60.5) is None
    cache.store(address(2), Trust.ANSWER, 30)
    assert cache.find(NAME, A, 31) is None  # the set that it rested on has been replaced


def test_a_denied_name_has_no_type() -> None:
    cache = Cache()
    soa = cache.store(rrset("example. 3600 SOA ns.example. host.example. 1 3600 600 86400 50"), Trust.AUTHORITY, 0)
    cache.store_answer(NAME, A, NXDOMAIN, ((), (soa,), ()), 0)
    for kind in (A, NS, SOA):
        found = cache.find(NAME, kind, 49)
        assert found is not None
        assert (found.rcode, cache.response(found, 49).authority[0].ttl) == (NXDOMAIN, 1)
    assert cache.find(NAME, A, 50.5) is None


def test_a_delegation_lives_no_longer_than_its_parent_says() -> None:
    cache = Cache()
    servers = rrset("example. 3600 NS ns.example.")
    cache.store(servers, Trust.ADDITIONAL, 0)
    for now in (1000, 2000, 3000):
        cache.store(rrset("example. 3600 NS ns.example."), Trust.AUTHORITY, now, 3600)
    assert cache.peek(servers.name, NS, 3599) is not None
    assert cache.peek(servers.name, NS, 3600.5) is None


def test_what_is_used_stays_when_room_is_needed() -> None:
    cache = Cache(CacheLimits(size=200_000))
    used = name_from_text("used.example.")
    cache.store(address(1, 3600, used), Trust.ANSWER, 0)
    for number in range(2000):
        cache.store(address(number, 3600, name_from_text(f"n{number}.example.")), Trust.ANSWER, 1)
        assert cache.peek(used, A, 1) is not None
        assert cache.size <= 200_000
    assert cache.evicted > 1500
    assert len(cache) < 550


def test_updates_leave_no_litter() -> None:
    cache = Cache()
    for number in range(5000):
        cache.store(address(number), Trust.ANSWER, number)
    assert len(cache) == 1
    assert len(cache._ring) < 200


def test_the_bytes_that_are_counted_are_those_that_are_used() -> None:
    """Sets of one address with their answers, as most of a cache is: counted and measured bytes differ little."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cache = Cache(CacheLimits(size=1 << 30))
    for number in range(10_000):
        name = name_from_text(f"host{number}.example.")
        entry = cache.store(address(number, 3600, name), Trust.ANSWER, 0)
        cache.store_answer(name, A, NOERROR, ((entry,), (), ()), 0)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0.85 < cache.size / used < 1.25, (cache.size / 10_000, used / 10_000)


def test_it_can_be_looked_at_and_emptied() -> None:
    cache = Cache()
    entry = cache.store(address(1), Trust.ANSWER, 0)
    cache.store_answer(NAME, A, NOERROR, ((entry,), (), ()), 0)
    assert list(cache.dump(0)) == [
        "www.example. 60 A 0.0.0.1 ; answer unchecked",
        "; www.example. A: NOERROR 60 s, 1/0/0 sets, unchecked",
    ]
    assert cache.forget(name_from_text("example."), subtree=True) == 2
    assert (len(cache), cache.size) == (0, 0)
    cache.store(address(1), Trust.ANSWER, 0)
    cache.clear()
    assert (len(cache), cache.size) == (0, 0)

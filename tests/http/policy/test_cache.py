"""The private cache: RFC 9111 by its sections, and stores that processes share."""

import sqlite3
import time

import pytest
from tests.processes import at_once

from catenet.http.headers import Headers
from catenet.http.policy.cache.directives import Directives
from catenet.http.policy.cache.entry import Entry
from catenet.http.policy.cache.freshness import age, lifetime
from catenet.http.policy.cache.policy import (
    Verdict,
    answer_from,
    cache_key,
    combine,
    decide,
    invalidated,
    make_entry,
    may_store,
    stale_if_error,
    updated,
    validators,
)
from catenet.http.policy.cache.store import MemoryStore, SqliteStore
from catenet.http.policy.dates import format_date
from catenet.http.url import Url

NOW = 1_700_000_000.0
URL = Url.parse("http://a/x")


def stored(fields=(), body=b"body", status=200, request=(), at=NOW, method="GET"):
    headers = Headers({"Date": format_date(at), **dict(fields)})
    return make_entry(method, URL, Headers(request), status, headers, body, at, at)


def verdict(entry, request=(), after=0.0, method="GET"):
    return decide(method, Headers(request), [entry], NOW + after)[0]


LIFETIMES = [
    ({"Cache-Control": "max-age=60"}, 60),
    ({"Cache-Control": "max-age=60, s-maxage=5"}, 60),
    ({"Cache-Control": "max-age=60", "Expires": format_date(NOW + 5)}, 60),
    ({"Cache-Control": "max-age=x"}, 0),
    ({"Cache-Control": 'max-age="60"'}, 60),
    ({"Cache-Control": "max-age=60, max-age=5"}, 60),
    ({"Cache-Control": "max-age=99999999999999999999"}, 2**31),
    ({"Expires": format_date(NOW + 5)}, 5),
    ({"Expires": format_date(NOW - 5)}, 0),
    ({"Expires": "0"}, 0),
    ({"Last-Modified": format_date(NOW - 1000)}, 100),
    ({"Last-Modified": format_date(NOW - 10**8)}, 86400),
    ({"Last-Modified": format_date(NOW + 10)}, 0),
    ({}, 0),
]


@pytest.mark.parametrize(("fields", "seconds"), LIFETIMES)
def test_lifetimes(fields, seconds):
    assert lifetime(stored(fields)) == seconds


def test_heuristics_depend_on_the_status():
    fields = {"Last-Modified": format_date(NOW - 1000)}
    assert lifetime(stored(fields, status=302)) == 0
    assert lifetime(stored({**fields, "Cache-Control": "public"}, status=302)) == 100


def test_ages():
    entry = stored({"Age": "10"})
    assert age(entry, NOW + 5) == 15
    old = make_entry("GET", URL, Headers(), 200, Headers({"Date": format_date(NOW - 50)}), b"", NOW, NOW + 3)
    assert age(old, NOW + 3) == 53 and age(old, NOW + 10) == 60
    assert age(stored({"Age": "x"}), NOW) == 0 and age(stored({"Date": format_date(NOW + 100)}), NOW) == 0


@pytest.mark.parametrize(
    ("fields", "request_fields", "after", "expected"),
    [
        ("max-age=60", {}, 59, Verdict.FRESH),
        ("max-age=60", {}, 60, Verdict.MISS),
        ("max-age=60, no-cache", {}, 1, Verdict.MISS),
        ("max-age=60", {"Cache-Control": "no-cache"}, 1, Verdict.MISS),
        ("max-age=60", {"Pragma": "no-cache"}, 1, Verdict.MISS),
        ("max-age=60", {"Cache-Control": "no-store"}, 1, Verdict.MISS),
        ("max-age=60", {"Cache-Control": "max-age=5"}, 6, Verdict.MISS),
        ("max-age=60", {"Cache-Control": "max-age=0"}, 0, Verdict.FRESH),
        ("max-age=60", {"Cache-Control": "max-age=0"}, 1, Verdict.MISS),
        ("max-age=60", {"Cache-Control": "min-fresh=10"}, 55, Verdict.MISS),
        ("max-age=60", {"Cache-Control": "min-fresh=10"}, 45, Verdict.FRESH),
        ("max-age=60", {"Cache-Control": "max-stale"}, 600, Verdict.FRESH),
        ("max-age=60", {"Cache-Control": "max-stale=10"}, 70, Verdict.FRESH),
        ("max-age=60", {"Cache-Control": "max-stale=10"}, 71, Verdict.MISS),
        ("max-age=60, must-revalidate", {"Cache-Control": "max-stale"}, 61, Verdict.MISS),
        ("max-age=60", {"Cache-Control": "only-if-cached"}, 1, Verdict.FRESH),
        ("max-age=60", {"Cache-Control": "only-if-cached"}, 61, Verdict.UNSATISFIABLE),
        ("max-age=60, stale-while-revalidate=30", {}, 80, Verdict.STALE),
        ("max-age=60, stale-while-revalidate=30", {}, 91, Verdict.MISS),
        ("max-age=60, stale-while-revalidate=30", {"Cache-Control": "no-cache"}, 80, Verdict.MISS),
        ("max-age=60", {"If-None-Match": '"x"'}, 1, Verdict.MISS),
    ],
)
def test_decisions(fields, request_fields, after, expected):
    assert verdict(stored({"Cache-Control": fields}), request_fields, after) == expected
    if (
        expected == Verdict.MISS
        and request_fields != {"Cache-Control": "no-store"}
        and "If-None-Match" not in request_fields
    ):
        entry = stored({"Cache-Control": fields, "ETag": '"t"'})
        assert verdict(entry, request_fields, after) == Verdict.REVALIDATE


def test_methods():
    entry = stored({"Cache-Control": "max-age=60"})
    assert verdict(entry, method="HEAD") == Verdict.FRESH
    assert [verdict(entry, method=method) for method in ("POST", "PUT", "QUERY")] == [Verdict.MISS] * 3
    head = stored({"Cache-Control": "max-age=60"}, b"", method="HEAD")
    assert verdict(head) == Verdict.MISS and verdict(head, method="HEAD") == Verdict.FRESH
    assert decide("GET", Headers({"Cache-Control": "only-if-cached"}), [], NOW) == (Verdict.UNSATISFIABLE, None)


def test_vary():
    entry = stored({"Cache-Control": "max-age=60", "Vary": "Accept-Language, X"}, request={"Accept-Language": "de,en"})
    assert verdict(entry, {"accept-language": "de, en"}) == Verdict.FRESH
    assert verdict(entry, {"Accept-Language": "en"}) == Verdict.MISS
    assert verdict(entry, {"Accept-Language": "de,en", "X": ""}) == Verdict.MISS
    newer = stored({"Cache-Control": "max-age=60"}, b"new", at=NOW + 5)
    assert decide("GET", Headers({"Accept-Language": "de,en"}), [newer, entry], NOW + 6)[1] is newer


@pytest.mark.parametrize(
    ("method", "request_fields", "status", "fields", "may"),
    [
        ("GET", {}, 200, {}, True),
        ("GET", {}, 302, {}, False),
        ("GET", {}, 302, {"Cache-Control": "max-age=5"}, True),
        ("GET", {}, 302, {"Expires": "0"}, True),
        ("GET", {}, 404, {}, True),
        ("GET", {}, 500, {}, False),
        ("POST", {}, 200, {"Cache-Control": "max-age=5"}, False),
        ("GET", {"Cache-Control": "no-store"}, 200, {}, False),
        ("GET", {}, 200, {"Cache-Control": "no-store, max-age=5"}, False),
        ("GET", {}, 200, {"Cache-Control": "private"}, True),
        ("GET", {"Authorization": "x"}, 200, {}, True),
        ("GET", {}, 200, {"Vary": "*"}, False),
        ("GET", {}, 200, {"Vary": "Accept, *"}, False),
        ("GET", {}, 206, {}, False),
        ("GET", {}, 206, {"Content-Range": "bytes 0-1/4"}, True),
        ("GET", {}, 304, {}, False),
        ("GET", {}, 299, {"Cache-Control": "max-age=5, must-understand"}, False),
        ("GET", {}, 103, {}, False),
    ],
)
def test_what_may_be_stored(method, request_fields, status, fields, may):
    assert may_store(method, Headers(request_fields), status, Headers(fields)) == may


def test_cut_bodies_are_not_stored():
    assert stored({"Content-Length": "5"}) is None and stored({"Content-Length": "4"}) is not None
    assert stored({"Content-Range": "bytes 0-5/9"}, status=206) is None
    assert stored({"Content-Range": "nonsense"}, status=206) is None


def test_fields_of_one_connection_are_not_stored():
    entry = stored({"Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "2", "Transfer-Encoding": "chunked", "Y": "3"})
    assert set(entry.headers) == {"Date", "Y"}


def test_validation():
    entry = stored({"ETag": '"a"', "Last-Modified": format_date(NOW - 9), "Cache-Control": "max-age=1", "X": "old"})
    assert dict(validators(entry)) == {"If-None-Match": '"a"', "If-Modified-Since": format_date(NOW - 9)}
    fresh = Headers({"Cache-Control": "max-age=100", "X": "new", "Content-Length": "0", "Date": format_date(NOW + 50)})
    made = updated(entry, fresh, NOW + 50, NOW + 50)
    assert (made.headers["X"], made.body, lifetime(made)) == (
        "new",
        b"body",
        100,
    ) and "Content-Length" not in made.headers
    assert verdict(made, after=60) == Verdict.FRESH
    assert updated(entry, Headers({"ETag": '"b"'}), NOW, NOW) is None


def test_stale_if_error():
    entry = stored({"Cache-Control": "max-age=10, stale-if-error=100"})
    assert stale_if_error(entry, Headers(), NOW + 100) and not stale_if_error(entry, Headers(), NOW + 111)
    plain = stored({"Cache-Control": "max-age=10"})
    assert not stale_if_error(plain, Headers(), NOW + 11)
    assert stale_if_error(plain, Headers({"Cache-Control": "stale-if-error=60"}), NOW + 11)
    strict = stored({"Cache-Control": "max-age=10, must-revalidate, stale-if-error=100"})
    assert not stale_if_error(strict, Headers(), NOW + 11)


def test_invalidation():
    fields = Headers({"Location": "/y", "Content-Location": "http://b/z"})
    assert invalidated("POST", URL, 201, fields) == ["http://a/x", "http://a/y"]
    assert invalidated("POST", URL, 404, fields) == [] and invalidated("GET", URL, 200, fields) == []
    assert invalidated("DELETE", URL, 204, Headers({"Location": "http://a:b/"})) == ["http://a/x"]


def part(start, stop, data=b"0123456789", tag='"t"'):
    fields = {"ETag": tag, "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}", "Cache-Control": "max-age=60"}
    return stored(fields, data[start:stop], 206)


def test_parts_are_combined():
    first, last = part(0, 4), part(6, 10)
    both = combine(first, last)
    assert not both.complete and [at for at, _ in both.pieces] == [0, 6]
    whole = combine(both, part(3, 7))
    assert whole.complete and whole.body == b"0123456789"
    assert combine(first, part(6, 10, tag='"u"')).pieces == ((6, b"6789"),)
    assert combine(part(0, 4, tag='W/"t"'), part(6, 10, tag='W/"t"')).pieces == ((6, b"6789"),)
    assert combine(part(0, 9), part(2, 4)).pieces == ((0, b"012345678"),)


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [("bytes=2-3", 206, b"23"), ("bytes=-2", 206, b"89"), ("bytes=8-", 206, b"89"), ("bytes=0-1,4-5", 200, b"0123456789"),  # noqa: E501
     ("nonsense", 200, b"0123456789")],
)  # fmt: skip
def test_ranges_are_answered(value, status, body):
    entry = stored({"Cache-Control": "max-age=60"}, b"0123456789")
    headers = Headers({"Range": value})
    assert verdict(entry, {"Range": value}) == Verdict.FRESH
    answer = answer_from(entry, "GET", headers, NOW + 7)
    assert (answer.status, answer.body, answer.headers["Age"]) == (status, body, "7")
    assert answer.headers["Content-Length"] == str(len(body))


def test_parts_answer_what_they_have():
    entry = part(2, 6)
    assert verdict(entry, {"Range": "bytes=3-4"}) == Verdict.FRESH
    assert answer_from(entry, "GET", Headers({"Range": "bytes=3-4"}), NOW).headers["Content-Range"] == "bytes 3-4/10"
    assert verdict(entry, {"Range": "bytes=5-6"}) == Verdict.MISS and verdict(entry) == Verdict.MISS


def test_keys():
    assert cache_key("GET", Url.parse("http://u:p@A/%7ex#f")) == "http://a/~x" and cache_key("POST", URL) == ""


def test_directives():
    found = Directives(
        Headers([("Cache-Control", 'no-cache="Set-Cookie, X", max-age=5'), ("Cache-Control", "PRIVATE")])
    )
    assert found.fields("no-cache") == ["set-cookie", "x"] and found.seconds("max-age") == 5 and "private" in found
    assert found.seconds("s-maxage") is None


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    made = (
        MemoryStore(100_000, 20_000) if request.param == "memory" else SqliteStore(tmp_path / "c.db", 100_000, 20_000)
    )
    yield made
    made.close()


def test_stores_keep_and_forget(store):
    entry = stored({"Cache-Control": "max-age=60", "X": "ü"}, bytes(range(256)))
    store.put("k", entry)
    assert store.get("k") == [entry] and store.get("other") == []
    german = stored({"Vary": "L"}, b"de", request={"L": "de"})
    english = stored({"Vary": "L"}, b"en", request={"L": "en"})
    store.put("v", german)
    store.put("v", english)
    store.put("v", german)
    assert {found.body for found in store.get("v")} == {b"de", b"en"}
    store.delete("v")
    assert store.get("v") == [] and store.get("k") == [entry]
    store.clear()
    assert store.get("k") == [] and store.used == 0


def test_stores_are_bounded(store):
    store.put("first", stored(body=b"x" * 1000))
    for number in range(200):
        store.put(f"k{number}", stored(body=b"x" * 1000))
        assert store.get("first")
    assert 0 < store.used <= 100_000 and store.get("k199") and not store.get("k0")
    store.put("k199", stored(body=b"x" * 30_000))
    assert not store.get("k199")
    for number in range(100):
        store.put("many", stored({"Vary": "L"}, b"x", request={"L": str(number)}))
    assert len(store.get("many")) == 16


def test_entries_survive_the_process(tmp_path):
    first = SqliteStore(tmp_path / "c.db")
    entry = part(2, 6)
    first.put("k", entry)
    first.close()
    assert first.get("k") == []
    again = SqliteStore(tmp_path / "c.db")
    assert again.get("k") == [entry]
    again.close()
    assert (tmp_path / "c.db").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    path = tmp_path / "c.db"
    path.write_bytes(content)
    store = SqliteStore(path)
    store.put("k", stored())
    assert len(store.get("k")) == 1
    store.close()


def test_a_file_of_another_version_is_begun_anew(tmp_path):
    path = tmp_path / "c.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    store = SqliteStore(path)
    store.put("k", stored())
    assert len(store.get("k")) == 1
    store.close()


def test_a_file_that_cannot_be_made(tmp_path):
    store = SqliteStore(tmp_path / "no" / "c.db")
    store.put("k", stored())
    assert store.get("k") == [] and "unable to open" in store.failed and store.used == 0
    store.close()


def test_rows_that_are_damaged_are_passed_over(tmp_path):
    store = SqliteStore(tmp_path / "c.db")
    store.put("k", stored())
    with sqlite3.connect(tmp_path / "c.db") as database:
        database.execute("UPDATE entry SET data = substr(data, 1, length(data) - 2)")
    database.close()
    assert store.get("k") == []
    assert Entry.load(b"{}\n") is None and Entry.load(b"") is None and Entry.load(b'{"format": 1}\n') is None
    store.close()


def test_a_file_that_another_process_begins_at_the_same_time(tmp_path, monkeypatch):
    """SQLite does not wait by itself where a reader would become a writer."""
    other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
    other.execute("CREATE TABLE theirs (a)")
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO theirs VALUES (1)")
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if other.in_transaction:
            other.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", sleep)
    store = SqliteStore(tmp_path / "c.db")
    store.put("k", stored())
    assert len(store.get("k")) == 1 and not store.failed and waited
    store.close()
    other.close()


SHARING = """
import sys
from catenet.http.headers import Headers
from catenet.http.policy.cache.policy import make_entry
from catenet.http.policy.cache.store import SqliteStore
from catenet.http.policy.dates import format_date
from catenet.http.url import Url

number, url, now = int(sys.argv[2]), Url.parse("http://a/x"), 1_700_000_000.0
entry = make_entry("GET", url, Headers(), 200, Headers({"Date": format_date(now)}), bytes([number]) * 2000, now, now)
"""

SHARE = """
store = SqliteStore(sys.argv[1], 200_000)
for turn in range(60):
    store.put(f"{number}-{turn % 7}", entry)
    for found in store.get(f"{(number + 1) % 4}-{turn % 7}"):
        assert found.body == bytes([(number + 1) % 4]) * 2000
assert not store.failed, store.failed
store.close()
"""


def test_processes_share_a_file(tmp_path):
    at_once(SHARING, SHARE, [(str(tmp_path / "c.db"), str(number)) for number in range(4)])
    store = SqliteStore(tmp_path / "c.db", 200_000)
    assert 0 < store.used <= 200_000
    store.close()

"""What a private cache does with a request and with its response (RFC 9111 sections 3 and 4)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from catenet.http.headers import Headers
from catenet.http.policy.cache.directives import Directives
from catenet.http.policy.cache.entry import Entry, Pieces, normalised
from catenet.http.policy.cache.freshness import HEURISTIC_STATUSES, age, lifetime
from catenet.http.policy.conditional import parse_etag
from catenet.http.policy.dates import format_date, parse_date
from catenet.http.policy.ranges import Unsatisfiable, parse_content_range, parse_range
from catenet.http.url import Url, UrlError

__all__ = [
    "Answer", "Verdict", "answer_from", "cache_key", "combine", "decide", "invalidated", "make_entry", "may_store",
    "stale_if_error", "updated", "validators",
]  # fmt: skip

UNSTORED = ("connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
            "proxy-connection", "te", "transfer-encoding", "upgrade", "trailer")  # fmt: skip
# What a 304 says about the message, not about the content that is stored (section 3.2).
NOT_UPDATED = (*UNSTORED, "content-encoding", "content-length", "content-range", "content-type")
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE", "QUERY")
MAX_PIECES = 64


class Verdict(enum.Enum):
    """What to do with a request.

    * FRESH: answer from the entry.
    * REVALIDATE: ask the server with the entry's validators; 304 makes it fresh.
    * STALE: answer from the entry at once, and ask the server meanwhile (`stale-while-revalidate`, RFC 5861).
    * MISS: ask the server.
    * UNSATISFIABLE: there is no entry, and the request allows no other answer: status 504.
    """

    FRESH = "fresh"
    REVALIDATE = "revalidate"
    STALE = "stale"
    MISS = "miss"
    UNSATISFIABLE = "unsatisfiable"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response made from an entry."""

    status: int
    headers: Headers
    body: bytes


def cache_key(method: str, url: Url) -> str:
    """Return the key under which responses to a request are kept (section 2); HEAD is answered from GET's."""
    return str(url.without_userinfo().without_fragment().normalise()) if method in ("GET", "HEAD") else ""


def decide(method: str, headers: Headers, entries: Iterable[Entry], now: float) -> tuple[Verdict, Entry | None]:
    """Return what to do with a request, and the entry that it is about, the newest that its fields select.

    A request with preconditions of its own goes to the server: who makes them has a cache already.
    """
    directives = Directives(headers)
    conditional = any(name in headers for name in ("if-match", "if-unmodified-since", "if-none-match",
                                                   "if-modified-since", "if-range"))  # fmt: skip
    entry = None
    if method in ("GET", "HEAD") and not conditional and "no-store" not in directives:
        fitting = [found for found in entries if found.matches(headers) and _covers(found, method, headers)]
        entry = max(
            fitting, key=lambda found: (parse_date(found.headers.get("date"), now) or 0, found.received), default=None
        )
    if entry is None:
        return (Verdict.UNSATISFIABLE if "only-if-cached" in directives else Verdict.MISS), None
    if _is_good(entry, directives, now):
        return Verdict.FRESH, entry
    if "only-if-cached" in directives:
        return Verdict.UNSATISFIABLE, None
    said = Directives(entry.headers)
    behind = age(entry, now) - lifetime(entry)
    while_revalidate = said.seconds("stale-while-revalidate")
    told = any(name in directives for name in ("no-cache", "max-age", "min-fresh", "max-stale"))
    if while_revalidate is not None and 0 <= behind <= while_revalidate and not told and not _must_ask(said):
        return Verdict.STALE, entry
    return (Verdict.REVALIDATE if validators(entry) else Verdict.MISS), entry


def _made(entry: Entry, now: float) -> float:
    return parse_date(entry.headers.get("date"), now) or 0.0


def _covers(entry: Entry, method: str, headers: Headers) -> bool:
    """Whether the entry has all of the bytes that are asked for."""
    if method == "HEAD":
        return True
    if entry.method == "HEAD":
        return False
    if entry.complete:
        return True
    return _wanted(entry, headers) is not None


def _wanted(entry: Entry, headers: Headers) -> tuple[int, bytes] | None:
    """Return offset and bytes of a single range that is asked for, if one piece has it."""
    try:
        ranges = parse_range(headers.get("range"), entry.size)
    except Unsatisfiable:
        return None
    if ranges is None or len(ranges) != 1:
        return None
    start, stop = ranges[0]
    for at, piece in entry.pieces:
        if at <= start and stop <= at + len(piece):
            return start, piece[start - at : stop - at]
    return None


def _must_ask(said: Directives) -> bool:
    return "no-cache" in said or "must-revalidate" in said


def _is_good(entry: Entry, directives: Directives, now: float) -> bool:
    said = Directives(entry.headers)
    # With field names it forbids those fields only; as most caches we take it for the whole response (5.2.2.4).
    if "no-cache" in said or "no-cache" in directives:
        return False
    old, good = age(entry, now), lifetime(entry)
    most = directives.seconds("max-age")
    if most is not None and old > most:
        return False
    fresh_for = directives.seconds("min-fresh")
    if fresh_for is not None and good - old < fresh_for:
        return False
    if old < good:
        return True
    if "max-stale" in directives and not _must_ask(said):
        limit = directives.seconds("max-stale") if _has_value(directives, "max-stale") else None
        return limit is None or old - good <= limit
    return False


def _has_value(directives: Directives, name: str) -> bool:
    return bool(directives.fields(name))


def stale_if_error(entry: Entry, headers: Headers, now: float) -> bool:
    """Whether a stale entry may answer because the server fails: status 500, 502 to 504, or no answer (RFC 5861)."""
    said = Directives(entry.headers)
    if _must_ask(said):
        return False
    allowed = [Directives(headers).seconds("stale-if-error"), said.seconds("stale-if-error")]
    limits = [seconds for seconds in allowed if seconds is not None]
    return bool(limits) and age(entry, now) - lifetime(entry) <= max(limits)


def may_store(method: str, request: Headers, status: int, response: Headers) -> bool:
    """Whether a private cache may store a response (section 3). Credentials in the request do not matter to it."""
    if method not in ("GET", "HEAD") or status < 200 or status == 304:
        return False
    asked, said = Directives(request), Directives(response)
    if "no-store" in asked or "no-store" in said or "*" in response.tokens("vary"):
        return False
    if status == 206 and ("content-range" not in response or "multipart" in response.get("content-type", "").lower()):
        return False
    if "must-understand" in said and status not in HEURISTIC_STATUSES:
        return False
    explicit = any(name in said for name in ("max-age", "public", "private")) or "expires" in response
    return explicit or status in HEURISTIC_STATUSES


def make_entry(
    method: str,
    url: Url,
    request: Headers,
    status: int,
    response: Headers,
    body: bytes,
    requested: float,
    received: float,
) -> Entry | None:
    """Return a response that may be stored as an entry, None if its body is not what its fields say (cut short)."""
    kept = response.copy()
    kept.discard(*UNSTORED, *response.tokens("connection"))
    if "date" not in kept:
        kept["Date"] = format_date(received)
    vary = tuple((name, normalised(request, name)) for name in sorted(set(response.tokens("vary"))))
    start, size = 0, len(body)
    if status == 206:
        said = parse_content_range(response.get("content-range"))
        if said is None or said.start is None or said.stop is None or said.size is None:
            return None
        if said.stop - said.start != len(body):
            return None
        start, size = said.start, said.size
        kept.discard("Content-Range", "Content-Length")
        status = 200
    elif method == "GET" and "content-encoding" not in response:
        length = response.get("content-length", "")
        if length.isdigit() and int(length) != size:
            return None
    pieces: Pieces = ((start, body),) if body else ()
    return Entry(cache_key("GET", url), status, kept, pieces, size, requested, received, vary, method)


def validators(entry: Entry) -> list[tuple[str, str]]:
    """Return the fields that ask whether an entry still holds (section 4.3.1)."""
    found = []
    if parse_etag(entry.headers.get("etag")) is not None:
        found.append(("If-None-Match", entry.headers["etag"]))
    if "last-modified" in entry.headers:
        found.append(("If-Modified-Since", entry.headers["last-modified"]))
    return found


def updated(entry: Entry, response: Headers, requested: float, received: float) -> Entry | None:
    """Return the entry with the fields of a 304 (section 3.2), None if that is about another response."""
    mine, theirs = parse_etag(entry.headers.get("etag")), parse_etag(response.get("etag"))
    if mine is not None and theirs is not None and not mine.matches(theirs, strong=False):
        return None
    headers = entry.headers.copy()
    # A new Date has a new Age, or none.
    headers.discard("Age", "Warning")
    fresh = response.copy()
    fresh.discard(*NOT_UPDATED, *response.tokens("connection"))
    headers.update(fresh)
    return entry.with_headers(headers, requested, received)


def combine(old: Entry, new: Entry) -> Entry:
    """Return `new` with the bytes that `old` has beside it (section 3.4): only if both have the same strong tag."""
    mine, theirs = parse_etag(old.headers.get("etag")), parse_etag(new.headers.get("etag"))
    same = mine is not None and theirs is not None and mine.matches(theirs, strong=True) and old.size == new.size
    if not same or new.complete:
        return new
    joined: list[tuple[int, bytearray]] = []
    for at, piece in sorted((*old.pieces, *new.pieces), key=lambda pair: pair[0]):
        if joined and at <= joined[-1][0] + len(joined[-1][1]):
            start, have = joined[-1]
            have += piece[start + len(have) - at :] if at + len(piece) > start + len(have) else b""
        else:
            joined.append((at, bytearray(piece)))
    pieces = tuple((at, bytes(piece)) for at, piece in joined[:MAX_PIECES])
    return replace(new, pieces=pieces)


def answer_from(entry: Entry, method: str, headers: Headers, now: float) -> Answer:
    """Return the response to a request that the entry answers, with its Age; 206 or 416 to a range."""
    made = entry.headers.copy()
    made["Age"] = str(int(age(entry, now)))
    status, body = entry.status, entry.body if entry.complete else b""
    if method == "GET" and "range" in headers and entry.status == 200:
        found = _wanted(entry, headers)
        if found is not None:
            at, body = found
            status = 206
            made["Content-Range"] = f"bytes {at}-{at + len(body) - 1}/{entry.size}"
    if method == "HEAD":
        body = b""
    elif "content-encoding" not in made or status == 206:
        made["Content-Length"] = str(len(body))
    return Answer(status, made, body)


def invalidated(method: str, url: Url, status: int, response: Headers) -> list[str]:
    """Return the keys that a response makes worthless: those of an unsafe method's target (section 4.4)."""
    if method in SAFE or not 200 <= status < 400:
        return []
    found = [cache_key("GET", url)]
    for name in ("location", "content-location"):
        if name in response:
            try:
                other = url.join(response[name])
                if other.origin == url.origin:
                    found.append(cache_key("GET", other))
            except UrlError:
                continue
    return list(dict.fromkeys(found))

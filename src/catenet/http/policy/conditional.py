"""Entity tags and conditional requests (RFC 9110 sections 8.8 and 13)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from catenet.http.headers import Headers
from catenet.http.policy.dates import parse_date

__all__ = ["ETag", "evaluate", "parse_etag", "range_applies"]

_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\U0010ffff]*)"').fullmatch
_ETAGS = re.compile(r'[ \t,]*+((?:W/)?"[\x21\x23-\x7e\x80-\U0010ffff]*+")[ \t]*+(?=,|\Z)')


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag."""

    value: str
    weak: bool = False

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.value}"'

    def matches(self, other: ETag, strong: bool) -> bool:
        """Compare as RFC 9110 section 8.8.3.2 says: strongly, both must be strong."""
        return self.value == other.value and not (strong and (self.weak or other.weak))


def parse_etag(text: str | None) -> ETag | None:
    """Return the entity tag, None if it is none."""
    found = None if text is None else _ETAG(text.strip())
    return None if found is None else ETag(found[2], found[1] is not None)


def evaluate(
    method: str, headers: Headers, etag: ETag | None, modified: float | None, now: float, exists: bool = True
) -> int | None:
    """Return 304 or 412 if the preconditions of a request say so, None if it is to be carried out.

    In the order of RFC 9110 section 13.2.2: If-Match, else If-Unmodified-Since; If-None-Match, else If-Modified-Since.
    `modified` in seconds of the epoch; `exists`: whether there is a representation now.
    """
    safe = method in ("GET", "HEAD")
    if "if-match" in headers:
        if not _listed(headers["if-match"], etag, exists, strong=True):
            return 412
    elif "if-unmodified-since" in headers and modified is not None:
        since = parse_date(headers["if-unmodified-since"], now)
        if since is not None and int(modified) > since:
            return 412
    if "if-none-match" in headers:
        if _listed(headers["if-none-match"], etag, exists, strong=False):
            return 304 if safe else 412
    elif "if-modified-since" in headers and safe and modified is not None:
        since = parse_date(headers["if-modified-since"], now)
        if since is not None and int(modified) <= since:
            return 304
    return None


def range_applies(headers: Headers, etag: ETag | None, modified: float | None, now: float) -> bool:
    """Whether the Range field counts, by If-Range (RFC 9110 section 13.1.5): strong tag, or exactly that date.

    A date less than a second old is no strong validator (section 8.8.2.2).
    """
    value = headers.get("if-range")
    if value is None:
        return True
    tag = parse_etag(value)
    if tag is not None:
        return etag is not None and tag.matches(etag, strong=True)
    since = parse_date(value, now)
    return since is not None and modified is not None and int(modified) == since and now - modified >= 1


def _listed(value: str, etag: ETag | None, exists: bool, strong: bool) -> bool:
    if value.strip() == "*":
        return exists
    if etag is None or not exists:
        return False
    at = 0
    while match := _ETAGS.match(value, at):
        tag = parse_etag(match[1])
        if tag is not None and tag.matches(etag, strong):
            return True
        at = match.end()
    return False

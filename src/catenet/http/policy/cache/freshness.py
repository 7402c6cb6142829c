"""How old a response is and how long it is good (RFC 9111 section 4.2)."""

from __future__ import annotations

from catenet.http.policy.cache.directives import Directives
from catenet.http.policy.cache.entry import Entry
from catenet.http.policy.dates import parse_date

__all__ = ["HEURISTIC_STATUSES", "age", "lifetime"]

HEURISTIC_STATUSES = frozenset((200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501))
"""Statuses that may be stored without being told so (RFC 9110 section 15.1)."""
HEURISTIC_SHARE = 0.1
HEURISTIC_MOST = 86400.0


def age(entry: Entry, now: float) -> float:
    """Return the seconds since the origin made or confirmed the response (section 4.2.3)."""
    said = entry.headers.get("age", "").strip()
    value = float(min(int(said[:12]), 2**31)) if said.isascii() and said.isdigit() else 0.0
    date = parse_date(entry.headers.get("date"), entry.received)
    apparent = max(0.0, entry.received - date) if date is not None else 0.0
    corrected = value + max(0.0, entry.received - entry.requested)
    return max(apparent, corrected) + max(0.0, now - entry.received)


def lifetime(entry: Entry) -> float:
    """Return the seconds for which it is fresh, counted from its making: as it says, else a tenth of its age then."""
    directives = Directives(entry.headers)
    explicit = explicit_lifetime(entry, directives)
    if explicit is not None:
        return explicit
    if entry.status not in HEURISTIC_STATUSES and "public" not in directives:
        return 0.0
    modified = parse_date(entry.headers.get("last-modified"), entry.received)
    made = parse_date(entry.headers.get("date"), entry.received) or entry.received
    if modified is None or modified >= made:
        return 0.0
    return min((made - modified) * HEURISTIC_SHARE, HEURISTIC_MOST)


def explicit_lifetime(entry: Entry, directives: Directives) -> float | None:
    """Return the lifetime that the response states, None if it states none; `s-maxage` is for shared caches."""
    seconds = directives.seconds("max-age")
    if seconds is not None:
        return seconds
    values = entry.headers.get_all("expires")
    if not values:
        return None
    expires = parse_date(values[0], entry.received)
    made = parse_date(entry.headers.get("date"), entry.received) or entry.received
    return max(0.0, expires - made) if expires is not None else 0.0  # "0" and other nonsense: already over

"""Hosts that are to be reached over TLS as a file of text, a line for each, as curl's `--hsts` keeps them."""

from __future__ import annotations

import calendar
import re
import time

from catenet.http.policy.hsts import MAX_AGE, HstsStore

__all__ = ["dump_hsts", "load_hsts"]

HEADER = "# HTTP Strict Transport Security: host, and until when (UTC); a dot: subdomains too"
_LINE = re.compile(
    r'(\.?)([a-z0-9._\-]{1,253})\s+"(?:(\d{8} \d\d:\d\d:\d\d)|unlimited)"', re.ASCII | re.IGNORECASE
).fullmatch
_FORMAT = "%Y%m%d %H:%M:%S"


def dump_hsts(store: HstsStore) -> str:
    """Return the hosts as text."""
    lines = [
        f'{"." if subdomains else ""}{host} "{time.strftime(_FORMAT, time.gmtime(end))}"'
        for host, end, subdomains in store.entries()
    ]
    return "\n".join([HEADER, *lines, ""])


def load_hsts(text: str, store: HstsStore, now: float) -> None:
    """Add the hosts of a text that have not ended. Lines that are none are passed over, as curl does."""
    found = []
    for line in text.splitlines():
        parts = _LINE(line.strip())
        if parts is None:
            continue
        try:
            end = calendar.timegm(time.strptime(parts[3], _FORMAT)) if parts[3] else now + MAX_AGE
        except ValueError:
            continue
        if end > now:
            found.append((parts[2].lower().rstrip("."), float(end), bool(parts[1])))
    store.load(found)

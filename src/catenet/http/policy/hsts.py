"""HTTP Strict Transport Security (RFC 6797): hosts that are to be reached over TLS only."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import replace

from catenet.http.policy.parameters import unquote
from catenet.http.url import Url

__all__ = ["MAX_AGE", "HstsStore"]

MAX_HOSTS = 1000
MAX_AGE = 10 * 365 * 86400
_DIRECTIVE = re.compile(r'([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)[ \t]*(?:=[ \t]*("[^"]*"|[^";\s]+))?').fullmatch


class HstsStore:
    """Hosts and until when they count, at most `limit`: those go first that have not been seen for longest."""

    def __init__(self, limit: int = MAX_HOSTS) -> None:
        self._limit = limit
        self._hosts: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._hosts)

    def note(self, url: Url, value: str | None, now: float) -> None:
        """Take note of a Strict-Transport-Security field that came over TLS without a fault of the certificate.

        One that came over plain HTTP, from an address, or malformed does not count (sections 8.1 and 8.1.1).
        """
        if value is None or not url.tls or not url.host or url.is_ip:
            return
        parsed = _parse(value)
        if parsed is None:
            return
        age, subdomains = parsed
        host = url.host.rstrip(".")
        self._hosts.pop(host, None)
        if age:
            self._hosts[host] = now + age, subdomains
            while len(self._hosts) > self._limit:
                self._hosts.popitem(last=False)

    def secure(self, url: Url, now: float) -> Url:
        """Return the URL to use: `https` instead of `http` for a known host (section 8.3); another port stays."""
        if url.scheme not in ("http", "ws") or not self.knows(url.host or "", now):
            return url
        port = None if url.port in (None, 443) else url.port
        return replace(url, scheme="https" if url.scheme == "http" else "wss", port=port)

    def knows(self, host: str, now: float) -> bool:
        """Whether a host, or a domain above it that includes its subdomains, has asked for TLS."""
        name = host.rstrip(".").lower()
        first = True
        while name:
            found = self._hosts.get(name)
            if found is not None:
                if found[0] <= now:
                    del self._hosts[name]
                elif first or found[1]:
                    return True
            name = name.partition(".")[2]
            first = False
        return False

    def entries(self) -> list[tuple[str, float, bool]]:
        """Return (host, end in seconds of the epoch, with subdomains), to be kept in a file."""
        return [(host, end, subdomains) for host, (end, subdomains) in self._hosts.items()]

    def load(self, entries: list[tuple[str, float, bool]]) -> None:
        """Add what `entries` returned earlier."""
        for host, end, subdomains in entries[-self._limit :]:
            self._hosts[host] = end, subdomains


def _parse(value: str) -> tuple[int, bool] | None:
    found: dict[str, str] = {}
    for part in value.split(";"):
        if not (text := part.strip()):
            continue
        match = _DIRECTIVE(text)
        if match is None or match[1].lower() in found:
            return None  # section 6.1: directives must not come twice
        found[match[1].lower()] = unquote(match[2] or "")
    age = found.get("max-age", "")
    if not (age.isascii() and age.isdigit()):
        return None
    return min(int(age[:12]), MAX_AGE), "includesubdomains" in found

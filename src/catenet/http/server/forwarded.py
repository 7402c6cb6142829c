"""Who the client is behind proxies that are trusted: X-Forwarded-For and -Proto, or Forwarded (RFC 7239).

Only one of the two kinds counts, because a proxy that sets one passes the other on as the client has sent it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from catenet.http.message import RequestHead
from catenet.http.serving import Ends

__all__ = ["TrustedProxies"]

FIELDS: Final = ("x-forwarded", "forwarded")
UNIX: Final = "unix"
_MOST: Final = 32
"""Proxies on the way that are looked at."""

# RFC 7239 section 4: pairs separated by semicolons, elements by commas; a quoted value may have either in it.
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^";,\s]*))\s*([;,]|$)')

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """Proxies whose word about clients counts: addresses, networks, `unix` for whoever connects to a Unix socket.

    `field` is `x-forwarded` or `forwarded`. Raises `ValueError` for what is none of these.
    """

    def __init__(self, trusted: Sequence[str], field: str = FIELDS[0]) -> None:
        if field not in FIELDS:
            raise ValueError(f"no field {field!r} of proxies; known: {', '.join(FIELDS)}")
        self._unix = UNIX in trusted
        self._networks: list[Network] = []
        for one in trusted:
            if one != UNIX:
                try:
                    self._networks.append(ipaddress.ip_network(one, strict=False))
                except ValueError:
                    raise ValueError(f"{one!r} is no address, no network and not {UNIX!r}") from None
        self._chain = _from_x_forwarded if field == FIELDS[0] else _from_forwarded
        self._known: dict[str, bool] = {}

    def ends(self, ends: Ends, head: RequestHead) -> Ends:
        """Return the ends of a request: of the first hop from here whose word does not count."""
        if not (self._unix if ends.client is None else self._trusts(ends.client[0])):
            return ends
        client, tls = ends.client, ends.tls
        for address, port, scheme in self._chain(head)[-1 : -_MOST - 1 : -1]:
            if scheme:
                tls = scheme == "https"
            if not address:
                break
            client = (address, port)
            if not self._trusts(address):
                break
        return Ends(client, ends.server, tls)

    def _trusts(self, text: str) -> bool:
        found = self._known.get(text)
        if found is None:
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                return False
            mapped = getattr(address, "ipv4_mapped", None)
            found = any((mapped or address) in network for network in self._networks)
            if len(self._known) >= 1024:
                self._known.clear()
            self._known[text] = found
        return found


Hop = tuple[str, int, str]
"""Address, port (0: unknown), scheme (empty: unknown)."""


def _from_x_forwarded(head: RequestHead) -> list[Hop]:
    hops = [(*_place(text), "") for text in _joined(head, b"x-forwarded-for").split(",") if text.strip()]
    scheme = _joined(head, b"x-forwarded-proto").rpartition(",")[2].strip().lower()
    if not hops:
        return [("", 0, scheme)]
    return [*hops[:-1], (hops[-1][0], hops[-1][1], scheme)]


def _from_forwarded(head: RequestHead) -> list[Hop]:
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    text, at = _joined(head, b"forwarded"), 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            return []  # nobody whose word counts has written this
        at = found.end()
        pairs[found[1].lower()] = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        if found[4] != ";":
            hops.append((*_place(pairs.get("for", "")), pairs.get("proto", "").lower()))
            pairs = {}
    return hops


def _joined(head: RequestHead, name: bytes) -> str:
    return ",".join([value.decode("latin-1") for key, value in head.fields if key == name])


def _place(text: str) -> tuple[str, int]:
    """Address and port of `192.0.2.1:80` or `[2001:db8::1]:80`, or of an address alone; none of `unknown` and `_id`."""
    text = text.strip()
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        return "", 0
    return address, int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0

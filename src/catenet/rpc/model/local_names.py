"""By which name a browser came: whether a page of somebody else's may be behind a request.

A page's script may send requests to this machine. A name of its own that it lets point here (DNS rebinding) makes them
requests to its own site, so that only the name tells it from a page of ours.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from catenet.http.fields import AUTHORITY
from catenet.http.message import RequestHead

__all__ = ["check_hosts", "host_of", "is_local", "is_loopback", "of_another_site"]


def host_of(authority: str) -> str:
    """Return the host of `host:port`, in lower case, an IPv6 address without brackets."""
    text = authority.lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if ":" in text else text


def check_hosts(names: Iterable[str]) -> frozenset[str]:
    """Return hosts as `host_of` has them. Raises `ValueError` for what is more than a host: it would never be found."""
    hosts = set()
    for name in names:
        host = name.removeprefix("[").removesuffix("]").lower() if ":" in name else name.lower()
        if not _is_ipv6(host) if ":" in host else not host or not AUTHORITY(host.encode(errors="replace")):
            raise ValueError(f"{name!r} is no host as browsers name it; write shop.example, without scheme and port")
        hosts.add(host)
    return frozenset(hosts)


def is_loopback(address: str) -> bool:
    """Whether this is an address of this machine for itself."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_ipv6(address: str) -> bool:
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Whether this can be nobody else's name: a loopback address or `localhost` (RFC 6761 section 6.3)."""
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


def of_another_site(head: RequestHead, hosts: Collection[str]) -> bool:
    """Whether a browser sent this for a page that is not of this server, under its own names or one of `hosts`.

    To what it takes for its own site a browser sends GET without Origin (Fetch, "append a request Origin header"), and
    without Sec-Fetch-Site where there is no TLS, so that a GET tells nothing but the name.
    """
    origin = head.get(b"origin")
    if origin is None and head.get(b"sec-fetch-site") is None and head.method not in (b"GET", b"HEAD"):
        return False  # no browser
    authority = (head.authority or head.get(b"host") or b"").decode("latin-1").lower()
    host = host_of(authority)
    if not is_local(host) and host not in hosts:
        return True
    return origin is not None and origin.decode("latin-1").lower().partition("://")[2] != authority

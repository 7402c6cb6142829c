"""What a name server is told: who may ask, what it says of itself, what strangers may cost."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from catenet.dns.server.access import LOOPBACK, Action
from catenet.dns.server.rates import RateLimits

__all__ = ["CookiePolicy", "ServerSettings"]


class CookiePolicy(enum.Enum):
    """What cookies are for."""

    OFF = "off"
    ON = "on"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a server. Times in seconds, sizes in bytes.

    Attributes:
        actions: what becomes of the queries of networks; the longest prefix counts, others are allowed.
        recursion: networks that may ask for recursion.
        udp_payload: of the largest datagram that is sent, and that we say we take (RFC 9715).
        cache_bytes: what answers as wire bytes may take, for each of the two kinds of clients.
        cookies: ON: cookies are given and believed; REQUIRED: a datagram without a good one gets a cookie, or is told
            to come by TCP, and nothing else.
        cookie_secrets: the first makes cookies, the others are accepted (RFC 9018 5).
        rates: limits of answers to datagrams, None for none.
        nsid: what is said to who asks which server this is (RFC 5001), empty for nothing.
        version, hostname: answers to `version.bind` and `hostname.bind` of class CH; empty: refused.
        idle_timeout: of connections, told to clients that ask (RFC 7828).
        most_pipelined: queries of one connection that wait for their answers; then it is not read.
        most_stream_output: bytes of answers that a connection's client has yet to read; then it is not read.
        most_pending: queries that wait for recursion; more are not begun.
        transfers: networks that may have whole zones (AXFR, IXFR).
        updates: networks that may send dynamic updates without a signature.
        designate: name by which clients are told of the encrypted listeners (RFC 9462); None: that of the certificate,
            "": they are not told.
    """

    actions: Mapping[str, Action] = field(default_factory=dict)
    recursion: tuple[str, ...] = LOOPBACK
    udp_payload: int = 1232
    cache_bytes: int = 128 << 20
    cookies: CookiePolicy = CookiePolicy.ON
    cookie_secrets: tuple[bytes, ...] = ()
    rates: RateLimits | None = None
    nsid: bytes = b""
    version: str = "catenet"
    hostname: str = ""
    idle_timeout: float = 10.0
    most_pipelined: int = 100
    most_stream_output: int = 256 << 10
    most_pending: int = 10_000
    transfers: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    designate: str | None = None

"""Settings of a resolver: where names are asked for, what is kept, and how much work one question may cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.wire.address import parse_address
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import SOA
from catenet.wire.dns.stub import Server

__all__ = [
    "DEFAULT_HINTS",
    "DO_NOT_QUERY",
    "Answering",
    "AuthZone",
    "ForwardZone",
    "Hints",
    "LocalZone",
    "Network",
    "PolicyZone",
    "ResolverConfig",
    "StubZone",
    "network_from_text",
]

Hints = Mapping[bytes, tuple[bytes, ...]]
"""Addresses of each server of the root, by its name."""
Network = tuple[bytes, int]
"""An address and the number of its leading bits that count."""


class Answering(Protocol):
    """A zone that answers by itself."""

    origin: bytes

    def answer(self, question: Question, dnssec_ok: bool) -> Response:
        """Answer as an authority (RFC 1034 4.3.2)."""


@dataclass(frozen=True, slots=True)
class ForwardZone:
    """Names below `name` are asked of these recursive servers.

    Attributes:
        name: folded.
        servers: in no order; the quickest is asked.
        first: when they do not answer, iterate (`forward-first`).
        tls: name that the servers' certificates must have; None for plain UDP and TCP, "" for any certificate.
        keep: whether answers are cached.
    """

    name: bytes
    servers: tuple[Server, ...]
    first: bool = False
    tls: str | None = None
    keep: bool = True


@dataclass(frozen=True, slots=True)
class StubZone:
    """The authorities of a zone, whatever its parent says.

    Attributes:
        name: folded.
        servers: addresses of authorities.
        hosts: names of authorities, whose addresses are looked up.
        prime: ask them for the zone's NS set first, and go on with that.
        first: when they do not answer, iterate from the root (`stub-first`).
        keep: whether answers are cached.
    """

    name: bytes
    servers: tuple[Server, ...] = ()
    hosts: tuple[bytes, ...] = ()
    prime: bool = False
    first: bool = False
    keep: bool = True


@dataclass(frozen=True, slots=True)
class AuthZone:
    """A copy of a zone, asked instead of its authorities (RFC 8806 for the root).

    Attributes:
        zone: None while the copy is missing or has expired.
        fallback: ask the authorities while the copy cannot answer.
        for_upstream: iteration uses it.
        for_downstream: clients are answered from it, as an authority does.
        digest: `check` refuses a copy whose digest (ZONEMD, RFC 8976) differs from what it says, `require` one without
            a digest too; "" believes it. Where answers are validated the digest of a signed zone is, too.
    """

    name: bytes
    zone: Answering | None
    fallback: bool = True
    for_upstream: bool = True
    for_downstream: bool = True
    digest: str = ""


@dataclass(frozen=True, slots=True)
class LocalZone:
    """Names that are answered here (`local-zone`, `local-data`).

    Attributes:
        name: folded.
        kind: what is answered for names and types without data: `static`, `transparent`, `typetransparent`,
            `redirect`, `refuse`, `deny`, `always_nxdomain`, `always_nodata`, `always_transparent`, `always_refuse`,
            `always_null`, `inform`, `nodefault`.
        data: sets at and below the name.
    """

    name: bytes
    kind: str = "transparent"
    data: tuple[RRset, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyZone:
    """A response policy zone.

    Attributes:
        name: its origin, folded.
        sets: its record sets.
        override: what every rule of it does instead of what it says: `passthru`, `nxdomain`, `nodata`, `drop`,
            `tcp-only`, `cname`, `disabled`; "" for nothing else.
        cname: the alias of the override `cname`.
        signal_nxdomain_ra: an NXDOMAIN of this policy goes out without RA, as its sign.
        log: what it decides is told (`Policies.told`).
    """

    name: bytes
    sets: tuple[RRset, ...]
    override: str = ""
    cname: bytes = b""
    signal_nxdomain_ra: bool = False
    log: bool = False

    @property
    def soa(self) -> tuple[RRset, ...]:
        """Its SOA set, which goes along with what it says."""
        return tuple(one for one in self.sets if one.type == SOA)


def network_from_text(text: str) -> Network:
    """An address with or without `/bits`. Raises ValueError for anything else."""
    host, slash, bits = text.partition("/")
    address = parse_address(host)
    if not slash:
        return address, 8 * len(address)
    if not bits.isdecimal() or int(bits) > 8 * len(address):
        raise ValueError(f"{text!r}: a prefix of an address of {8 * len(address)} bits")
    return address, int(bits)


_ROOT_SERVERS: Final = """
a 198.41.0.4 2001:503:ba3e::2:30
b 170.247.170.2 2801:1b8:10::b
c 192.33.4.12 2001:500:2::c
d 199.7.91.13 2001:500:2d::d
e 192.203.230.10 2001:500:a8::e
f 192.5.5.241 2001:500:2f::f
g 192.112.36.4 2001:500:12::d0d
h 198.97.190.53 2001:500:1::53
i 192.36.148.17 2001:7fe::53
j 192.58.128.30 2001:503:c27::2:30
k 193.0.14.129 2001:7fd::1
l 199.7.83.42 2001:500:9f::42
m 202.12.27.33 2001:dc3::35
"""
"""IANA's `named.root` of 2024."""


def _default_hints() -> dict[bytes, tuple[bytes, ...]]:
    rows = [line.split() for line in _ROOT_SERVERS.split("\n") if line]
    return {name_from_text(f"{row[0]}.root-servers.net."): tuple(map(parse_address, row[1:])) for row in rows}


DEFAULT_HINTS: Final[Hints] = _default_hints()

DO_NOT_QUERY: Final = tuple(
    map(network_from_text, ("127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128", "224.0.0.0/3", "ff00::/8"))
)
"""What can be no authority: this machine, no address, groups, and what is reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverConfig:
    """All knobs. Times in seconds, sizes in bytes.

    The defaults are those of Unbound 1.17 where no RFC decides.
    """

    # Where names are asked for.
    hints: Hints = field(default_factory=lambda: DEFAULT_HINTS)
    prime: bool = True
    """Ask a server of the hints for the root's NS set first (RFC 9609)."""
    forwards: tuple[ForwardZone, ...] = ()
    stubs: tuple[StubZone, ...] = ()
    auth_zones: tuple[AuthZone, ...] = ()
    local_zones: tuple[LocalZone, ...] = ()
    policies: tuple[PolicyZone, ...] = ()
    """Response policy zones; earlier ones win."""
    special_names: bool = True
    """Answer the zones of RFC 6303, RFC 6761 and RFC 8375 here."""
    unblocked: tuple[bytes, ...] = ()
    """Of those, the zones that are asked for nevertheless."""
    ipv4: bool = True
    ipv6: bool = True
    upstream_port: int = 53
    do_not_query: tuple[Network, ...] = DO_NOT_QUERY
    private_addresses: tuple[Network, ...] = ()
    """Addresses that are taken out of answers (rebinding), but for names below `private_domains`."""
    private_domains: tuple[bytes, ...] = ()

    # How they are asked for.
    minimise: bool = True
    """QNAME minimisation (RFC 9156)."""
    minimise_strict: bool = False
    """Believe servers that deny the existence of a name above the one that is asked for."""
    random_case: bool = True
    """0x20 bits of names are random and must come back."""
    cookies: bool = True
    """DNS cookies to servers (RFC 7873)."""
    udp_payload: int = 1232
    tcp_only: bool = False
    request_dnssec: bool = True
    """Ask for signatures (DO), whether or not they are checked."""
    extra_targets: tuple[int, ...] = (0, 0, 0, 0, 0)
    """Names of servers whose missing addresses are looked for before they are needed, by depth; its length limits the
    depth of questions that questions lead to."""
    parallel_targets: int = 2
    """Names of servers that are looked up at once when no address is known."""
    harden_glue: bool = True
    harden_below_nxdomain: bool = True
    """A secure NXDOMAIN holds for all names below (RFC 8020)."""
    harden_referral_path: bool = True
    """An NS set beside an answer does not replace another one that is known; who wants to know a zone's own asks."""
    aggressive_nsec: bool = True
    """Answer from proofs of denial in the cache (RFC 8198)."""

    # What is kept.
    cache_bytes: int = 64 << 20
    min_ttl: int = 0
    max_ttl: int = 86_400
    max_negative_ttl: int = 3_600
    failure_ttl: float = 5.0
    """Of the first failure; it doubles up to `max_failure_ttl` (RFC 9520)."""
    max_failure_ttl: float = 300.0
    bogus_ttl: int = 60
    serve_original_ttl: bool = False
    prefetch: bool = False
    """Ask again for what is asked for in the last tenth of its TTL."""
    serve_expired: bool = False
    """RFC 8767."""
    serve_expired_ttl: int = 86_400
    """How long after its end an answer is still given; 0 without end."""
    serve_expired_reply_ttl: int = 30
    serve_expired_client_timeout: float = 1.8
    """How long a client waits for fresh data before it is given what has expired; 0: not at all."""
    max_servers: int = 10_000
    """Servers whose speed and habits are remembered."""
    server_memory: float = 900.0

    # How much work there may be.
    max_questions: int = 1_000
    """Of clients at a time."""
    jostle: float = 0.2
    """The oldest question gives way to a new one after so long, when there are `max_questions`."""
    max_waiting: int = 200
    """Clients and questions that wait for the same answer."""
    max_sends: int = 200
    """Messages that a question of a client may cause."""
    max_received: int = 512 << 10
    """Bytes of answers to these: reading large ones costs more than asking."""
    max_sends_per_name: int = 32
    """Of the messages, for one name and type."""
    max_sends_per_server: int = 5
    max_referrals: int = 40
    max_targets: int = 64
    """Names of servers that are looked up for one question of a client (NXNSAttack)."""
    max_failed_targets: int = 5
    """Of one delegation, those that turn out not to exist."""
    max_server_names: int = 20
    """Names of servers of one delegation that are considered."""
    max_aliases: int = 11
    max_bogus_retries: int = 3
    """How many other servers are asked when an answer does not validate."""
    question_timeout: float = 30.0

    # What clients see.
    chaos: Mapping[bytes, str] = field(default_factory=dict)
    """Texts of the class CH by folded names (`version.bind.`, `id.server.`); others are refused (RFC 4892)."""
    minimal_responses: bool = True
    any_minimal: bool = False
    """Answer ANY with one of the sets at the name (RFC 8482)."""
    rotate: bool = False
    """Answers begin with another record each time."""
    dns64_prefix: Network | None = None
    dns64_ignore: tuple[bytes, ...] = ()
    dns64_synthesize_all: bool = False
    """Even if the name has IPv6 addresses."""
    extended_errors: bool = True

    def replace(self, **changes: object) -> ResolverConfig:
        """The same settings but for these."""
        return replace(self, **changes)  # type: ignore[arg-type]

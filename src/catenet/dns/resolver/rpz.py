"""Response policy zones (draft-vixie-dnsop-dns-rpz): what may be resolved, written down as a zone.

The owner of a record says when it applies (the name that is asked for, an address in the answer, who asks, by which
server the name is served), its data what is said instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from catenet.dns.resolver.config import Network, PolicyZone
from catenet.dns.resolver.names import ancestors
from catenet.dns.response import DROPPED, ExtendedError, Response
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import LONGEST, ROOT, fold, is_below, labels, name_from_text
from catenet.wire.dns.numbers import AAAA, ANY, CNAME, NS, NXDOMAIN, SOA, A

__all__ = ["Policies", "Ruling"]

_FILTERED: Final = 17
"""Extended error (RFC 8914 4.18)."""
_PASS: Final = name_from_text("rpz-passthru.")
_DROP: Final = name_from_text("rpz-drop.")
_TCP: Final = name_from_text("rpz-tcp-only.")
_NODATA: Final = name_from_text("*.")
_KINDS: Final = {b"rpz-client-ip": "client", b"rpz-ip": "address", b"rpz-nsip": "server", b"rpz-nsdname": "host"}
_ACTIONS: Final = {ROOT: "nxdomain", _NODATA: "nodata", _PASS: "passthru", _DROP: "drop", _TCP: "tcp-only"}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy says.

    Attributes:
        action: `passthru`, `nxdomain`, `nodata`, `drop`, `tcp-only`, `data`.
        data: sets to be answered with, of `data`.
        zone: the policy.
        owner: of the rule, with the policy's name.
        of_address: it is about an address in an answer, so that others were asked for that.
    """

    action: str
    data: tuple[RRset, ...]
    zone: PolicyZone
    owner: bytes = ROOT
    of_address: bool = False

    def response(self, question: Question, transport: str) -> Response | None:
        """What to say; None to go on as if there were no policy. The name is folded."""
        errors = [ExtendedError(_FILTERED)]
        if self.action == "passthru" or (self.action == "tcp-only" and transport != "udp"):
            return None
        if self.action == "drop":
            return Response(DROPPED)
        response = Response(authoritative=not self.of_address, recursion=True, errors=errors)
        if self.action == "nxdomain":
            response.rcode = NXDOMAIN
            response.recursion = not self.zone.signal_nxdomain_ra
        elif self.action == "tcp-only":
            response.truncated = True
        elif self.action == "data":
            response.additional = list(self.zone.soa)
            response.answer = [
                _answer(one, question.name)
                for one in self.data
                if one.type in (question.type, CNAME) or question.type == ANY
            ]
        return response


def _answer(rrset: RRset, name: bytes) -> RRset:
    """A set of the policy as one of the name that is asked for; `*.end` as alias is the whole name before that end."""
    data = rrset.data
    if rrset.type == CNAME and data[0].startswith(_NODATA[:2]) and len(name) - 1 + len(data[0]) - 2 <= LONGEST:
        data = (name[:-1] + data[0][2:],)
    return RRset(name, rrset.type, rrset.ttl, data[:1] if rrset.type == CNAME else data, (), rrset.rclass)


@dataclass(slots=True)
class _Rules:
    """The rules of one policy zone by what they look at."""

    zone: PolicyZone
    names: dict[bytes, list[RRset]] = field(default_factory=dict)
    hosts: dict[bytes, list[RRset]] = field(default_factory=dict)
    networks: dict[str, dict[Network, list[RRset]]] = field(default_factory=dict)
    is_personal: bool = False
    """Whether there are rules about clients, or some that send them to TCP."""

    def by_name(self, name: bytes, table: dict[bytes, list[RRset]]) -> Ruling | None:
        """The rule of a name: of itself, or of the closest wildcard above."""
        found = table.get(name)
        if found is None:
            for above in ancestors(name):
                if above == name:
                    continue
                found = table.get(b"\1*" + above)
                if found is not None or above in table:
                    break  # what exists is not covered by wildcards further up (RFC 4592 3.3.1)
        return None if found is None else self.ruling(found)

    def by_address(self, address: bytes, kind: str) -> Ruling | None:
        """The rule of an address: of the longest prefix."""
        table = self.networks.get(kind)
        if not table:
            return None
        size = 8 * len(address)
        number = int.from_bytes(address, "big")
        for bits in range(size, -1, -1):
            prefix = (number >> (size - bits) << (size - bits)).to_bytes(len(address), "big")
            found = table.get((prefix, bits))
            if found is not None:
                return self.ruling(found)
        return None

    def ruling(self, sets: list[RRset]) -> Ruling:
        """What the sets of an owner say, or the settings say instead."""
        zone = self.zone
        owner = sets[0].name
        if zone.override == "cname":
            return Ruling("data", (RRset(ROOT, CNAME, 3600, (zone.cname,)),), zone, owner)
        if zone.override:
            return Ruling(zone.override, (), zone, owner)
        alias = next((one.data[0] for one in sets if one.type == CNAME), None)
        action = "data" if alias is None else _ACTIONS.get(fold(alias), "data")
        return Ruling(action, tuple(sets), zone, owner)


class Policies:
    """All policy zones; earlier ones win.

    Attributes:
        told: called with a ruling, a name and the address of the client, of policies that want that; also of those
            that are disabled.
    """

    def __init__(self, zones: Iterable[PolicyZone]) -> None:
        self._zones = [_read(zone) for zone in zones]
        self.told: Callable[[Ruling, bytes, bytes], None] | None = None

    def replace(self, name: bytes, sets: Iterable[RRset]) -> None:
        """The policy zone of this name (folded), if it is one, has changed."""
        self._zones = [
            _read(replace(one.zone, sets=tuple(sets))) if one.zone.name == name else one for one in self._zones
        ]

    def __bool__(self) -> bool:
        return bool(self._zones)

    @property
    def is_personal(self) -> bool:
        """Whether what they say depends on who asks, or over what."""
        return any(one.is_personal for one in self._zones)

    def for_question(self, name: bytes, client: bytes) -> Ruling | None:
        """The ruling on a name (folded) that a client asks for."""
        for rules in self._zones:
            ruling = (rules.by_address(client, "client") if client else None) or rules.by_name(name, rules.names)
            if ruling is not None and self._counts(ruling, name, client):
                return ruling
        return None

    def _counts(self, ruling: Ruling, name: bytes, client: bytes) -> bool:
        """Tell of a ruling; False: its policy only wants that."""
        if ruling.zone.log and self.told is not None:
            self.told(ruling, name, client)
        return ruling.action != "disabled"

    def for_answer(
        self,
        name: bytes,
        client: bytes,
        answer: Iterable[RRset],
        hosts: Iterable[bytes],
        servers: Iterable[bytes],
    ) -> Ruling | None:
        """The ruling on an answer, by its addresses, the names (folded) of its servers and their addresses."""
        addresses = [data for one in answer if one.type in (A, AAAA) for data in one.data]
        hosts, servers = list(hosts), list(servers)
        for rules in self._zones:
            found = [rules.by_address(one, "address") for one in addresses]
            found += [rules.by_name(one, rules.hosts) for one in hosts]
            found += [rules.by_address(one, "server") for one in servers]
            for ruling in found:
                if ruling is not None and self._counts(ruling, name, client):
                    return replace(ruling, of_address=ruling in found[: len(addresses)])
        return None


def _read(zone: PolicyZone) -> _Rules:
    rules = _Rules(zone)
    for one in zone.sets:
        owner = fold(one.name)
        if owner == zone.name or not is_below(owner, zone.name) or one.type in (SOA, NS):
            continue
        parts = labels(owner[: len(owner) - len(zone.name)] + ROOT)
        kind = _KINDS.get(parts[-1])
        if kind is None:
            rules.names.setdefault(owner[: len(owner) - len(zone.name)] + ROOT, []).append(one)
        elif kind == "host":
            rules.hosts.setdefault(owner[: len(owner) - len(zone.name) - 1 - len(parts[-1])] + ROOT, []).append(one)
        else:
            network = _network(parts[:-1])
            if network is not None:
                rules.networks.setdefault(kind, {}).setdefault(network, []).append(one)
        sends_to_tcp = one.type == CNAME and fold(one.data[0]) == _TCP
        rules.is_personal = rules.is_personal or kind == "client" or sends_to_tcp
    rules.is_personal = rules.is_personal or zone.override == "tcp-only"
    return rules


def _network(parts: list[bytes]) -> Network | None:
    """The addresses that the labels of a rule mean: bits, then the address from its end on; `zz` is `::`."""
    try:
        words = [part.decode("ascii") for part in parts]
        bits, rest = int(words[0]), words[:0:-1]
        if len(rest) == 4 and all(word.isdecimal() for word in rest):
            address = bytes(map(int, rest))
        else:
            if "zz" in rest:
                at = rest.index("zz")
                rest = rest[:at] + ["0"] * (9 - len(rest)) + rest[at + 1 :]
            address = b"".join(int(word, 16).to_bytes(2, "big") for word in rest)
    except (ValueError, OverflowError, IndexError):
        return None
    size = 8 * len(address)
    if size not in (32, 128) or not 0 <= bits <= size:
        return None
    number = int.from_bytes(address, "big") >> (size - bits) << (size - bits)
    return number.to_bytes(size // 8, "big"), bits

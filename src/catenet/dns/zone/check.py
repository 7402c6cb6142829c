"""What is odd in a zone that can be read: what `named-checkzone` says, and what nobody can ever see of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from catenet.dns.rrset import RRset
from catenet.dns.zone.contents import Node, set_of
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.name import fold, is_below, name_to_text, parent
from catenet.wire.dns.numbers import AAAA, CNAME, DNAME, DS, MX, NS, NSEC, SRV, A, type_to_text

__all__ = ["Finding", "check_zone"]

_TARGET_AT: Final = {MX: 2, SRV: 6}
_WILDCARD: Final = b"\x01*"


class Finding(NamedTuple):
    """One thing that is wrong or odd.

    Attributes:
        is_error: it breaks the zone for who asks it; otherwise it is a warning.
        name: where.
        message: what.
    """

    is_error: bool
    name: bytes
    message: str

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'warning'}: {name_to_text(self.name)}: {self.message}"


def check_zone(zone: Zone) -> list[Finding]:
    """Look for mistakes: servers without names or addresses, aliases where none may be, data that nobody sees."""
    found: list[Finding] = []
    if not zone.get(zone.apex, NS):
        found.append(Finding(True, zone.origin, "no NS records: the zone has no server"))
    for name in zone.names():
        node = zone.node(name)
        if node:
            found += _check_node(zone, name, node)
    return found


def _check_node(zone: Zone, name: bytes, node: Node) -> Iterator[Finding]:
    above = parent(name) if name != zone.apex else name
    cut = zone.cut_above(above) if name != zone.apex else None
    owner = node[0].name
    if cut is not None:
        yield from _check_glue(name, node, cut)
        return
    if (alias := _dname_above(zone, name)) is not None:
        yield Finding(True, owner, f"below the DNAME record of {name_to_text(alias)}, which hides it (RFC 6672 2.4)")
        return
    servers = set_of(node, NS)
    if name[:2] == _WILDCARD and (servers is not None or set_of(node, DNAME)):
        yield Finding(True, owner, "a wildcard that delegates or redirects: nobody knows what that means (RFC 4592 4)")
    elif servers is not None:
        yield from _check_servers(zone, name, servers)
        if name != zone.apex:
            yield from _check_cut(node)
    elif set_of(node, DS) is not None:
        yield Finding(False, owner, "DS records without NS records: there is no delegation to be signed")
    for one in node:
        if one.type in _TARGET_AT:
            yield from _check_targets(zone, one)
    if _WILDCARD in name[1:] and _has_inner_wildcard(name):
        yield Finding(False, owner, "'*' is not the first label, and so no wildcard (RFC 4592 2.1.1)")


def _check_glue(name: bytes, node: Node, cut: bytes) -> Iterator[Finding]:
    """Below a cut only addresses of name servers are of use."""
    for one in node:
        if one.type not in (A, AAAA):
            kind = type_to_text(one.type)
            yield Finding(False, one.name, f"{kind} below the delegation of {name_to_text(cut)}, where nobody sees it")


def _check_cut(node: Node) -> Iterator[Finding]:
    for one in node:
        if one.type not in (NS, DS, NSEC, A, AAAA):
            yield Finding(False, one.name, f"{type_to_text(one.type)} beside a delegation, where nobody sees it")


def _check_servers(zone: Zone, name: bytes, servers: RRset) -> Iterator[Finding]:
    """The names of servers have addresses, here or elsewhere, and are no aliases (RFC 2181 10.3, RFC 9471 2)."""
    for target in servers.data:
        folded, text = fold(target), name_to_text(target)
        if not is_below(folded, zone.apex):
            continue
        cut = zone.cut_above(folded)
        node = zone.node(folded) or ()
        if set_of(node, CNAME):
            yield Finding(True, servers.name, f"the name server {text} is an alias")
        elif set_of(node, A) or set_of(node, AAAA) or (cut is None and _wildcard_has_address(zone, folded)):
            continue
        elif cut is None:
            yield Finding(True, servers.name, f"the name server {text} has no address")
        elif name != zone.apex and is_below(folded, name):
            yield Finding(True, servers.name, f"the name server {text} is below its delegation, and has no glue")
        else:
            yield Finding(False, servers.name, f"the name server {text} is below another delegation, and has no glue")


def _check_targets(zone: Zone, one: RRset) -> Iterator[Finding]:
    """Targets of MX and SRV have addresses, and are no aliases (RFC 2181 10.3, RFC 2782)."""
    at, kind = _TARGET_AT[one.type], type_to_text(one.type)
    for data in one.data:
        target = fold(data[at:])
        if len(target) == 1 or not is_below(target, zone.apex) or zone.cut_above(target) is not None:
            continue
        node = zone.node(target) or ()
        if set_of(node, CNAME):
            yield Finding(False, one.name, f"the {kind} target {name_to_text(data[at:])} is an alias")
        elif not (set_of(node, A) or set_of(node, AAAA) or _wildcard_has_address(zone, target)):
            yield Finding(False, one.name, f"the {kind} target {name_to_text(data[at:])} has no address")


def _wildcard_has_address(zone: Zone, name: bytes) -> bool:
    """Whether a name that is not there gets an address from a wildcard (RFC 4592 3.3.1)."""
    if zone.node(name) is not None:
        return False
    while name != zone.apex:
        name = parent(name)
        if zone.node(name) is not None:
            node = zone.node(_WILDCARD + name) or ()
            return any(set_of(node, kind) for kind in (A, AAAA, CNAME))
    return False


def _dname_above(zone: Zone, name: bytes) -> bytes | None:
    while name != zone.apex:
        name = parent(name)
        if set_of(zone.node(name) or (), DNAME):
            return name
    return None


def _has_inner_wildcard(name: bytes) -> bool:
    at = 1 + name[0]
    while name[at]:
        if name[at : at + 2] == _WILDCARD:
            return True
        at += 1 + name[at]
    return False

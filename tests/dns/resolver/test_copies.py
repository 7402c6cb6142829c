"""Copies of zones: from files, and fetched from their primaries; also of policies."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.dns.resolver.hierarchy import HINTS, Play, rrset, tree

from catenet.dns.dnssec import SigningKey, SigningSettings, TrustAnchors, generate_key, make_zonemd, sign_zone
from catenet.dns.exchange import Exchange
from catenet.dns.resolver import AuthZone, PolicyZone, Resolver, ResolverConfig
from catenet.dns.zone import Zone, read_zone
from catenet.dns.zone.secondary import Primary, Secondary
from catenet.dns.zone.transfer_out import transfer_out
from catenet.wire.address import parse_address
from catenet.wire.dns.message import parse
from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.numbers import NOERROR, NXDOMAIN, SERVFAIL, ZONEMD, A
from catenet.wire.dns.stub import Server

PRIMARY = "192.0.2.50"
FAR = (parse_address("203.0.113.9"),)
ROOT_TEXT = """
. 300 SOA a.root. host.root. 7 3600 600 86400 60
. 518400 NS a.root.
a.root. 518400 A 198.51.100.1
com. 172800 NS ns.com.
ns.com. 172800 A 198.51.100.2
net. 172800 NS ns.net.
ns.net. 172800 A 198.51.100.3
"""


def play_with(zone: Zone, **settings: object) -> Play:
    """A resolver that fetches a zone from its primary."""
    play = Play(tree())

    def serve(exchange: Exchange, usual: bytes) -> list[bytes]:
        return list(transfer_out(zone, parse(exchange.data)))

    play.hierarchy.habit(PRIMARY, serve)
    config = ResolverConfig(hints=HINTS, **settings)  # type: ignore[arg-type]
    secondary = Secondary(
        zone.origin, (Primary(Server(parse_address(PRIMARY))),), random.Random(1), lambda now: 1_700_000_000 + now
    )
    rng, wall = random.Random(2), lambda now: 1_700_000_000 + now
    play.resolver = Resolver(config, rng, wall, secondaries=[secondary])
    return play


def test_the_root_is_asked_here() -> None:
    """RFC 8806: with a copy of the root zone its servers hear nothing."""
    zone = AuthZone(ROOT, None, for_downstream=False)
    play = play_with(read_zone(ROOT_TEXT, ROOT), auth_zones=(zone,), prime=False)
    play.pass_time(1)
    assert play.resolve("www.far.com.").answer[0].data == FAR
    assert play.resolve("none.").rcode == NXDOMAIN
    assert not any(query[0] == "198.51.100.1" for query in play.hierarchy.queries)


def test_without_a_copy_the_authorities_are_asked_or_nobody() -> None:
    for fallback, rcode in ((True, NOERROR), (False, SERVFAIL)):
        zone = AuthZone(ROOT, None, fallback=fallback, for_downstream=False)
        play = Play(tree(), ResolverConfig(hints=HINTS, auth_zones=(zone,)))
        assert play.resolve("www.far.com.").rcode == rcode


def test_clients_get_what_an_authority_says() -> None:
    text = (
        "far.com. 60 SOA ns.far.com. h.far.com. 1 2 3 4 5\nfar.com. 60 NS ns.far.com.\nwww.far.com. 60 A 192.0.2.77\n"
    )
    copy = read_zone(text, name_from_text("far.com."))
    play = Play(tree(), ResolverConfig(hints=HINTS, auth_zones=(AuthZone(copy.origin, copy),)))
    response = play.resolve("www.far.com.")
    assert response.authoritative
    assert response.answer[0].data == (parse_address("192.0.2.77"),)
    assert play.hierarchy.queries == []


@pytest.mark.parametrize(
    ("digest", "change", "is_used"),
    [
        ("", "wrong", True),
        ("check", "right", True),
        ("check", "wrong", False),
        ("check", "none", True),
        ("require", "none", False),
        ("require", "right", True),
    ],
)
def test_copies_have_a_digest(digest: str, change: str, is_used: bool) -> None:
    """RFC 8976 4."""
    zone = read_zone(ROOT_TEXT, ROOT)
    if change != "none":
        found = make_zonemd(zone, zone.apex)
        if change == "wrong":
            found = replace(found, data=tuple(one[:-1] + bytes((one[-1] ^ 1,)) for one in found.data))
        zone = Zone(ROOT, [*zone, found])
    play = play_with(zone, auth_zones=(AuthZone(ROOT, None, for_downstream=False, digest=digest),), prime=False)
    play.pass_time(1)
    play.resolve("www.far.com.")
    assert any(query[0] == "198.51.100.1" for query in play.hierarchy.queries) is not is_used


def test_a_policy_is_fetched() -> None:
    text = "rpz. 60 SOA a. b. 1 2 3 4 5\nrpz. 60 NS a.\nwww.far.com.rpz. 60 CNAME .\n"
    zone = read_zone(text, name_from_text("rpz."))
    old = (rrset("www.example.com.rpz. 60 CNAME ."),)
    play = play_with(zone, policies=(PolicyZone(zone.origin, old),))
    assert play.resolve("www.example.com.").rcode == NXDOMAIN
    play.pass_time(1)
    assert play.resolve("www.far.com.").rcode == NXDOMAIN
    assert play.resolve("www.example.com.").rcode == NOERROR


FAR_TEXT = """
far.com. 60 SOA ns.far.com. h.far.com. 1 7200 3600 604800 86400
far.com. 60 NS ns.far.com.
www.far.com. 60 A 192.0.2.77
"""
FAR_COM = name_from_text("far.com.")


def signed_copy(change: str, key: SigningKey) -> Zone:
    """A copy of far.com with a digest, of which something may be wrong that the digest does not tell."""
    zonemd = None if change == "without a digest" else 1
    settings = SigningSettings(inception=1_600_000_000, expiration=1_800_000_000, zonemd=zonemd)
    zone = Zone(FAR_COM, sign_zone(list(read_zone(FAR_TEXT, FAR_COM)), FAR_COM, [key], settings))
    if change == "none":
        return zone
    kept = [one for one in zone if one.type != ZONEMD]
    if change == "forged data":
        kept = [replace(one, data=(b"\6\6\6\6",)) if one.type == A else one for one in kept]
        before = zone.get(FAR_COM, ZONEMD)
        assert before is not None
        return Zone(FAR_COM, [*kept, replace(make_zonemd(kept, FAR_COM), signatures=before.signatures)])
    return Zone(FAR_COM, kept)  # the digest was taken away, or there never was one


@pytest.mark.parametrize("fetched", [False, True])
@pytest.mark.parametrize(
    ("change", "is_used"),
    [("none", True), ("without a digest", True), ("forged data", False), ("digest taken away", False)],
)
def test_the_digest_of_a_signed_copy_is_signed_too(change: str, is_used: bool, fetched: bool) -> None:
    """RFC 8976 4: also that there is none has to be proved."""
    key = generate_key(FAR_COM, 13, is_entry_point=True)
    zone = signed_copy(change, key)
    settings = AuthZone(FAR_COM, None if fetched else zone, for_downstream=True, digest="check")
    play = play_with(zone, auth_zones=(settings,)) if fetched else Play(tree())
    anchors = TrustAnchors.from_text(f"far.com. IN DNSKEY {key.key.to_text()}")
    config = ResolverConfig(hints=HINTS, auth_zones=(settings,))
    secondaries = [play.resolver._copies._secondaries[0]] if fetched else []
    play.resolver = Resolver(
        config, random.Random(2), lambda now: 1_700_000_000 + now, anchors=anchors, secondaries=secondaries
    )
    play.pass_time(1)
    play.resolve("www.com.")
    copy = play.resolver.context.copies[FAR_COM]
    assert (copy is not None) is is_used
    if is_used:
        assert play.resolve("www.far.com.").answer[0].data == (parse_address("192.0.2.77"),)
    else:
        assert play.resolver.context.counts["copies_refused"] == 1
        play.pass_time(3_000)
        assert 3 < play.resolver.context.counts["copies_refused"] < 10, "it is looked at again, ever less often"


def test_a_copy_of_an_unsigned_zone_needs_no_signature() -> None:
    zone = read_zone(FAR_TEXT, FAR_COM)
    zone = Zone(FAR_COM, [*zone, make_zonemd(zone, FAR_COM)])
    anchors = TrustAnchors.from_text("other. IN DS 1 13 2 " + "00" * 32)
    config = ResolverConfig(hints=HINTS, auth_zones=(AuthZone(FAR_COM, zone, digest="require"),))
    play = Play(tree())
    play.resolver = Resolver(config, random.Random(2), lambda now: 1_700_000_000 + now, anchors=anchors)
    assert play.resolve("www.far.com.").answer[0].data == (parse_address("192.0.2.77"),)

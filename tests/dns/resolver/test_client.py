"""What clients get: names answered here, policies, DNS64, data that has expired, small answers."""

from __future__ import annotations

import pytest
from tests.dns.resolver.hierarchy import HINTS, Play, rrset, tree

from catenet.dns.dnssec import TrustAnchors
from catenet.dns.exchange import Exchange
from catenet.dns.resolver import LocalZone, PolicyZone, ResolverConfig
from catenet.dns.resolver.client import Client
from catenet.dns.resolver.config import Network, network_from_text
from catenet.dns.resolver.sentinel import says_no
from catenet.dns.response import DROPPED, Response, Security, pack_response
from catenet.dns.rrset import RRset
from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.message import Question, parse
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.numbers import (
    AAAA,
    ANY,
    CH,
    CNAME,
    MX,
    NOERROR,
    NS,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    SOA,
    TXT,
    A,
    type_from_text,
)

WWW = (parse_address("203.0.113.1"),)


def config(**settings: object) -> ResolverConfig:
    return ResolverConfig(hints=HINTS, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "data"),
    [
        ("localhost.", "A", NOERROR, ["127.0.0.1"]),
        ("x.localhost.", "AAAA", NOERROR, ["::1"]),
        ("1.0.0.127.in-addr.arpa.", "PTR", NOERROR, None),
        ("9.0.0.10.in-addr.arpa.", "PTR", NXDOMAIN, []),
        ("1.31.172.in-addr.arpa.", "PTR", NXDOMAIN, []),
        ("1.64.100.in-addr.arpa.", "PTR", NXDOMAIN, []),
        ("x.d.f.ip6.arpa.", "PTR", NXDOMAIN, []),
        ("x.onion.", "A", NXDOMAIN, []),
        ("x.home.arpa.", "A", NXDOMAIN, []),
        ("test.", "SOA", NOERROR, None),
    ],
)
def test_special_names_leave_no_trace(name: str, kind: str, rcode: int, data: list[str] | None) -> None:
    play = Play(tree())
    response = play.resolve(name, kind)
    assert response.rcode == rcode
    assert response.authoritative
    if data is not None:
        assert [format_address(one) for found in response.answer for one in found.data] == data
    else:
        assert response.answer[0].type in (PTR, SOA)
    assert play.hierarchy.queries == []


def test_special_names_can_be_asked_for() -> None:
    play = Play(tree(), config(unblocked=(name_from_text("onion."),)))
    assert play.resolve("x.onion.").rcode == NXDOMAIN
    assert play.hierarchy.queries


@pytest.mark.parametrize(
    ("kind", "known", "other_type", "unknown"),
    [
        ("static", NOERROR, NOERROR, NXDOMAIN),
        ("transparent", NOERROR, NOERROR, None),
        ("typetransparent", NOERROR, None, None),
        ("redirect", NOERROR, NOERROR, NOERROR),
        ("refuse", NOERROR, NOERROR, REFUSED),
        ("deny", NOERROR, NOERROR, DROPPED),
        ("always_nxdomain", NXDOMAIN, NXDOMAIN, NXDOMAIN),
        ("always_nodata", NOERROR, NOERROR, NOERROR),
        ("always_refuse", REFUSED, REFUSED, REFUSED),
        ("always_null", NOERROR, NOERROR, NOERROR),
        ("always_transparent", None, None, None),
    ],
)
def test_local_zones(kind: str, known: int | None, other_type: int | None, unknown: int | None) -> None:
    """What each kind says of a name with data, another type of it, and a name without; None: others are asked."""
    owner = "www.example.com." if kind != "redirect" else "example.com."
    zone = LocalZone(name_from_text("example.com."), kind, (rrset(f"{owner} 60 A 192.0.2.99"),))
    for name, question, rcode in ((owner, "A", known), (owner, "MX", other_type), ("none.example.com.", "A", unknown)):
        play = Play(tree(), config(local_zones=(zone,)))
        response = play.resolve(name, question)
        assert bool(play.hierarchy.queries) is (rcode is None), (name, question)
        if rcode is not None:
            assert response.rcode == rcode, (name, question)


def test_a_local_alias_is_followed() -> None:
    zone = LocalZone(name_from_text("search.test."), "redirect", (rrset("search.test. 60 CNAME www.example.com."),))
    play = Play(tree(), config(local_zones=(zone,)))
    response = play.resolve("a.search.test.")
    assert [one.type for one in response.answer] == [CNAME, A]
    assert response.answer[1].data == WWW


def test_what_is_no_question_for_a_resolver_is_refused() -> None:
    play = Play(tree(), config(chaos={name_from_text("version.bind."): "none of your business"}))
    assert play.resolve("example.com.", "AXFR").rcode == REFUSED
    assert play.resolve("example.com.", "OPT").rcode == REFUSED
    ticket = play.resolver.ask(Question(name_from_text("version.bind."), TXT, CH), play.now)
    event = play.resolver.next_event()
    assert event is not None
    assert (event.ticket, event.response.answer[0].data) == (ticket, (b"\x15none of your business",))


def test_who_does_not_want_recursion_gets_what_is_known() -> None:
    play = Play(tree())
    question = Question(name_from_text("www.example.com."), A)
    play.resolver.ask(question, play.now, recursion=False)
    event = play.resolver.next_event()
    assert event is not None
    assert event.response.rcode == REFUSED
    assert [one.code for one in event.response.errors] == [20]
    play.resolve("www.example.com.")
    play.resolver.ask(question, play.now, recursion=False)
    event = play.resolver.next_event()
    assert event is not None
    assert event.response.answer[0].data == WWW


# DNS64


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        # RFC 6052 2.4
        ("2001:db8::/32", "2001:db8:cb00:7101::"),
        ("2001:db8:100::/40", "2001:db8:1cb:71:1::"),
        ("2001:db8:122::/48", "2001:db8:122:cb00:71:100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3cb:0:7101::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:cb:71:100:0"),
        ("64:ff9b::/96", "64:ff9b::cb00:7101"),
    ],
)
def test_dns64(prefix: str, address: str) -> None:
    network: Network = network_from_text(prefix)
    play = Play(tree(), config(dns64_prefix=network))
    response = play.resolve("alias.example.com.", "AAAA")
    assert [one.type for one in response.answer] == [CNAME, AAAA]
    assert response.answer[-1].data == (parse_address(address),)
    assert play.resolve("none.example.com.", "AAAA").rcode == NXDOMAIN
    assert play.resolve("a.b.c.example.com.", "AAAA").answer == []
    assert play.resolve("www.example.com.", "A").answer[0].data == WWW


# Expired data


def silence(play: Play) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        play.hierarchy.habit(address, lambda exchange, usual: [])


def test_expired_data_is_given_when_nobody_answers() -> None:
    play = Play(tree(), config(serve_expired=True))
    play.resolve("www.example.com.")
    play.pass_time(100)
    silence(play)
    begun = play.now
    response = play.resolve("www.example.com.")
    assert play.now - begun == pytest.approx(1.8)
    assert (response.answer[0].data, response.answer[0].ttl) == (WWW, 30)
    assert [one.code for one in response.errors] == [3]
    play.pass_time(90_000)
    assert play.resolve("www.example.com.").rcode == SERVFAIL


def test_expired_data_is_given_at_once_when_that_is_wanted() -> None:
    play = Play(tree(), config(serve_expired=True, serve_expired_client_timeout=0))
    play.resolve("www.example.com.")
    play.pass_time(100)
    begun = play.now
    assert play.resolve("www.example.com.").answer[0].ttl == 30
    assert play.now == begun
    play.pass_time(1)
    assert play.resolve("www.example.com.").answer[0].ttl == 59  # meanwhile it has been asked for


def test_fresh_data_is_better_than_expired_data() -> None:
    play = Play(tree(), config(serve_expired=True))
    play.resolve("www.example.com.")
    play.pass_time(100)
    response = play.resolve("www.example.com.")
    assert (response.answer[0].ttl, response.errors) == (60, [])


def test_what_is_asked_for_again_is_fetched_before_it_ends() -> None:
    play = Play(tree(), config(prefetch=True))
    play.resolve("www.example.com.")
    play.pass_time(50)
    asked = len(play.hierarchy.queries)
    play.resolve("www.example.com.")
    assert len(play.hierarchy.queries) == asked
    play.pass_time(5)
    assert play.resolve("www.example.com.").answer[0].ttl == 5
    play.pass_time(1)
    assert play.resolve("www.example.com.").answer[0].ttl == 59


# Policies

POLICY = PolicyZone(
    name_from_text("rpz."),
    tuple(
        map(
            rrset,
            [
                "rpz. 60 SOA a. b. 1 2 3 4 5",
                "www.example.com.rpz. 60 CNAME .",
                "alias.example.com.rpz. 60 CNAME *.",
                "*.far.com.rpz. 60 A 192.0.2.250",
                "pass.example.com.rpz. 60 CNAME rpz-passthru.",
                "*.example.com.rpz. 60 CNAME *.walled.garden.",
                "drop.net.rpz. 60 CNAME rpz-drop.",
                "tcp.net.rpz. 60 CNAME rpz-tcp-only.",
                "32.7.2.0.192.rpz-client-ip.rpz. 60 CNAME .",
                "24.0.113.0.203.rpz-ip.rpz. 60 CNAME .",
                "ns.outside.net.rpz-nsdname.rpz. 60 CNAME .",
            ],
        )
    ),
)


def ask_as(play: Play, name: str, kind: str = "A", client: str = "192.0.2.8", transport: str = "udp") -> Response:
    question = Question(name_from_text(name), type_from_text(kind))
    who = Client(parse_address(client), transport)
    ticket = play.resolver.ask(question, play.now, client=who)
    play._pump()
    play.run(lambda: ticket in play.answers)
    return play.answers.pop(ticket)


def test_policies_by_name_and_client() -> None:
    play = Play(tree(), config(policies=(POLICY,)))
    assert ask_as(play, "www.example.com.").rcode == NXDOMAIN
    assert ask_as(play, "www.example.com.", "MX").rcode == NXDOMAIN
    nothing = ask_as(play, "alias.example.com.")
    assert (nothing.rcode, nothing.answer) == (NOERROR, [])
    assert ask_as(play, "www.far.com.").answer[0].data == (parse_address("192.0.2.250"),)
    assert ask_as(play, "www.far.com.", "MX").answer == []
    walled = ask_as(play, "other.example.com.")
    assert walled.answer[0].data == (name_from_text("other.example.com.walled.garden."),)
    assert ask_as(play, "drop.net.").rcode == DROPPED
    assert ask_as(play, "tcp.net.").truncated
    assert not ask_as(play, "tcp.net.", transport="tcp").truncated
    assert ask_as(play, "com.", "NS", client="192.0.2.7").rcode == NXDOMAIN
    assert [one.code for one in ask_as(play, "www.example.com.").errors] == [17]


def test_policies_by_answer_and_by_server() -> None:
    rules = [one for one in POLICY.sets if b"rpz-" in one.name or one.type == SOA]
    play = Play(tree(), config(policies=(PolicyZone(POLICY.name, tuple(rules)),)))
    assert ask_as(play, "alias.example.com.").rcode == NXDOMAIN
    assert ask_as(play, "www.outside.net.", "MX").rcode == NXDOMAIN


@pytest.mark.parametrize(
    ("override", "rcode"), [("nxdomain", NXDOMAIN), ("nodata", NOERROR), ("passthru", NOERROR), ("disabled", NXDOMAIN)]
)
def test_policies_that_settings_override(override: str, rcode: int) -> None:
    first = PolicyZone(POLICY.name, (rrset("www.example.com.rpz. 60 A 192.0.2.3"),), override)
    second = PolicyZone(POLICY.name, (rrset("www.example.com.rpz. 60 CNAME ."),))
    response = ask_as(Play(tree(), config(policies=(first, second))), "www.example.com.")
    assert response.rcode == rcode
    assert bool(response.answer) is (override == "passthru")


# Sections


def test_answers_are_small_unless_somebody_wants_more() -> None:
    small = Play(tree()).resolve("www.example.com.")
    assert (small.authority, small.additional) == ([], [])
    large = Play(tree(), config(minimal_responses=False)).resolve("www.example.com.")
    assert [one.type for one in large.authority] == [NS]
    assert [one.type for one in large.additional] == [A]


def test_records_take_turns() -> None:
    def three(exchange: Exchange, usual: bytes) -> list[bytes] | None:
        query = parse(exchange.data)
        if query.question is None or query.question.type != MX:
            return None
        response = Response(answer=[rrset("example.com. 60 MX 1 a. | 2 b. | 3 c.")], authoritative=True)
        return [pack_response(response, query, query.edns, 1232)]

    play = Play(tree(), config(rotate=True))
    for address in ("192.0.2.1", "192.0.2.2"):
        play.hierarchy.habit(address, three)
    first = {play.resolve("example.com.", "MX").answer[0].data[0][:2] for _ in range(6)}
    assert first == {b"\0\1", b"\0\2", b"\0\3"}


def test_any_is_one_of_the_sets_if_that_is_wanted() -> None:
    """RFC 8482 4.1."""

    def all_sets(exchange: Exchange, usual: bytes) -> list[bytes] | None:
        query = parse(exchange.data)
        assert query.question is not None
        if query.question.type != ANY:
            return None
        name = fold(query.question.name)
        response = Response(answer=[RRset(name, A, 60, WWW), RRset(name, TXT, 60, (b"\1x",))], authoritative=True)
        return [pack_response(response, query, query.edns, 1232)]

    for small, count in ((True, 1), (False, 2)):
        play = Play(tree(), config(any_minimal=small))
        for address in ("192.0.2.1", "192.0.2.2"):
            play.hierarchy.habit(address, all_sets)
        assert len(play.resolve("www.example.com.", "ANY").answer) == count


def test_reasons_can_be_kept_to_ourselves() -> None:
    play = Play(tree(), config(extended_errors=False, question_timeout=300))
    silence(play)
    response = play.resolve("www.example.com.")
    assert (response.rcode, response.errors) == (SERVFAIL, [])


# Trust anchors


@pytest.mark.parametrize(
    ("name", "security", "no"),
    [
        ("root-key-sentinel-is-ta-20326.", Security.SECURE, False),
        ("root-key-sentinel-is-ta-11111.", Security.SECURE, True),
        ("root-key-sentinel-not-ta-20326.", Security.SECURE, True),
        ("root-key-sentinel-not-ta-11111.example.", Security.SECURE, False),
        ("root-key-sentinel-is-ta-11111.", Security.INSECURE, False),
        ("root-key-sentinel-is-ta-1111.", Security.SECURE, False),
        ("root-key-sentinel-is-ta-1111x.", Security.SECURE, False),
        ("www.root-key-sentinel-is-ta-11111.", Security.SECURE, False),
        (".", Security.SECURE, False),
    ],
)
def test_names_that_ask_for_trust_anchors(name: str, security: Security, no: bool) -> None:
    """RFC 8509 3.1."""
    response = Response(answer=[rrset("example. 60 A 192.0.2.1")], security=security)
    assert says_no(TrustAnchors.root(), Question(name_from_text(name), A), response) is no
    assert not says_no(TrustAnchors.root(), Question(name_from_text(name), TXT), response)


def test_original_ttls() -> None:
    play = Play(tree(), config(serve_original_ttl=True, max_ttl=30))
    assert play.resolve("www.example.com.").answer[0].ttl == 60
    play.pass_time(20)
    asked = len(play.hierarchy.queries)
    assert play.resolve("www.example.com.").answer[0].ttl == 60
    assert len(play.hierarchy.queries) == asked
    play.pass_time(11)
    play.resolve("www.example.com.")
    assert len(play.hierarchy.queries) > asked

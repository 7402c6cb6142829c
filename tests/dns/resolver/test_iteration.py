"""Iteration over a tree of zones in memory."""

from __future__ import annotations

import pytest
from tests.dns.resolver.hierarchy import HINTS, Play, tree

from catenet.dns.exchange import Exchange
from catenet.dns.resolver import ForwardZone, ResolverConfig, StubZone
from catenet.wire.address import parse_address
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import CNAME, DNAME, NOERROR, NXDOMAIN, SERVFAIL, TC, A
from catenet.wire.dns.stub import Server

WWW = (parse_address("203.0.113.1"),)
FAR = (parse_address("203.0.113.9"),)


@pytest.mark.parametrize("seed", range(8))
def test_an_answer_is_found_from_the_root_and_then_kept(seed: int) -> None:
    play = Play(tree(), seed=seed)
    response = play.resolve("www.example.com.")
    assert response.rcode == NOERROR
    assert [one.data for one in response.answer] == [WWW]
    asked = len(play.hierarchy.queries)
    assert {query[0] for query in play.hierarchy.queries} >= {"198.51.100.1", "198.51.100.2"}
    again = play.resolve("www.example.com.")
    assert again.answer[0].data == WWW
    assert len(play.hierarchy.queries) == asked
    play.pass_time(61)
    assert play.resolve("www.example.com.").answer[0].data == WWW
    assert len(play.hierarchy.queries) == asked + 1
    assert not play.open


def test_servers_see_no_more_of_a_name_than_they_need() -> None:
    play = Play(tree())
    play.resolve("a.b.c.example.com.", "TXT")
    assert ("198.51.100.1", "com.", A, "udp") in play.hierarchy.queries
    assert not any(name.endswith("c.example.com.") for where, name, _, _ in play.hierarchy.queries if "198" in where)


@pytest.mark.parametrize(
    ("name", "kind", "types", "data"),
    [
        ("alias.example.com.", "A", [CNAME, A], WWW),
        ("away.example.com.", "A", [CNAME, A], FAR),
        ("www.old.example.com.", "A", [DNAME, CNAME, A], FAR),
    ],
)
def test_aliases_are_followed(name: str, kind: str, types: list[int], data: tuple[bytes, ...]) -> None:
    play = Play(tree())
    for _ in range(2):
        response = play.resolve(name, kind)
        assert response.rcode == NOERROR
        assert [one.type for one in response.answer] == types
        assert response.answer[-1].data == data


def test_a_loop_of_aliases_ends() -> None:
    response = Play(tree()).resolve("loop.example.com.")
    assert response.rcode == SERVFAIL


def test_denials_are_kept_as_long_as_the_soa_says() -> None:
    play = Play(tree())
    assert play.resolve("none.example.com.").rcode == NXDOMAIN
    asked = len(play.hierarchy.queries)
    assert play.resolve("none.example.com.", "MX").rcode == NXDOMAIN
    assert len(play.hierarchy.queries) == asked
    empty = play.resolve("www.example.com.", "MX")
    assert (empty.rcode, empty.answer) == (NOERROR, [])
    play.pass_time(61)
    assert play.resolve("none.example.com.").rcode == NXDOMAIN
    assert len(play.hierarchy.queries) == asked + 2


def test_a_server_that_is_silent_is_asked_less() -> None:
    play = Play(tree())
    play.hierarchy.habit("192.0.2.1", lambda query, usual: [])
    for number in range(10):
        before = len(play.hierarchy.queries)
        assert play.resolve(f"n{number}.example.com.").rcode == NXDOMAIN
    assert [query[0] for query in play.hierarchy.queries[before:]] == ["192.0.2.2"]


def test_an_answer_that_was_cut_is_asked_for_by_tcp() -> None:
    play = Play(tree())

    def cut(exchange: Exchange, usual: bytes) -> list[bytes] | None:
        return [usual[:2] + bytes((usual[2] | TC >> 8,)) + usual[3:]] if exchange.transport == "udp" else None

    for address in ("192.0.2.1", "192.0.2.2"):
        play.hierarchy.habit(address, cut)
    assert play.resolve("www.example.com.").answer[0].data == WWW
    assert play.hierarchy.queries[-1][1:] == ("www.example.com.", A, "tcp")


def test_nobody_answers() -> None:
    play = Play(tree(), ResolverConfig(hints=HINTS, question_timeout=300))
    for address in ("192.0.2.1", "192.0.2.2"):
        play.hierarchy.habit(address, lambda query, usual: [])
    response = play.resolve("www.example.com.")
    assert response.rcode == SERVFAIL
    asked = len(play.hierarchy.queries)
    assert play.resolve("www.example.com.").rcode == SERVFAIL
    assert len(play.hierarchy.queries) == asked  # a failure is remembered (RFC 9520)


def test_a_forwarder_is_asked_everything() -> None:
    play = Play(tree(), ResolverConfig(forwards=(ForwardZone(b"\0", (Server(parse_address("192.0.2.2")),)),)))
    assert play.resolve("www.far.com.").answer[0].data == FAR
    assert [query[:2] for query in play.hierarchy.queries] == [("192.0.2.2", "www.far.com.")]


def test_a_stub_zone_needs_no_delegation() -> None:
    stub = StubZone(name_from_text("far.com."), (Server(parse_address("192.0.2.2")),))
    play = Play(tree(), ResolverConfig(stubs=(stub,), hints=HINTS))
    assert play.resolve("www.far.com.").answer[0].data == FAR
    assert {query[0] for query in play.hierarchy.queries} == {"192.0.2.2"}

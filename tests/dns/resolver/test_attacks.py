"""Servers and strangers that want to do harm: work per question is bounded, and forged answers are none."""

from __future__ import annotations

import random

import pytest
from tests.dns.resolver.hierarchy import (
    COM,
    HINTS,
    NET,
    ROOT_ADDRESS,
    ROOT_ZONE,
    Hierarchy,
    Play,
    TinyZone,
    rrset,
    tree,
)

from catenet.dns.dnssec import TrustAnchors
from catenet.dns.exchange import Exchange
from catenet.dns.options import COOKIE
from catenet.dns.resolver import ForwardZone, PolicyZone, Resolver, ResolverConfig
from catenet.dns.resolver.exchange import cookie_of
from catenet.dns.response import Response, Security, pack_response
from catenet.dns.rrset import RRset
from catenet.wire.address import parse_address
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.numbers import BADCOOKIE, CNAME, FORMERR, NOERROR, NS, NXDOMAIN, QR, REFUSED, SERVFAIL, A
from catenet.wire.dns.record import make_record
from catenet.wire.dns.stub import Server

WWW = (parse_address("203.0.113.1"),)
EVIL = (parse_address("6.6.6.6"),)
SERVERS = ("192.0.2.1", "192.0.2.2")


def answer(exchange: Exchange, response: Response, edns: Edns | None = None) -> bytes:
    """A response to the query of an exchange."""
    query = parse(exchange.data)
    return pack_response(response, query, query.edns if edns is None else edns, 65_535)


# Forged answers


def test_answers_to_other_questions_are_passed_over() -> None:
    """Another id, another name, another type, no response: the right one comes later and is taken."""

    def forge(exchange: Exchange, usual: bytes) -> list[bytes]:
        query = parse(exchange.data)
        assert query.question is not None
        evil = [make_record(fold(query.question.name), A, 60, EVIL[0])]
        other = Question(name_from_text("other.example.com."), A)
        return [
            pack(query.id ^ 1, QR, query.question, evil),
            pack(query.id, QR, other, evil),
            pack(query.id, QR, query.question._replace(type=28), evil),
            pack(query.id, 0, query.question, evil),
            usual,
        ]

    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, forge)
    assert play.resolve("www.example.com.").answer[0].data == WWW
    assert play.resolver.context.counts["unexpected"] >= 4


def test_who_guesses_often_makes_us_ask_by_tcp() -> None:
    def flood(exchange: Exchange, usual: bytes) -> list[bytes] | None:
        if exchange.transport != "udp":
            return None
        query = parse(exchange.data)
        assert query.question is not None
        evil = [make_record(query.question.name, A, 60, EVIL[0])]
        return [pack(number, QR, query.question, evil) for number in range(40) if number != query.id]

    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, flood)
    assert play.resolve("www.example.com.").answer[0].data == WWW
    assert play.hierarchy.queries[-1][3] == "tcp"


def test_a_name_in_other_letters_makes_us_ask_by_tcp() -> None:
    """0x20: who does not see the question cannot know its letters. Servers that lower names are asked without."""

    def lower(exchange: Exchange, usual: bytes) -> list[bytes]:
        query = parse(exchange.data)
        assert query.question is not None
        name = fold(query.question.name)
        return [usual[:12] + name + usual[12 + len(name) :]]

    play = Play(tree(), seed=3)
    for address in SERVERS:
        play.hierarchy.habit(address, lower)
    assert play.resolve("www.example.com.").answer[0].data == WWW
    used = {query[3] for query in play.hierarchy.queries if query[0] in SERVERS}
    assert "tcp" in used
    play.pass_time(61)
    asked = len(play.hierarchy.queries)
    play.resolve("www.example.com.")
    assert play.hierarchy.queries[asked][3] in ("udp", "tcp")


def test_letters_of_questions_are_random_and_do_not_reach_clients() -> None:
    seen: set[bytes] = set()

    def note(exchange: Exchange, usual: bytes) -> None:
        query = parse(exchange.data)
        assert query.question is not None
        seen.add(query.question.name)

    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, note)
    for _ in range(4):
        response = play.resolve("www.example.com.")
        assert response.answer[0].name == name_from_text("www.example.com.")
        play.pass_time(61)
    assert len(seen) > 3


def test_a_server_with_a_cookie_is_believed_with_its_cookie_only() -> None:
    """RFC 7873 5.3: what comes by UDP without it may be forged, and is asked for again by TCP."""

    def cookies(exchange: Exchange, usual: bytes) -> list[bytes] | None:
        query = parse(exchange.data)
        ours = cookie_of(query)[:8]
        if exchange.transport == "udp" and name_from_text("evil.example.com.") == fold(query.question.name):  # type: ignore[union-attr]
            evil = Response(answer=[RRset(fold(query.question.name), A, 60, EVIL)], authoritative=True)  # type: ignore[union-attr]
            return [answer(exchange, evil)]
        message = parse(usual)
        edns = Edns(options=((COOKIE, ours + b"12345678"),))
        return [
            pack(
                message.id,
                message.flags,
                message.question,
                message.answer,
                message.authority,
                [one for one in message.additional if one.type != 41],
                edns,
            )
        ]

    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, cookies)
    play.resolve("www.example.com.")
    play.resolve("none.example.com.")
    assert play.resolve("evil.example.com.").rcode == NXDOMAIN
    assert play.hierarchy.queries[-1][3] == "tcp"


def test_a_bad_cookie_is_replaced() -> None:
    def strict(exchange: Exchange, usual: bytes) -> list[bytes] | None:
        cookie = cookie_of(parse(exchange.data))
        message = parse(usual)
        edns = Edns(options=((COOKIE, cookie[:8] + b"abcdefgh"),))
        if cookie[8:] != b"abcdefgh":
            edns = edns._replace(extended_rcode=BADCOOKIE >> 4)
            return [pack(message.id, QR | BADCOOKIE & 15, message.question, edns=edns)]
        plain = [one for one in message.additional if one.type != 41]
        return [pack(message.id, message.flags, message.question, message.answer, message.authority, plain, edns)]

    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, strict)
    assert play.resolve("www.example.com.").answer[0].data == WWW


def test_a_server_without_edns_is_asked_without() -> None:
    def old(exchange: Exchange, usual: bytes) -> list[bytes]:
        query = parse(exchange.data)
        if query.edns is not None:
            return [pack(query.id, QR | FORMERR, query.question)]
        return [usual]

    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, old)
    assert play.resolve("www.example.com.").answer[0].data == WWW
    asked = len(play.hierarchy.queries)
    play.resolve("none.example.com.")
    assert len(play.hierarchy.queries) <= asked + 2


# What a server says of names that are none of its business


def poisoned(response: Response) -> Play:
    def poison(exchange: Exchange, usual: bytes) -> list[bytes] | None:
        query = parse(exchange.data)
        assert query.question is not None
        if fold(query.question.name) != name_from_text("bait.example.com."):
            return None
        return [answer(exchange, response)]

    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, poison)
    play.resolve("bait.example.com.")
    return play


def test_bailiwick() -> None:
    """Answers, delegations and addresses outside of the zone that the server was asked about are not looked at."""
    bait, victim = name_from_text("bait.example.com."), name_from_text("www.far.com.")
    com, evil = name_from_text("com."), name_from_text("ns.evil.net.")
    response = Response(
        answer=[RRset(bait, A, 60, WWW), RRset(victim, A, 86_400, EVIL)],
        authority=[RRset(com, NS, 86_400, (evil,)), RRset(name_from_text("far.com."), NS, 86_400, (evil,))],
        additional=[RRset(evil, A, 86_400, EVIL), RRset(name_from_text("ns.com."), A, 86_400, EVIL)],
        authoritative=True,
    )
    play = poisoned(response)
    play.resolve("www.far.com.")
    assert not any(query[0] == "6.6.6.6" for query in play.hierarchy.queries)
    assert play.resolve("www.far.com.").answer[0].data == (parse_address("203.0.113.9"),)


def test_what_stands_beside_an_answer_answers_nobody() -> None:
    """Sets of the same zone that nobody has asked for are not given to clients."""
    bait, victim = name_from_text("bait.example.com."), name_from_text("www.example.com.")
    response = Response(
        answer=[RRset(bait, CNAME, 60, (victim,)), RRset(victim, A, 86_400, EVIL)],
        additional=[RRset(victim, A, 86_400, EVIL)],
        authoritative=True,
    )
    play = poisoned(response)
    assert play.resolve("bait.example.com.").answer[-1].data == WWW
    assert play.resolve("www.example.com.").answer[0].data == WWW


def test_an_answer_does_not_take_a_zone_over() -> None:
    """An NS set beside an answer, as one forged message or fragment could bring it, leads nobody to other servers."""
    bait, evil = name_from_text("bait.example.com."), name_from_text("ns.example.com.")
    response = Response(
        answer=[RRset(bait, A, 60, WWW)],
        authority=[RRset(name_from_text("example.com."), NS, 86_400, (evil,))],
        additional=[RRset(evil, A, 86_400, EVIL)],
        authoritative=True,
    )
    play = poisoned(response)
    for number in range(20):
        play.resolve(f"n{number}.example.com.")
    assert not any(query[0] == "6.6.6.6" for query in play.hierarchy.queries)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::", "224.0.0.1", "255.255.255.255"])
def test_glue_that_leads_to_ourselves_is_not_followed(address: str) -> None:
    data = parse_address(address)
    kind = "A" if len(data) == 4 else "AAAA"
    com = TinyZone(
        "com.",
        f"""
        com. 172800 NS ns.com.
        ns.com. 172800 A 198.51.100.2
        trap.com. 3600 NS ns.trap.com.
        ns.trap.com. 3600 {kind} {address}
        """,
    )
    play = Play(Hierarchy({ROOT_ADDRESS: [ROOT_ZONE], "198.51.100.2": [com]}))
    assert play.resolve("www.trap.com.").rcode == SERVFAIL
    assert {query[0] for query in play.hierarchy.queries} <= {ROOT_ADDRESS, "198.51.100.2"}


def test_private_addresses_are_taken_out_of_answers() -> None:
    networks = ((parse_address("203.0.113.0"), 24),)
    play = Play(tree(), ResolverConfig(hints=HINTS, private_addresses=networks))
    assert play.resolve("www.example.com.").rcode == SERVFAIL
    domains = (name_from_text("example.com."),)
    play = Play(tree(), ResolverConfig(hints=HINTS, private_addresses=networks, private_domains=domains))
    assert play.resolve("www.example.com.").answer[0].data == WWW


# Answers that do not validate


def bogus(**settings: object) -> Play:
    """A resolver that trusts keys which nothing in the tree is signed with."""
    play = Play(tree())
    config = ResolverConfig(hints=HINTS, max_bogus_retries=0, **settings)  # type: ignore[arg-type]
    play.resolver = Resolver(config, random.Random(1), lambda now: 1_700_000_000 + now, anchors=TrustAnchors.root())
    return play


def test_a_bogus_answer_is_kept_for_as_long_as_we_say() -> None:
    """Not for as long as it says itself."""
    play = bogus()
    response = play.resolve("ns.outside.net.")
    assert (response.rcode, response.security) == (SERVFAIL, Security.BOGUS)
    asked = len(play.hierarchy.queries)
    play.pass_time(30)
    assert play.resolve("ns.outside.net.").rcode == SERVFAIL
    assert len(play.hierarchy.queries) == asked
    play.pass_time(31)
    assert play.resolve("ns.outside.net.").rcode == SERVFAIL
    assert len(play.hierarchy.queries) > asked


def test_no_policy_makes_a_bogus_answer_one_that_is_given() -> None:
    rule = rrset("24.0.113.0.203.rpz-ip.rpz. 60 A 192.0.2.99")
    play = bogus(policies=(PolicyZone(name_from_text("rpz."), (rule,)),))
    assert play.resolve("www.example.com.").rcode == SERVFAIL


def test_a_bogus_answer_is_not_given_when_it_has_expired() -> None:
    play = bogus(serve_expired=True)
    play.resolve("www.example.com.")
    play.pass_time(70)
    for address in (*SERVERS, ROOT_ADDRESS, "198.51.100.2", "198.51.100.3"):
        play.hierarchy.habit(address, lambda exchange, usual: [])
    assert play.resolve("www.example.com.").rcode == SERVFAIL


# Work


def attack(lines: str, more: dict[str, list[TinyZone]] | None = None, **settings: object) -> Play:
    """A tree in which com. has these records besides its own."""
    com = TinyZone("com.", "com. 172800 NS ns.com.\nns.com. 172800 A 198.51.100.2\n" + lines)
    servers = {ROOT_ADDRESS: [ROOT_ZONE], "198.51.100.2": [com], "198.51.100.3": [NET], **(more or {})}
    return Play(Hierarchy(servers), ResolverConfig(hints=HINTS, **settings))  # type: ignore[arg-type]


def test_nxns() -> None:
    """A delegation to many servers that do not exist (NXNSAttack) causes a few questions, not two for each."""
    hosts = " | ".join(f"ns{number}.victim.net." for number in range(500))
    play = attack(f"attack.com. 3600 NS {hosts}")
    assert play.resolve("www.attack.com.").rcode == SERVFAIL
    play.pass_time(300)
    assert len(play.hierarchy.queries) < 40


def test_delegations_that_lead_to_each_other() -> None:
    """Two zones, each served by names in the other (TsuKing, cyclic dependency)."""
    play = attack(
        """
        one.com. 3600 NS ns.two.com. | ns2.two.com.
        two.com. 3600 NS ns.one.com. | ns2.one.com.
        """
    )
    assert play.resolve("www.one.com.").rcode == SERVFAIL
    play.pass_time(300)
    assert len(play.hierarchy.queries) < 20
    assert not play.open


def test_a_long_chain_of_delegations_to_other_names() -> None:
    """Each zone is served by a name in the next: depth is bounded."""
    lines = "\n".join(f"z{number}.com. 3600 NS ns.z{number + 1}.com." for number in range(60))
    play = attack(lines)
    assert play.resolve("www.z0.com.").rcode == SERVFAIL
    play.pass_time(300)
    assert len(play.hierarchy.queries) < 40


def test_fan_out_is_bounded_for_the_whole_question() -> None:
    """Each zone has several servers with names in several zones, which have … : questions grow, but not without end."""
    lines = []
    for level in range(5):
        for place in range(4):
            hosts = " | ".join(f"ns.l{level + 1}p{other}.com." for other in range(4))
            lines.append(f"l{level}p{place}.com. 3600 NS {hosts}")
    play = attack("\n".join(lines))
    assert play.resolve("www.l0p0.com.").rcode == SERVFAIL
    play.pass_time(600)
    assert len(play.hierarchy.queries) <= 200


def test_a_long_chain_of_aliases_ends() -> None:
    lines = "\n".join(f"a{number}.example.com. 60 CNAME a{number + 1}.example.com." for number in range(50))
    zone = TinyZone(
        "example.com.", "example.com. 3600 NS ns1.example.com.\nns1.example.com. 3600 A 192.0.2.1\n" + lines
    )
    play = Play(
        Hierarchy({ROOT_ADDRESS: [ROOT_ZONE], "198.51.100.2": [COM], "198.51.100.3": [NET], "192.0.2.1": [zone]}),
        ResolverConfig(hints=HINTS, ipv6=False),
    )
    assert play.resolve("a0.example.com.").rcode == SERVFAIL
    assert sum(query[1].startswith("a") for query in play.hierarchy.queries) < 20


def test_servers_that_refuse_are_not_asked_for_long() -> None:
    play = Play(tree())
    for address in SERVERS:
        play.hierarchy.habit(address, lambda exchange, usual: [answer(exchange, Response(REFUSED))])
    before = len(play.hierarchy.queries)
    assert play.resolve("www.example.com.").rcode == SERVFAIL
    assert len(play.hierarchy.queries) - before < 30


def test_messages_for_one_question_are_counted() -> None:
    play = Play(tree(), ResolverConfig(hints=HINTS, max_sends=6))
    for address in SERVERS:
        play.hierarchy.habit(address, lambda exchange, usual: [])
    assert play.resolve("www.example.com.").rcode == SERVFAIL
    play.pass_time(600)
    assert len(play.hierarchy.queries) <= 6


def test_large_answers_to_one_question_are_counted() -> None:
    """Servers whose answers lead nowhere, but are long: two of 60 KB are enough."""
    padding = RRset(name_from_text("www.example.com."), 16, 60, tuple(bytes((200, n)) + bytes(199) for n in range(250)))
    play = Play(tree(), ResolverConfig(hints=HINTS, max_received=64_000))
    for address in SERVERS:
        play.hierarchy.habit(address, lambda exchange, usual: [answer(exchange, Response(REFUSED, answer=[padding]))])
    assert play.resolve("www.example.com.").rcode == SERVFAIL
    assert sum(query[0] in SERVERS for query in play.hierarchy.queries) == 2


def test_equal_questions_are_asked_once() -> None:
    play = Play(tree())
    tickets = [play.ask("www.example.com.") for _ in range(50)]
    play.run(lambda: all(ticket in play.answers for ticket in tickets))
    assert len(play.hierarchy.queries) < 10
    assert all(play.answers[ticket].answer[0].data == WWW for ticket in tickets)


def test_those_who_wait_are_bounded() -> None:
    play = Play(tree(), ResolverConfig(hints=HINTS, max_waiting=10, max_questions=100))
    tickets = [play.ask("www.example.com.") for _ in range(50)]
    refused = [ticket for ticket in tickets if ticket in play.answers]
    assert len(refused) == 40
    assert all(play.answers[ticket].rcode == SERVFAIL for ticket in refused)


def test_questions_are_bounded_and_the_oldest_gives_way() -> None:
    play = Play(tree(), ResolverConfig(hints=HINTS, max_questions=5))
    play.hierarchy.habit(ROOT_ADDRESS, lambda exchange, usual: [])
    first = [play.ask(f"n{number}.example.com.") for number in range(5)]
    refused = play.ask("late.example.com.")
    assert play.answers[refused].rcode < 0  # nothing is said to it
    play.pass_time(0.3)
    play.ask("later.example.com.")
    assert play.answers[first[0]].rcode == SERVFAIL


def test_answers_that_cannot_be_read_are_none() -> None:
    """Random bytes behind a good header, cut messages, wrong counts: nothing is raised, and every question ends."""
    rng = random.Random(7)

    def noise(exchange: Exchange, usual: bytes) -> list[bytes]:
        changed = bytearray(usual)
        for _ in range(rng.randrange(1, 8)):
            changed[rng.randrange(2, len(changed))] = rng.randrange(256)
        return [bytes(changed[: rng.randrange(12, len(changed) + 1)]), rng.randbytes(rng.randrange(40))]

    for seed in range(40):
        play = Play(tree(), seed=seed)
        for address in (*SERVERS, ROOT_ADDRESS, "198.51.100.2", "198.51.100.3"):
            play.hierarchy.habit(address, noise)
        response = play.resolve("www.example.com.")
        assert response.rcode in (NOERROR, SERVFAIL, NXDOMAIN)
        play.pass_time(300)
        assert not play.open


def test_a_forwarder_may_not_loop() -> None:
    """A forwarder that answers with aliases for ever."""
    server = Server(parse_address("192.0.2.9"))
    play = Play(Hierarchy({"192.0.2.9": []}), ResolverConfig(forwards=(ForwardZone(b"\0", (server,)),)))

    def endless(exchange: Exchange, usual: bytes) -> list[bytes]:
        query = parse(exchange.data)
        assert query.question is not None
        name = fold(query.question.name)
        return [answer(exchange, Response(answer=[RRset(name, CNAME, 60, (b"\x01x" + name,))], recursion=True))]

    play.hierarchy.habit("192.0.2.9", endless)
    assert play.resolve("www.example.com.").rcode == SERVFAIL
    assert len(play.hierarchy.queries) < 20

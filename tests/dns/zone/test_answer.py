"""How a zone answers, case by case of RFC 1034 4.3.2 and its successors."""

from __future__ import annotations

import pytest

from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.dns.text import text_of_data
from catenet.dns.zone import Zone, ZoneSet, read_zone
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.numbers import rcode_to_text, type_from_text, type_to_text

ZONE = """
$ORIGIN example.
$TTL 3600
@ SOA ns hostmaster 1 7200 900 1209600 300
@ NS ns
@ NS ns.other.
@ MX 10 mail
ns A 192.0.2.1
mail A 192.0.2.2
mail AAAA 2001:db8::2
www CNAME mail
loop CNAME pool
pool CNAME loop
gone CNAME nothing
out CNAME www.other.
_sip._tcp SRV 0 0 5060 mail
*.wild A 192.0.2.3
*.wild TXT "wild"
host.sub.wild A 192.0.2.4
cut NS ns.cut
cut NS ns.sibling
ns.cut A 192.0.2.5
sibling NS ns.sibling
ns.sibling AAAA 2001:db8::6
cut DS 1 8 2 00
old DNAME new
host.new A 192.0.2.7
svc HTTPS 1 . alpn=h2
svc A 192.0.2.8
"""
OTHER = """
$ORIGIN other.
$TTL 60
@ SOA ns hostmaster 1 7200 900 1209600 300
@ NS ns
ns A 192.0.2.9
www A 192.0.2.10
"""


def zone(text: str = ZONE) -> Zone:
    return read_zone(text)


def lines(sets: list[RRset]) -> list[str]:
    return [
        f"{name_to_text(one.name)} {one.ttl} {type_to_text(one.type)} {text_of_data(one.type, data)}"
        for one in sets
        for data in one.data
    ]


def ask(zones: Zone | ZoneSet, name: str, kind: str = "A") -> Response:
    return zones.answer(Question(name_from_text(name), type_from_text(kind)))


def said(zones: Zone | ZoneSet, name: str, kind: str = "A") -> tuple[str, list[str], list[str], list[str]]:
    response = ask(zones, name, kind)
    return (
        rcode_to_text(response.rcode),
        lines(response.answer),
        lines(response.authority),
        lines(response.additional),
    )


SOA = ["example. 300 SOA ns.example. hostmaster.example. 1 7200 900 1209600 300"]
MAIL = ["mail.example. 3600 A 192.0.2.2", "mail.example. 3600 AAAA 2001:db8::2"]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("NS.example.", "A", ("NOERROR", ["NS.example. 3600 A 192.0.2.1"], [], [])),
        ("ns.example.", "AAAA", ("NOERROR", [], SOA, [])),
        ("_tcp.example.", "SRV", ("NOERROR", [], SOA, [])),
        ("nobody.example.", "A", ("NXDOMAIN", [], SOA, [])),
        ("example.", "MX", ("NOERROR", ["example. 3600 MX 10 mail.example."], [], MAIL)),
        ("_sip._tcp.example.", "SRV", ("NOERROR", ["_sip._tcp.example. 3600 SRV 0 0 5060 mail.example."], [], MAIL)),
        ("www.example.", "A", ("NOERROR", ["www.example. 3600 CNAME mail.example.", MAIL[0]], [], [])),
        ("www.example.", "CNAME", ("NOERROR", ["www.example. 3600 CNAME mail.example."], [], [])),
        ("gone.example.", "A", ("NXDOMAIN", ["gone.example. 3600 CNAME nothing.example."], SOA, [])),
        ("out.example.", "A", ("NOERROR", ["out.example. 3600 CNAME www.other."], [], [])),
        (
            "loop.example.",
            "A",
            (
                "NOERROR",
                ["loop.example. 3600 CNAME pool.example.", "pool.example. 3600 CNAME loop.example."],
                [],
                [],
            ),
        ),
        ("a.b.wild.example.", "A", ("NOERROR", ["a.b.wild.example. 3600 A 192.0.2.3"], [], [])),
        ("a.wild.example.", "MX", ("NOERROR", [], SOA, [])),
        ("a.sub.wild.example.", "A", ("NXDOMAIN", [], SOA, [])),
        ("sub.wild.example.", "A", ("NOERROR", [], SOA, [])),
        (
            "host.cut.example.",
            "A",
            (
                "NOERROR",
                [],
                ["cut.example. 3600 NS ns.cut.example.", "cut.example. 3600 NS ns.sibling.example."],
                ["ns.cut.example. 3600 A 192.0.2.5", "ns.sibling.example. 3600 AAAA 2001:db8::6"],
            ),
        ),
        ("cut.example.", "DS", ("NOERROR", ["cut.example. 3600 DS 1 8 2 00"], [], [])),
        ("sibling.example.", "DS", ("NOERROR", [], SOA, [])),
        (
            "host.old.example.",
            "A",
            (
                "NOERROR",
                [
                    "old.example. 3600 DNAME new.example.",
                    "host.old.example. 3600 CNAME host.new.example.",
                    "host.new.example. 3600 A 192.0.2.7",
                ],
                [],
                [],
            ),
        ),
        ("old.example.", "A", ("NOERROR", [], SOA, [])),
        (
            "svc.example.",
            "HTTPS",
            ("NOERROR", ['svc.example. 3600 HTTPS 1 . alpn="h2"'], [], ["svc.example. 3600 A 192.0.2.8"]),
        ),
        ("www.other.", "A", ("REFUSED", [], [], [])),
    ],
)
def test_a_zone_answers(name: str, kind: str, expected: tuple[str, list[str], list[str], list[str]]) -> None:
    assert said(zone(), name, kind) == expected


def test_aliases_are_followed_across_the_zones_of_a_set() -> None:
    zones = ZoneSet([zone(), zone(OTHER)])
    assert said(zones, "out.example.")[1] == ["out.example. 3600 CNAME www.other.", "www.other. 60 A 192.0.2.10"]
    assert said(zones, "nowhere.")[0] == "REFUSED"


def test_a_name_too_long_for_its_dname_is_yxdomain() -> None:
    text = ZONE + "short DNAME " + ".".join(["x" * 63] * 3) + ".\n"
    assert said(zone(text), "y" * 63 + ".short.example.")[0] == "YXDOMAIN"


def test_ds_is_asked_of_the_parent_if_both_are_here() -> None:
    child = read_zone("$TTL 60\n@ SOA ns hostmaster 1 7200 900 1209600 300\n@ NS ns\n", name_from_text("cut.example."))
    zones = ZoneSet([zone(), child])
    assert said(zones, "cut.example.", "DS")[1] == ["cut.example. 3600 DS 1 8 2 00"]
    assert ask(zones, "cut.example.", "NS").authoritative
    assert said(ZoneSet([child]), "cut.example.", "DS")[0] == "NOERROR"


def test_any_gets_one_set_or_all() -> None:
    question = Question(name_from_text("mail.example."), 255)
    assert len(zone().answer(question).answer) == 1
    assert len(zone().answer(question, every_type=True).answer) == 2


def test_glue_below_the_cut_comes_first_and_must_not_be_left_out() -> None:
    assert ask(zone(), "host.cut.example.").glue == 1
    assert not ask(zone(), "host.cut.example.").authoritative


def test_empty_nonterminals_end_with_what_is_below_them() -> None:
    ours = zone()
    ours.discard(name_from_text("_sip._tcp.example."), type_from_text("SRV"))
    assert said(ours, "_tcp.example.", "SRV")[0] == "NXDOMAIN"
    assert said(ours, "example.", "MX")[0] == "NOERROR"

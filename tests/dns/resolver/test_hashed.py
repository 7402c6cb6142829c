"""Aggressive use of NSEC3 (RFC 8198): what exists is never denied, what does not is, but for opt-out."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.dns.dnssec import Nsec3Settings, SigningSettings, generate_key, sign_zone
from catenet.dns.dnssec.nsec3 import hash_to_label, nsec3_hash, pack_nsec3
from catenet.dns.dnssec.sign import sign_set
from catenet.dns.resolver.aggressive import Denials
from catenet.dns.resolver.cache import Cache, CacheLimits, Trust
from catenet.dns.response import Security
from catenet.dns.rrset import RRset
from catenet.dns.zone import read_zone
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.numbers import AAAA, ANY, DS, NOERROR, NS, NSEC3, NXDOMAIN, SOA, TXT, A

EXAMPLE = name_from_text("example.")
ZONE = """\
$ORIGIN example.
$TTL 3600
@ SOA ns h 1 7200 3600 604800 300
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
a.b.deep A 192.0.2.3
alias CNAME www
*.wild TXT "wild"
tree DNAME elsewhere.test.
signed NS ns.signed
signed DS 1 13 2 aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899
unsigned NS ns.other.test.
"""


def denials(*, opt_out=False, iterations=0, only=lambda one: True):
    """What is known of the zone when its NSEC3 records have come."""
    key = generate_key(EXAMPLE, 13, is_entry_point=True)
    nsec3 = Nsec3Settings(iterations=iterations, salt=b"\xaa", opt_out=opt_out)
    signing = SigningSettings(inception=0, expiration=1 << 31, nsec3=nsec3)
    signed = sign_zone(list(read_zone(ZONE, EXAMPLE).sets()), EXAMPLE, [key], signing)
    cache = Cache(CacheLimits(1 << 24, 0, 86_400, 3_600, 0.0))
    known = Denials(cache)
    entries = []
    for one in signed:
        if (one.type == NSEC3 and only(one)) or one.type == SOA:
            entry = cache.store(one, Trust.VALIDATED, 0.0)
            entry.security = Security.SECURE
            entries.append(entry)
    known.add(one for one in entries if one.type == NSEC3)
    return known, len(entries) - 1


def said(known, name, kind=A, now=1.0):
    found = known.find(Question(name_from_text(name), kind), now)
    return None if found is None else found.rcode


def test_denials_of_all_kinds():
    known, count = denials()
    assert len(known) == count > 10
    for name in ("no.example.", "a.b.c.no.example.", "x.www.example.", "x.a.b.deep.example.", "c.deep.example."):
        assert said(known, name) == NXDOMAIN, name
    for name, kind in (
        ("www.example.", AAAA),
        ("example.", TXT),
        ("b.deep.example.", A),  # an empty non-terminal
        ("any.wild.example.", A),  # the wildcard has no such type
        ("unsigned.example.", DS),
    ):
        assert said(known, name, kind) == NOERROR, name
    for name, kind in (
        ("www.example.", A),
        ("www.example.", ANY),
        ("alias.example.", TXT),
        ("any.wild.example.", TXT),
        ("x.tree.example.", A),
        ("x.signed.example.", A),
        ("signed.example.", A),
        ("signed.example.", DS),
        ("unsigned.example.", A),
        ("x.unsigned.example.", A),
        ("example.", DS),
        ("example.", NS),
        (f"{'l.' * 12}example.", A),  # too many hashes
        ("no.other.", A),
    ):
        assert said(known, name, kind) is None, name
    assert said(known, "no.example.", now=1e6) is None, "all of it has expired"


def test_opt_out_denies_no_name():
    known, _ = denials(opt_out=True)
    assert said(known, "no.example.") is None
    assert said(known, "unsigned.example.", DS) is None
    assert said(known, "www.example.", AAAA) == NOERROR, "what matches counts"


@pytest.mark.parametrize("iterations, wanted", [(10, NXDOMAIN), (11, None)])
def test_zones_that_hash_too_often_are_left_alone(iterations, wanted):
    assert said(denials(iterations=iterations)[0], "no.example.") == wanted


def test_ranges_that_are_made_for_one_question_say_nothing_of_others():
    owner = nsec3_hash(name_from_text("www.example."), b"", 0)
    cache = Cache(CacheLimits(1 << 24, 0, 86_400, 3_600, 0.0))
    known = Denials(cache)
    name = hash_to_label(owner) + EXAMPLE
    for distance in (1, 2):
        following = (int.from_bytes(owner, "big") + distance).to_bytes(20, "big")
        key = generate_key(EXAMPLE, 13, is_entry_point=True)
        one = RRset(name, NSEC3, 60, (pack_nsec3(0, b"", False, following, b"\0\1\x40"),))
        entry = cache.store(sign_set(one, [key], 0, 1 << 31), Trust.VALIDATED, 0.0)
        entry.security = Security.SECURE
        known.add([entry])
        assert len(known) == distance - 1


NAMES = [
    "www",
    "ns",
    "deep",
    "b.deep",
    "a.b.deep",
    "alias",
    "tree",
    "x.tree",
    "signed",
    "x.signed",
    "unsigned",
    "x.wild",
]


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_with_some_of_the_records_nothing_that_exists_is_denied(draw: random.Random):
    known, _ = denials(only=lambda one: draw.random() < 0.7)
    for name in NAMES:
        assert said(known, f"{name}.example.") != NXDOMAIN, name
    for name, kind in (("www", A), ("a.b.deep", A), ("any.wild", TXT), ("alias", TXT), ("signed", DS)):
        assert said(known, f"{name}.example.", kind) is None, name


def test_records_of_another_zone_or_made_from_a_wildcard_are_passed_over():
    known, _ = denials()
    before = len(known)
    cache = Cache(CacheLimits(1 << 24, 0, 86_400, 3_600, 0.0))
    entry = cache.store(RRset(fold(EXAMPLE), NSEC3, 60, (b"\1\0\0\0\0",), (bytes(18) + EXAMPLE,)), Trust.VALIDATED, 0.0)
    known.add([entry])
    assert len(known) == before

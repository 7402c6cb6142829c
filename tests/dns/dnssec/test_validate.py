"""Validation over trees of zones that we sign: what is right is secure, what is unsigned insecure, the rest bogus."""

from __future__ import annotations

import pytest
from tests.dns.dnssec.tree import Tree

from catenet.dns.dnssec.sign import Nsec3Settings
from catenet.dns.response import Security
from catenet.wire.dns.numbers import NOERROR

SECURE, INSECURE, BOGUS = Security.SECURE, Security.INSECURE, Security.BOGUS
CHILD = """
www A 192.0.2.1
www A 192.0.2.2
alias CNAME www.child.example.
abroad CNAME www.plain.example.
gone CNAME nothing.child.example.
*.wild A 192.0.2.3
*.wildalias CNAME www.child.example.
a.b.c A 192.0.2.4
old DNAME new.child.example.
x.new A 192.0.2.5
"""
SCHEMES = [None, Nsec3Settings(), Nsec3Settings(b"\xab\xcd", 5), Nsec3Settings(opt_out=True)]


def make_tree(nsec3: Nsec3Settings | None = None) -> Tree:
    tree = Tree()
    tree.add("child.example.", CHILD, nsec3=nsec3)
    tree.add("plain.example.", "www A 192.0.2.9", signed=False)
    tree.add("island.example.", "www A 192.0.2.9", with_ds=False)
    tree.add("example.", "host A 192.0.2.8", nsec3=nsec3)
    tree.add(".")
    return tree


QUESTIONS = [
    ("www.child.example.", "A", SECURE),
    ("WWW.Child.Example.", "A", SECURE),
    ("alias.child.example.", "A", SECURE),
    ("abroad.child.example.", "A", INSECURE),
    ("x.wild.child.example.", "A", SECURE),
    ("x.y.wild.child.example.", "A", SECURE),
    ("x.wildalias.child.example.", "A", SECURE),
    ("x.old.child.example.", "A", SECURE),
    ("child.example.", "SOA", SECURE),
    ("child.example.", "DNSKEY", SECURE),
    ("child.example.", "DS", SECURE),
    ("www.child.example.", "AAAA", SECURE),
    ("child.example.", "MX", SECURE),
    ("b.c.child.example.", "A", SECURE),
    ("www.child.example.", "DS", SECURE),
    (".", "DS", SECURE),
    ("www.plain.example.", "A", INSECURE),
    ("nothing.plain.example.", "A", INSECURE),
    ("www.plain.example.", "TXT", INSECURE),
    ("www.island.example.", "A", INSECURE),
    ("nothing.island.example.", "A", INSECURE),
]
DENIED = [
    ("nothing.child.example.", "A"),
    ("a.nothing.child.example.", "A"),
    ("zzz.child.example.", "MX"),
    ("gone.child.example.", "A"),
    ("x.wild.child.example.", "AAAA"),
    ("plain.example.", "DS"),
]


@pytest.mark.parametrize("nsec3", SCHEMES)
@pytest.mark.parametrize(("owner", "kind", "expected"), QUESTIONS)
def test_what_a_good_tree_has(owner: str, kind: str, expected: Security, nsec3: Nsec3Settings | None) -> None:
    verdict = make_tree(nsec3).validate(owner, kind)
    if nsec3 is not None and nsec3.opt_out and "x." in owner and "wild" in owner:
        expected = INSECURE  # RFC 5155 9.2: what is unsigned in that range may be closer than the wildcard
    assert verdict.security is expected, verdict.reason


@pytest.mark.parametrize("nsec3", SCHEMES)
@pytest.mark.parametrize(("owner", "kind"), DENIED)
def test_what_a_good_tree_denies(owner: str, kind: str, nsec3: Nsec3Settings | None) -> None:
    verdict = make_tree(nsec3).validate(owner, kind)
    is_open = nsec3 is not None and nsec3.opt_out
    assert verdict.security is (INSECURE if is_open else SECURE), verdict.reason


@pytest.mark.parametrize("algorithm", [13, 14, 15, 16])
def test_algorithms(algorithm: int) -> None:
    tree = Tree()
    tree.add(".", "www A 192.0.2.1", algorithm=algorithm)
    assert tree.validate("www.", "A").security is SECURE
    assert tree.validate("nothing.", "A").security is SECURE


def test_keys_are_asked_for_once() -> None:
    tree = make_tree()
    context = tree.context()
    tree.validate("www.child.example.", "A", context)
    asked = len(tree.asked)
    assert tree.validate("x.wild.child.example.", "A", context).security is SECURE
    assert len(tree.asked) == asked + 1
    assert context.budget.questions == 5


def test_the_reason_names_what_expired() -> None:
    tree = Tree()
    tree.add("example.", "www A 192.0.2.1", start=-13 * 86_400)
    tree.add(".")
    verdict = tree.validate("www.example.", "A")
    assert (verdict.security, verdict.reason) == (BOGUS, "signature of example. expired 3 days ago (DNSKEY)")
    assert [error.code for error in verdict.errors] == [7]
    assert verdict.rcode == NOERROR

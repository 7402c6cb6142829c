"""Whatever answers say, validation ends with a verdict, and nothing that was altered is secure."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dns.dnssec.tree import Tree, name

from catenet.dns.dnssec.anchor_text import AnchorError, parse_anchors
from catenet.dns.dnssec.rollover import TrustPoint
from catenet.dns.dnssec.sign import Nsec3Settings
from catenet.dns.dnssec.validate import validate
from catenet.dns.response import Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import DNSKEY, DS, NSEC, NSEC3, NXDOMAIN, SOA, A, type_from_text
from catenet.wire.dns.rdata import canonical

BODY = """
www A 192.0.2.1
alias CNAME www
*.wild A 192.0.2.3
a.b.c A 192.0.2.4
old DNAME c
"""
QUESTIONS = [
    *(("www.child.example.", "A"), ("alias.child.example.", "A"), ("x.wild.child.example.", "A")),
    *(("no.child.example.", "A"), ("www.child.example.", "MX"), ("b.c.child.example.", "A")),
    *(
        ("a.b.old.child.example.", "A"),
        ("x.wild.child.example.", "MX"),
        ("child.example.", "DS"),
        ("plain.example.", "DS"),
    ),
]


def make_tree(nsec3: Nsec3Settings | None) -> Tree:
    tree = Tree()
    tree.add("child.example.", BODY, nsec3=nsec3)
    tree.add("plain.example.", BODY, signed=False)
    tree.add("example.", BODY, nsec3=nsec3)
    tree.add(".")
    return tree


TREES = {"nsec": make_tree(None), "nsec3": make_tree(Nsec3Settings(b"\1", 1))}


class Mangler:
    """Alters answers at random, by what a seed says."""

    def __init__(self, seed: int, chance: float, pool: list[RRset]) -> None:
        self.rng = random.Random(seed)
        self.chance = chance
        self.pool = pool

    def __call__(self, question: Question, response: Response) -> Response:
        rng = self.rng
        if rng.random() < 0.02:
            return Response(rng.choice((0, 2, 3, 5)))
        rcode = NXDOMAIN - response.rcode if response.rcode in (0, NXDOMAIN) and rng.random() < 0.1 else response.rcode
        return replace(
            response, rcode=rcode, answer=self.section(response.answer), authority=self.section(response.authority)
        )

    def section(self, sets: list[RRset]) -> list[RRset]:
        rng, found = self.rng, []
        for rrset in sets:
            chance = rng.random()
            if chance > self.chance:
                found.append(rrset)
            elif chance > self.chance * 0.2:
                found.append(self.alter(rrset))
        if rng.random() < self.chance:
            found.append(rng.choice(self.pool))
        rng.shuffle(found)
        return found

    def alter(self, rrset: RRset) -> RRset:
        rng = self.rng
        way = rng.randrange(6)
        if way == 0:
            return replace(rrset, data=tuple(self.flip(one) for one in rrset.data))
        if way == 1:
            return replace(rrset, signatures=tuple(self.flip(one) for one in rrset.signatures))
        if way == 2:
            return replace(rrset, signatures=())
        if way == 3:
            return replace(rrset, name=rng.choice(self.pool).name)
        if way == 4:
            return replace(rrset, data=(*rrset.data, rng.choice(self.pool).data[0]))
        return replace(rrset, signatures=(*rng.choice(self.pool).signatures, *rrset.signatures))

    def flip(self, data: bytes) -> bytes:
        if not data:
            return b"\1"
        place = self.rng.randrange(len(data))
        if self.rng.random() < 0.2:
            return data[:place]
        return data[:place] + bytes((data[place] ^ 1 << self.rng.randrange(8),)) + data[place + 1 :]


def facts(tree: Tree) -> set[tuple[bytes, int, frozenset[bytes]]]:
    """All that the signed zones say, names made from wildcards left out."""
    return {fact(one) for zone in tree.zones.values() for one in zone.sets}


def fact(rrset: RRset) -> tuple[bytes, int, frozenset[bytes]]:
    """What a set says; the case of names in it says nothing (RFC 4034 6.2)."""
    return (*rrset.key, frozenset(canonical(data, rrset.type) for data in rrset.data))


@pytest.mark.parametrize("scheme", TREES)
@pytest.mark.parametrize("chance", [0.1, 0.5])
def test_nothing_altered_is_secure(scheme: str, chance: float) -> None:
    tree = TREES[scheme]
    pool = [one for zone in tree.zones.values() for one in zone.sets]
    known = facts(tree)
    wildcard = tree.zones[name("child.example.")].find(name("*.wild.child.example."), A)
    assert wildcard is not None
    secure = 0
    try:
        for seed in range(600):
            tree.changes[:] = [Mangler(seed, chance, pool)]
            owner, kind = QUESTIONS[seed % len(QUESTIONS)]
            question = Question(name(owner), type_from_text(kind))
            response = tree.resolve(question)
            verdict = tree.validate(owner, kind, response=response)
            if verdict.security is not Security.SECURE:
                continue
            secure += 1
            for rrset in verdict.apply(response).answer:
                finding = verdict.findings.get(rrset)
                if finding is None or not rrset.signatures:
                    continue  # what nobody asked for, and the CNAME of a DNAME
                is_wild = fold(rrset.name).endswith(name("wild.child.example.")) and rrset.type == A
                assert fact(rrset) in known or (is_wild and rrset.data == wildcard.data)
            check_denial(tree, question, response, verdict.rcode)
    finally:
        tree.changes.clear()
    assert secure > (10 if chance > 0.3 else 200)


def test_a_signer_that_is_no_name() -> None:
    """Compression pointers are for messages; in data that came out of one they are nothing."""
    tree = TREES["nsec"]
    rrset = tree.zones[name("child.example.")].find(name("www.child.example."), A)
    assert rrset is not None
    head = rrset.signatures[0][:18]
    pointers = b"\xc0\x00", b"\xc0", b"\x05child\xc0\x01"
    for signer in (*pointers, b"\x3fx", b"\x01a" * 130 + b"\0", b"\x41" + b"a" * 65 + b"\0"):
        response = Response(answer=[replace(rrset, signatures=(head + signer + bytes(64),))])
        assert tree.validate("www.child.example.", "A", response=response).security is Security.BOGUS
        alias = RRset(rrset.name, 5, 300, (signer,))
        assert tree.validate("www.child.example.", "A", response=Response(answer=[alias])).security is Security.BOGUS


def check_denial(tree: Tree, question: Question, response: Response, rcode: int) -> None:
    """What was securely denied does not exist."""
    if any(one.type in (question.type, 5, 39) for one in response.answer):
        return
    changes, tree.changes = tree.changes, []
    real = tree.resolve(question)
    tree.changes = changes
    assert not any(one.type == question.type for one in real.answer), question
    assert rcode == real.rcode, question


DATA = st.binary(max_size=80)
NAMES = st.sampled_from([name(one) for one in (".", "example.", "child.example.", "www.child.example.", "x.")])
SETS = st.builds(
    RRset,
    NAMES,
    st.sampled_from([A, DS, DNSKEY, NSEC, NSEC3, SOA, 5, 39]),
    st.integers(0, 2**31 - 1),
    st.lists(DATA, min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(DATA, max_size=3).map(tuple),
)
RESPONSES = st.builds(Response, st.sampled_from([0, 2, 3, 6]), st.lists(SETS, max_size=4), st.lists(SETS, max_size=4))


@given(NAMES, st.sampled_from([A, DS, DNSKEY, NSEC, 5, 46, 255]), st.lists(RESPONSES, min_size=1, max_size=4))
@settings(max_examples=300)
def test_arbitrary_answers_end_with_a_verdict(owner: bytes, kind: int, responses: list[Response]) -> None:
    tree = TREES["nsec"]
    steps = validate(Question(owner, kind), responses[0], tree.context())
    asked = 0
    try:
        next(steps)
        while True:
            asked += 1
            assert asked < 50
            steps.send(responses[asked % len(responses)])
    except StopIteration as stop:
        assert stop.value.security is not Security.SECURE
        assert list(stop.value.proof.lines())


@given(st.text(alphabet=st.sampled_from("; \n\t().DSNKEYIx0123456789abcAB=$"), max_size=200))
def test_arbitrary_texts_are_anchors_or_mistakes(text: str) -> None:
    try:
        list(parse_anchors(text, "file"))
    except AnchorError as error:
        assert str(error).startswith("file:") and "\n" not in str(error)
    try:
        TrustPoint.from_text(";;id: . 1\n" + text, "file")
    except AnchorError as error:
        assert str(error).startswith("file:")

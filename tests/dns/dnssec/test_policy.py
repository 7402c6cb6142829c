"""What operators decide, what a verdict says besides its word, and what becomes of the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.dns.dnssec.tree import DAY, WALL, Tree, make_key, name, run

from catenet.dns.dnssec.anchor_text import AnchorError
from catenet.dns.dnssec.anchors import Anchor, TrustAnchors
from catenet.dns.dnssec.keys import Ds, ds_from_key
from catenet.dns.dnssec.policy import Policy
from catenet.dns.response import Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.numbers import CH, NS, NSEC, SERVFAIL, TXT, A, type_from_text

SECURE, INSECURE, BOGUS, INDETERMINATE = Security.SECURE, Security.INSECURE, Security.BOGUS, Security.INDETERMINATE
BODY = "www A 192.0.2.1\n*.wild A 192.0.2.3\n"


def make_tree(**how: object) -> Tree:
    tree = Tree()
    tree.add("child.example.", BODY, **how)  # type: ignore[arg-type]
    tree.add("example.", BODY)
    tree.add(".")
    return tree


@pytest.mark.parametrize("algorithm", [5, 7])
def test_sha1_is_validated_or_refused(algorithm: int) -> None:
    tree = make_tree(algorithm=algorithm)
    assert tree.validate("www.child.example.", "A").security is SECURE
    verdict = tree.validate("www.child.example.", "A", tree.context(Policy(refuse_sha1=True)))
    assert verdict.security is INSECURE
    assert verdict.reason == "DS of child.example. has only unknown algorithms"
    assert [error.code for error in verdict.errors] == [1]


def test_algorithms_and_digests_that_are_switched_off() -> None:
    tree = make_tree(algorithm=13)
    verdict = tree.validate("www.child.example.", "A", tree.context(Policy(algorithms=frozenset((15,)))))
    assert verdict.security is INSECURE
    verdict = tree.validate("www.child.example.", "A", tree.context(Policy(digests=frozenset((4,)))))
    assert verdict.security is INSECURE and [error.code for error in verdict.errors] == [1]  # the anchor already
    key = make_key(name("child.example."))
    verdict = make_tree(ds=[Ds(key.key.tag, 15, 3, bytes(32))]).validate("www.child.example.", "A")
    assert (verdict.security, [error.code for error in verdict.errors]) == (INSECURE, [2])


def test_permissive() -> None:
    tree = make_tree(start=-30 * DAY)
    verdict = tree.validate("www.child.example.", "A", tree.context(Policy(permissive=True)))
    assert verdict.security is INDETERMINATE
    assert verdict.reason == "permissive: bogus: signature of child.example. expired 20 days ago (DNSKEY)"


def test_signatures_may_be_a_little_late() -> None:
    tree = make_tree(start=-10 * DAY - 1800)
    assert tree.validate("www.child.example.", "A").reason.endswith("expired 30 minutes ago (DNSKEY)")
    lenient = Policy(least_skew=3600, most_skew=DAY)
    assert tree.validate("www.child.example.", "A", tree.context(lenient)).security is SECURE
    assert lenient.skew(100) == 3600 and lenient.skew(100 * DAY) == DAY and Policy().skew(100 * DAY) == 0


def test_negative_anchors() -> None:
    tree = make_tree(start=-30 * DAY)
    context = tree.context()
    assert tree.validate("www.child.example.", "A", context).security is BOGUS
    context.anchors.add_negative(name("Child.Example."), WALL + 100)
    verdict = tree.validate("www.child.example.", "A", context)
    assert (verdict.security, verdict.reason) == (INSECURE, "negative trust anchor at child.example.")
    assert tree.validate("www.example.", "A", context).security is SECURE
    assert tree.validate("child.example.", "DS", context).security is SECURE
    context.wall += 101
    assert tree.validate("www.child.example.", "A", context).security is BOGUS
    context.anchors.add_negative(name("child.example."))
    context.anchors.remove_negative(name("child.example."))
    assert tree.validate("www.child.example.", "A", context).security is BOGUS


def test_the_deepest_anchor_counts() -> None:
    tree = make_tree()
    context = tree.context()
    child = tree.zones[name("child.example.")]
    context.anchors.add(Anchor(child.origin, (), (child.keys[0].key,)))
    assert tree.validate("www.child.example.", "A", context).security is SECURE
    assert [str(one.type) for one in tree.asked if one.type == 43] == []
    context.anchors.replace(Anchor(child.origin, (), (make_key(child.origin, seed=9).key,)))
    verdict = tree.validate("www.child.example.", "A", context)
    assert verdict.security is BOGUS
    assert verdict.reason == "no DNSKEY of child.example. is one that a trust anchor names"
    context.anchors.replace(Anchor(child.origin))
    assert tree.validate("www.child.example.", "A", context).security is SECURE


def test_without_an_anchor_nothing_is_known() -> None:
    tree = make_tree()
    context = replace(tree.context(), anchors=TrustAnchors())
    verdict = tree.validate("www.child.example.", "A", context)
    assert (verdict.security, verdict.reason) == (INDETERMINATE, "no trust anchor at or above child.example.")
    assert tree.asked == [Question(name("www.child.example."), A)]
    unknown = replace(tree.context(), anchors=TrustAnchors([Anchor(ROOT, (Ds(1, 200, 2, bytes(32)),))]))
    assert tree.validate("www.child.example.", "A", unknown).security is INSECURE


def test_what_is_not_validated() -> None:
    tree = make_tree()
    context = tree.context()
    question = Question(name("www.child.example."), TXT, CH)
    assert run(question, Response(), context, tree.ask).security is INDETERMINATE
    assert tree.validate("www.child.example.", "A", response=Response(SERVFAIL)).security is INDETERMINATE
    assert tree.validate("www.child.example.", "RRSIG", response=Response()).security is INSECURE
    assert context.budget.valops == 0


def test_every_set_of_any() -> None:
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    everything = [one for one in child.sets if one.name == child.origin]
    response = Response(answer=everything)
    assert tree.validate("child.example.", "ANY", response=response).security is SECURE
    spoilt = [replace(one, signatures=()) if one.type == NS else one for one in everything]
    assert tree.validate("child.example.", "ANY", response=Response(answer=spoilt)).security is BOGUS


@pytest.mark.parametrize("kind", ["CNAME", "ANY", "A", "TXT"])
def test_what_a_dname_makes(kind: str) -> None:
    tree = Tree()
    tree.add("child.example.", "old DNAME new\na.new A 192.0.2.1\n")
    tree.add("example.")
    tree.add(".")
    owner = "a.old.child.example."
    response = tree.resolve(Question(name(owner), type_from_text(kind)))
    assert tree.validate(owner, kind, response=response).security is SECURE
    made = next(one for one in response.answer if one.type == 5)
    other = replace(made, data=(name("b.new.child.example."),))
    forged = replace(response, answer=[other if one is made else one for one in response.answer])
    assert tree.validate(owner, kind, response=forged).security is BOGUS
    alone = replace(response, answer=[one for one in response.answer if one.type != 39])
    assert tree.validate(owner, kind, response=alone).security is BOGUS


def test_extended_errors() -> None:
    for how, code in (
        ({"start": -30 * DAY}, 7),
        ({"start": 30 * DAY}, 8),
        ({"ds": [ds_from_key(name("child.example."), make_key(name("child.example."), seed=3).key)]}, 9),
    ):
        verdict = make_tree(**how).validate("www.child.example.", "A")
        assert [error.code for error in verdict.errors] == [code], verdict.reason
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    child.change("www", "A", lambda one: replace(one, signatures=()))
    assert [error.code for error in tree.validate("www.child.example.", "A").errors] == [10]
    child.sets = [one for one in child.sets if one.type != NSEC]
    assert [error.code for error in tree.validate("no.child.example.", "A").errors] == [12]


def test_ttls_are_capped() -> None:
    tree = make_tree(start=-9 * DAY - 86_300)
    response = tree.resolve(Question(name("www.child.example."), A))
    verdict = tree.validate("www.child.example.", "A", response=response)
    assert verdict.ttl == 100
    assert [one.ttl for one in verdict.apply(response).answer] == [100]
    grown = replace(response, answer=[replace(one, ttl=7200) for one in response.answer])
    verdict = make_tree().validate(
        "www.child.example.", "A", response=make_tree().resolve(Question(name("www.child.example."), A))
    )
    assert verdict.ttl == 3600
    verdict = tree.validate("www.child.example.", "A", response=grown)
    assert [one.ttl for one in verdict.apply(grown).answer] == [100]


def test_what_becomes_of_the_answer() -> None:
    tree = make_tree()
    response = tree.resolve(Question(name("x.wild.child.example."), A))
    servers = tree.zones[name("child.example.")].find(name("child.example."), NS)
    assert servers is not None
    unsigned = RRset(name("child.example."), NS, 60, (name("evil."),))
    whole = replace(response, authority=[*response.authority, servers, unsigned])
    verdict = tree.validate("x.wild.child.example.", "A", response=whole)
    applied = verdict.apply(whole)
    assert applied.security is SECURE and servers in applied.authority and unsigned not in applied.authority
    assert len(applied.authority) == len(response.authority) + 1


def test_the_proof_is_a_tree() -> None:
    lines = list(make_tree().validate("no.child.example.", "A").proof.lines())
    assert lines[0] == "secure: answer to no.child.example. A [RFC 4035 5]"
    text = "\n".join(lines)
    for words in (
        "and no wildcard [RFC 4035 5.4]",
        "signature over child.example. NSEC: key ",
        "secure: keys of child.example. [RFC 4035 5.2]",
        "secure: DS of child.example. [RFC 4035 5.2]",
        "secure: trust anchor of . [RFC 4035 5]",
    ):
        assert words in text


def test_anchors_of_files(tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    key = make_key(ROOT).key
    words = key.to_text().split(None, 3)
    first, second = (ds_from_key(name("example."), key, kind).to_text() for kind in (2, 4))
    path.write_text(
        f"; comment\n$TTL 1d\n. 3600 IN DNSKEY {' '.join(words[:3])} (\n"
        f"  {words[3][:20]} ; first part\n  {words[3][20:]} )\n"
        f"$ORIGIN example.\n@ DS {first}\n  IN DS {second}\n"
    )
    anchors = TrustAnchors.from_files([path])
    assert anchors.zones == [ROOT, name("example.")]
    top, below = anchors.get(ROOT), anchors.closest(name("www.example."))
    assert top is not None and [one.data for one in top.keys] == [key.data]
    assert below is not None and [one.digest_type for one in below.digests] == [2, 4]
    assert len(anchors.get(name("example.")).digests) == 2  # type: ignore[union-attr]
    root = TrustAnchors.root().get(ROOT)
    assert root is not None and [one.tag for one in root.digests] == [20_326, 38_696]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (". IN DS 1 8 2 00\n", "file:1: a digest of type 2 has 64 hexadecimal digits, not 2"),
        ("\n. IN DS 1 8\n", "file:2: DS takes 'key-tag algorithm digest-type hexadecimal-digits', not 2 words"),
        (". IN DS 70000 8 2 00\n", "file:1: key tag '70000' is no number from 0 to 65535"),
        (". IN DNSKEY 257 3 8\n", "file:1: DNSKEY takes 'flags protocol algorithm base64', not 3 words"),
        (". IN DNSKEY 257 3 8 ?\n", "file:1: "),
        (". IN A 192.0.2.1\n", "file:1: record type A; a trust anchor is a DS or DNSKEY record"),
        (".\n", "file:1: the name '.' without type and data"),
        ("  IN DS 1 8 2 00\n", "file:1: the first record has no owner"),
        ("a..b DS 1 8 2 00\n", "file:1: 'a..b' has an empty label"),
        ("$ORIGIN\n", "file:1: $ORIGIN takes 'a name'"),
        (". DS ( 1 8\n", "file:1: '(' without ')'"),
        (". DS 1 )\n", "file:1: ')' without '('"),
    ],
)
def test_mistakes_in_anchors(text: str, problem: str) -> None:
    with pytest.raises(AnchorError) as caught:
        TrustAnchors.from_text(text, "file")
    assert str(caught.value).startswith(problem)


def test_names_and_case() -> None:
    """Owners, signers and names in data are compared without case, whatever comes (RFC 4343, RFC 6840 5.1)."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    child.sets = [replace(one, name=one.name.upper()) for one in child.sets]
    assert tree.validate("www.child.example.", "A").security is SECURE
    assert tree.validate("no.child.example.", "A").security is SECURE
    assert name_from_text("WWW.") != name("www.")

"""Faults that validators had, each tried on ours. The table is in docs/dns.md."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.dns.dnssec.tree import DAY, WALL, ServedZone, Tree, name

from catenet.dns.dnssec.budget import Budget
from catenet.dns.dnssec.keys import Key, ds_from_key, key_tag
from catenet.dns.dnssec.nsec import Nsec
from catenet.dns.dnssec.nsec3 import Nsec3, nsec3_hash
from catenet.dns.dnssec.policy import Policy
from catenet.dns.dnssec.private import SigningKey
from catenet.dns.dnssec.sign import Nsec3Settings, sign_set
from catenet.dns.response import Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.bitmap import pack_types
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AAAA, DNSKEY, DS, NS, NSEC, NSEC3, NXDOMAIN, RRSIG, SOA, TXT, A, type_to_text

SECURE, INSECURE, BOGUS = Security.SECURE, Security.INSECURE, Security.BOGUS
BODY = """
www A 192.0.2.1
*.wild A 192.0.2.3
b.wild A 192.0.2.4
a.ent A 192.0.2.5
mail MX 10 www
"""


def make_tree(nsec3: Nsec3Settings | None = None, body: str = BODY) -> Tree:
    tree = Tree()
    tree.add("child.example.", body, nsec3=nsec3)
    tree.add("plain.example.", "www A 192.0.2.9", signed=False)
    tree.add("sister.example.", body, nsec3=nsec3)
    tree.add("example.", BODY, nsec3=nsec3)
    tree.add(".", nsec3=nsec3)
    return tree


def sign(zone: ServedZone, rrset: RRset) -> RRset:
    return sign_set(rrset, zone.keys[:1], int(WALL) - DAY, int(WALL) + DAY)


def nsec(zone: ServedZone, owner: str, following: str, *kinds: int) -> RRset:
    data = name(following) + pack_types({NSEC, RRSIG, *kinds})
    return sign(zone, RRset(name(owner), NSEC, 300, (data,)))


def soa(zone: ServedZone) -> RRset:
    found = zone.find(zone.origin, SOA)
    assert found is not None
    return found


def denial(zone: ServedZone, *proof: RRset, rcode: int = NXDOMAIN) -> Response:
    return Response(rcode, authority=[soa(zone), *proof])


def cover(zone: ServedZone, owner: str) -> list[RRset]:
    """The zone's own proof that a name does not exist."""
    response = zone.answer(Question(name(owner), A))
    assert response.rcode == NXDOMAIN
    return [one for one in response.authority if one.type in (NSEC, NSEC3)]


def test_nsec3_of_another_zone_proves_nothing() -> None:
    tree = make_tree(Nsec3Settings())
    child, sister, parent = (tree.zones[name(f"{one}example.")] for one in ("child.", "sister.", ""))
    for stranger in (sister, parent):
        proof = [*cover(stranger, "zz.sister.example." if stranger is sister else "zz.example.")]
        verdict = tree.validate("www.child.example.", "A", response=denial(child, *proof))
        assert verdict.security is BOGUS, verdict.reason
    # hashed under the name of the child, but signed by the sister's zone
    owners = [replace(one, name=one.name[:33] + child.origin) for one in cover(sister, "zz.sister.example.")]
    verdict = tree.validate("www.child.example.", "A", response=denial(child, *owners))
    assert verdict.security is BOGUS


def test_an_unsigned_nsec_beside_signed_sets_proves_nothing() -> None:
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    forged = replace(nsec(child, "mail.child.example.", "zz.child.example.", A), signatures=())
    apex = replace(nsec(child, "child.example.", "mail.child.example.", SOA, NS), signatures=())
    verdict = tree.validate("www.child.example.", "A", response=denial(child, forged, apex))
    assert verdict.security is BOGUS
    # added to the records of a signed set, it breaks that one
    real = child.find(child.origin, NSEC)
    assert real is not None
    both = replace(real, data=(*real.data, forged.data[0]))
    assert tree.validate("www.child.example.", "A", response=denial(child, both)).security is BOGUS


def test_empty_non_terminals_exist() -> None:
    for scheme in (None, Nsec3Settings()):
        tree = make_tree(scheme)
        child = tree.zones[name("child.example.")]
        assert tree.validate("ent.child.example.", "A").security is SECURE
        real = child.answer(Question(name("ent.child.example."), A))
        lie = replace(real, rcode=NXDOMAIN)
        verdict = tree.validate("ent.child.example.", "A", response=lie)
        assert (verdict.security, verdict.rcode) == (SECURE, 0)
    # NSEC between an empty non-terminal's neighbours proves that it exists, not that a wildcard stands for it
    child = make_tree().zones[name("child.example.")]
    record = next(
        one for one in child.sets if one.type == NSEC and one.data[0].startswith(name("a.ent.child.example."))
    )
    parsed = Nsec(record.name, record.data[0], child.origin)
    assert parsed.covers(name("ent.child.example.")) and parsed.is_above_next(name("ent.child.example."))


@pytest.mark.parametrize("nsec3", [None, Nsec3Settings()])
def test_the_parents_side_of_a_cut_denies_nothing_below(nsec3: Nsec3Settings | None) -> None:
    tree = make_tree(nsec3)
    parent = tree.zones[name("example.")]
    at_cut = parent.answer(Question(name("plain.example."), DS)).authority
    for owner, kind in (("www.plain.example.", "A"), ("plain.example.", "A"), ("plain.example.", "MX")):
        for rcode in (0, NXDOMAIN):
            # as if the child were signed and its parent's proofs were its own
            response = Response(rcode, authority=at_cut)
            verdict = tree.validate(owner, kind, response=response)
            assert verdict.security is not SECURE, (owner, rcode)
    proof = [one for one in at_cut if one.type == NSEC]
    for one in proof:
        parsed = Nsec(one.name, one.data[0], parent.origin)
        assert parsed.is_delegation and not parsed.covers(name("www.plain.example."))
        assert not parsed.denies_type(A) and parsed.denies_type(DS)


def test_the_childs_apex_does_not_deny_its_ds() -> None:
    """A child's NSEC at its apex has no DS: it must not make the delegation look unsigned."""
    for scheme in (None, Nsec3Settings()):
        tree = make_tree(scheme)
        child = tree.zones[name("child.example.")]
        at_apex = child.answer(Question(child.origin, TXT)).authority

        def without_ds(question: Question, response: Response, authority: list[RRset] = at_apex) -> Response:
            if (question.name, question.type) == (name("child.example."), DS):
                return Response(authority=authority)
            return response

        tree.changes.append(without_ds)
        verdict = tree.validate("www.child.example.", "A")
        assert verdict.security is BOGUS, verdict.reason
        assert tree.validate("child.example.", "DS").security is BOGUS


def test_the_hash_ring_wraps_once() -> None:
    zone = name("example.")
    low, middle, high = bytes(20), b"\x80" + bytes(19), b"\xff" * 20

    def record(owner: bytes, following: bytes) -> Nsec3:
        import base64

        label = base64.b32hexencode(owner)
        return Nsec3(bytes((32,)) + label + zone, bytes((1, 0, 0, 0, 0, 20)) + following, zone)

    last = record(high[:-1] + b"\xfe", b"\x10" + bytes(19))
    assert last.covers(high) and last.covers(low) and not last.covers(middle)
    single = record(middle, middle)
    assert single.covers(low) and single.covers(high) and not single.covers(middle)
    first = record(low, middle)
    assert not first.covers(low) and not first.covers(middle) and not first.covers(high)


def test_only_the_apex_ends_the_chain_of_nsec() -> None:
    zone = name("example.")
    with pytest.raises(ValueError):
        Nsec(name("w.example."), name("a.example.") + pack_types({A}), zone)
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    wrapping = nsec(child, "mail.child.example.", "a.child.example.", A)
    verdict = tree.validate("www.child.example.", "A", response=denial(child, wrapping))
    assert verdict.security is BOGUS


@pytest.mark.parametrize("nsec3", [None, Nsec3Settings()])
def test_nodata_at_the_apex(nsec3: Nsec3Settings | None) -> None:
    tree = make_tree(nsec3)
    child = tree.zones[name("child.example.")]
    assert tree.validate("child.example.", "TXT").security is SECURE
    at_apex = child.answer(Question(child.origin, TXT)).authority
    for kind in (SOA, NS, DNSKEY):  # what the apex has
        verdict = tree.validate("child.example.", type_to_text(kind), response=Response(authority=at_apex))
        assert verdict.security is BOGUS
    verdict = tree.validate("www.child.example.", "A", response=Response(authority=at_apex))
    assert verdict.security is BOGUS
    # of the parent's apex, for the child's
    above = tree.zones[name("example.")].answer(Question(name("example."), TXT)).authority
    assert tree.validate("child.example.", "TXT", response=Response(authority=above)).security is BOGUS


@pytest.mark.parametrize(
    ("owner", "following"),
    [("child.example.", "zz."), ("zz.example.", "child.example."), ("a.example.", "zz.example.")],
)
def test_nsec_with_names_outside_of_its_zone(owner: str, following: str) -> None:
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    proof = nsec(child, owner, following, SOA, NS)
    verdict = tree.validate("www.child.example.", "A", response=denial(child, proof))
    assert verdict.security is BOGUS


def test_labels_and_wildcards() -> None:
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    wildcard = child.find(name("*.wild.child.example."), A)
    assert wildcard is not None
    answer = child.answer(Question(name("x.wild.child.example."), A))
    assert tree.validate("x.wild.child.example.", "A", response=answer).security is SECURE
    # without a proof, for a name that exists, and for a name below one that exists
    assert tree.validate("x.wild.child.example.", "A", response=replace(answer, authority=[])).security is BOGUS
    for owner in ("b.wild.child.example.", "c.b.wild.child.example.", "www.child.example."):
        replayed = Response(answer=[replace(wildcard, name=name(owner))], authority=answer.authority)
        assert tree.validate(owner, "A", response=replayed).security is BOGUS, owner
    # proofs made from a wildcard are none
    proof = next(one for one in child.sets if one.type == NSEC and one.name == wildcard.name)
    moved = replace(proof, name=name("m.wild.child.example."))
    assert tree.validate("n.wild.child.example.", "A", response=denial(child, moved)).security is BOGUS


def test_a_closer_name_forbids_the_wildcard() -> None:
    """The proof has to deny the next closer name, not only the name that was asked for."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    wildcard = child.find(name("*.wild.child.example."), A)
    proof = child.find(name("b.wild.child.example."), NSEC)
    assert wildcard is not None and proof is not None
    owner = "a.b.wild.child.example."
    assert Nsec(proof.name, proof.data[0], child.origin).covers(name(owner))
    replayed = Response(answer=[replace(wildcard, name=name(owner))], authority=[proof])
    assert tree.validate(owner, "A", response=replayed).security is BOGUS


def test_wildcards_cannot_stand_for_ds() -> None:
    tree = make_tree(body="*.wild A 192.0.2.3\n*.wild DS 1 13 2 " + "00" * 32)
    child = tree.zones[name("child.example.")]
    answer = child.answer(Question(name("x.wild.child.example."), DS))
    assert answer.answer

    def with_ds(question: Question, response: Response) -> Response:
        return answer if question.type == DS and question.name == name("x.wild.child.example.") else response

    tree.changes.append(with_ds)
    assert tree.validate("www.x.wild.child.example.", "A", response=Response(answer=[])).security is BOGUS


# Work


def colliding_keys(zone: bytes, tag: int, count: int) -> list[Key]:
    """Keys with one tag that are none: what KeyTrap puts into a zone."""
    found = []
    for number in range(count):
        head = b"\x01\x00\x03\x0d" + number.to_bytes(4, "big") + bytes(58)
        rest = (tag - key_tag(head + b"\0\0")) % 0xFFFF
        found.append(Key(head + rest.to_bytes(2, "big")))
        assert found[-1].tag == tag, (found[-1].tag, tag)
    return found


def test_keytrap() -> None:
    """Many keys of one tag, many signatures by it: the work is bounded (CVE-2023-50387)."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    real = child.keys[0]
    tag = 12_345
    keys = tuple(key.data for key in colliding_keys(child.origin, tag, 40))
    child.change("@", "DNSKEY", lambda one: sign(child, replace(one, data=(real.key.data, *keys))))
    rrset = child.find(name("www.child.example."), A)
    assert rrset is not None
    head = rrset.signatures[0]
    forged = tuple(
        head[:2] + b"\x0d" + head[3:16] + tag.to_bytes(2, "big") + head[18:-1] + bytes((number,))
        for number in range(200)
    )
    child.change("www", "A", lambda one: replace(one, signatures=forged))
    context = tree.context()
    verdict = tree.validate("www.child.example.", "A", context)
    assert verdict.security is BOGUS
    assert context.budget.failures <= context.budget.most_failures + 1
    assert context.budget.valops < 60
    # another question of the same client goes on with what is left of its budget
    again = replace(context)
    assert again.budget is context.budget
    before = context.budget.valops
    tree.validate("www.child.example.", "A", again)
    assert context.budget.valops >= before


def test_a_budget_is_not_reset_by_a_restart() -> None:
    tree = make_tree()
    context = tree.context()
    context.budget = Budget(most_valops=12)
    verdicts = [tree.validate("www.child.example.", "A", replace(context)).security for _ in range(12)]
    assert verdicts[0] is SECURE and verdicts[-1] is BOGUS
    assert context.budget.valops == 12


def test_hashes_of_nsec3_are_counted() -> None:
    """Long names in zones with many iterations (CVE-2023-50868), on the way to DS too (CVE-2026-42923)."""
    tree = make_tree(Nsec3Settings(bytes(255), 150))
    owner = "a." * 110 + "child.example."
    context = tree.context()
    verdict = tree.validate(owner, "A", context)
    assert verdict.security is BOGUS and "operations" in verdict.reason
    assert context.budget.valops <= context.budget.most_valops
    context = tree.context()
    unsigned = Response(answer=[RRset(name(owner), A, 300, (b"\0\0\0\0",))])
    verdict = tree.validate(owner, "A", context, response=unsigned)
    assert verdict.security is BOGUS
    assert context.budget.valops <= context.budget.most_valops


def test_too_many_iterations() -> None:
    tree = make_tree(Nsec3Settings(b"", 151))
    verdict = tree.validate("zz.child.example.", "A", tree.context())
    assert verdict.security is INSECURE
    assert [error.code for error in verdict.errors] == [27]
    verdict = tree.validate("zz.child.example.", "A", tree.context(Policy(bogus_above_iterations=True)))
    assert verdict.security is BOGUS

    # only after its signature was checked (RFC 9276 3.2)
    def without(question: Question, response: Response) -> Response:
        authority = [replace(one, signatures=()) if one.type == NSEC3 else one for one in response.authority]
        return replace(response, authority=authority)

    tree.changes.append(without)
    assert tree.validate("zz.child.example.", "A").security is BOGUS


def test_what_is_bogus_is_kept_for_a_time_of_our_choice() -> None:
    """Not for as long as the attacker's TTL says."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    child.change("@", "DNSKEY", lambda one: replace(one, ttl=86_400 * 365, signatures=()))
    context = tree.context()
    verdict = tree.validate("www.child.example.", "A", context)
    assert verdict.security is BOGUS and verdict.ttl == context.policy.bogus_ttl == 60
    cut = context.keys.get(child.origin, WALL)
    assert cut is not None and cut.zone.expires == WALL + 60
    assert context.keys.get(child.origin, WALL + 61) is None


def test_records_that_cannot_be_read() -> None:
    """Keys, signatures and proofs of arbitrary bytes (CVE-2025-8677, CVE-2026-42959)."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    junk = tuple(bytes((1, 0, 3, 13)) + bytes((number,)) * (number % 70) for number in range(40))
    real = child.keys[0].key.data
    child.change("@", "DNSKEY", lambda one: sign(child, replace(one, data=(real, b"", b"\1", *junk))))
    assert tree.validate("www.child.example.", "A").security is SECURE
    for data in (b"", b"\0", bytes(17), bytes(18), bytes(18) + b"\x3f", bytes(18) + b"\xc0\x01"):
        rrset = RRset(name("www.child.example."), A, 300, (b"\1\2\3\4",), (data,))
        assert tree.validate("www.child.example.", "A", response=Response(answer=[rrset])).security is BOGUS
        proof = sign(child, RRset(name("mail.child.example."), NSEC, 300, (data,)))
        other = sign(child, RRset(bytes((32,)) + b"0" * 32 + child.origin, NSEC3, 300, (data,)))
        verdict = tree.validate("www.child.example.", "A", response=denial(child, proof, other))
        assert verdict.security is BOGUS
        ds = sign(tree.zones[name("example.")], RRset(child.origin, DS, 300, (data,)))

        def with_ds(question: Question, response: Response, ds: RRset = ds) -> Response:
            return Response(answer=[ds]) if question.type == DS and question.name == ds.name else response

        tree.changes[:] = [with_ds]
        assert tree.validate("www.child.example.", "A").security in (BOGUS, INSECURE)
        tree.changes.clear()


def test_ten_thousand_signatures_are_not_all_looked_at() -> None:
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    child.change("www", "A", lambda one: replace(one, signatures=(one.signatures[0][:-1] + b"\0",) * 10_000))
    context = tree.context()
    start = time.process_time()
    assert tree.validate("www.child.example.", "A", context).security is BOGUS
    assert context.budget.valops < 40
    assert time.process_time() - start < 5


# Downgrades


@pytest.mark.parametrize("nsec3", [None, Nsec3Settings(), Nsec3Settings(opt_out=True)])
def test_ds_cannot_be_taken_away(nsec3: Nsec3Settings | None) -> None:
    tree = make_tree(nsec3)
    parent = tree.zones[name("example.")]
    unsigned = parent.answer(Question(name("plain.example."), DS)).authority
    for authority in ([], [soa(parent)], unsigned, parent.answer(Question(name("www.example."), TXT)).authority):

        def without_ds(question: Question, response: Response, authority: list[RRset] = authority) -> Response:
            if (question.name, question.type) == (name("child.example."), DS):
                return Response(authority=authority)
            return response

        tree.changes[:] = [without_ds]
        forged = Response(answer=[RRset(name("www.child.example."), A, 300, (b"\6\6\6\6",))])
        assert tree.validate("www.child.example.", "A", response=forged).security is BOGUS


def test_an_opt_out_range_does_not_cover_a_signed_delegation() -> None:
    tree = make_tree(Nsec3Settings(opt_out=True))
    parent = tree.zones[name("example.")]
    digest = nsec3_hash(name("child.example."), b"", 0)
    assert any(nsec3.owner == digest for _, nsec3 in parent.nsec3s())
    assert not any(nsec3.covers(digest) for _, nsec3 in parent.nsec3s())


def test_a_cname_does_not_hide_a_cut() -> None:
    """A signed CNAME from elsewhere as the answer to a DS question ends no chain."""
    tree = make_tree(body=BODY + "alias CNAME www\n")
    child = tree.zones[name("child.example.")]
    alias = child.find(name("alias.child.example."), 5)
    assert alias is not None

    def with_alias(question: Question, response: Response) -> Response:
        if question.type == DS and question.name == name("child.example."):
            return Response(answer=[replace(alias, name=name("child.example."))])
        return response

    tree.changes.append(with_alias)
    forged = Response(answer=[RRset(name("www.child.example."), A, 300, (b"\6\6\6\6",))])
    assert tree.validate("www.child.example.", "A", response=forged).security is BOGUS


def test_a_secure_set_makes_no_other_set_secure() -> None:
    """Sets of one name in two sections: the findings are of the very set that was looked at."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    real = child.find(name("www.child.example."), A)
    assert real is not None
    forged = replace(real, data=(b"\6\6\6\6",))
    response = Response(answer=[real], authority=[forged], additional=[forged])
    verdict = tree.validate("www.child.example.", "A", response=response)
    assert verdict.security is SECURE
    assert verdict.is_secure(real) and not verdict.is_secure(forged)
    assert verdict.apply(response).authority == []


def test_compact_denial() -> None:
    """NSEC made for the question (RFC 9824): a name that does not exist has one of its own, which says so."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    owner = "zz.child.example."
    record = nsec(child, owner, "\\000.zz.child.example.", 128)
    assert tree.validate(owner, "A", response=denial(child, record, rcode=0)).security is SECURE
    assert tree.validate(owner, "A", response=denial(child, record)).security is SECURE
    exists = nsec(child, owner, "\\000.zz.child.example.", AAAA)
    assert tree.validate(owner, "A", response=denial(child, exists, rcode=0)).security is SECURE
    assert tree.validate(owner, "AAAA", response=denial(child, exists, rcode=0)).security is BOGUS
    assert tree.validate(owner, "A", response=denial(child, exists)).rcode == 0


def test_keys_of_a_stranger() -> None:
    """A DNSKEY set that the DS does not name, however well it signs itself."""
    tree = make_tree()
    child = tree.zones[name("child.example.")]
    stranger: SigningKey = tree.zones[name("sister.example.")].keys[0]
    mine = replace(stranger, zone=child.origin)
    child.change("@", "DNSKEY", lambda one: sign_set(replace(one, data=(mine.key.data,)), [mine], 1, int(WALL) + DAY))
    child.change("www", "A", lambda one: sign_set(one, [mine], 1, int(WALL) + DAY))
    assert tree.validate("www.child.example.", "A").security is BOGUS
    assert ds_from_key(child.origin, mine.key) != ds_from_key(name_from_text("sister.example."), mine.key)


def test_the_table_in_the_documents_names_these_tests() -> None:
    text = (Path(__file__).parents[3] / "docs/dns.md").read_text()
    table = text[text.index("### Faults that validators had") : text.index("### Where validators differ")]
    named = set(re.findall(r"`(test_\w+)`", table))
    assert len(named) > 15 and not [one for one in named if one not in globals()]

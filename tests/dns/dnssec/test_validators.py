"""Our verdicts beside those of Unbound and delv, on what BIND serves of the forest of good and broken zones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import peers
from tests.dns.dnssec.forest import CASES, MORE, QUESTIONS, labels_above_zone, make_forest
from tests.dns.dnssec.tree import Tree
from tests.dns.dnssec.validators import (
    BOGUS,
    INSECURE,
    SECURE,
    Asker,
    delv_verdict,
    free_port,
    named_command,
    our_verdict,
    started,
    unbound_command,
    unbound_verdict,
)

from catenet.dns.dnssec.budget import Budget
from catenet.dns.dnssec.cache import KeyCache
from catenet.dns.dnssec.context import ValidationContext
from catenet.dns.response import Security
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import type_from_text

FEW = (("www", "A"), ("www", "TXT"), ("no", "A"))
"""Asked of delv, which takes a second for what others do in milliseconds."""

OPT_OUT = SECURE, INSECURE, "RFC 5155 9.2: no AD where an opt-out range denies"
DECIDED = {
    # zone: what they say, what we say, and why
    ("delv", "good-nsec3-optout"): OPT_OUT,
    ("delv", "cut-below-empty-optout"): OPT_OUT,
    ("delv", "unsigned-cut-below-empty-optout"): OPT_OUT,
    ("delv", "bogus-child-optout"): OPT_OUT,
    ("delv", "nsec3-unknown-flags"): (SECURE, BOGUS, "RFC 5155 8.2: such records are passed over"),
    ("delv", "broken-signature-beside"): (BOGUS, SECURE, "RFC 4035 5.3.3: one signature that verifies suffices"),
    ("unbound", "ds-sha256-wrong-sha1-right"): (SECURE, BOGUS, "RFC 4509 3: SHA-1 is passed over beside SHA-256"),
    ("unbound", "nsec-next-outside"): (SECURE, BOGUS, "RFC 4034 4.1.1: the next name is one of the zone"),
    ("unbound", "alias-to-insecure"): (INSECURE, SECURE, "RFC 4035 2.5: NSEC stands beside CNAME, which it follows"),
}
"""Where one of them differs from us, and from the other one."""


def question_of(label: str, owner: str, kind: str) -> Question:
    zone = f"{label}.cases."
    return Question(name_from_text(zone if owner == "@" else f"{owner}.{zone}"), type_from_text(kind))


class Peers:
    """The servers, and what is kept between questions."""

    def __init__(self, folder: Path, tree: Tree, authority: int, unbound: int) -> None:
        self.folder = folder
        self.tree = tree
        self.authority = authority
        self.server, self.unbound = Asker(authority), Asker(unbound)
        self.keys = KeyCache()
        self.anchors = tree.anchors()

    def ours(self, question: Question) -> str:
        context = ValidationContext(self.anchors, self.tree.wall, self.keys, Budget())
        verdict = our_verdict(self.server, question, context)
        return verdict.security.value

    def theirs(self, who: str, question: Question) -> str:
        if who == "unbound":
            return unbound_verdict(self.unbound, question)
        return delv_verdict(self.folder, self.tree, self.authority, question)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    for program in ("named", "unbound", "delv"):
        peers.tool(program)
    folder = tmp_path_factory.mktemp("forest")
    tree = make_forest(time.time())
    authority, resolver = free_port(), free_port()
    with (
        started(named_command(folder, tree, authority), authority),
        started(unbound_command(folder, tree, resolver, authority), resolver),
    ):
        found = Peers(folder, tree, authority, resolver)
        yield found
        found.server.close()
        found.unbound.close()


def differences(servers: Peers, who: str, label: str, questions: tuple[tuple[str, str], ...]) -> list[str]:
    found = []
    for owner, kind in questions:
        question = question_of(label, owner, kind)
        ours, theirs = servers.ours(question), servers.theirs(who, question)
        decided = DECIDED.get((who, label))
        if ours != theirs and (decided is None or (theirs, ours) != decided[:2]):
            found.append(f"{owner} {kind}: we say {ours}, {who} says {theirs}")
    return found


@pytest.mark.peer
@pytest.mark.parametrize("label", CASES)
def test_beside_unbound(servers: Peers, label: str) -> None:
    assert differences(servers, "unbound", label, QUESTIONS + MORE) == []


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize("label", CASES)
def test_beside_delv(servers: Peers, label: str) -> None:
    assert differences(servers, "delv", label, FEW) == []


def test_a_wildcard_above_the_zone_is_none() -> None:
    tree = Tree(time.time())
    labels_above_zone(tree, "case.cases.")
    tree.add("cases.")
    tree.add(".")
    assert tree.validate("www.case.cases.", "A").security is Security.BOGUS

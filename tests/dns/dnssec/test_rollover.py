"""Trust anchors follow a zone's keys: each row of RFC 5011 4.1, and the text in which they are kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.dns.dnssec.tree import DAY, make_key

from catenet.dns.dnssec.anchor_text import AnchorError
from catenet.dns.dnssec.anchors import Anchor, TrustAnchors
from catenet.dns.dnssec.keys import ds_from_key
from catenet.dns.dnssec.private import SigningKey, revoked
from catenet.dns.dnssec.rollover import AnchorKeeper, KeyState, TrustPoint, anchor_file
from catenet.dns.dnssec.sign import sign_set
from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import DNSKEY, SERVFAIL

ZONE = name_from_text("example.")
OLD, NEW, THIRD = (make_key(ZONE, 13, seed) for seed in (1, 2, 3))
START = 1_700_000_000
VALID, ADDPEND, MISSING, REVOKED = KeyState.VALID, KeyState.ADDPEND, KeyState.MISSING, KeyState.REVOKED


class Rolling:
    """A keeper of one zone's anchor, and a clock."""

    def __init__(self) -> None:
        self.wall = START
        self.saved: dict[bytes, str] = {}
        self.anchors = TrustAnchors([Anchor(ZONE, (ds_from_key(ZONE, OLD.key),))])
        self.keeper = self.make()
        assert self.see([OLD], [OLD])

    def make(self) -> AnchorKeeper:
        return AnchorKeeper(self.anchors, [ZONE], random.Random(1), self.saved.__setitem__)

    def see(self, published: list[SigningKey], signing: list[SigningKey], days: float = 0) -> bool:
        self.wall += int(days * DAY)
        rrset = RRset(ZONE, DNSKEY, 7200, tuple(key.key.data for key in published))
        signed = sign_set(rrset, signing, self.wall - DAY, self.wall + 10 * DAY)
        return self.keeper.observe(ZONE, Response(answer=[signed]), self.wall)

    def states(self) -> dict[int, KeyState]:
        return {one.key.tag: one.state for one in self.keeper.points[ZONE].keys}

    def trusted(self) -> set[int]:
        anchor = self.anchors.get(ZONE)
        return set() if anchor is None else {key.tag for key in anchor.keys}


def test_a_new_key_is_trusted_after_thirty_days() -> None:
    rolling = Rolling()
    assert rolling.see([OLD, NEW], [OLD], 1)
    assert rolling.states() == {NEW.key.tag: ADDPEND, OLD.key.tag: VALID}
    assert rolling.see([OLD, NEW], [OLD], 29)
    assert rolling.trusted() == {OLD.key.tag}
    generation = rolling.anchors.generation
    assert rolling.see([OLD, NEW], [OLD], 1)
    assert rolling.trusted() == {OLD.key.tag, NEW.key.tag}
    assert rolling.anchors.generation > generation


def test_it_is_trusted_at_that_time_though_it_signs_alone() -> None:
    rolling = Rolling()
    rolling.see([OLD, NEW], [OLD], 1)
    rolling.see([OLD, NEW], [OLD], 10)
    assert rolling.see([NEW], [NEW], 21)
    assert rolling.states() == {NEW.key.tag: VALID, OLD.key.tag: MISSING}


def test_seen_once_is_not_enough() -> None:
    rolling = Rolling()
    rolling.see([OLD, NEW], [OLD], 1)
    assert not rolling.see([OLD, NEW], [NEW], 40)
    assert rolling.trusted() == {OLD.key.tag}
    assert rolling.keeper.points[ZONE].failures == 1


def test_a_new_key_that_vanishes_begins_anew() -> None:
    rolling = Rolling()
    rolling.see([OLD, NEW], [OLD], 1)
    rolling.see([OLD], [OLD], 20)
    assert rolling.states() == {OLD.key.tag: VALID}
    rolling.see([OLD, NEW], [OLD], 20)
    assert rolling.states()[NEW.key.tag] == ADDPEND


def test_a_stranger_signs_nothing() -> None:
    rolling = Rolling()
    assert not rolling.see([THIRD], [THIRD], 1)
    assert rolling.states() == {OLD.key.tag: VALID}


def test_a_revoked_key_is_never_trusted_again() -> None:
    rolling = Rolling()
    for days in (1, 10, 21):
        rolling.see([OLD, NEW], [OLD], days)
    gone = revoked(OLD)
    assert rolling.see([gone, NEW], [gone, NEW], 1)
    assert rolling.states() == {NEW.key.tag: VALID, gone.key.tag: REVOKED}
    assert rolling.trusted() == {NEW.key.tag}
    assert rolling.see([NEW], [NEW], 31)
    assert rolling.states() == {NEW.key.tag: VALID}
    assert rolling.see([OLD, NEW], [NEW], 1)
    assert rolling.trusted() == {NEW.key.tag}


def test_revocation_counts_only_if_the_key_signs_it() -> None:
    rolling = Rolling()
    for days in (1, 10, 21):
        rolling.see([OLD, NEW], [OLD], days)
    assert rolling.see([revoked(OLD), NEW], [NEW], 1)
    assert rolling.states()[OLD.key.tag] == MISSING


def test_a_zone_whose_keys_are_all_revoked_is_trusted_no_more() -> None:
    rolling = Rolling()
    gone = revoked(OLD)
    rolling.see([gone], [gone], 1)
    assert rolling.trusted() == set() and rolling.anchors.closest(ZONE) is None
    for keeper in (rolling.keeper, rolling.make()):
        if keeper is not rolling.keeper:
            keeper.load(rolling.saved[ZONE], "kept")
        assert keeper.next_probe() is None and keeper.due(rolling.wall + 1e9) == []


@pytest.mark.parametrize("as_digest", [True, False])
def test_anchors_that_are_revoked_before_they_were_followed(as_digest: bool) -> None:
    first = Anchor(ZONE, (ds_from_key(ZONE, OLD.key),)) if as_digest else Anchor(ZONE, (), (OLD.key,))
    anchors, saved = TrustAnchors([first]), dict[bytes, str]()
    keeper = AnchorKeeper(anchors, [ZONE], random.Random(1), saved.__setitem__)

    def see(published: list[SigningKey], signing: list[SigningKey]) -> bool:
        rrset = RRset(ZONE, DNSKEY, 7200, tuple(key.key.data for key in published))
        signed = sign_set(rrset, signing, START - DAY, START + 10 * DAY)
        return keeper.observe(ZONE, Response(answer=[signed]), START)

    gone = revoked(OLD)
    assert not see([gone, NEW], [NEW]), "it has to sign its end itself"
    assert anchors.get(ZONE) == first
    see([gone, NEW], [gone, NEW])
    assert anchors.get(ZONE) is None and keeper.next_probe() is None and ";;REVOKED" in saved[ZONE]


def test_a_missing_key_comes_back() -> None:
    rolling = Rolling()
    for days in (1, 10, 21):
        rolling.see([OLD, NEW], [OLD], days)
    rolling.see([NEW], [NEW], 1)
    assert rolling.states()[OLD.key.tag] == MISSING and OLD.key.tag in rolling.trusted()
    rolling.see([OLD, NEW], [NEW], 1)
    assert rolling.states()[OLD.key.tag] == VALID
    rolling.see([NEW], [NEW], 1)
    rolling.see([NEW], [NEW], 370)
    assert rolling.states() == {NEW.key.tag: VALID}


def test_zone_signing_keys_are_not_followed() -> None:
    rolling = Rolling()
    rolling.see([OLD, make_key(ZONE, 13, 4, False)], [OLD], 1)
    assert rolling.states() == {OLD.key.tag: VALID}


def test_when_it_asks() -> None:
    rolling = Rolling()
    point = rolling.keeper.points[ZONE]
    assert (point.query_interval, point.retry_interval) == (3600, 3600)
    assert START + 3240 <= point.next_probe <= START + 3600
    assert rolling.keeper.next_probe() == point.next_probe
    assert rolling.keeper.due(START + 3000) == []
    assert rolling.keeper.due(START + 3600) == [Question(ZONE, DNSKEY)]
    rolling.keeper.failed(ZONE, START + 3600)
    assert point.failures == 1 and rolling.keeper.due(START + 3600) == []
    assert not rolling.keeper.observe(ZONE, Response(SERVFAIL), START + 7300)
    assert point.failures == 2


def test_what_is_kept_is_read_again() -> None:
    rolling = Rolling()
    rolling.see([OLD, NEW], [OLD], 1)
    rolling.see([OLD, NEW], [OLD], 10)
    text = rolling.saved[ZONE]
    assert text.startswith(
        "; autotrust trust anchor file\n;;id: example. 1\n;;last_queried: 1700950400 ;;Sat Nov 25 22:13:20"
    )
    assert f"id = {NEW.key.tag} (ksk), size = 256b}} ;;state=1 [ ADDPEND ] ;;count=2 ;;lastchange=1700086400 ;;" in text
    assert f"id = {OLD.key.tag} (ksk), size = 256b}} ;;state=2 [  VALID  ] ;;count=0 ;;lastchange=1700000000 ;;" in text
    again = TrustPoint.from_text(text, "file")
    assert again is not None and again.to_text() == text
    rolling.keeper = rolling.make()
    rolling.keeper.load(text, "file")
    rolling.see([OLD, NEW], [NEW], 21)
    assert rolling.trusted() == {OLD.key.tag, NEW.key.tag}


def test_texts_without_states_and_with_mistakes() -> None:
    assert TrustPoint.from_text(f"example. DNSKEY {OLD.key.to_text()}\n", "file") is None
    text = Rolling().saved[ZONE].replace("DNSKEY\t257", "DNSKEY\tx")
    with pytest.raises(AnchorError, match=r"^file:9: flags 'x' is no number from 0 to 65535$"):
        TrustPoint.from_text(text, "file")


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    keep = anchor_file(path)
    keep(ZONE, "first")
    keep(ZONE, "second")
    assert path.read_text() == "second" and list(tmp_path.iterdir()) == [path]
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError):
        keep(ZONE, "third")
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_kept_before_a_key_is_known() -> None:
    """The file holds the anchors that all begins with: a text without keys must not take their place."""
    saved: dict[bytes, str] = {}
    anchors = TrustAnchors([Anchor(ZONE, (ds_from_key(ZONE, OLD.key),))])
    keeper = AnchorKeeper(anchors, [ZONE], random.Random(1), saved.__setitem__)
    keeper.failed(ZONE, START)
    assert not keeper.observe(ZONE, Response(SERVFAIL), START)
    assert saved == {}


def test_signatures_beside_anchors_are_passed_over() -> None:
    """`dig +dnssec example. DNSKEY` prints them along with the keys."""
    key = OLD.key.to_text()
    signature = "example. 60 IN RRSIG DNSKEY 13 1 60 20300101000000 20200101000000 1 example. AAAA"
    found = TrustAnchors.from_text(f"example. 60 IN DNSKEY {key}\n{signature}\n").get(ZONE)
    assert found is not None and [one.data for one in found.keys] == [OLD.key.data]
    named = TrustAnchors.from_text("example. DNSKEY " + key.replace(" 13 ", " ECDSAP256SHA256 ")).get(ZONE)
    assert named is not None and [one.data for one in named.keys] == [OLD.key.data]

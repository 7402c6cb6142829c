"""Zones that stay signed through updates, time and roll-overs, as BIND's and ldns's verifiers see them."""

from __future__ import annotations

import random
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.dns.zone import zones as bodies
from tests.peers import tool

from catenet.dns.dnssec import Delays, Nsec3Settings, SigningKey, check_zonemd, generate_key, roll_zone_key
from catenet.dns.zone import Zone, read_zone
from catenet.dns.zone.difference import apply, difference
from catenet.dns.zone.signing import SigningPlan, ZoneSigner
from catenet.dns.zone.storage import save_zone
from catenet.dns.zone.update import Grant, Updated, update_zone
from catenet.wire.dns.message import parse
from catenet.wire.dns.name import name_from_text

pytestmark = pytest.mark.peer

ORIGIN = name_from_text("plain.test.")
WALL = int(time.time())
DAY = 86_400
PLANS = {
    "nsec": SigningPlan(),
    "nsec3": SigningPlan(nsec3=Nsec3Settings(salt=b"\xaa\xbb", iterations=2)),
    "opt-out": SigningPlan(nsec3=Nsec3Settings(opt_out=True)),
}


def entropy(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def keys(count: int = 1) -> list[SigningKey]:
    made = [generate_key(ORIGIN, 13, is_entry_point=True, entropy=entropy(1))]
    return made + [generate_key(ORIGIN, 13, is_entry_point=False, entropy=entropy(2 + each)) for each in range(count)]


def plain() -> Zone:
    return read_zone(f"$ORIGIN plain.test.\n{bodies.BODY}")


def signer(plan: SigningPlan, made: list[SigningKey] | None = None) -> ZoneSigner:
    found = keys() if made is None else made
    return ZoneSigner(lambda: found, plan, random.Random(1))


def verify(zone: Zone, folder: Path, wall: int = WALL) -> None:
    """By two others."""
    file = folder / "signed"
    save_zone(zone, file)
    for words in (
        [tool("dnssec-verify"), "-o", "plain.test.", str(file)],
        [tool("ldns-verify-zone"), "-t", time.strftime("%Y%m%d%H%M%S", time.gmtime(wall)), str(file)],
    ):
        if wall == WALL or "ldns" in words[0]:
            done = subprocess.run(words, capture_output=True, text=True)
            assert not done.returncode, done.stderr + done.stdout


def update(zone: Zone, ours: ZoneSigner | None, *records: tuple[str, int, int, bytes]) -> Updated:
    made = b""
    for name, kind, rclass, data in records:
        made += name_from_text(name, ORIGIN) + struct.pack("!HHIH", kind, rclass, 60 * (rclass == 1), len(data)) + data
    head = struct.pack("!6H", 1, 5 << 11, 1, 0, len(records), 0) + ORIGIN + b"\0\6\0\1"
    grants = [Grant(None), Grant(None, types=frozenset((2,)))]
    sign = None if ours is None else lambda zone, change: ours.sign(zone, WALL + 60, change)
    return update_zone(zone, parse(head + made), None, grants, sign)


UPDATES = {
    "an address": [("new", 1, 1, bytes(4))],
    "another address": [("many", 1, 1, bytes(4))],
    "a name below new ones": [("a.b.new", 1, 1, bytes(4))],
    "no name": [("many", 255, 255, b"")],
    "no type": [("many", 16, 255, b"")],
    "the last name below others": [("deep.a.b.c", 255, 255, b"")],
    "a delegation": [("sub", 2, 1, name_from_text("ns.elsewhere.test."))],
    "a delegation above names": [("a.b.c", 2, 1, name_from_text("ns.elsewhere.test."))],
    "no delegation": [("cut", 255, 255, b"")],
    "an alias": [("alias2", 5, 1, name_from_text("mail.plain.test."))],
    "a wildcard": [("*.b.c", 1, 1, bytes(4))],
}


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("what", UPDATES)
def test_a_zone_stays_valid_through_an_update(kind: str, what: str, tmp_path: Path) -> None:
    zone, ours = plain(), signer(PLANS[kind])
    first = ours.sign(zone, WALL)
    assert first is not None and zone.serial == 2026112902
    assert ours.sign(zone, WALL) is None
    before = zone.copy()
    signatures = {data for one in zone.sets() for data in one.signatures}
    both = update(zone, ours, *UPDATES[what]).change
    assert both is not None and (both.before, both.after, zone.serial) == (2026112902, 2026112903, 2026112903)
    verify(zone, tmp_path)
    apply(before, both)
    change = difference(before, zone)
    assert set(change.removed) == set(change.added)
    anew = {data for one in zone.sets() for data in one.signatures} - signatures
    assert len(anew) <= 20 < len(signatures) / 4, "signatures over what has not changed are kept"


def test_signatures_are_renewed_before_they_expire(tmp_path: Path) -> None:
    zone, ours = plain(), signer(PLANS["nsec"])
    ours.sign(zone, WALL)
    due = ours.next_deadline(zone, WALL)
    assert WALL + 8 * DAY <= due <= WALL + 9 * DAY
    assert ours.sign(zone, due - 1) is None
    now, rounds = due, 0
    while now < WALL + 40 * DAY:
        change = ours.sign(zone, now + 1)
        assert change is not None and change.after == zone.serial
        verify(zone, tmp_path, int(now + 1))
        later = ours.next_deadline(zone, now + 1)
        assert later > now
        now, rounds = later + 3600, rounds + 1
    assert zone.serial == 2026112902 + rounds


def test_a_key_takes_over_and_the_zone_is_valid_all_the_time(tmp_path: Path) -> None:
    made = keys(2)
    old, new = roll_zone_key(made[1], made[2], WALL, Delays())
    found = [replace(made[0]), old, new]
    zone, ours = plain(), signer(PLANS["nsec3"], found)
    ours.sign(zone, WALL)
    tags = []
    now = float(WALL)
    for _ in range(4):
        verify(zone, tmp_path, int(now))
        soa = zone.soa
        assert soa is not None
        tags.append({data[16] << 8 | data[17] for data in soa.signatures})
        now = ours.next_deadline(zone, now)
        ours.sign(zone, now)
    assert tags[0] == {made[1].key.tag} and tags[-1] == {made[2].key.tag}


def test_a_digest_follows(tmp_path: Path) -> None:
    zone, ours = plain(), signer(SigningPlan(zonemd=1))
    ours.sign(zone, WALL)
    assert check_zonemd(zone, ORIGIN) and ours.sign(zone, WALL) is None
    assert update(zone, ours, *UPDATES["an address"]).change is not None
    assert check_zonemd(zone, ORIGIN)
    verify(zone, tmp_path)


def test_without_keys_a_signed_zone_stays_as_it_was(tmp_path: Path) -> None:
    zone = plain()
    signer(PLANS["nsec"]).sign(zone, WALL)
    before = zone.copy()
    assert update(zone, None, *UPDATES["an address"]) == Updated(5)
    assert update(zone, signer(PLANS["nsec"], []), *UPDATES["no name"]) == Updated(2)
    change = difference(before, zone)
    assert set(change.removed) == set(change.added)
    verify(zone, tmp_path)

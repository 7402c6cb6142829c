"""Roll-overs: at no moment does a resolver with a cache of any age fail, and what parents are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from tests.dns.dnssec.tree import DAY, make_key, sets_from_text

from catenet.dns.dnssec.budget import Budget
from catenet.dns.dnssec.cds import delete_sets, sync_sets, wanted_ds
from catenet.dns.dnssec.keys import SHA384, Ds, Key, ds_from_key
from catenet.dns.dnssec.policy import Policy
from catenet.dns.dnssec.private import KeyTimes, SigningKey
from catenet.dns.dnssec.schedule import (
    Delays,
    finish_entry_roll,
    keys_at,
    next_change,
    roll_entry_key,
    roll_zone_key,
    sign_at,
)
from catenet.dns.dnssec.sign import SigningSettings
from catenet.dns.dnssec.verify import Terms, verify_set
from catenet.dns.response import Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import CDNSKEY, CDS, DNSKEY, SOA, A

ZONE = name_from_text("example.")
WWW = name_from_text("www.example.")
ENTRY, ENTRY2 = make_key(ZONE, 13, 1), make_key(ZONE, 13, 2)
SIGNER, SIGNER2 = make_key(ZONE, 13, 3, False), make_key(ZONE, 13, 4, False)
DELAYS = Delays(key_ttl=3600, zone_ttl=3600, ds_ttl=3600, propagation=600, parent_propagation=600)
START = 1_750_000_000
STEP = 300
TEXT = "@ SOA ns.invalid. h.invalid. 1 1 1 1 300\n@ NS ns.invalid.\nwww A 192.0.2.1\n"


def publish(keys: list[SigningKey], now: int) -> dict[tuple[bytes, int], RRset]:
    settings = SigningSettings(now - DAY, now + 10 * DAY)
    return {one.key: one for one in sign_at(sets_from_text(TEXT, ZONE), ZONE, keys, settings, now)}


def is_valid(zone: dict[tuple[bytes, int], RRset], keys: RRset, ds: list[Ds], now: int) -> bool:
    """Whether a resolver that has these DS, this DNSKEY set and this A set is content."""
    terms = Terms(now, Policy(), Budget())
    published = [Key(data) for data in keys.data]
    trusted = [key for key in published if any(one.matches(ZONE, key) for one in ds)]
    if verify_set(keys, ZONE, trusted, terms).security is not Security.SECURE:
        return False
    return verify_set(zone[WWW, A], ZONE, published, terms).security is Security.SECURE


def check_all_caches(history: list[tuple[int, list[SigningKey], list[Ds]]]) -> None:
    """At each moment, with DS, DNSKEY and A sets that are up to their TTL (and propagation) old each."""
    made: dict[str, dict[tuple[bytes, int], RRset]] = {}

    def zone_at(keys: list[SigningKey], now: int) -> dict[tuple[bytes, int], RRset]:
        found = keys_at(keys, now)
        tags = repr([[key.key.tag for key in part] for part in found])
        if tags not in made:
            made[tags] = publish(keys, now)
        return made[tags]

    age = (DELAYS.key_ttl + DELAYS.propagation) // STEP
    for place, (now, keys, _) in enumerate(history):
        past = history[max(0, place - age + 1) : place + 1]
        key_sets = {zone[ZONE, DNSKEY] for zone in (zone_at(before, then) for then, before, _ in past)}
        ds_sets = {tuple(ds) for _, _, ds in past}
        data_sets = [zone_at(before, then) for then, before, _ in past]
        for key_set in key_sets:
            for ds in ds_sets:
                for zone in {id(one): one for one in (zone_at(keys, now), *data_sets)}.values():
                    assert is_valid(zone, key_set, list(ds), now), now - START


def moments(end: int) -> Iterable[int]:
    return range(START, START + end, STEP)


def test_a_zone_signing_key_takes_over() -> None:
    old, new = roll_zone_key(SIGNER, SIGNER2, START + 3600, DELAYS)
    entry = ENTRY
    ds = [ds_from_key(ZONE, entry.key)]
    keys = [entry, replace(old, times=replace(old.times, publish=START - 1, activate=START - 1)), new]
    history = [(now, keys, ds) for now in moments(6 * 3600)]
    seen = {tuple(key.key.tag for key in keys_at(keys, now).signing if key is not entry) for now, _, _ in history}
    assert seen == {(SIGNER.key.tag,), (SIGNER2.key.tag,)}
    assert new.times.activate == START + 3600 + 4200 and old.times.delete == START + 3600 + 4200 + 4200
    assert next_change(keys, START) == START + 3600
    assert next_change(keys, START + 3600) == START + 3600 + 4200
    assert next_change(keys, START + DAY) is None
    check_all_caches(history)
    assert publish(keys, START + 5 * 3600)[ZONE, DNSKEY].data == (ENTRY.key.data, SIGNER2.key.data)


def test_without_waiting_caches_fail() -> None:
    """The check finds what it is for."""
    hasty = Delays(key_ttl=0, zone_ttl=0, ds_ttl=0, propagation=0, parent_propagation=0)
    old, new = roll_zone_key(SIGNER, SIGNER2, START + 3600, hasty)
    keys = [ENTRY, replace(old, times=replace(old.times, publish=START - 1, activate=START - 1)), new]
    with pytest.raises(AssertionError):
        check_all_caches([(now, keys, [ds_from_key(ZONE, ENTRY.key)]) for now in moments(3 * 3600)])


def test_a_key_signing_key_takes_over() -> None:
    started = KeyTimes(publish=START - 1, activate=START - 1, sync_publish=START - 1)
    old, new = roll_entry_key(replace(ENTRY, times=started), ENTRY2, START + 3600, DELAYS)
    signer = replace(SIGNER, times=KeyTimes(publish=START - 1, activate=START - 1))
    asked = START + 3600 + 4200
    ds_seen = asked + 1800
    ended = finish_entry_roll(old, ds_seen, DELAYS)
    assert ended.times.delete == ds_seen + 4200
    history = []
    for now in moments(8 * 3600):
        keys = [old if now < ds_seen else ended, new, signer]
        zone = publish(keys, now)
        published = [Key(one) for one in zone[ZONE, DNSKEY].data]
        wanted = wanted_ds(ZONE, [zone[ZONE, CDS], zone[ZONE, CDNSKEY]], [], published)
        expected = ENTRY if now < asked else ENTRY2
        assert wanted == [ds_from_key(ZONE, expected.key)]
        parent = ENTRY if now < ds_seen else ENTRY2
        history.append((now, keys, [ds_from_key(ZONE, parent.key)]))
    check_all_caches(history)
    assert publish(history[-1][1], history[-1][0])[ZONE, DNSKEY].data == (ENTRY2.key.data, SIGNER.key.data)


def test_revocation_signs_itself() -> None:
    times = KeyTimes(publish=START, activate=START, revoke=START + 100, delete=START + 200)
    key = replace(ENTRY, times=times)
    found = keys_at([key], START + 100).signing
    assert [one.key.is_revoked for one in found] == [True]
    assert keys_at([key], START + 99).signing == [key]
    assert keys_at([key], START + 200) == keys_at([key], START - 1) == ([], [], [])
    zone = publish([key, ENTRY2, SIGNER], START + 150)
    assert len(zone[ZONE, DNSKEY].data) == 3 and len(zone[ZONE, DNSKEY].signatures) == 2
    assert len(zone[ZONE, SOA].signatures) == 1


# What parents are asked for


def test_what_a_parent_is_asked_for() -> None:
    current = [ds_from_key(ZONE, ENTRY.key)]
    keys = [ENTRY.key, ENTRY2.key, SIGNER.key]
    sets = sync_sets(ZONE, [ENTRY2.key], 300)
    new = ds_from_key(ZONE, ENTRY2.key)
    assert wanted_ds(ZONE, sets, current, keys) == [new]
    assert wanted_ds(ZONE, sets[:1], current, keys) == wanted_ds(ZONE, sets[1:], current, keys) == [new]
    assert wanted_ds(ZONE, sets, [new], keys) is None
    assert wanted_ds(ZONE, [], current, keys) is None
    assert sync_sets(ZONE, [], 300) == []
    assert len(sync_sets(ZONE, [ENTRY.key], 300, (2, SHA384))[0].data) == 2
    assert wanted_ds(ZONE, delete_sets(ZONE, 300), current, keys) == []
    assert wanted_ds(ZONE, delete_sets(ZONE, 300), [], keys) is None


def test_what_a_parent_refuses() -> None:
    keys = [ENTRY.key, SIGNER.key]
    one, other = sync_sets(ZONE, [ENTRY.key], 300), sync_sets(ZONE, [ENTRY2.key], 300)
    for sets, problem in (
        ([one[0], other[1]], "contradict"),
        ([one[0], delete_sets(ZONE, 300)[1]], "contradict"),
        (other, "no key of the zone is one that its CDS name"),
        ([replace(one[0], data=(b"\0",))], "DS is cut off"),
    ):
        with pytest.raises(ValueError, match=problem):
            wanted_ds(ZONE, sets, [], keys)

"""Digests of zones, beside dnspython and ldns."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dns.zone import zones as bodies
from tests.dns.zone.test_reader import EXAMPLE, TRICKY

import dns.zone
from catenet.dns.rrset import RRset
from catenet.dns.zone import Zone, read_zone
from catenet.dns.zone.storage import save_zone
from catenet.dns.zone.zonemd import SHA384, SHA512, ZoneDigest, check_digest, digest, digest_set
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import ZONEMD, A


def by_dnspython(text: str, origin: str, algorithm: int) -> bytes:
    zone = dns.zone.from_text(text, origin, relativize=False, check_origin=False)
    return bytes(zone.compute_digest(dns.zone.DigestHashAlgorithm(algorithm)).digest)


@pytest.mark.parametrize("algorithm", [SHA384, SHA512])
@pytest.mark.parametrize("signed", [False, True])
def test_the_digest_is_dnspythons(algorithm: int, signed: bool, tmp_path: Path) -> None:
    path = bodies.write(tmp_path, "nsec3.test.")
    if signed:
        path = bodies.sign(path, "nsec3.test.", "-3", "aabb", "-H", "3")
    zone = read_zone(path, name_from_text("nsec3.test."))
    save_zone(zone, tmp_path / "again")
    assert digest(zone, algorithm) == by_dnspython((tmp_path / "again").read_text(), "nsec3.test.", algorithm)


def test_the_digest_of_a_tricky_zone_is_dnspythons() -> None:
    assert digest(read_zone(TRICKY, EXAMPLE)) == by_dnspython(TRICKY, "example.", SHA384)


def plain() -> Zone:
    return read_zone(f"$ORIGIN plain.test.\n{bodies.BODY}")


@pytest.mark.parametrize("words", [("-z", "sha384"), ("-z", "sha512", "-n", "-s", "ccdd", "-t", "2")])
def test_the_digest_that_ldns_makes_matches(words: tuple[str, ...], tmp_path: Path) -> None:
    path = bodies.sign(bodies.write(tmp_path, "plain.test."), "plain.test.", *words, by="ldns-signzone")
    zone = read_zone(path, name_from_text("plain.test."))
    assert check_digest(zone) is ZoneDigest.MATCHES
    zone.put(RRset(name_from_text("new.plain.test."), A, 60, (bytes(4),)))
    assert check_digest(zone) is ZoneDigest.DIFFERS


def test_a_zone_is_compared_with_its_digest() -> None:
    zone = plain()
    assert check_digest(zone) is ZoneDigest.ABSENT
    zone.put(digest_set(zone, SHA512))
    assert check_digest(zone) is ZoneDigest.MATCHES
    changed = zone.copy()
    changed.put(RRset(name_from_text("new.plain.test."), A, 60, (bytes(4),)))
    assert check_digest(changed) is ZoneDigest.DIFFERS


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: (bytes(4) + data[4:],),
        lambda data: (data[:4] + b"\x02" + data[5:],),
        lambda data: (data[:5] + b"\x09" + data[6:],),
        lambda data: (data, data[:-1] + bytes((data[-1] ^ 1,))),
        lambda data: (data[:6],),
    ],
)
def test_digests_that_say_nothing_are_passed_over(spoil) -> None:  # type: ignore[no-untyped-def]
    zone = plain()
    right = digest_set(zone)
    zone.put(RRset(right.name, ZONEMD, right.ttl, spoil(right.data[0])))
    assert check_digest(zone) is ZoneDigest.ABSENT


def test_an_unknown_algorithm_is_told() -> None:
    with pytest.raises(ValueError, match="there are 1"):
        digest(plain(), 3)

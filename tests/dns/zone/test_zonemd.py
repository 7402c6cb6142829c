"""Digests of whole zones that ldns makes, in zones that were read and written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dns.zone import zones as bodies

from catenet.dns.dnssec import check_zonemd, make_zonemd
from catenet.dns.rrset import RRset
from catenet.dns.zone import read_zone
from catenet.dns.zone.storage import save_zone
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import A

ORIGIN = name_from_text("plain.test.")


@pytest.mark.peer
@pytest.mark.parametrize("words", [("-z", "sha384"), ("-z", "sha512", "-n", "-s", "ccdd", "-t", "2")])
def test_the_digest_that_ldns_makes_matches(words: tuple[str, ...], tmp_path: Path) -> None:
    path = bodies.sign(bodies.write(tmp_path, "plain.test."), "plain.test.", *words, by="ldns-signzone")
    zone = read_zone(path, ORIGIN)
    assert check_zonemd(zone, ORIGIN)
    zone.put(RRset(name_from_text("new.plain.test."), A, 60, (bytes(4),)))
    assert check_zonemd(zone, ORIGIN) is False


def test_a_digest_survives_the_disk(tmp_path: Path) -> None:
    zone = read_zone(f"$ORIGIN plain.test.\n{bodies.BODY}")
    zone.put(make_zonemd(zone, ORIGIN))
    save_zone(zone, tmp_path / "zone")
    assert check_zonemd(read_zone(tmp_path / "zone"), ORIGIN)

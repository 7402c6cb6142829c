"""Digests over zones, beside ldns's."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests import peers
from tests.dns.dnssec.test_sign import ORIGIN, TEXT, read_sets, run
from tests.dns.dnssec.tree import DAY, ServedZone, make_key, sets_from_text
from tests.dns.dnssec.validators import zone_to_text

from catenet.dns.dnssec.sign import Nsec3Settings, SigningSettings, sign_zone
from catenet.dns.dnssec.zonemd import check_zonemd, make_zonemd
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import ZONEMD


def digest_of(sets: list[RRset]) -> bytes:
    return next(one.data[0] for one in sets if one.type == ZONEMD)


@pytest.mark.peer
@pytest.mark.parametrize("algorithm", [1, 2])
@pytest.mark.parametrize("nsec3", [None, Nsec3Settings(b"\1", 2)])
def test_ldns_verifies_ours(tmp_path: Path, algorithm: int, nsec3: Nsec3Settings | None) -> None:
    program = peers.tool("ldns-verify-zone")
    now = int(time.time())
    settings = SigningSettings(now - DAY, now + DAY, nsec3=nsec3, zonemd=algorithm)
    sets = sign_zone(sets_from_text(TEXT, ORIGIN), ORIGIN, [make_key(ORIGIN, 13)], settings)
    assert check_zonemd(sets, ORIGIN) is True
    path = tmp_path / "zone"
    path.write_text(zone_to_text(ServedZone(ORIGIN, sets)))
    run(str(program), "-ZZZ", str(path))
    spoilt = [replace(one, data=(one.data[0][:-1] + b"\0",)) if one.type == ZONEMD else one for one in sets]
    path.write_text(zone_to_text(ServedZone(ORIGIN, spoilt)))
    assert subprocess.run([str(program), "-ZZZ", str(path)], capture_output=True).returncode != 0
    assert check_zonemd(spoilt, ORIGIN) is False


@pytest.mark.peer
@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_we_verify_theirs(tmp_path: Path, algorithm: str) -> None:
    program = peers.tool("ldns-signzone")
    path = make_key(ORIGIN, 13).write(tmp_path)
    (tmp_path / "zone").write_text(zone_to_text(ServedZone(ORIGIN, sets_from_text(TEXT, ORIGIN))))
    run(str(program), "-o", "example.", "-z", algorithm, "-f", "signed", "zone", path.stem, cwd=tmp_path)
    sets = read_sets(tmp_path / "signed")
    assert check_zonemd(sets, ORIGIN) is True
    assert check_zonemd(sets[:-1], ORIGIN) is False


def test_digests_that_say_nothing() -> None:
    sets = sets_from_text(TEXT, ORIGIN)
    assert check_zonemd(sets, ORIGIN) is None
    made = make_zonemd(sets, ORIGIN)
    assert check_zonemd([*sets, made], ORIGIN) is True
    data = made.data[0]
    unknown = replace(made, data=(data[:4] + b"\2\1" + data[6:], data[:5] + b"\xf0" + data[6:]))
    assert check_zonemd([*sets, unknown], ORIGIN) is None
    twice = replace(made, data=(data, data[:6] + bytes(48)))
    assert check_zonemd([*sets, twice], ORIGIN) is None
    other_serial = replace(made, data=(b"\0\0\0\2" + data[4:],))
    assert check_zonemd([*sets, other_serial], ORIGIN) is False
    outside = RRset(name_from_text("other."), 1, 300, (b"\1\2\3\4",))
    assert make_zonemd([*sets, outside], ORIGIN) == made
    with pytest.raises(ValueError, match="hash algorithm 3"):
        make_zonemd(sets, ORIGIN, 3)

"""Zones that we sign, as others verify them; keys that others make, and zones that they sign, as we do."""

from __future__ import annotations

import base64
import random
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import dns.name
import dns.rdataset
import dns.rrset
import pytest
from tests import peers
from tests.dns.dnssec.tree import DAY, WALL, ServedZone, Tree, make_key, sets_from_text
from tests.dns.dnssec.validators import zone_to_text

import dns.dnssec
from catenet.dns.dnssec.keys import ds_from_key
from catenet.dns.dnssec.private import (
    KeyTimes,
    SigningKey,
    generate_key,
    read_private_key,
    time_from_text,
    time_to_text,
)
from catenet.dns.dnssec.rrsig import Signature
from catenet.dns.dnssec.sign import Nsec3Settings, SigningSettings, sign_zone
from catenet.dns.response import Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.numbers import DNSKEY, DS, NS, NSEC3, RRSIG, SOA, A

ORIGIN = name_from_text("example.")
TEXT = """
@ SOA ns.example. hostmaster.example. 1 3600 600 86400 300
@ NS ns
@ NS ns.other.
@ MX 10 mail
ns A 192.0.2.1
ns AAAA 2001:db8::1
mail A 192.0.2.2
*.wild TXT "a" "b"
a.b.c.d A 192.0.2.3
UPPER MX 5 Mail.Example.
sub NS ns.sub
sub NS ns
ns.sub A 192.0.2.4
secure NS ns
secure DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
deep.under.sub2 NS ns
old DNAME new
alias CNAME mail
srv SRV 1 2 3 mail
naptr NAPTR 100 10 "u" "sip+E2U" "!^.*$!sip:info@example.com!" .
caa CAA 0 issue "ca.example.net"
unknown TYPE65500 \\# 3 010203
svc HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1
"""
SCHEMES = [None, Nsec3Settings(), Nsec3Settings(b"\x01\x02\x03", 7), Nsec3Settings(opt_out=True)]
ALGORITHMS = [8, 10, 13, 14, 15, 16]


def run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=cwd, env=peers.environment())
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def signed(keys: list[SigningKey], nsec3: Nsec3Settings | None = None, wall: float = WALL) -> list[RRset]:
    settings = SigningSettings(int(wall) - DAY, int(wall) + 20 * DAY, nsec3=nsec3)
    return sign_zone(sets_from_text(TEXT, ORIGIN), ORIGIN, keys, settings)


def keys_of(algorithm: int, split: bool) -> list[SigningKey]:
    if split:
        return [make_key(ORIGIN, algorithm, 1), make_key(ORIGIN, algorithm, 2, False)]
    return [make_key(ORIGIN, algorithm, 1)]


@pytest.mark.peer
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("nsec3", SCHEMES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_others_verify_what_we_sign(tmp_path: Path, algorithm: int, nsec3: Nsec3Settings | None, split: bool) -> None:
    verify, ldns = peers.tool("dnssec-verify"), peers.tool("ldns-verify-zone")
    sets = signed(keys_of(algorithm, split), nsec3, time.time())
    path = tmp_path / "zone"
    path.write_text(zone_to_text(ServedZone(ORIGIN, sets)))
    run(verify, "-o", "example.", "-x" if split else "-z", "-q", str(path))
    run(ldns, str(path))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_dnspython_verifies_each_set(algorithm: int) -> None:
    sets = signed(keys_of(algorithm, True))
    owner = dns.name.from_text("example.")
    keys = next(one for one in sets if one.type == DNSKEY)
    known = {owner: dns.rdataset.from_rdata_list(1, [_rdata(DNSKEY, data) for data in keys.data])}
    checked = 0
    for rrset in sets:
        if not rrset.signatures:
            continue
        name = dns.name.from_wire(rrset.name, 0)[0]
        theirs = dns.rrset.from_rdata_list(name, rrset.ttl, [_rdata(rrset.type, data) for data in rrset.data])
        for data in rrset.signatures:
            dns.dnssec.validate_rrsig(theirs, _rdata(RRSIG, data), known, now=WALL)
            checked += 1
    assert checked > 30


def _rdata(kind: int, data: bytes) -> dns.rdata.Rdata:
    return dns.rdata.from_wire("IN", f"TYPE{kind}", data, 0, len(data))


@pytest.mark.parametrize("nsec3", SCHEMES)
def test_what_is_signed(nsec3: Nsec3Settings | None) -> None:
    sets = {one.key: one for one in signed(keys_of(13, True), nsec3)}
    entry, zone = keys_of(13, True)

    def tags(owner: str, kind: int) -> list[int]:
        return [Signature(data).tag for data in sets[name_from_text(owner, ORIGIN).lower(), kind].signatures]

    assert tags("@", DNSKEY) == [entry.key.tag]
    assert tags("@", SOA) == tags("mail", A) == tags("secure", DS) == [zone.key.tag]
    for owner, kind in (("sub", NS), ("ns.sub", A), ("secure", NS)):
        assert tags(owner, kind) == []
    hashes = [one for one in sets.values() if one.type == NSEC3]
    if nsec3 is not None:  # names, and those between them: d, c.d, b.c.d, wild, sub2 and under.sub2
        assert len(hashes) == (18 if nsec3.opt_out else 22)


def test_mistakes() -> None:
    settings = SigningSettings(0, 1)
    with pytest.raises(ValueError, match=r"zone example\.: no key to sign with"):
        sign_zone([], ORIGIN, [], settings)
    with pytest.raises(ValueError, match=r"zone example\. has no SOA"):
        sign_zone([], ORIGIN, keys_of(15, False), settings)
    with pytest.raises(ValueError, match=r"key Kother\.\+015\+\d{5} is not of zone example\."):
        sign_zone([], ORIGIN, [make_key(name_from_text("other."))], settings)
    with pytest.raises(ValueError, match="algorithm RSASHA1: keys are made for 8, 10, 13, 14, 15 and 16"):
        generate_key(ORIGIN, 5, is_entry_point=True)


def test_jitter_brings_expirations_forward() -> None:
    settings = SigningSettings(0, 1_000_000, jitter=1000, rng=random.Random(1))
    sets = sign_zone(sets_from_text(TEXT, ORIGIN), ORIGIN, keys_of(15, False), settings)
    times = {Signature(data).expiration for one in sets for data in one.signatures}
    assert len(times) > 15 and all(999_000 < one <= 1_000_000 for one in times)


def test_the_same_is_signed_the_same() -> None:
    for algorithm in (8, 13, 15):
        assert signed(keys_of(algorithm, False)) == signed(keys_of(algorithm, False))


# Key files


def unpadded(text: str) -> list[str | bytes]:
    """Lines of a key file; BIND leaves zeros at the beginning of a private number out, as one key in 256 has them."""
    lines: list[str | bytes] = [line for line in text.splitlines() if line and not line.startswith("PrivateKey: ")]
    numbers = [line.split()[1] for line in text.splitlines() if line.startswith("PrivateKey: ")]
    return lines + [base64.b64decode(one).lstrip(b"\0") for one in numbers]


@pytest.mark.peer
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_keys_of_bind_are_read_and_written_back(tmp_path: Path, algorithm: int) -> None:
    program = peers.tool("dnssec-keygen")
    bits = ["-b", "1024"] if algorithm in (8, 10) else []
    words = [program, "-K", str(tmp_path), "-a", str(algorithm), *bits, "-f", "KSK", "-P", "20250101000000"]
    stem = run(*words, "-A", "20250201000000", "example.").strip()
    path = tmp_path / f"{stem}.private"
    key = read_private_key(path)
    assert key.file_stem == stem and key.zone == ORIGIN and key.key.is_entry_point
    assert (key.times.publish, key.times.activate) == (1_735_689_600, 1_738_368_000)
    assert key.times.created is not None and key.times.delete is None
    assert unpadded(key.to_private_text()) == unpadded(path.read_text())
    assert key.write(tmp_path) == path and path.stat().st_mode & 0o77 == 0
    assert read_private_key(path.with_suffix(".key")).key.data == key.key.data
    # its signatures are those of its public key
    assert key.key.verify(key.sign(b"data"), b"data") and not key.key.verify(key.sign(b"data"), b"date")


@pytest.mark.peer
@pytest.mark.parametrize("algorithm", [8, 13, 15])
def test_bind_signs_with_our_keys_and_we_validate_it(tmp_path: Path, algorithm: int) -> None:
    program = peers.tool("dnssec-signzone")
    for key in (make_key(ORIGIN, algorithm, 1), make_key(ORIGIN, algorithm, 2, False)):
        replace(key, times=KeyTimes(created=0, publish=0, activate=0)).write(tmp_path)
    zone = ServedZone(ORIGIN, sets_from_text(TEXT, ORIGIN))
    (tmp_path / "zone").write_text(zone_to_text(zone))
    for name, more in {"nsec": [], "nsec3": ["-3", "ab", "-H", "3"]}.items():
        start, end = time_to_text(int(WALL) - DAY), time_to_text(int(WALL) + DAY)
        words = [program, "-S", "-P", "-K", ".", "-o", "example.", "-s", start, "-e", end, "-O", "full", *more]
        run(*words, "-f", f"{name}.signed", "zone", cwd=tmp_path)
        check_signed(tmp_path / f"{name}.signed", make_key(ORIGIN, algorithm, 1), bool(more))


@pytest.mark.peer
@pytest.mark.parametrize("more", [[], ["-n"], ["-n", "-s", "abcd", "-t", "5"], ["-n", "-p"]])
def test_ldns_signs_with_our_keys_and_we_validate_it(tmp_path: Path, more: list[str]) -> None:
    program = peers.tool("ldns-signzone")
    key = make_key(ORIGIN, 13, 1)
    path = key.write(tmp_path)
    (tmp_path / "zone").write_text(zone_to_text(ServedZone(ORIGIN, sets_from_text(TEXT, ORIGIN))))
    start, end = time_to_text(int(WALL) - DAY), time_to_text(int(WALL) + DAY)
    run(program, "-o", "example.", "-i", start, "-e", end, *more, "-f", "signed", "zone", path.stem, cwd=tmp_path)
    check_signed(tmp_path / "signed", key, bool(more))


def check_signed(path: Path, key: SigningKey, is_nsec3: bool) -> None:
    """Read what another program signed, and validate answers from it."""
    sets = read_sets(path)
    zone = ServedZone(ORIGIN, sets, [key])
    if is_nsec3:
        data = next(one.data[0] for one in sets if one.type == 51)
        opt_out = any(one.data[0][1] & 1 for one in sets if one.type == NSEC3)
        zone.nsec3 = Nsec3Settings(data[5:], int.from_bytes(data[2:4], "big"), opt_out)
    tree = Tree()
    tree.zones[ORIGIN] = zone
    tree.add(".")
    assert ds_from_key(ORIGIN, key.key) in zone.delegation()
    for owner, kind in (
        *(("mail", "A"), ("upper", "MX"), ("x.wild", "TXT"), ("naptr", "NAPTR"), ("caa", "CAA"), ("svc", "HTTPS")),
        *(("alias", "A"), ("srv", "SRV"), ("x.old", "A"), ("no", "A"), ("mail", "TXT"), ("c.d", "A"), ("@", "DNSKEY")),
        *(("unknown", "TYPE65500"), ("x.wild", "A"), ("secure", "DS"), ("sub", "DS"), ("a.no", "A")),
    ):
        name = "example." if owner == "@" else f"{owner}.example."
        verdict = tree.validate(name, kind)
        open_range = zone.nsec3 is not None and zone.nsec3.opt_out
        expected = [Security.SECURE, Security.INSECURE] if open_range else [Security.SECURE]
        assert verdict.security in expected, (owner, kind, verdict.reason)


def read_sets(path: Path) -> list[RRset]:
    """Record sets of a master file, by dnspython."""
    import dns.zone

    theirs = dns.zone.from_file(str(path), "example.", relativize=False, check_origin=False)
    sets = []
    for name, node in theirs.nodes.items():
        owner = name.to_wire()
        signatures = {one.covers: one for one in node.rdatasets if one.rdtype == RRSIG}
        for one in node.rdatasets:
            if one.rdtype != RRSIG:
                over = signatures.get(one.rdtype, ())
                data = tuple(each.to_wire() for each in one)
                sets.append(RRset(owner, int(one.rdtype), one.ttl, data, tuple(each.to_wire() for each in over)))
    return sets


def test_mistakes_in_key_files(tmp_path: Path) -> None:
    key = generate_key(ORIGIN, 15, is_entry_point=True, entropy=bytes, times=KeyTimes(created=0, delete=2**31))
    path = key.write(tmp_path)
    public = path.with_suffix(".key")
    good, good_public = path.read_text(), public.read_text()
    assert read_private_key(path) == key or read_private_key(path).times == key.times
    for text, problem in (
        (good.replace("Algorithm: 15", "Algorithm: 12"), f"{path}: algorithm ECC-GOST is none that we sign with"),
        (good.replace("PrivateKey", "Private"), f"{path}: no field PrivateKey"),
        (good.replace("Created: 1970", "Created: x"), f"{path}: 'x0101000000' is not a time as YYYYMMDDHHMMSS"),
        (good + "nonsense\n", f"{path}:6: expected `Field: value`"),
        (key_text_of_another(), f"{public}: not the public key of {path.name}"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError) as caught:
            read_private_key(path)
        assert str(caught.value) == problem
    path.write_text(good)
    for text, problem in (
        ("", f"{public}: no DNSKEY record"),
        ("x y\n", f"{public}:1: unknown record type 'y'"),
    ):
        public.write_text(text)
        with pytest.raises(ValueError) as caught:
            read_private_key(path)
        assert str(caught.value) == problem
    public.write_text(good_public)
    assert name_to_text(read_private_key(path).zone) == "example."


def key_text_of_another() -> str:
    return generate_key(ORIGIN, 15, is_entry_point=True, entropy=lambda size: b"\1" * size).to_private_text()


def test_times() -> None:
    assert time_to_text(0) == "19700101000000" and time_from_text("20381231235959") == 2_177_452_799
    assert time_from_text("20250101000000 (Wed Jan  1 00:00:00 2025)") == 1_735_689_600

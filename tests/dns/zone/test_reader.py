"""Master files, against dnspython and named-checkzone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dns.rdatatype
import pytest

import dns.zone
from catenet.dns.rrset import RRset
from catenet.dns.zone import read_zone
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.rdata import canonical

EXAMPLE = name_from_text("example.")
HEAD = "$TTL 300\n@ SOA ns hostmaster 1 2h 15m 2w 5m\n@ NS ns\nns A 192.0.2.1\n"

TRICKY = r"""
$ORIGIN example.
$TTL 1h30m
@   IN SOA ns1 host\.master ( ; the serial
        2026112901 ; serial
        2H 15M
        2w 300 )
    1m NS  ns1
    60 IN NS ns2.sub
    IN 60 MX 10 mail
ns1 A 192.0.2.1
    AAAA 2001:db8::1
ns2.sub 1D A 192.0.2.2
MAIL in a 192.0.2.3
 TXT "one ; two" three "fo\"ur" "\065\\" "" ( "five"
   six )
a\.b.c A 192.0.2.4
\065\066 A 192.0.2.5
\@ A 192.0.2.6
*.wild 10 CLASS1 TYPE1 \# 4 c0000207
srv._tcp SRV 1 2 ( 3 ) @
generic TYPE65280 \# 3 0102 03
generic TYPE65281 \# 0
caa CAA 0 issue "ca.example; x=y"
uri URI 10 1 "https://example/"
svcb HTTPS 1 . alpn=h2,h3 port=8443
loc LOC 51 30 12.748 N 0 7 39.611 W 0.00m
naptr NAPTR 100 10 "U" "E2U+sip" "!^.*$!sip:info@example!" .
sshfp SSHFP 1 1 dd465c09cfa51fb45020cc83316fff 21b9ec74ac
hinfo HINFO "PC  x" Linux
$ORIGIN sub
below CNAME @
dname DNAME other.test.
$ORIGIN example.
key DNSKEY 257 3 ECDSAP256SHA256 ( mdsswUyr3DPW132mOi8V9xESWE8jTo0d xCjjnopKl+GqJxpVXckHAeF+KkxLbxIL
  fDLUT0rAK9iUzy1L53eKGQ== )
ds DS 60485 5 1 ( 2BB183AF5F22588179A53B0A
   98631FAD1A292118 )
sig TXT signed
    RRSIG TXT 13 2 3600 20261201000000 20261101000000 1234 example. AAAA
nsec NSEC \000.nsec A MX RRSIG NSEC TYPE1234
$GENERATE 1-4/2 host$ A 10.0.0.$
$GENERATE 0-2 p${10,4,d}.x 600 IN PTR h-${-0,2,x}.example.
"""
OF_BIND = r"""
twice 60 A 192.0.2.7
twice 61 A 192.0.2.8
$GENERATE 1-2 m$ MX "$ mail$"
$GENERATE 1-2 $.n PTR ${0,7,n}.${16,1,N}.\$.x
"""


def records(sets: Zone | list[RRset]) -> set[tuple[bytes, int, int, bytes]]:
    found = set()
    for one in sets:
        found |= {(fold(one.name), one.type, one.ttl, canonical(data, one.type)) for data in one.data}
        found |= {(fold(one.name), 46, one.ttl, canonical(data, 46)) for data in one.signatures}
    return found


def by_dnspython(text: str) -> set[tuple[bytes, int, int, bytes]]:
    zone = dns.zone.from_text(text, EXAMPLE_NAME, relativize=False, check_origin=False)
    found = set()
    for name, ttl, rdata in zone.iterate_rdatas():
        data = rdata.to_wire()
        assert data is not None
        owner = name.to_wire()
        assert owner is not None
        found.add((fold(owner), int(rdata.rdtype), ttl, canonical(data, int(rdata.rdtype))))
    return found


EXAMPLE_NAME = dns.name.from_text("example.")


def test_a_tricky_file_has_the_records_that_dnspython_finds() -> None:
    assert records(read_zone(TRICKY, EXAMPLE)) == by_dnspython(TRICKY)


@pytest.mark.peer("named-checkzone")
def test_a_tricky_file_has_the_records_that_bind_finds(tmp_path: Path) -> None:
    file, out = tmp_path / "in.zone", tmp_path / "out.zone"
    file.write_text(TRICKY + OF_BIND)
    words = ["named-checkzone", "-k", "ignore", "-i", "none", "-D", "-o", str(out), "example.", str(file)]
    subprocess.run(words, check=True, capture_output=True)
    ours, theirs = records(read_zone(file, EXAMPLE)), records(read_zone(out, EXAMPLE))
    assert ours == theirs == by_dnspython(out.read_text())

"""A zone with every case of look-up, and signed forms of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.peers import tool

__all__ = ["BODY", "sign", "write"]

BODY = r"""
$TTL 3600
@ SOA ns1 hostmaster 2026112901 7200 900 1209600 300
@ NS ns1
@ NS ns2
@ NS ns.elsewhere.test.
@ MX 10 mail
@ MX 20 mail.cut
@ TXT "apex"
@ A 192.0.2.1
ns1 A 192.0.2.2
ns1 AAAA 2001:db8::2
ns2 A 192.0.2.3
mail A 192.0.2.4
mail AAAA 2001:db8::4
www CNAME mail
www2 CNAME www
loop CNAME pool
pool CNAME loop
self CNAME self
gone CNAME nothing
out CNAME www.elsewhere.test.
intocut CNAME host.cut
intowild CNAME a.wild
intoold CNAME host.old
deep.a.b.c A 192.0.2.5
b.c TXT "beside"
_sip._tcp SRV 0 0 5060 mail
_sip._udp SRV 0 0 5060 mail.cut
svc HTTPS 1 . alpn=h2
svc A 192.0.2.8
alias HTTPS 0 svc
*.wild A 192.0.2.6
*.wild TXT "wild"
*.wild MX 5 mail
host.sub.wild A 192.0.2.7
*.wildcname CNAME mail
*.wildgone CNAME nothing
*.star.wildnest A 192.0.2.9
x.*.inner A 192.0.2.10
cut NS ns.cut
cut NS ns.sibling
cut NS ns.elsewhere.test.
ns.cut A 192.0.2.11
ns.cut AAAA 2001:db8::11
mail.cut A 192.0.2.12
occluded.cut TXT "not seen"
sibling NS ns.sibling
ns.sibling A 192.0.2.13
signed NS ns1
signed DS 12345 13 2 49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC0000
ent.unsigned NS ns1
one.two.three NS ns1
deep.signed2 NS ns1
deep.signed2 DS 12345 13 2 49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC0000
old DNAME new
host.new A 192.0.2.14
loopdname DNAME x.loopdname
chain DNAME old
far DNAME elsewhere.test.
long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.c
beside DNAME new
beside A 192.0.2.15
dot\.ted A 192.0.2.16
\000zero A 192.0.2.17
UPPER A 192.0.2.18
many A 192.0.2.20
many A 192.0.2.21
many A 192.0.2.22
many AAAA 2001:db8::20
many TXT "several types"
"""

IN_ROOT = "ns.elsewhere.test. A 192.0.2.30\n"
"""In the root zone every name is inside."""


def write(folder: Path, origin: str) -> Path:
    """The zone under this name, unsigned."""
    path = folder / f"{origin}zone"
    path.write_text(f"$ORIGIN {origin}\n{BODY}" + (IN_ROOT if origin == "." else ""))
    return path


def sign(path: Path, origin: str, *words: str, by: str = "dnssec-signzone") -> Path:
    """The zone signed in a folder of its own; `words` choose the kind of denial."""
    folder = path.parent / f"{origin}signing"
    folder.mkdir(exist_ok=True)
    out = folder / f"{origin}signed"
    if by == "dnssec-signzone":
        make = [tool("dnssec-keygen"), "-K", str(folder), "-a", "ECDSAP256SHA256"]
        keys = [_run([*make, *more, origin]).strip() for more in ((), ("-f", "KSK"))]
        base = path.read_text() + "".join((folder / f"{key}.key").read_text() for key in keys)
        plain = folder / "plain"
        plain.write_text(base)
        _run([tool(by), "-P", "-K", str(folder), "-o", origin, "-f", str(out), *words, str(plain)], folder)
        return out
    keygen = [tool("ldns-keygen"), "-a", "ECDSAP256SHA256"]
    names = [_run([*keygen, *more, origin], folder).strip() for more in ((), ("-k",))]
    plain = folder / "plain"
    shutil.copy(path, plain)
    _run([tool(by), *words, "-f", str(out), str(plain), *(str(folder / name) for name in names)])
    return out


def _run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)
    assert not done.returncode, f"{command}: {done.stderr}"
    return done.stdout

"""A private tree of zones in a network namespace, served by the servers of others: root, a top level, zones below it.

| address | who | what |
|---|---|---|
| 10.53.0.1, fd53::1 | BIND | the root, signed |
| 10.53.0.2 | Knot | `example.`, signed |
| 10.53.0.3, fd53::3 | NSD | `good.example.` signed, `expired.example.` with signatures of the past, others unsigned |
| 10.53.0.9 | nobody | a server of `half.example.` |
| 10.53.0.53 | Unbound | recursive, validating |
| 10.53.0.54 | BIND | recursive, validating; TLS and HTTPS too |
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from tests.peers import environment, program

if TYPE_CHECKING:
    from tests.conftest import Namespace

__all__ = ["Tree", "missing"]

PROGRAMS = ("named", "knotd", "nsd", "unbound", "dnssec-keygen", "dnssec-signzone", "dig", "delv", "kdig")
ADDRESSES = ("10.53.0.1", "10.53.0.2", "10.53.0.3", "10.53.0.53", "10.53.0.54", "fd53::1", "fd53::3")
SOA = "SOA ns.%s hostmaster.example. 2026010100 3600 900 604800 300"

ROOT = """\
$TTL 3600
. SOA a.root.example. hostmaster.example. 2026010100 3600 900 604800 300
. NS a.root.example.
a.root.example. A 10.53.0.1
a.root.example. AAAA fd53::1
example. NS ns.example.
ns.example. A 10.53.0.2
2.0.192.in-addr.arpa. NS ns.good.example.
"""
TOP = """\
$TTL 3600
$ORIGIN example.
@ SOA ns hostmaster 2026010100 3600 900 604800 300
@ NS ns
ns A 10.53.0.2
good NS ns.good
ns.good A 10.53.0.3
ns.good AAAA fd53::3
plain NS ns.plain
ns.plain A 10.53.0.3
expired NS ns.expired
ns.expired A 10.53.0.3
half NS dead.half
half NS ns.half
dead.half A 10.53.0.9
ns.half A 10.53.0.3
a.root A 10.53.0.1
a.root AAAA fd53::1
"""
LEAF = """\
$TTL 60
@ SOA ns hostmaster.example. 2026010100 3600 900 604800 300
@ NS ns
ns A 10.53.0.3
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME www
chain CNAME alias
dangling CNAME nothing.example.
@ MX 10 mail
@ MX 20 mail.other.example.
mail A 192.0.2.25
_sip._tcp SRV 1 2 5060 sip
text TXT "first" "second; with \\"quotes\\" and \\\\"
@ CAA 0 issue "ca.example.net"
host SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
https HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1
naptr NAPTR 100 10 "U" "E2U+sip" "!^.*$!sip:info@example.com!" .
*.wild TXT "any"
a.b.c.ent A 192.0.2.3
upper.CASE A 192.0.2.4
odd\\.dot A 192.0.2.5
unknown TYPE731 \\# 6 abcdef012345
loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
""" + "".join(f'long TXT "{"x" * 200}{number}"\n' for number in range(20))
REVERSE = """\
$TTL 60
@ SOA ns.good.example. hostmaster.example. 2026010100 3600 900 604800 300
@ NS ns.good.example.
1 PTR www.good.example.
"""


def missing() -> list[str]:
    """The programs that this needs and that are not here."""
    return [name for name in PROGRAMS if program(name) is None]


def _tool(name: str) -> str:
    found = program(name)
    assert found is not None, name
    return str(found)


@dataclass
class Tree:
    """The tree in a namespace; `folder` has everything that its servers write."""

    namespace: Namespace
    folder: Path

    @property
    def anchor(self) -> Path:
        """The trust anchor: the root's key-signing key as DNSKEY."""
        return self.folder / "anchor"

    @property
    def hints(self) -> Path:
        """Root hints."""
        return self.folder / "hints"

    def begin(self) -> None:
        """Sign the zones and start the servers."""
        for address in ADDRESSES:
            bits = "128" if ":" in address else "24"
            words = ["nodad"] if ":" in address else []
            self.namespace.run("ip", "address", "add", f"{address}/{bits}", "dev", "lo", *words)
        self.folder.chmod(0o755)
        self._make_zones()
        self._write_configs()
        self._start("named", "-g", "-c", str(self.folder / "root.conf"))
        self._start("knotd", "-c", str(self.folder / "knot.conf"))
        self._start("nsd", "-d", "-c", str(self.folder / "nsd.conf"))
        self._start("unbound", "-d", "-c", str(self.folder / "unbound.conf"))
        self._start("named", "-g", "-c", str(self.folder / "recursive.conf"))
        self._wait()

    def run(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace."""
        return self.namespace.run(*words, timeout=timeout, check=False, env=environment())

    def _start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("a") as log:
            self.namespace.start(_tool(name), *words, env=environment(), stdout=log, stderr=log)

    def _wait(self) -> None:
        for server, name, kind in (
            ("10.53.0.53", "www.good.example", "A"),
            ("10.53.0.54", "www.good.example", "A"),
            ("10.53.0.1", ".", "SOA"),
        ):
            for _ in range(40):
                done = self.run("dig", "+short", "+time=1", "+tries=1", f"@{server}", name, kind)
                if done.stdout.strip() and not done.stdout.startswith(";;"):
                    break
            else:
                logs = "\n".join(path.read_text()[-1500:] for path in self.folder.glob("*.log"))
                raise AssertionError(f"{server} does not answer\n{logs}")

    # Zones.

    def _make_zones(self) -> None:
        for name in ("good", "expired", "plain", "half"):
            (self.folder / f"{name}.zone").write_text(f"$ORIGIN {name}.example.\n{LEAF}")
        (self.folder / "reverse.zone").write_text(REVERSE)
        many = "$GENERATE 1-3000 h$ A 192.0.2.8\n"
        (self.folder / "keyed.zone").write_text(f"$ORIGIN keyed.test.\n{LEAF}{many}")
        digests = self._sign("good.example.", self.folder / "good.zone", "ECDSAP256SHA256")
        past = ("-P", "-s", "20250101000000", "-e", "20250201000000")
        digests += self._sign("expired.example.", self.folder / "expired.zone", "ECDSAP256SHA256", *past)
        (self.folder / "example.zone").write_text(TOP + digests)
        digests = self._sign("example.", self.folder / "example.zone", "RSASHA256", "-3", "ab")
        (self.folder / "root.zone").write_text(ROOT + digests)
        self._sign(".", self.folder / "root.zone", "ED25519")
        key = next(path for path in self.folder.glob("K.+*.key") if " 257 " in path.read_text())
        record = next(line for line in key.read_text().splitlines() if not line.startswith(";"))
        self.anchor.write_text(record + "\n")
        self.hints.write_text(". 3600 NS a.root.example.\na.root.example. 3600 A 10.53.0.1\n")

    def _sign(self, zone: str, file: Path, algorithm: str, *words: str) -> str:
        """Sign a zone in place; returns its DS records."""
        for flags in ((), ("-f", "KSK")):
            size = ("-b", "2048") if algorithm.startswith("RSA") else ()
            self._do("dnssec-keygen", "-q", "-a", algorithm, *size, *flags, zone)
        self._do("dnssec-signzone", "-q", "-S", "-o", zone, *words, "-f", f"{file}.signed", str(file))
        shutil.move(f"{file}.signed", file)
        name = "dsset-" + zone
        digests = self.folder / name
        if not digests.exists():
            digests = self.folder / name.rstrip(".")
        return digests.read_text() if zone != "." else ""

    def _do(self, name: str, *words: str) -> None:
        command = [_tool(name), *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment(), check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"

    # Servers.

    def _write_configs(self) -> None:
        folder = self.folder
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        certificate = authority.issue_cert("10.53.0.54", "resolver.example")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        key = self.anchor.read_text().split()
        at = key.index("DNSKEY")
        configs = {
            "root.conf": ROOT_CONF,
            "knot.conf": KNOT_CONF,
            "nsd.conf": NSD_CONF,
            "unbound.conf": UNBOUND_CONF,
            "recursive.conf": RECURSIVE_CONF,
        }
        for name, text in configs.items():
            values = {"FOLDER": str(folder), "KEY": f'{" ".join(key[at + 1 : at + 4])} "{"".join(key[at + 4 :])}"'}
            for word, value in values.items():
                text = text.replace(f"%{word}%", value)
            (folder / name).write_text(text)
        for name in ("knot", "nsd"):
            (folder / name).mkdir()

    def catenet(self, python: Sequence[str], *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `catenet resolve` in the namespace."""
        return self.run(*python, "resolve", *words, timeout=timeout)


ROOT_CONF = """\
options {
  directory "%FOLDER%"; pid-file none; session-keyfile "%FOLDER%/root.session"; listen-on { 10.53.0.1; };
  listen-on-v6 { fd53::1; }; recursion no; allow-transfer { any; }; notify no; minimal-responses no;
  managed-keys-directory "%FOLDER%";
};
controls {};
key "transfer.key" { algorithm hmac-sha512; secret "c2VjcmV0LXNlY3JldA=="; };
zone "." { type primary; file "root.zone"; };
zone "keyed.test" { type primary; file "keyed.zone"; check-names ignore; allow-transfer { key transfer.key; }; };
"""
KNOT_CONF = """\
server:
  listen: 10.53.0.2@53
  rundir: %FOLDER%/knot
log:
  - target: stderr
    any: warning
database:
  storage: %FOLDER%/knot
acl:
  - id: all
    address: 0.0.0.0/0
    action: transfer
template:
  - id: default
    storage: %FOLDER%
    acl: all
zone:
  - domain: example
    file: example.zone
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
"""
NSD_CONF = """\
server:
  ip-address: 10.53.0.3
  ip-address: fd53::3
  username: ""
  zonesdir: %FOLDER%
  pidfile: ""
  xfrdfile: ""
  zonelistfile: %FOLDER%/nsd/zones
  xfrdir: %FOLDER%/nsd
  database: ""
  nsid: ascii_nsd-here
remote-control:
  control-enable: no
""" + "".join(
    f"zone:\n  name: {name}\n  zonefile: {file}.zone\n  provide-xfr: 0.0.0.0/0 NOKEY\n  provide-xfr: ::/0 NOKEY\n"
    for name, file in (
        ("good.example", "good"),
        ("plain.example", "plain"),
        ("expired.example", "expired"),
        ("half.example", "half"),
        ("2.0.192.in-addr.arpa", "reverse"),
    )
)
UNBOUND_CONF = """\
server:
  interface: 10.53.0.53
  access-control: 0.0.0.0/0 allow
  username: ""
  chroot: ""
  directory: "%FOLDER%"
  pidfile: ""
  use-syslog: no
  root-hints: "%FOLDER%/hints"
  trust-anchor-file: "%FOLDER%/anchor"
  do-not-query-localhost: no
  ede: yes
  local-zone: "2.0.192.in-addr.arpa." nodefault
  local-zone: "example." nodefault
  num-threads: 1
remote-control:
  control-enable: no
"""
RECURSIVE_CONF = """\
options {
  directory "%FOLDER%"; pid-file none; session-keyfile "%FOLDER%/recursive.session";
  listen-on { 10.53.0.54; }; listen-on-v6 { none; };
  listen-on tls server { 10.53.0.54; };
  listen-on tls server http default { 10.53.0.54; };
  recursion yes; allow-query { any; }; dnssec-validation yes; empty-zones-enable no;
  managed-keys-directory "%FOLDER%";
};
tls server { cert-file "%FOLDER%/cert.pem"; key-file "%FOLDER%/key.pem"; };
controls {};
trust-anchors { "." static-key %KEY%; };
zone "." { type hint; file "hints"; };
"""

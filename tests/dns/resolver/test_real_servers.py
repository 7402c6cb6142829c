"""A private tree served by BIND, NSD and Knot DNS, resolved by our recursor and by Unbound, in a network namespace."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import Namespace
from tests.peers import environment, tool

ASK = Path(__file__).with_name("ask_recursor.py")
ROOT, TOP, LEAF, UNBOUND = "127.53.0.1", "127.53.0.2", "127.53.0.3", "127.53.0.4"

ZONES = {
    ".": f"""
        @ 3600 SOA a.root. host.root. 1 3600 600 86400 60
        @ NS a.root.
        a.root. A {ROOT}
        test. NS ns.test.
        ns.test. A {TOP}
    """,
    "test.": f"""
        @ 3600 SOA ns host 1 3600 600 86400 60
        @ NS ns
        ns A {TOP}
        signed NS ns.signed
        ns.signed A {LEAF}
        hashed NS ns.signed
        plain NS ns.signed
        expired NS ns.signed
        unsafe NS ns.signed
    """,
    "signed.test.": f"""
        @ 3600 SOA ns host 1 3600 600 86400 60
        @ NS ns
        ns A {LEAF}
        www A 192.0.2.1
        www AAAA 2001:db8::1
        alias CNAME www
        out CNAME www.plain.test.
        * .wild TXT "wild"
        *.wild TXT "wild"
        deep.er.name TXT "deep"
        old DNAME plain.test.
        big TXT {" ".join(['"' + "x" * 250 + '"'] * 8)}
    """,
    "hashed.test.": """
        @ 3600 SOA ns.signed.test. host 1 3600 600 86400 60
        @ NS ns.signed.test.
        www A 192.0.2.2
        *.wild TXT "wild"
        child NS ns.signed.test.
    """,
    "plain.test.": """
        @ 3600 SOA ns.signed.test. host 1 3600 600 86400 60
        @ NS ns.signed.test.
        www A 192.0.2.3
        loop CNAME pool
        pool CNAME loop
    """,
    "expired.test.": """
        @ 3600 SOA ns.signed.test. host 1 3600 600 86400 60
        @ NS ns.signed.test.
        www A 192.0.2.4
    """,
    "unsafe.test.": """
        @ 3600 SOA ns.signed.test. host 1 3600 600 86400 60
        @ NS ns.signed.test.
        www A 192.0.2.5
    """,
}
QUESTIONS = [
    ("www.signed.test.", "A"),
    ("www.signed.test.", "AAAA"),
    ("www.signed.test.", "MX"),
    ("none.signed.test.", "A"),
    ("alias.signed.test.", "A"),
    ("out.signed.test.", "A"),
    ("a.wild.signed.test.", "TXT"),
    ("a.b.wild.signed.test.", "TXT"),
    ("a.wild.signed.test.", "A"),
    ("deep.er.name.signed.test.", "TXT"),
    ("er.name.signed.test.", "TXT"),
    ("www.old.signed.test.", "A"),
    ("big.signed.test.", "TXT"),
    ("signed.test.", "DS"),
    ("signed.test.", "DNSKEY"),
    ("plain.test.", "DS"),
    ("www.hashed.test.", "A"),
    ("none.hashed.test.", "A"),
    ("x.wild.hashed.test.", "TXT"),
    ("x.wild.hashed.test.", "A"),
    ("child.hashed.test.", "DS"),
    ("www.plain.test.", "A"),
    ("none.plain.test.", "A"),
    ("www.expired.test.", "A"),
    ("none.expired.test.", "A"),
    ("www.unsafe.test.", "A"),
    ("none.test.", "A"),
    ("test.", "NS"),
    (".", "SOA"),
    ("none.", "A"),
]


def sign(folder: Path, zone: str, below: list[str]) -> Path:
    """Sign with BIND's tools; the DS sets of zones below are taken in."""
    name = zone.rstrip(".") or "root"
    path = folder / f"{name}.zone"
    text = "\n".join(line.strip() for line in ZONES[zone].strip().splitlines() if "* ." not in line)
    text = f"$ORIGIN {zone}\n$TTL 3600\n{text}\n"
    for child in below:
        text += (folder / f"dsset-{child}").read_text()
    run = {"cwd": folder, "check": True, "capture_output": True, "text": True}
    if zone == "plain.test.":
        path.write_text(text)
        return path
    for flags in (["-f", "KSK"], []):
        keygen = [tool("dnssec-keygen"), "-q", "-a", "ECDSAP256SHA256", *flags, "-K", str(folder), zone]
        key = subprocess.run(keygen, **run).stdout.strip()  # type: ignore[call-overload]
        text += (folder / f"{key}.key").read_text()
    path.write_text(text)
    options = ["-3", "ab", "-H", "0"] if zone == "hashed.test." else []
    if zone == "expired.test.":
        options = ["-P", "-s", "20200101000000", "-e", "20200201000000"]
    signer = [tool("dnssec-signzone"), "-q", "-K", str(folder), "-d", str(folder), "-o", zone, *options, str(path)]
    subprocess.run(signer, **run)  # type: ignore[call-overload]
    signed = folder / f"{name}.zone.signed"
    if zone == "unsafe.test.":
        signed.write_text(signed.read_text().replace("192.0.2.5", "192.0.2.66"))
    return signed


def configure(folder: Path, zones: dict[str, Path]) -> dict[str, list[str]]:
    """Write configurations; returns the commands."""
    (folder / "named.conf").write_text(
        f"""options {{ directory "{folder}"; pid-file none; session-keyfile none; listen-on {{ {ROOT}; }};
        listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; empty-zones-enable no; }};
        controls {{ }};
        zone "." {{ type primary; file "{zones["."]}"; }};"""
    )
    (folder / "nsd.conf").write_text(
        f"""server:
  ip-address: {TOP}
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  pidfile: ""
  database: ""
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
remote-control:
  control-enable: no
zone:
  name: "test."
  zonefile: "{zones["test."]}"
"""
    )
    leaves = "".join(
        f'  - domain: "{name}"\n    file: "{path}"\n' for name, path in zones.items() if name.count(".") > 1
    )
    (folder / "knot.conf").write_text(
        f"""server:
  rundir: "{folder}"
  listen: {LEAF}@53
database:
  storage: "{folder}"
zone:
{leaves}"""
    )
    (folder / "hints").write_text(f". 3600 NS a.root.\na.root. 3600 A {ROOT}\n")
    (folder / "anchor").write_text((folder / "dsset-.").read_text())
    (folder / "unbound.conf").write_text(
        f"""server:
  interface: {UNBOUND}
  access-control: 127.0.0.0/8 allow
  do-daemonize: no
  do-not-query-localhost: no
  root-hints: "{folder}/hints"
  trust-anchor-file: "{folder}/anchor"
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  local-zone: "test." nodefault
  module-config: "validator iterator"
"""
    )
    return {
        ROOT: [tool("named"), "-g", "-n", "1", "-c", f"{folder}/named.conf"],
        TOP: [tool("nsd"), "-d", "-c", f"{folder}/nsd.conf"],
        LEAF: [tool("knotd"), "-c", f"{folder}/knot.conf"],
        UNBOUND: [tool("unbound"), "-c", f"{folder}/unbound.conf"],
    }


@pytest.fixture
def tree(namespaces: Callable[[], Namespace], tmp_path: Path) -> Iterator[Namespace]:
    """The tree, served."""
    tmp_path.chmod(0o755)
    zones: dict[str, Path] = {}
    for zone in sorted(ZONES, key=lambda one: -one.count(".") if one != "." else 1):
        children = [
            one for one in zones if one != "plain.test." and one.split(".", 1)[1] == (zone if zone != "." else "")
        ]
        zones[zone] = sign(tmp_path, zone, children)
    namespace = namespaces()
    namespace.run("ip", "address", "add", f"{ROOT}/32", "dev", "lo")  # BIND looks for it there
    commands = configure(tmp_path, zones)
    with contextlib.ExitStack() as stack:
        for address, command in commands.items():
            log = stack.enter_context((tmp_path / f"log-{address}").open("wb"))
            child = subprocess.Popen(
                namespace.command(command), stdout=log, stderr=log, env=environment(), cwd=tmp_path
            )
            stack.callback(stop, child)
        for address in commands:
            wait_for(namespace, address)
        yield namespace


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_for(namespace: Namespace, address: str) -> None:
    """Until a server answers."""
    for _ in range(200):
        found = namespace.run(
            "dig", f"@{address}", "+tries=1", "+time=1", "+short", "+noall", "+comments", ".", "SOA", check=False
        )
        if "status:" in found.stdout or found.returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"{address} does not answer")


def squeezed(name: str, kind: str, *words: str) -> str:
    """A record as one word a part: dig breaks long digests and keys up, in upper case."""
    if kind in ("DS", "DNSKEY"):
        words = (*words[:3], "".join(words[3:]).lower() if kind == "DS" else "".join(words[3:]))
    return " ".join((name, kind, *words))


def ask_unbound(namespace: Namespace, name: str, kind: str) -> dict[str, object]:
    text = namespace.run(
        "dig", f"@{UNBOUND}", "+noall", "+comments", "+answer", "+tries=1", "+time=30", "+adflag", name, kind
    )
    lines = text.stdout.splitlines()
    rcode = next(line.split("status: ")[1].split(",")[0] for line in lines if "status:" in line)
    flags = next(line.split("flags:")[1].split(";")[0].split() for line in lines if "flags:" in line)
    rows = [line.split() for line in lines if line and not line.startswith(";")]
    return {
        "rcode": rcode,
        "secure": "ad" in flags,
        "answer": sorted(squeezed(row[0], row[3], *row[4:]) for row in rows),
    }


def ours(namespace: Namespace, folder: Path, **wanted: object) -> dict[str, list[dict[str, object]]]:
    wanted.setdefault("settings", {})
    wanted["questions"] = QUESTIONS
    (folder / "wanted.json").write_text(json.dumps(wanted))
    result = namespace.run(
        sys.executable, str(ASK), ROOT, str(folder / "anchor"), str(folder / "wanted.json"), timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, list[dict[str, object]]] = json.loads(result.stdout)
    return found


@pytest.mark.root
def test_our_answers_are_unbounds(tree: Namespace, tmp_path: Path) -> None:
    """The same codes, data and verdicts, iterating from a private root and forwarding to Unbound."""
    theirs = [ask_unbound(tree, name, kind) for name, kind in QUESTIONS]
    for wanted in ({}, {"forward": UNBOUND}, {"settings": {"tcp_only": True}}):
        found = ours(tree, tmp_path, **wanted)
        for again in ("answers", "again"):
            for question, mine, other in zip(QUESTIONS, found[again], theirs, strict=True):
                reason = mine.pop("reason")
                assert mine == other, (wanted, again, question, reason)

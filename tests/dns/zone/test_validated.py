"""Our answers from signed zones are believed by delv and Unbound: data, aliases, wildcards, cuts and denials."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.dns.zone import zones as bodies
from tests.dns.zone.authorities import Authority, serving
from tests.dns.zone.edge import Edge
from tests.dns.zone.test_against_authorities import SIGNED
from tests.peers import tool

from catenet.dns.zone import ZoneSet, read_zone
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AD, RD, type_from_text

pytestmark = pytest.mark.peer

SECURE = [
    "@ SOA",
    "@ NS",
    "@ MX",
    "mail A",
    "mail MX",
    "nobody A",
    "x.nobody A",
    "c A",
    "a.wild A",
    "a.b.wild TXT",
    "a.wild SRV",
    "sub.wild A",
    "x.sub.wild A",
    "a.wildcname A",
    "a.wildgone A",
    "www2 A",
    "gone A",
    "old A",
    "host.old A",
    "nobody.old A",
    "x.inner A",
    "signed DS",
    "deep.signed2 DS",
    "many TXT",
    "many MX",
    "upper A",
]
"""Name and type; all of these are signed, or denied."""
EXISTING = {"@ SOA", "@ NS", "@ MX", "mail A", "www2 A", "host.old A", "signed DS", "many TXT", "upper A"}
"""Of these: what needs no denial. In a zone that opts out one leaves room for what is not signed (RFC 5155 9.2)."""
UNSIGNED = ["cut DS", "one.two.three DS", "ent.unsigned DS"]
"""Delegations without DS."""


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, Path]]:
    """Our server with all the signed zones, and a file of their keys."""
    for name in ("dnssec-signzone", "ldns-signzone"):
        tool(name)
    folder = tmp_path_factory.mktemp("signed")
    anchors, zones = [], ZoneSet()
    for origin, (by, *words) in SIGNED.items():
        path = bodies.sign(bodies.write(folder, origin), origin, *words, by=by)
        zone = read_zone(path, name_from_text(origin))
        zones.put(zone)
        for file in (folder / f"{origin}signing").glob("K*.key"):
            anchors += [line for line in file.read_text().splitlines() if " 257 3 " in line.replace("\t", " ")]
    (folder / "anchors").write_text("\n".join(anchors) + "\n")
    with Edge(zones) as edge:
        yield edge, folder / "anchors"


def question_of(text: str, origin: str) -> tuple[str, str]:
    name, kind = text.split()
    return (origin if name == "@" else f"{name}.{origin}"), kind


@pytest.mark.parametrize("origin", SIGNED)
def test_delv_validates_all(origin: str, signed: tuple[Edge, Path], tmp_path: Path) -> None:
    edge, anchors = signed
    key = next(line.split() for line in anchors.read_text().splitlines() if line.startswith(origin))
    start = key.index("257")
    file = tmp_path / "anchors"
    flags, protocol, algorithm, *text = key[start:]
    text = "".join(text).partition(";")[0]
    file.write_text(f'trust-anchors {{ "{origin}" static-key {flags} {protocol} {algorithm} "{text}"; }};\n')
    for each in SECURE + UNSIGNED:
        name, kind = question_of(each, origin)
        words = [tool("delv"), "@127.0.0.1", "-p", str(edge.port), "-a", str(file), f"+root={origin}", name, kind]
        said = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout
        is_free = origin == "optout.test." and each not in EXISTING and "unsigned answer" in said
        assert is_free or "fully validated" in said.splitlines()[0], f"{name} {kind}: {said}"


@pytest.fixture(scope="module")
def unbound(signed: tuple[Edge, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    edge, anchors = signed
    stubs = "".join(
        f'stub-zone:\n  name: "{origin}"\n  stub-addr: 127.0.0.1@{edge.port}\n  stub-tcp-upstream: yes\n'
        for origin in SIGNED
    )
    more = f'server:\n  trust-anchor-file: "{anchors}"\n{stubs}'
    with serving("unbound", tmp_path_factory.mktemp("unbound"), {}, more) as server:
        yield server


@pytest.mark.parametrize("origin", SIGNED)
def test_unbound_validates_all(origin: str, signed: tuple[Edge, Path], unbound: Authority) -> None:
    for each in SECURE + UNSIGNED:
        name, kind = question_of(each, origin)
        answer = unbound.ask(Question(name_from_text(name), type_from_text(kind)), True, RD | AD)
        assert answer.rcode in (0, 3), f"{name} {kind}: {answer.rcode}"
        if origin != "optout.test." or each in EXISTING:
            assert answer.flags & AD, f"{name} {kind}"

"""Our answers beside those of BIND, NSD and Knot with the same zones, plain and signed in five ways.

In each section we say what at least two of them say; where they differ the table in docs/design/dns.md has the RFC that
decides.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.dns.zone import zones
from tests.dns.zone.authorities import SERVERS, Authority, serving
from tests.peers import tool

from catenet.dns.response import Response, response_from_message
from catenet.dns.rrset import RRset, records_of
from catenet.dns.zone import Zone, read_zone
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, fold, name_from_text, name_to_text, parent
from catenet.wire.dns.numbers import type_from_text, type_to_text
from catenet.wire.dns.rdata import canonical

pytestmark = pytest.mark.peer

SIGNED = {
    "nsec.test.": ("dnssec-signzone",),
    "nsec3.test.": ("dnssec-signzone", "-3", "aabb", "-H", "3"),
    "optout.test.": ("dnssec-signzone", "-3", "-", "-A", "-H", "0"),
    "ldnsnsec.test.": ("ldns-signzone",),
    "ldnsnsec3.test.": ("ldns-signzone", "-n", "-s", "ccdd", "-t", "2"),
}
ORIGINS = ["plain.test.", *SIGNED]
TYPES = tuple("A AAAA NS MX TXT CNAME DNAME DS SOA DNSKEY NSEC3PARAM NSEC SRV HTTPS SPF".split())  # noqa: SIM905
LABELS = [b"a", b"*", b"host", b"zzz", b"m", b"\xff\x01", b"wild", b"ns1", b"x"]
QUESTIONS = 400
"""For each zone."""

Records = Counter[tuple[bytes, int, int, bytes]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    for name in (*SERVERS, "dnssec-signzone", "ldns-signzone"):
        tool(name)
    folder = tmp_path_factory.mktemp("zones")
    found = {origin: zones.write(folder, origin) for origin in ORIGINS}
    for origin, (by, *words) in SIGNED.items():
        found[origin] = zones.sign(found[origin], origin, *words, by=by)
    return found


@pytest.fixture(scope="module")
def peers(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Authority]]:
    folder = tmp_path_factory.mktemp("peers")
    with (
        serving("named", folder / "named", files) as named,
        serving("nsd", folder / "nsd", files) as nsd,
        serving("knotd", folder / "knotd", files) as knotd,
    ):
        running = {"named": named, "nsd": nsd, "knotd": knotd}
        for peer in running.values():
            peer.wait_for(Question(name_from_text(ORIGINS[-1]), type_from_text("SOA")))
        yield running


def questions(zone: Zone, seed: int) -> Iterator[tuple[Question, bool]]:
    """Names of the zone, and names near them."""
    rng = random.Random(seed)
    names = list(zone.names())
    for _ in range(QUESTIONS):
        name = rng.choice(names)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            label, way = rng.choice(LABELS), rng.random()
            above = parent(name) if name != zone.apex else name
            changed = above if way < 0.2 else bytes((len(label),)) + label + (name if way < 0.8 else above)
            name = changed if len(changed) <= 255 else name
        name = name.upper() if rng.random() < 0.1 else name
        yield Question(name, type_from_text(rng.choice(TYPES))), rng.random() < 0.7


def flat(sets: list[RRset], dnssec_ok: bool) -> Records:
    return Counter(
        (fold(one.name), one.type, one.ttl, canonical(one.data, one.type)) for one in records_of(sets, dnssec_ok)
    )


def is_endless(name: bytes) -> bool:
    """Whether a DNAME leads from the name to below itself: how many times that is followed is free (RFC 6672 2.3)."""
    return b"\x09loopdname" in fold(name)


@pytest.mark.parametrize("origin", ORIGINS)
def test_we_say_what_most_say(origin: str, files: dict[str, Path], peers: Mapping[str, Authority]) -> None:
    compare(read_zone(files[origin], name_from_text(origin)), peers)


def test_we_say_what_most_say_as_the_root(tmp_path: Path) -> None:
    file = zones.sign(zones.write(tmp_path, "."), ".", "-3", "-", "-A", "-H", "0")
    with contextlib.ExitStack() as stack:
        peers = {kind: stack.enter_context(serving(kind, tmp_path / kind, {".": file})) for kind in SERVERS}
        for peer in peers.values():
            peer.wait_for(Question(ROOT, type_from_text("SOA")))
        compare(read_zone(file, ROOT), peers)


def compare(zone: Zone, peers: Mapping[str, Authority]) -> None:
    """Ask all the same."""
    for question, dnssec_ok in questions(zone, seed=1):
        ours = zone.answer(question, dnssec_ok)
        theirs = {name: response_from_message(peer.ask(question, dnssec_ok)) for name, peer in peers.items()}
        what = f"{name_to_text(question.name)} {type_to_text(question.type)}"
        if is_endless(question.name):
            continue
        for section in ("answer", "authority"):
            said = {name: flat(getattr(one, section), dnssec_ok) for name, one in theirs.items()}
            own = flat(getattr(ours, section), dnssec_ok)
            agree = [name for name, each in said.items() if each == own]
            assert len(agree) >= 2 or is_needed_proof(ours, own, said), f"{what}: {section} as {agree} only"
        agree = [
            name for name, one in theirs.items() if (one.rcode, one.authoritative) == (ours.rcode, ours.authoritative)
        ]
        assert len(agree) >= 2, f"{what}: {ours.rcode} as {agree} only"
        extra = flat(ours.additional, dnssec_ok)
        for one in theirs.values():
            extra -= flat(one.additional, dnssec_ok)
        assert not extra, f"{what}: nobody else adds {extra}"


def is_needed_proof(ours: Response, own: Records, said: dict[str, Records]) -> bool:
    """A wildcard that is an empty non-terminal has no NSEC set: NSD shows what covers it, BIND and Knot do not."""
    return not ours.rcode and own == said["nsd"] and all(each <= own for each in said.values())

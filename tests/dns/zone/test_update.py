"""Dynamic updates: every form, from nsupdate and knsupdate, and beside BIND with the same script."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from tests.dns.zone import zones as bodies
from tests.dns.zone.authorities import serving
from tests.dns.zone.edge import Edge, fetch
from tests.peers import tool

from catenet.dns.zone import Zone, ZoneSet, read_zone
from catenet.dns.zone.difference import apply, difference
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.transfer_in import TransferIn
from catenet.dns.zone.tsig import TsigKey
from catenet.dns.zone.update import Grant, Match, answer_update, update_zone
from catenet.wire.dns.message import Message, Question, parse
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.numbers import SOA, rcode_to_text, type_from_text
from catenet.wire.dns.record import make_record

SECRET = "c2VjcmV0IG9mIGEgdGVzdCwgc2hhcmVkIGJ5IHR3bw=="
ORIGIN = name_from_text("plain.test.")
KEY = TsigKey.from_text(f"hmac-sha256:host.plain.test.:{SECRET}")
ALL = (Grant(None), Grant(None, types=frozenset((SOA, 2))))

SCRIPTS = {
    "adds": "update add new 60 A 192.0.2.50\nupdate add new 60 A 192.0.2.51\nupdate add a.b.new.c 60 TXT x",
    "changes the TTL": "update add mail 77 A 192.0.2.4",
    "adds twice": "update add many 3600 A 192.0.2.20\nupdate add many 3600 A 192.0.2.20",
    "deletes a record": "update delete many A 192.0.2.20",
    "deletes a set": "update delete many A",
    "deletes a name": "update delete many",
    "deletes what is not there": "update delete nobody\nupdate delete many MX\nupdate delete many A 192.0.2.99",
    "deletes the apex": "update delete @",
    "deletes the name servers": "update delete @ NS",
    "deletes one name server": "update delete @ NS ns2.plain.test.",
    "deletes all name servers one by one": "update delete @ NS ns1.plain.test.\nupdate delete @ NS ns2.plain.test.\n"
    "update delete @ NS ns.elsewhere.test.",
    "deletes the SOA record": "update delete @ SOA",
    "adds beside an alias": "update add www 60 A 192.0.2.60",
    "adds an alias beside data": "update add mail 60 CNAME www.plain.test.",
    "replaces an alias": "update add www 60 CNAME ns1.plain.test.",
    "makes an alias of a name": "update delete many\nupdate add many 60 CNAME mail.plain.test.",
    "brings a later serial": "update add @ 3600 SOA ns1.plain.test. hostmaster.plain.test. 2026113001 1 2 3 4",
    "brings an older serial": "update add @ 3600 SOA ns1.plain.test. hostmaster.plain.test. 2026112801 1 2 3 4",
    "replaces DNAME": "update add old 60 DNAME other.plain.test.",
    "requires a name": "prereq yxdomain many\nupdate add a1 60 A 192.0.2.1",
    "requires a name that is not there": "prereq yxdomain nobody\nupdate add a1 60 A 192.0.2.1",
    "requires no name": "prereq nxdomain nobody\nupdate add a1 60 A 192.0.2.1",
    "requires no name that is there": "prereq nxdomain many\nupdate add a1 60 A 192.0.2.1",
    "requires no name of one between": "prereq nxdomain b.c\nupdate add a1 60 A 192.0.2.1",
    "requires a name between": "prereq yxdomain a.b.c\nupdate add a1 60 A 192.0.2.1",
    "requires a set": "prereq yxrrset many TXT\nupdate add a1 60 A 192.0.2.1",
    "requires a set that is not there": "prereq yxrrset many MX\nupdate add a1 60 A 192.0.2.1",
    "requires no set": "prereq nxrrset many MX\nupdate add a1 60 A 192.0.2.1",
    "requires no set that is there": "prereq nxrrset many A\nupdate add a1 60 A 192.0.2.1",
    "requires values": "prereq yxrrset ns2 A 192.0.2.3\nupdate add a1 60 A 192.0.2.1",
    "requires other values": "prereq yxrrset many A 192.0.2.20\nupdate add a1 60 A 192.0.2.1",
    "requires all values": "prereq yxrrset many A 192.0.2.20\nprereq yxrrset many A 192.0.2.21\n"
    "prereq yxrrset many A 192.0.2.22\nupdate add a1 60 A 192.0.2.1",
    "is outside": "update add www.elsewhere.test. 60 A 192.0.2.1",
    "requires outside": "prereq yxdomain www.elsewhere.test.\nupdate add a1 60 A 192.0.2.1",
    "is below a cut": "update add more.cut 60 A 192.0.2.1",
    "compares names in any case": "update delete MANY TXT\nupdate delete @ MX 10 MAIL.plain.test.",
}


def zone() -> Zone:
    return read_zone(f"$ORIGIN plain.test.\n{bodies.BODY}")


def absolute(script: str) -> str:
    lines = []
    for line in script.splitlines():
        words = line.split()
        if not words[2].endswith("."):
            words[2] = "plain.test." if words[2] == "@" else f"{words[2]}.plain.test."
        lines.append(" ".join(words))
    return "\n".join(lines)


def nsupdate(port: int, script: str, *words: str) -> str:
    text = f"server 127.0.0.1 {port}\nzone plain.test.\n{absolute(script)}\nsend\n"
    done = subprocess.run([tool("nsupdate"), *words], input=text, text=True, capture_output=True, timeout=30)
    return (done.stderr + done.stdout).strip().rpartition("update failed: ")[2]


class Recorder:
    """An updater for the edge, with a journal."""

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        self.grants = grants
        self.journal = Journal()
        self.rcodes: list[str] = []

    def __call__(self, zone: Zone, message: Message, key: TsigKey | None) -> bytes:
        done = update_zone(zone, message, key.name if key else None, self.grants)
        if done.change is not None:
            self.journal.add(done.change)
        self.rcodes.append(rcode_to_text(done.rcode))
        return answer_update(message, done.rcode)


@pytest.mark.peer
@pytest.mark.parametrize("what", SCRIPTS)
def test_an_update_does_what_bind_does(what: str, tmp_path: Path) -> None:
    file = bodies.write(tmp_path, "plain.test.")
    conf = f'zone "plain.test" {{ type primary; file "{file}"; allow-update {{ any; }}; }};'
    ours, recorder = zone(), Recorder(ALL)
    with serving("named", tmp_path / "named", {}, conf) as server, Edge(ZoneSet([ours]), (), recorder) as edge:
        server.wait_for(Question(ORIGIN, SOA))
        theirs_said = nsupdate(server.port, SCRIPTS[what])
        ours_said = nsupdate(edge.port, SCRIPTS[what])
        theirs = fetch(server.port, TransferIn(ORIGIN, 1))
        assert ours_said == theirs_said
        change = difference(theirs, ours)
        assert (change.removed[1:], change.added[1:]) == ((), ())
        assert ours.serial == theirs.serial
        later = zone()
        for each in recorder.journal:
            apply(later, each)
        assert difference(later, ours)[0][1:] == ()
        assert set(ours.names()) == set(Zone(ours.origin, ours).names())


@pytest.mark.peer
@pytest.mark.parametrize("program", ["nsupdate", "knsupdate"])
def test_a_key_may_do_what_it_was_granted(program: str, tmp_path: Path) -> None:
    grants = (Grant(KEY.name, Match.SELFSUB), Grant(KEY.name, Match.NAME, fold(name_from_text("www.plain.test."))))
    ours, recorder = zone(), Recorder(grants)
    with Edge(ZoneSet([ours]), (KEY,), recorder) as edge:
        for script in (
            "update add host 60 A 192.0.2.1",
            "update add a.host 60 A 192.0.2.1",
            "update delete www CNAME",
            "update add other 60 A 192.0.2.1",
            "update add host 60 NS ns1.plain.test.",
            "update delete www\nupdate add other 60 A 192.0.2.1",
        ):
            text = f"server 127.0.0.1 {edge.port}\nzone plain.test.\n{absolute(script)}\nsend\n"
            key = f"hmac-sha256:host.plain.test.:{SECRET}"
            subprocess.run([tool(program), "-y", key], input=text, text=True, capture_output=True, timeout=30)
        assert recorder.rcodes == ["NOERROR"] * 3 + ["REFUSED"] * 3
        assert nsupdate(edge.port, "update add host 60 A 192.0.2.2") == "REFUSED"
        assert ours.get(name_from_text("other.plain.test."), 1) is None


def message(*records: tuple[str, str, int, int, bytes], section: str = "authority") -> Message:
    made = [
        make_record(name_from_text(name, ORIGIN), type_from_text(kind), ttl, data, rclass).source
        for name, kind, rclass, ttl, data in records
    ]
    counts = (len(made), 0) if section == "answer" else (0, len(made))
    return parse(struct.pack("!6H", 1, 5 << 11, 1, *counts, 0) + ORIGIN + b"\0\6\0\1" + b"".join(made))


@pytest.mark.parametrize(
    ("records", "section", "rcode"),
    [
        ([("a", "A", 1, 5, bytes(4))], "answer", "FORMERR"),
        ([("a", "A", 255, 0, bytes(4))], "answer", "FORMERR"),
        ([("a", "A", 254, 0, bytes(4))], "answer", "FORMERR"),
        ([("a", "A", 3, 0, b"")], "answer", "FORMERR"),
        ([("a", "ANY", 1, 5, b"")], "authority", "FORMERR"),
        ([("a", "AXFR", 255, 0, b"")], "authority", "FORMERR"),
        ([("a", "A", 255, 5, b"")], "authority", "FORMERR"),
        ([("a", "A", 255, 0, bytes(4))], "authority", "FORMERR"),
        ([("a", "ANY", 254, 0, b"")], "authority", "FORMERR"),
        ([("a", "A", 3, 0, bytes(4))], "authority", "FORMERR"),
        ([("a", "MX", 1, 5, b"\0")], "authority", "FORMERR"),
        ([("a", "RRSIG", 1, 5, bytes(30))], "authority", "REFUSED"),
    ],
)
def test_what_is_no_update_changes_nothing(
    records: list[tuple[str, str, int, int, bytes]], section: str, rcode: str
) -> None:
    ours = zone()
    done = update_zone(ours, message(*records, section=section), None, (*ALL, Grant(None, types=frozenset((46,)))))
    assert (rcode_to_text(done.rcode), done.change) == (rcode, None)
    assert ours.serial == 2026112901


def test_another_zone_is_not_ours() -> None:
    other = Zone(name_from_text("other.test."), [])
    assert rcode_to_text(update_zone(other, message(), None, ALL).rcode) == "NOTAUTH"

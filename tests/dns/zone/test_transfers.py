"""Transfers to and from BIND, NSD and Knot, with and without keys."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from tests.dns.zone import zones as bodies
from tests.dns.zone.authorities import SERVERS, Authority, serving
from tests.dns.zone.edge import Edge, fetch
from tests.peers import tool

from catenet.dns.zone import Zone, ZoneSet, read_zone
from catenet.dns.zone.difference import Difference, apply, difference
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.transfer_in import TransferError, TransferIn, TransferResult
from catenet.dns.zone.transfer_out import transfer_out
from catenet.dns.zone.tsig import TsigKey
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.numbers import AXFR, IXFR, SOA

SECRET = "c2VjcmV0IG9mIGEgdGVzdCwgc2hhcmVkIGJ5IHR3bw=="
KEY = TsigKey.from_text(f"hmac-sha256:transfer.key.:{SECRET}")
ORIGIN = name_from_text("plain.test.")


def key_of(kind: str, name: str = "transfer.key.", algorithm: str = "hmac-sha256") -> str:
    if kind == "named":
        return f'key "{name}" {{ algorithm {algorithm}; secret "{SECRET}"; }};\n'
    if kind == "nsd":
        return f'key:\n  name: "{name}"\n  algorithm: {algorithm}\n  secret: "{SECRET}"\n'
    return f"key:\n  - id: {name}\n    algorithm: {algorithm}\n    secret: {SECRET}\n"


def primary(kind: str, zone: Path, signed: bool) -> str:
    """A configuration in which the server gives its zone away, to who has the key only if `signed`."""
    if kind == "named":
        allow = "allow-transfer { key transfer.key.; };" if signed else ""
        return key_of(kind) + f'zone "plain.test" {{ type primary; file "{zone}"; {allow} }};\n'
    if kind == "nsd":
        return f"  provide-xfr: 127.0.0.1 {'transfer.key.' if signed else 'NOKEY'}\n" + key_of(kind)
    who = "key: transfer.key." if signed else "address: 127.0.0.1"
    return (
        key_of(kind)
        + f"acl:\n  - id: out\n    {who}\n    action: transfer\n"
        + f'zone:\n  - domain: plain.test\n    file: "{zone}"\n    acl: out\n'
    )


def secondary(kind: str, folder: Path, port: int, signed: bool) -> str:
    """A configuration in which the server fetches the zone from a port."""
    if kind == "named":
        key = " key transfer.key." if signed else ""
        return key_of(kind) + (
            f'zone "plain.test" {{ type secondary; file "{folder}/copy"; primaries {{ 127.0.0.1 port {port}{key}; }};'
            " allow-notify { any; }; };\n"
        )
    if kind == "nsd":
        key = "transfer.key." if signed else "NOKEY"
        return (
            f'zone:\n  name: "plain.test"\n  zonefile: "{folder}/copy"\n'
            f"  request-xfr: 127.0.0.1@{port} {key}\n  allow-notify: 127.0.0.1 {key}\n" + key_of(kind)
        )
    key = "\n    key: transfer.key." if signed else ""
    return (
        key_of(kind)
        + f"remote:\n  - id: us\n    address: 127.0.0.1@{port}{key}\n"
        + "acl:\n  - id: told\n    address: 127.0.0.1\n    action: notify\n"
        + f'zone:\n  - domain: plain.test\n    file: "{folder}/copy"\n    master: us\n    acl: told\n'
    )


def wait_until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.025)
    raise AssertionError(what())


def serial_at(server: Authority) -> int | None:
    message = server.ask(Question(ORIGIN, SOA))
    return int.from_bytes(message.answer[0].data[-20:-16], "big") if message.answer else None


def same(first: Zone, second: Zone) -> bool:
    """Whether both hold the same records: names in any case, and in any order."""
    change = difference(first, second)
    return len(change.removed) == len(change.added) == 1


def with_serial(zone: Zone, serial: int, text: str) -> Zone:
    """A later version: another serial, and an address that is new."""
    head, body = f"$ORIGIN plain.test.\n{bodies.BODY}".split("2026112901", 1)
    return read_zone(f"{head}{serial}{body}\n{text}\n")


@pytest.fixture
def zone() -> Zone:
    return read_zone(f"$ORIGIN plain.test.\n{bodies.BODY}")


@pytest.mark.peer
@pytest.mark.parametrize("signed", [False, True], ids=["open", "key"])
@pytest.mark.parametrize("kind", SERVERS)
def test_a_zone_comes_in_whole(kind: str, signed: bool, zone: Zone, tmp_path: Path) -> None:
    file = bodies.write(tmp_path, "plain.test.")
    with serving(kind, tmp_path / kind, {"plain.test": file}, primary(kind, file, signed)) as server:
        server.wait_for(Question(ORIGIN, SOA))
        transfer = TransferIn(ORIGIN, 17, key=KEY if signed else None)
        got = fetch(server.port, transfer)
        assert transfer.result is TransferResult.WHOLE
        assert same(got, zone)
        again = TransferIn(ORIGIN, 18, current=got, key=KEY if signed else None)
        assert fetch(server.port, again) is got and again.result is TransferResult.CURRENT
        wrong = TsigKey(KEY.name, KEY.algorithm, b"another secret")
        with pytest.raises(TransferError, match=r"BADSIG|BADKEY|NOTAUTH|REFUSED"):
            fetch(server.port, TransferIn(ORIGIN, 19, key=wrong))
        if signed:
            with pytest.raises(TransferError, match=r"REFUSED|NOTAUTH"):
                fetch(server.port, TransferIn(ORIGIN, 20))


@pytest.mark.peer
@pytest.mark.parametrize("signed", [False, True], ids=["open", "key"])
@pytest.mark.parametrize("kind", SERVERS)
def test_a_zone_goes_out_whole_and_then_by_differences(kind: str, signed: bool, zone: Zone, tmp_path: Path) -> None:
    keys = (KEY,) if signed else ()
    with Edge(ZoneSet([zone]), keys) as edge:
        folder = tmp_path / kind
        with serving(kind, folder, {}, secondary(kind, folder, edge.port, signed)) as server:
            wait_until(lambda: serial_at(server) == 2026112901, server.log)
            assert edge.transfers
            later = with_serial(zone, 2026112902, "new A 192.0.2.99\nnew TXT x")
            journal = edge.journals[fold(ORIGIN)] = Journal()
            journal.add(difference(zone, later))
            edge.zones.put(later)
            whole = edge.transfers[-1][1]
            notify(server, later, KEY if signed else None)
            wait_until(lambda: serial_at(server) == 2026112902, server.log)
            kind_of, size = edge.transfers[-1]
            assert kind_of == IXFR and size < whole / 3, edge.transfers
            found = server.ask(Question(name_from_text("new.plain.test."), 1))
            assert [record.data for record in found.answer] == [bytes((192, 0, 2, 99))]


def notify(server: Authority, zone: Zone, key: TsigKey | None) -> None:
    """Tell a server, as `Notifier` does."""
    import socket

    from catenet.dns.zone.notify import Notifier, Target

    notifier = Notifier(lambda: 4711, lambda now: time.time())
    notifier.tell(zone, (Target(("127.0.0.1", server.port), key),), now=0.0)
    ((token, where, message),) = notifier.transmit(0.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(60)
        channel.sendto(message, where)
        notifier.receive(token, channel.recv(65_535), 0.0)
    assert not notifier.open_tokens() and notifier.next_deadline() is None


@pytest.mark.peer
def test_bind_tells_us_that_its_zone_has_changed(zone: Zone, tmp_path: Path) -> None:
    file = bodies.write(tmp_path, "plain.test.")
    with Edge(ZoneSet([zone]), (KEY,)) as edge:
        also = f"notify explicit; also-notify {{ 127.0.0.1 port {edge.port}; }};"
        conf = f'zone "plain.test" {{ type primary; file "{file}"; {also} }};'
        with serving("named", tmp_path / "named", {}, conf) as server:
            wait_until(lambda: bool(edge.notified), server.log)
            assert edge.notified[0] == (fold(ORIGIN), 2026112901)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["named", "knotd"])
def test_differences_come_in(kind: str, zone: Zone, tmp_path: Path) -> None:
    """The server makes them of an update by nsupdate."""
    file = bodies.write(tmp_path, "plain.test.")
    if kind == "named":
        conf = f'zone "plain.test" {{ type primary; file "{file}"; allow-update {{ any; }}; }};'
    else:
        conf = (
            "acl:\n  - id: all\n    address: 127.0.0.1\n    action: [transfer, update]\n"
            f'zone:\n  - domain: plain.test\n    file: "{file}"\n    acl: all\n    zonefile-sync: -1\n'
            "    zonefile-load: whole\n    journal-content: changes\n"
        )
    with serving(kind, tmp_path / kind, {}, conf) as server:
        server.wait_for(Question(ORIGIN, SOA))
        ours = fetch(server.port, TransferIn(ORIGIN, 1))
        for number in (1, 2):
            update = (
                f"server 127.0.0.1 {server.port}\nzone plain.test.\n"
                f"update add n{number}.plain.test. 60 A 192.0.2.{number}\n"
                "update del www.plain.test. CNAME\nsend\n"
            )
            subprocess.run([tool("nsupdate")], input=update, text=True, check=True, capture_output=True)
        transfer = TransferIn(ORIGIN, 2, current=ours)
        later = fetch(server.port, transfer)
        assert transfer.result is TransferResult.CHANGED and len(transfer.changes) == 2
        assert same(later, fetch(server.port, TransferIn(ORIGIN, 3)))
        assert later.get(name_from_text("www.plain.test."), 5) is None


# Without peers.


def messages(zone: Zone, query: bytes, journal: Journal | None = None, udp_limit: int | None = None) -> list[bytes]:
    return list(transfer_out(zone, parse(query), journal=journal, udp_limit=udp_limit))


def test_our_own_halves_fit(zone: Zone) -> None:
    transfer = TransferIn(ORIGIN, 5)
    for data in messages(zone, transfer.query(0)):
        done = transfer.receive(data, 0)
    assert done and same(transfer.commit(), zone)


def large(count: int, serial: int = 1) -> Zone:
    body = "".join(f"host{number} A 10.0.{number >> 8}.{number & 255}\n" for number in range(count))
    return read_zone(f"$ORIGIN plain.test.\n$TTL 60\n@ SOA ns h {serial} 60 60 60 60\n@ NS ns\n{body}")


def test_a_large_zone_takes_several_messages() -> None:
    zone = large(5000)
    transfer = TransferIn(ORIGIN, 5)
    sent = messages(zone, transfer.query(0))
    assert len(sent) > 5 and max(map(len, sent)) <= 16_384
    assert [transfer.receive(data, 0) for data in sent] == [False] * (len(sent) - 1) + [True]
    assert same(transfer.commit(), zone)


def test_a_change_during_a_transfer_does_not_touch_it() -> None:
    zone = large(5000)
    transfer = TransferIn(ORIGIN, 5)
    sending = transfer_out(zone, parse(transfer.query(0)))
    transfer.receive(next(sending), 0)
    apply(zone, difference(zone, large(10, 2)))
    for data in sending:
        done = transfer.receive(data, 0)
    assert done and transfer.commit().serial == 1


def test_by_udp_there_is_the_soa_record_alone_if_the_rest_does_not_fit() -> None:
    zone = large(100)
    query = TransferIn(ORIGIN, 5, current=large(5, 0)).query(0)
    (only,) = messages(zone, query, udp_limit=1232)
    assert [record.type for record in parse(only).answer] == [SOA]
    journal = Journal()
    journal.add(difference(large(99, 0), zone))
    (fits,) = messages(zone, query, journal, udp_limit=1232)
    assert len(parse(fits).answer) > 3


def test_a_journal_forgets_the_oldest_and_what_does_not_join() -> None:
    versions = [large(10 + number, number) for number in range(6)]
    changes = [difference(first, second) for first, second in pairwise(versions)]
    journal = Journal(most_bytes=3 * changes[0].size + 20)
    for change in changes:
        journal.add(change)
    assert journal.since(0) is None and len(journal.since(3) or ()) == 2 and journal.since(5) is None
    journal.add(changes[0])
    assert len(journal) == 1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: b"\0\0" + data[2:], "another query"),
        (lambda data: data[:2] + b"\0\0" + data[4:], "another query"),
        (lambda data: data[:3] + b"\5" + data[4:], "REFUSED"),
        (lambda data: data[:-1], "cut off"),
        (lambda data: data.replace(b"\x05plain", b"\x05other"), "another question"),
        (lambda data: pack(5, 0x8400, Question(ORIGIN, AXFR)), "without records"),
    ],
)
def test_what_is_no_answer_ends_the_transfer(spoil: Callable[[bytes], bytes], reason: str, zone: Zone) -> None:
    transfer = TransferIn(ORIGIN, 5)
    (data,) = messages(zone, transfer.query(0))
    with pytest.raises(TransferError, match=reason):
        transfer.receive(spoil(data), 0)


def test_a_zone_larger_than_what_is_taken_ends_the_transfer() -> None:
    zone = large(5000)
    transfer = TransferIn(ORIGIN, 5, most_bytes=40_000)
    with pytest.raises(TransferError, match="larger"):
        for data in messages(zone, transfer.query(0)):
            transfer.receive(data, 0)


def test_differences_that_do_not_fit_are_told(zone: Zone) -> None:
    journal = Journal()
    journal.add(difference(large(10, 1), large(11, 2)))
    transfer = TransferIn(ORIGIN, 5, current=large(9, 1))
    for data in messages(large(11, 2), transfer.query(0), journal):
        transfer.receive(data, 0)
    transfer.commit()  # what is added and not removed does fit
    backwards = Difference(journal.since(1)[0].added, journal.since(1)[0].removed)  # type: ignore[index]
    with pytest.raises(ValueError, match="no such A record"):
        apply(large(9, 2), backwards)

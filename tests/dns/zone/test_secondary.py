"""Secondaries in virtual time, with primaries of our own, and in real time with BIND's."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.dns.zone import zones as bodies
from tests.dns.zone.authorities import serving
from tests.dns.zone.edge import Edge, exchange
from tests.peers import tool

from catenet.dns.exchange import Exchange
from catenet.dns.zone import Zone, ZoneSet, read_zone
from catenet.dns.zone.difference import difference
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.secondary import Expired, Loaded, Primary, Secondary, SecondaryLimits
from catenet.dns.zone.tsig import TsigKey
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, name_from_text
from catenet.wire.dns.numbers import AXFR, IXFR, SOA
from catenet.wire.dns.stub import Server

ORIGIN = name_from_text("example.")
KEY = TsigKey.from_text("transfer.key.:c2VjcmV0")
FIRST, SECOND = Server(bytes((192, 0, 2, 1))), Server(bytes((192, 0, 2, 2)))
REFRESH, RETRY, EXPIRE = 1000, 100, 5000


def version(serial: int, records: str = "") -> Zone:
    return read_zone(
        f"$ORIGIN example.\n$TTL 60\n@ SOA ns h {serial} {REFRESH} {RETRY} {EXPIRE} 60\n"
        f"@ NS ns\nns A 192.0.2.9\n{records}"
    )


class World:
    """Primaries by address, and a secondary that asks them, in virtual time."""

    def __init__(self, primaries: dict[Server, Edge], key: TsigKey | None = None, zone: Zone | None = None) -> None:
        self.primaries = primaries
        self.now = 0.0
        self.lost: set[Server] = set()
        self.closed: list[int] = []
        self.sent: list[Exchange] = []
        self.events: list[Loaded | Expired] = []
        asked = tuple(Primary(server, key) for server in primaries)
        self.secondary = Secondary(ORIGIN, asked, random.Random(1), lambda now: time.time(), zone=zone)
        self.secondary.start(0.0)
        self.settle()

    def settle(self) -> None:
        """Deliver what is sent until nothing is, then take what has happened."""
        while outgoing := self.secondary.transmit():
            self.sent += outgoing
            for each in outgoing:
                self.deliver(each)
        self.closed += self.secondary.finished()
        while (event := self.secondary.next_event()) is not None:
            self.events.append(event)

    def deliver(self, each: Exchange) -> None:
        if each.server in self.lost:
            if each.transport == "tcp":
                self.secondary.fail(each.token, self.now)
            return
        for answer in self.primaries[each.server].answers(each.data, 1232 if each.transport == "udp" else None):
            self.secondary.receive(each.token, answer, self.now)

    def run(self, until: float) -> None:
        """Go on to a time."""
        while (due := self.secondary.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.secondary.handle_timeout(self.now)
            self.settle()
        self.now = until

    def take(self) -> list[str]:
        """What has happened since the last time, and what was asked."""
        found = [
            f"loaded {one.zone.serial} {len(one.changes)}" if isinstance(one, Loaded) else "expired"
            for one in self.events
        ]
        self.events.clear()
        return found


def edge_of(zone: Zone, *keys: TsigKey) -> Edge:
    return Edge(ZoneSet([zone]), keys)


def change(edge: Edge, later: Zone) -> None:
    before = edge.zones.get(ORIGIN)
    assert before is not None
    edge.journals.setdefault(fold(ORIGIN), Journal()).add(difference(before, later))
    edge.zones.put(later)


def test_the_whole_zone_comes_first_and_differences_after_the_refresh_time() -> None:
    edge = edge_of(version(1))
    world = World({FIRST: edge})
    assert world.take() == ["loaded 1 0"] and [each.transport for each in world.sent] == ["tcp"]
    change(edge, version(2, "new A 192.0.2.10\n"))
    world.run(REFRESH * 0.74)
    assert not world.take()
    world.run(REFRESH)
    assert world.take() == ["loaded 2 1"] and edge.asked == [AXFR, SOA, IXFR]
    assert [each.transport for each in world.sent] == ["tcp", "udp", "tcp"]
    assert world.closed == [1, 2, 3]
    world.run(REFRESH * 4)
    assert not world.take() and edge.asked[3:] == [SOA] * len(edge.asked[3:]) and len(edge.asked) > 5


def test_notify_begins_a_round_unless_it_tells_of_nothing_new() -> None:
    edge = edge_of(version(1))
    world = World({FIRST: edge})
    change(edge, version(2))
    world.secondary.notify(1, 5.0)
    assert not world.secondary.transmit()
    world.secondary.notify(2, 5.0)
    world.settle()
    assert world.take()[1:] == ["loaded 2 1"]


def test_notify_during_a_round_begins_another() -> None:
    edge = edge_of(version(1))
    world = World({FIRST: edge})
    world.secondary.notify(None, 1.0)
    (question,) = world.secondary.transmit()
    world.secondary.notify(None, 1.0)
    world.deliver(question)
    world.settle()
    change(edge, version(2))
    world.run(1.0)
    assert world.take()[-1] == "loaded 2 1"


def test_a_dead_primary_is_asked_again_until_the_zone_expires_and_after() -> None:
    edge = edge_of(version(1))
    world = World({FIRST: edge})
    world.take()
    world.lost = {FIRST}
    world.run(EXPIRE - 1)
    assert not world.take() and world.secondary.zone is not None
    world.run(EXPIRE + 1)
    assert world.take() == ["expired"] and world.secondary.zone is None
    asked = len(world.sent)
    world.run(EXPIRE + 5 * RETRY)
    assert len(world.sent) > asked + 4
    world.lost = set()
    world.run(EXPIRE + 7 * RETRY)
    assert world.take() == ["loaded 1 0"] and world.secondary.zone is not None


def test_each_primary_is_asked_and_the_newest_wins() -> None:
    old, new = edge_of(version(1)), edge_of(version(3))
    world = World({FIRST: old, SECOND: new})
    assert world.take() == ["loaded 1 0", "loaded 3 0"]
    world.run(REFRESH)
    assert not world.take()


def test_a_lost_question_is_repeated_before_the_next_primary() -> None:
    world = World({FIRST: edge_of(version(1)), SECOND: edge_of(version(2))}, zone=version(1))
    assert world.take() == ["loaded 2 0"]
    world.lost = {FIRST}
    world.sent.clear()
    world.run(REFRESH + 20)
    assert [each.server for each in world.sent[:3]] == [FIRST, FIRST, SECOND]


def test_messages_under_another_key_are_passed_over() -> None:
    world = World({FIRST: edge_of(version(1), TsigKey(KEY.name, KEY.algorithm, b"other"))}, KEY)
    world.run(100)
    assert not world.take() and world.secondary.zone is None
    world = World({FIRST: edge_of(version(1), KEY)}, KEY)
    assert world.take() == ["loaded 1 0"]
    world.run(REFRESH)
    assert world.primaries[FIRST].asked == [AXFR, SOA]


def test_differences_that_do_not_fit_bring_the_whole_zone() -> None:
    edge = edge_of(version(2, "a A 192.0.2.1\nb A 192.0.2.2\n"))
    journal = edge.journals[fold(ORIGIN)] = Journal()
    journal.add(difference(version(1, "c A 192.0.2.3\n"), version(2)))
    world = World({FIRST: edge}, zone=version(1))
    assert world.take() == ["loaded 2 0"] and edge.asked == [SOA, IXFR, AXFR]
    assert world.secondary.zone is not None and world.secondary.zone.get(name_from_text("a.example."), 1)


def test_a_kept_zone_expires_by_the_age_that_it_has() -> None:
    world = World({FIRST: edge_of(version(1))})
    world.secondary = Secondary(
        ORIGIN, (Primary(FIRST),), random.Random(1), lambda now: now, zone=version(1), age=EXPIRE - 50
    )
    world.lost, world.now = {FIRST}, 0.0
    world.events.clear()
    world.secondary.start(0.0)
    world.settle()
    world.run(49)
    assert not world.take()
    world.run(51)
    assert world.take() == ["expired"]


def test_forged_and_wrong_answers_are_passed_over() -> None:
    edge = edge_of(version(2))
    world = World({FIRST: edge}, zone=version(2))
    world.secondary.notify(None, 1.0)
    (question,) = world.secondary.transmit()
    (answer,) = edge.answers(question.data, 1232)
    for wrong in (b"", b"\0\0" + answer[2:], answer[:2] + b"\0\0" + answer[4:], answer[:-3], question.data):
        world.secondary.receive(question.token, wrong, 1.0)
        assert not world.secondary.finished()
    world.secondary.receive(question.token + 1, answer, 1.0)
    assert not world.secondary.finished()
    world.secondary.receive(question.token, answer, 1.0)
    assert world.secondary.finished() == [question.token]


def test_a_transfer_that_stands_still_is_given_up() -> None:
    edge = edge_of(version(2, "".join(f"h{number} A 192.0.2.1\n" for number in range(2000))))
    world = World({}, zone=None)
    world.secondary = Secondary(
        ORIGIN, (Primary(FIRST),), random.Random(1), lambda now: now, limits=SecondaryLimits(idle=7.0)
    )
    world.secondary.start(0.0)
    (asked,) = world.secondary.transmit()
    answers: Iterator[bytes] = edge.answers(asked.data, None)
    world.secondary.receive(asked.token, next(answers), 5.0)
    assert world.secondary.next_deadline() == 12.0
    world.secondary.handle_timeout(12.0)
    assert world.secondary.finished() == [asked.token] and world.secondary.zone is None
    assert (world.secondary.next_deadline() or 0) > 12.0


def drive(secondary: Secondary, until: Callable[[], bool]) -> None:
    """Run a secondary on real sockets, one exchange after another."""
    for _ in range(200):
        for each in secondary.transmit():
            where = (socket.inet_ntoa(each.server.address), each.server.port)
            kind = socket.SOCK_DGRAM if each.transport == "udp" else socket.SOCK_STREAM
            with socket.socket(socket.AF_INET, kind) as channel:
                channel.settimeout(60)
                channel.connect(where)
                if kind == socket.SOCK_DGRAM:
                    channel.send(each.data)
                    secondary.receive(each.token, channel.recv(65_535), time.monotonic())
                    continue
                for data in exchange(channel, each.data):
                    secondary.receive(each.token, data, time.monotonic())
                    if each.token in secondary.finished():
                        break
        if until():
            return
        time.sleep(0.025)
    raise AssertionError("nothing happened")


@pytest.mark.peer
def test_a_zone_of_bind_is_followed(tmp_path: Path) -> None:
    file = bodies.write(tmp_path, "plain.test.")
    conf = f'zone "plain.test" {{ type primary; file "{file}"; allow-update {{ any; }}; }};'
    with serving("named", tmp_path / "named", {}, conf) as server:
        server.wait_for(Question(name_from_text("plain.test."), SOA))
        primary = Primary(Server(bytes((127, 0, 0, 1)), server.port))
        secondary = Secondary(name_from_text("plain.test."), (primary,), random.Random(1), lambda now: time.time())
        secondary.start(time.monotonic())
        drive(secondary, lambda: secondary.zone is not None)
        for number in (1, 2):
            change = f"update add n{number}.plain.test. 60 A 192.0.2.1"
            script = f"server 127.0.0.1 {server.port}\nzone plain.test.\n{change}\nsend\n"
            subprocess.run([tool("nsupdate")], input=script, text=True, check=True, capture_output=True)
            secondary.notify(None, time.monotonic())
            drive(secondary, lambda: secondary.zone is not None and secondary.zone.serial == 2026112901 + number)  # noqa: B023
        events = [secondary.next_event() for _ in range(3)]
        assert [len(event.changes) for event in events if isinstance(event, Loaded)] == [0, 1, 1]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_nothing_escapes(seed: int) -> None:
    rng = random.Random(seed)
    edge = edge_of(version(3, "a A 192.0.2.1\n" * 5))
    secondary = Secondary(ORIGIN, (Primary(FIRST), Primary(SECOND)), rng, lambda now: now, zone=version(1))
    secondary.start(0.0)
    now = 0.0
    for _ in range(200):
        now += rng.random() * 40
        for each in secondary.transmit():
            for answer in edge.answers(each.data, 1232 if each.transport == "udp" else None):
                spoiled = bytearray(answer)
                for _ in range(rng.choice((0, 0, 1, 3))):
                    spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
                secondary.receive(
                    each.token, bytes(spoiled[: rng.choice((len(spoiled), rng.randrange(len(spoiled))))]), now
                )
        if (secondary.next_deadline() or 1e9) <= now:
            secondary.handle_timeout(now)
        if rng.random() < 0.2:
            secondary.notify(None, now)

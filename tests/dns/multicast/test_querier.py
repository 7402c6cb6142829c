"""Asking: intervals, known answers, questions of others, the life of records (RFC 6762 5, 7, 10)."""

import itertools

import pytest
from tests.dns.multicast.lan import Address, Lan

from catenet.dns.multicast.browser import Browser
from catenet.dns.multicast.packets import Ask, Item, write_packets
from catenet.dns.multicast.querier import Absent, Found, Lost
from catenet.dns.multicast.services import type_name
from catenet.wire.dns.bitmap import pack_types
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AAAA, NSEC, PTR, A

KIND = type_name("_http._tcp")
HOST = name_from_text("host.local.")
OTHER = Address("10.0.0.99")
POINTER = Item(KIND, PTR, 120, b"\1x" + KIND)


def asker(kind=PTR, name=KIND):
    lan = Lan()
    node = lan.add()
    node.core.querier.watch(name, kind, 0.0)
    return lan, node


def say(lan, *items):
    lan.inject(write_packets([], items, response=True)[0], OTHER)


def test_intervals_double_up_to_an_hour():
    lan, node = asker()
    lan.run(20_000)
    times = [when for when, _ in node.queries]
    assert 0.020 <= times[0] <= 0.120
    gaps = [round(b - a) for a, b in itertools.pairwise(times)]
    assert gaps[:5] == [1, 2, 4, 8, 16] and gaps[-1] == 3600


def test_known_answers_go_along_while_half_of_their_life_is_left():
    lan, node = asker()
    lan.run(0.5)
    say(lan, POINTER)
    lan.run(80)
    with_known = [(when, packet.answers) for when, packet in node.queries if packet.answers]
    assert [round(when) for when, _ in with_known] == [1, 3, 7, 15, 31]
    assert with_known[-1][1][0].ttl == 120 - 31 and not node.queries[-1][1].answers


def test_more_known_answers_than_fit_follow_in_more_messages():
    lan, node = asker()
    lan.run(0.5)
    for first in range(0, 200, 10):
        say(lan, *(Item(KIND, PTR, 4500, b"\x0a%010d" % at + KIND) for at in range(first, first + 10)))
    lan.run(1)
    packets = [packet for _, packet in node.queries[1:]]
    assert len(packets) > 1 and all(packet.is_cut for packet in packets[:-1]) and not packets[-1].is_cut
    assert sum(len(packet.answers) for packet in packets) == 200
    assert [len(packet.questions) for packet in packets] == [1] + [0] * (len(packets) - 1)


def test_a_record_is_asked_for_at_80_85_90_95_percent_and_then_lost():
    lan, node = asker(A, HOST)
    say(lan, Item(HOST, A, 100, bytes(4), True))
    lan.run(0.5)
    assert [type(event) for event in node.events] == [Found]
    lan.run(98.5)
    assert [round(when / 5) * 5 for when, _ in node.queries] == [80, 85, 90, 95]  # known: not asked for before
    assert [type(event) for event in node.events] == [Found]
    lan.run(1.5)
    assert [type(event) for event in node.events] == [Found, Lost]


def test_goodbye_ends_a_record_after_a_second():
    lan, node = asker()
    say(lan, POINTER)
    lan.run(5)
    say(lan, POINTER._replace(ttl=0))
    lan.run(0.9)
    assert Lost(POINTER) not in node.events
    lan.run(0.2)
    assert Lost(POINTER) in node.events


def test_a_goodbye_that_is_contradicted_within_a_second_means_nothing():
    lan, node = asker()
    say(lan, POINTER)
    say(lan, POINTER._replace(ttl=0))
    lan.run(0.5)
    say(lan, POINTER)
    lan.run(50)
    assert not [event for event in node.events if isinstance(event, Lost)]


def test_cache_flush_ends_older_data_and_not_what_came_just_before():
    lan, node = asker(A, HOST)
    old, first, second = (Item(HOST, A, 120, bytes([10, 0, 0, at]), True) for at in (1, 2, 3))
    say(lan, old)
    lan.run(5)
    say(lan, first)
    lan.run(0.5)
    say(lan, second)
    lan.run(3)
    assert [event.item for event in node.events if isinstance(event, Lost)] == [old]


def test_the_question_of_somebody_else_stands_for_ours_once():
    lan, node = asker()
    lan.run(0.5)
    asked = len(node.queries)
    for _ in range(2):
        lan.run(0.3)
        lan.inject(write_packets([Ask(KIND, PTR)])[0], OTHER)
    lan.run(1.0)
    assert len(node.queries) == asked
    lan.run(2.0)
    assert len(node.queries) == asked + 1


def test_a_question_with_answers_that_we_do_not_know_does_not_stand_for_ours():
    lan, node = asker()
    lan.run(0.5)
    lan.inject(write_packets([Ask(KIND, PTR)], [POINTER])[0], OTHER)
    lan.run(1.0)
    assert len(node.queries) == 2


def test_a_name_without_records_of_a_type():
    lan, node = asker(AAAA, HOST)
    say(lan, Item(HOST, NSEC, 120, HOST + pack_types([A]), True))
    lan.run(30)
    assert node.events == [Absent((HOST, AAAA))] and not node.queries


def test_what_nobody_asked_for_is_not_kept():
    lan, node = asker()
    say(lan, Item(HOST, A, 120, bytes(4), True))
    assert not node.core.querier.cache.size


@pytest.mark.parametrize("port", [53, 40000])
def test_responses_of_other_ports_are_not_heard(port):
    lan, node = asker()
    lan.inject(write_packets([], [POINTER], response=True)[0], Address("10.0.0.99", port))
    assert not node.events and node.core.foreign == 1


def test_a_browser_tells_of_a_service_when_all_is_known_and_of_what_changes():
    lan = Lan(3)
    server, node = lan.add(), lan.add()
    node.browser = Browser(node.core.querier, "eth0")
    node.browser.follow_type(KIND, 0.0)
    made = lan.publish(server, "Printer")
    lan.run(5)
    (change,) = node.changes
    assert change.kind == "found"
    service = change.service
    assert (service.name, service.type, service.host, service.port) == ("Printer", "_http._tcp", "host.local.", 80)
    assert (service.addresses, dict(service.properties)) == (("10.0.0.1",), {"a": b"b"})
    lan.run(10_000)  # over many lives of its records
    assert len(node.changes) == 1
    made.withdraw(lan.now)
    lan.run(2)
    assert [change.kind for change in node.changes] == ["found", "gone"]


def test_a_host_that_is_there_no_more():
    lan = Lan(3)
    server, node = lan.add(), lan.add()
    node.browser = Browser(node.core.querier)
    node.browser.follow_type(KIND, 0.0)
    lan.publish(server, "Printer")
    lan.run(5)
    lan.nodes.remove(server)
    lan.run(4600)
    assert [change.kind for change in node.changes] == ["found", "gone"]

"""Answering: probes, announcements, to whom and how often (RFC 6762 5.4, 6, 7, 8)."""

import itertools

from tests.dns.multicast.lan import GROUP, Address, Lan

from catenet.dns.multicast.packets import Ask, Item, read_packet, write_packets
from catenet.dns.multicast.services import ENUMERATION, type_name
from catenet.wire.dns.bitmap import unpack_types
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import AAAA, ANY, NSEC, PTR, SRV, TXT, A

KIND = type_name("_http._tcp")
INSTANCE = b"\7Printer" + KIND
HOST = name_from_text("host.local.")
ASKER = Address("10.0.0.99")
LEGACY = Address("10.0.0.99", 40000)


def offering(seconds=10.0):
    lan = Lan(5)
    node = lan.add()
    lan.publish(node, "Printer")
    lan.run(seconds)
    return lan, node


def ask(lan, node, *asks, source=ASKER, known=(), authority=(), wait=1.0, number=0):
    """What a node says to a question: to whom, and the message."""
    node.sent.clear()
    lan.inject(write_packets(asks, known, authority, number=number)[0], source)
    lan.run(wait)
    return [(peer, packet) for _, peer, packet in node.sent]


def kinds(packet):
    return {item.type for item in packet.answers}


def test_three_probes_then_announcements():
    _lan, node = offering()
    probes = [(when, packet) for when, packet in node.queries if packet.authority and packet.questions[0].name == HOST]
    times = [when for when, _ in probes]
    assert times[0] <= 0.25 and [round(b - a, 3) for a, b in itertools.pairwise(times)] == [0.25, 0.25]
    assert all(packet.questions == [Ask(HOST, ANY)] for _, packet in probes)
    said = [when for when, packet in node.responses if any(item.type == SRV for item in packet.answers)]
    assert [round(b - a) for a, b in itertools.pairwise(said)] == [1, 2]
    assert all(item.flush == (item.name not in (KIND, ENUMERATION)) for _, p in node.responses for item in p.answers)


def test_the_answer_to_a_type_brings_what_is_asked_for_next():
    lan, node = offering()
    ((peer, packet),) = ask(lan, node, Ask(KIND, PTR))
    assert peer == GROUP and [item.data for item in packet.answers] == [INSTANCE]
    assert {item.type for item in packet.additional} == {SRV, TXT, A, NSEC}


def test_a_question_for_what_is_unique_is_answered_at_once_and_others_after_a_moment():
    lan, node = offering()
    start = lan.now
    ask(lan, node, Ask(INSTANCE, SRV))
    assert node.sent[0][0] == start
    start = lan.now
    ask(lan, node, Ask(KIND, PTR))
    assert 0.020 <= node.sent[0][0] - start <= 0.120


def test_a_record_goes_to_the_group_once_a_second():
    lan, node = offering()
    assert ask(lan, node, Ask(INSTANCE, SRV), wait=0.3)
    assert not ask(lan, node, Ask(INSTANCE, SRV), wait=0.8)
    assert ask(lan, node, Ask(INSTANCE, SRV), wait=0.3)
    assert ask(lan, node, Ask(INSTANCE, ANY), authority=[Item(INSTANCE, SRV, 120, bytes(6) + HOST)])  # a probe


def test_known_answers_are_not_said_again():
    lan, node = offering()
    assert not ask(lan, node, Ask(KIND, PTR), known=[Item(KIND, PTR, 2251, INSTANCE)])
    assert ask(lan, node, Ask(KIND, PTR), known=[Item(KIND, PTR, 2249, INSTANCE)])


def test_known_answers_that_come_later_count_too():
    lan, node = offering()
    data = bytearray(write_packets([Ask(KIND, PTR)])[0])
    data[2] |= 2  # TC
    node.sent.clear()
    lan.inject(bytes(data), ASKER)
    lan.run(0.2)
    lan.inject(write_packets([], [Item(KIND, PTR, 4500, INSTANCE)])[0], ASKER)
    lan.run(1)
    assert not node.sent
    lan.inject(bytes(data), ASKER)
    lan.run(0.39)
    assert not node.sent
    lan.run(0.3)
    assert node.sent


def test_what_another_one_has_just_said_is_not_said_again():
    lan, node = offering()
    node.sent.clear()
    lan.inject(write_packets([Ask(KIND, PTR)])[0], ASKER)
    lan.inject(write_packets([], [Item(KIND, PTR, 4500, INSTANCE)], response=True)[0], Address("10.0.0.98"))
    lan.run(1)
    assert not node.sent


def test_unicast_is_answered_by_unicast_unless_the_group_has_not_heard_for_long():
    lan, node = offering()
    assert [peer for peer, _ in ask(lan, node, Ask(INSTANCE, SRV, True))] == [ASKER]
    lan.run(31)
    assert [peer for peer, _ in ask(lan, node, Ask(INSTANCE, SRV, True))] == [GROUP]


def test_a_resolver_that_knows_no_multicast_gets_an_answer_that_it_understands():
    lan, node = offering()
    ((peer, packet),) = ask(lan, node, Ask(HOST, A), source=LEGACY, number=4711)
    assert peer == LEGACY and packet.id == 4711 and packet.questions == [Ask(HOST, A)]
    assert [(item.ttl, item.flush) for item in packet.answers] == [(10, False)]


def test_types_that_a_name_does_not_have():
    lan, node = offering()
    ((_, packet),) = ask(lan, node, Ask(HOST, AAAA))
    (item,) = packet.answers
    assert item.type == NSEC and unpack_types(item.data[len(HOST) :]) == [A]
    assert not ask(lan, node, Ask(name_from_text("other.local."), AAAA))


def test_types_of_services_and_subtypes():
    lan = Lan(5)
    node = lan.add()
    lan.publish(node, "Printer", kind="_ipp._tcp")
    lan.run(10)
    ((_, packet),) = ask(lan, node, Ask(ENUMERATION, PTR))
    assert [item.data for item in packet.answers] == [type_name("_ipp._tcp")]


def test_reverse_names():
    lan, node = offering()
    ((_, packet),) = ask(lan, node, Ask(name_from_text("1.0.0.10.in-addr.arpa."), PTR))
    assert [item.data for item in packet.answers] == [HOST]


def test_the_end_says_goodbye():
    lan, node = offering()
    node.sent.clear()
    node.core.drain(lan.now)
    lan.run(1)
    gone = [item for _, packet in node.responses for item in packet.answers]
    assert {item.type for item in gone} >= {PTR, SRV, TXT, A} and all(item.ttl == 0 for item in gone)


def test_of_two_probes_the_later_data_wins():
    lan = Lan(4)
    low, _high = lan.add(), lan.add()
    low.core.receive, heard = (lambda data, peer, now: None), low.core.receive
    one = lan.publish(low, "Printer")
    lan.run(0.3)
    low.core.receive = heard
    theirs = write_packets([Ask(HOST, ANY)], (), [Item(HOST, A, 120, bytes([10, 0, 0, 200]))])[0]
    lan.inject(theirs, ASKER, low)
    lan.run(0.9)
    assert not one.is_held  # it waits for a second, then goes on, as the winner has said nothing
    lan.run(1.5)
    assert one.is_held and one.host == "host"


def test_names_are_written_so_that_others_read_them():
    data = write_packets([Ask(KIND, PTR, True)], [Item(KIND, PTR, 4500, INSTANCE)])[0]
    packet = read_packet(data)
    assert packet.questions == [Ask(KIND, PTR, True)] and packet.answers == [Item(KIND, PTR, 4500, INSTANCE)]

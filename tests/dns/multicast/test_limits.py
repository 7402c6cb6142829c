"""What strangers may cost, and what they send that is wrong."""

import asyncio
import ipaddress
from random import Random

import pytest
from tests.dns.multicast.lan import GROUP, Address, Lan

from catenet.dns.multicast import host_addresses, links
from catenet.dns.multicast.answers import MOST_SENT
from catenet.dns.multicast.browser import MOST_INSTANCES, Browser
from catenet.dns.multicast.core import MOST_REPLIES, Limits, MulticastDns
from catenet.dns.multicast.packets import MOST_QUESTIONS, Ask, Item, write_packets
from catenet.dns.multicast.querier import MOST_WATCHES
from catenet.dns.multicast.services import type_name
from catenet.wire.dns.bitmap import pack_types
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import NSEC, PTR, SRV, A

KIND = type_name("_http._tcp")
HOST = name_from_text("host.local.")


def pointers(first, count=20):
    return [Item(KIND, PTR, 4500, b"\x0a%010d" % at + KIND) for at in range(first, first + count)]


def said(items):
    return write_packets([], items, response=True)[0]


def test_records_of_one_peer_and_of_all():
    lan = Lan()
    node = lan.add(Limits(most_records=100, most_of_peer=60))
    node.core.querier.watch(KIND, PTR, 0.0)
    for first in range(0, 200, 20):
        lan.inject(said(pointers(first)), Address("10.0.0.98"))
    cache = node.core.querier.cache
    assert (cache.size, cache.refused) == (60, 140)
    for first in range(1000, 1200, 20):
        lan.inject(said(pointers(first)), Address("10.0.0.97"))
    assert cache.size == 100
    lan.run(5000)
    assert cache.size == 0  # what goes makes room
    lan.inject(said(pointers(0)), Address("10.0.0.98"))
    assert cache.size == 20


def test_instances_that_are_followed():
    lan = Lan()
    node = lan.add()
    node.browser = Browser(node.core.querier)
    node.browser.follow_type(KIND, 0.0)
    for first in range(0, 1200, 20):
        lan.inject(said(pointers(first)), Address("10.0.0.98"))
    assert node.browser.refused == 1200 - MOST_INSTANCES
    lan.run(10)


def test_sets_that_are_watched():
    querier = Lan().add().core.querier
    for at in range(MOST_WATCHES):
        querier.watch(b"\5%05d" % at + KIND, PTR, 0.0)
    with pytest.raises(ValueError, match="more than 4096 questions"):
        querier.watch(HOST, A, 0.0)


def test_a_peer_that_repeats_itself_adds_no_timers():
    lan = Lan()
    node = lan.add()
    node.core.querier.watch(HOST, A, 0.0)
    node.core.querier.watch(HOST, SRV, 0.0)
    for at in range(2000):
        node.core.receive(said([Item(HOST, A, 86_400 - at, bytes(4), True)]), Address("10.0.0.98"), at / 1e4)
        absent = Item(HOST, NSEC, 86_400 - at, HOST + pack_types([A]), True)
        node.core.receive(said([absent]), Address("10.0.0.98"), at / 1e4)
        node.core.next_event()
    assert len(node.core._timers) < 200


def test_questions_that_a_message_may_have():
    lan = Lan()
    node = lan.add()
    data = (0).to_bytes(4, "big") + (MOST_QUESTIONS + 1).to_bytes(2, "big") + bytes(6)
    lan.inject(data + (b"\0" + bytes([0, 1, 0, 1])) * (MOST_QUESTIONS + 1), Address("10.0.0.98"))
    assert node.core.malformed == 1


def test_replies_that_wait():
    lan = Lan()
    node = lan.add()
    lan.publish(node, "Printer")
    lan.run(10)
    for port in range(1000):
        node.core.receive(write_packets([Ask(HOST, A)])[0], Address("10.0.0.98", 40_000 + port), lan.now)
    assert len(node.core.transmit(lan.now)) == MOST_REPLIES


def test_queries_that_wait_for_known_answers():
    lan = Lan()
    node = lan.add()
    lan.publish(node, "Printer")
    lan.run(10)
    query = bytearray(write_packets([Ask(KIND, PTR)])[0])
    query[2] |= 2
    for at in range(1000):
        node.core.receive(bytes(query), Address(f"10.0.{at >> 8}.{at & 255}"), lan.now)
        node.core.receive(said(pointers(0))[:2] + b"\0\0" + said(pointers(0))[4:], Address("10.0.0.1"), lan.now)
    assert len(node.core._timers) < 200
    lan.run(5)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_that_comes_raises(seed):
    random = Random(seed)
    lan = Lan(seed)
    node = lan.add()
    node.browser = Browser(node.core.querier)
    node.browser.follow_type(KIND, 0.0)
    lan.publish(node, "Printer")
    lan.run(2)
    instance = b"\7Printer" + KIND
    samples = [
        said([*pointers(0, 3), Item(instance, SRV, 120, bytes(6) + HOST, True), Item(HOST, A, 120, bytes(4), True)]),
        said([Item(HOST, NSEC, 120, HOST + pack_types([A]), True)]),
        write_packets([Ask(KIND, PTR, True), Ask(HOST, A)], pointers(0, 3), [Item(HOST, A, 120, bytes(4))])[0],
    ]
    for _ in range(500):
        data = bytearray(random.choice(samples))
        for _ in range(random.randrange(4)):
            data[random.randrange(len(data))] = random.randrange(256)
        cut = random.choice([None, random.randrange(len(data))])
        lan.inject(bytes(data[:cut]), Address("10.0.0.98", random.choice([5353, 5353, 999])))
        lan.run(random.random() / 10)


def test_other_networks_are_not_heard():

    networks = [ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fd00::/64")]
    core = MulticastDns([GROUP], Random(0), networks=networks)
    for host in ("10.0.0.7", "fd00::7", "fe80::7%eth0", "169.254.1.1"):
        core.receive(said(pointers(0)), Address(host), 0.0)
    assert core.foreign == 0
    for host in ("10.0.1.7", "fd01::7", "nonsense"):
        core.receive(said(pointers(0)), Address(host), 0.0)
    assert core.foreign == 3


def test_records_of_names_that_we_had():
    answers = Lan().add().core.responder._answers
    for at in range(5000):
        answers.note_sent(pointers(at, 1), at / 10)
    assert len(answers._sent) <= MOST_SENT


def test_interfaces_without_multicast(monkeypatch):
    def refuse(interface, family):
        raise OSError(19, "No such device")

    monkeypatch.setattr(links, "open_socket", refuse)
    with pytest.raises(OSError, match="no multicast DNS on lo: No such device"):
        asyncio.run(host_addresses("host.local", interfaces=["lo"]))

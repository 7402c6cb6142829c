"""Names that several want: whatever gets lost, in the end each has one of its own (RFC 6762 8, 9)."""

import pytest
from tests.dns.multicast.lan import Lan

from catenet.dns.multicast.browser import Browser
from catenet.dns.multicast.names import next_label
from catenet.dns.multicast.services import type_name

KIND = type_name("_http._tcp")


@pytest.mark.parametrize("seed", range(20))
def test_two_that_want_one_name_end_up_with_two_whatever_is_lost(seed):
    lan = Lan(seed, loss=seed % 5 * 0.15)
    first, second, watcher = lan.add(), lan.add(), lan.add()
    watcher.browser = Browser(watcher.core.querier)
    watcher.browser.follow_type(KIND, 0.0)
    one = lan.publish(first, "Printer")
    lan.run(seed / 10)
    other = lan.publish(second, "Printer")
    lan.run(3600)
    assert one.is_held and other.is_held
    assert one.name != other.name and one.host != other.host
    if not lan.loss:
        assert {one.name, other.name} == {"Printer", "Printer (2)"}
        assert {change.service.name for change in watcher.changes} == {"Printer", "Printer (2)"}


def test_five_at_once_without_loss():
    lan = Lan(7)
    made = [lan.publish(lan.add(), "Printer") for _ in range(5)]
    lan.run(60)
    assert len({one.name for one in made}) == 5
    assert all(one.is_held for one in made)


def test_a_late_comer_does_not_take_a_name_that_is_held():
    lan = Lan(1)
    first, second = lan.add(), lan.add()
    one = lan.publish(first, "Printer")
    lan.run(10)
    other = lan.publish(second, "printer", host="elsewhere")  # names are equal but for case
    lan.run(10)
    assert (one.name, other.name) == ("Printer", "printer (2)")


def test_two_networks_that_become_one():
    lan = Lan(2, loss=1.0)
    one, other = (lan.publish(lan.add(), "Printer") for _ in range(2))
    lan.run(10)
    assert one.name == other.name and one.is_held and other.is_held
    lan.loss = 0.0
    watcher = lan.add()
    watcher.browser = Browser(watcher.core.querier)
    watcher.browser.follow_type(KIND, lan.now)
    lan.run(60)
    assert {one.name, other.name} == {"Printer", "Printer (2)"}
    assert {one.host, other.host} == {"host", "host-2"}


@pytest.mark.parametrize(
    ("label", "service", "host"),
    [
        (b"a", b"a (2)", b"a-2"),
        (b"a (2)", b"a (3)", b"a (2)-2"),
        (b"a-9", b"a-9 (2)", b"a-10"),
        (b"x" * 63, b"x" * 59 + b" (2)", b"x" * 61 + b"-2"),
        ("é".encode() * 31, "é".encode() * 29 + b" (2)", "é".encode() * 30 + b"-2"),
    ],
)
def test_next_labels(label, service, host):
    assert (next_label(label, True), next_label(label, False)) == (service, host)

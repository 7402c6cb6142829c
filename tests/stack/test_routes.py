import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.stack.endpoint import Fault, StackError
from catenet.stack.interface import AddressState, Interface, InterfaceAddress
from catenet.stack.ip.routes import RouteEntry, RouteMetrics, RouteTable, select_source, sort_destinations
from catenet.stack.stack import Stack
from catenet.stack.timers import Timers
from catenet.wire.address import Prefix, parse_interface

from .net import address

both = pytest.mark.parametrize("version", [4, 6])


def prefixes(size):
    return st.builds(Prefix.of, st.binary(min_size=size, max_size=size), st.integers(0, size * 8))


@both
@given(st.data())
def test_longest_prefix_agrees_with_a_scan(version, data):
    size = 4 if version == 4 else 16
    table = RouteTable()
    entries = []
    for prefix in data.draw(st.lists(prefixes(size), max_size=12, unique=True)):
        entry = RouteEntry(prefix, data.draw(st.integers(2, 4)))
        table.add(entry)
        entries.append(entry)
    removed = data.draw(st.sets(st.sampled_from(range(len(entries))))) if entries else set()
    for index in removed:
        table.remove(entries[index])
    left = [entry for index, entry in enumerate(entries) if index not in removed]
    near = [entry.prefix.address for entry in left]
    destination = data.draw(st.sampled_from(near) if near else st.binary(min_size=size, max_size=size))
    matching = [entry for entry in left if ipaddress.ip_address(destination) in ipaddress.ip_network(str(entry.prefix))]
    expected = max(matching, key=lambda entry: entry.prefix.length, default=None)
    assert table.lookup(destination) is expected
    assert sorted(map(id, table.entries())) == sorted(map(id, left))


@both
def test_metric_interface_and_rejection(version):
    stack = Stack(random.Random(1))
    for number in (1, 2):
        text = f"10.0.{number}.1/24" if version == 4 else f"fd00:{number}::1/64"
        stack.add_interface(addresses=(parse_interface(text),))
    prefix = Prefix.parse("20.0.0.0/8" if version == 4 else "2001:db8::/32")
    near = [address("10.0.1.9"), address("10.0.2.9")] if version == 4 else [address("fd00:1::9"), address("fd00:2::9")]
    worse = stack.add_route(prefix, 2, near[0], metric=100)
    better = stack.add_route(prefix, 3, near[1], metric=10, metrics=RouteMetrics(mtu=1400, hop_limit=9))
    far = prefix.host(5)
    assert stack.output.route(far).next_hop == near[1]
    assert stack.output.route(far).mtu == 1400
    assert stack.output.route(far, interface=2).next_hop == near[0]
    stack.remove_route(better)
    assert stack.output.route(far).next_hop == near[0]
    stack.remove_route(worse)
    with pytest.raises(StackError):
        stack.output.route(far)
    with pytest.raises(ValueError, match="no route to"):
        stack.remove_route(worse)
    refusing = RouteEntry(prefix, 2, reject=Fault.ACCESS)
    stack.routes.add(refusing)
    stack.output.invalidate()
    with pytest.raises(StackError) as error:
        stack.output.route(far)
    assert error.value.fault is Fault.ACCESS


@both
def test_addresses_come_and_go_with_their_routes(version):
    stack = Stack(random.Random(1))
    stack.add_interface()
    one, two = ("10.0.0.1", "10.0.0.2") if version == 4 else ("fd00::1", "fd00::2")
    length = 24 if version == 4 else 64
    for text in (one, two):
        stack.add_address(2, address(text), length)
    with pytest.raises(StackError) as error:
        stack.add_address(2, address(one), length)
    assert error.value.fault is Fault.ADDRESS_IN_USE
    stack.remove_address(2, address(one))
    assert not stack.address_table.is_local(address(one))
    assert stack.output.route(address("10.0.0.9" if version == 4 else "fd00::9")).source == address(two)
    stack.remove_address(2, address(two))
    with pytest.raises(StackError) as error:
        stack.output.route(address("10.0.0.9" if version == 4 else "fd00::9"))
    assert error.value.fault is Fault.NETWORK_UNREACHABLE
    with pytest.raises(StackError):
        stack.remove_address(2, address(two))


def interface(*texts, **states):
    made = Interface(2, "eth0", 1500)
    for text in texts:
        value, length = parse_interface(text)
        made.addresses.append(InterfaceAddress(value, length, states.get(text, AddressState.PREFERRED)))
    return made


@pytest.mark.parametrize(
    ("destination", "candidates", "expected"),
    [
        # RFC 6724 10.1, and the IPv4 cases that Linux decides alike.
        ("2001:db8:1::1", ["2001:db8:3::1/64", "fe80::1/64"], "2001:db8:3::1"),
        ("ff05::1", ["2001:db8:3::1/64", "fe80::1/64"], "2001:db8:3::1"),
        ("2001:db8:1::1", ["2001:db8:1::1/64", "2001:db8:2::1/64"], "2001:db8:1::1"),
        ("fe80::9", ["fe80::1/64", "2001:db8:1::1/64"], "fe80::1"),
        ("2001:db8:1::1", ["2001:db8:1::2/64", "2001:db8:3::2/64"], "2001:db8:1::2"),
        (
            "2002:c633:6401::1",
            ["2002:c633:6401::d5e3:7953:13eb:22e8/64", "2001:db8:1::2/64"],
            "2002:c633:6401:0:d5e3:7953:13eb:22e8",
        ),
        ("fd11::1", ["2001:db8:1::2/64", "fd00::2/64"], "fd00::2"),
        ("10.0.1.9", ["10.0.0.1/24", "10.0.1.1/24"], "10.0.1.1"),
        ("192.0.2.1", ["10.0.0.1/24", "10.0.1.1/24"], "10.0.0.1"),
        ("10.0.0.9", ["169.254.1.1/16", "10.0.0.1/24"], "10.0.0.1"),
    ],
)
def test_source_selection(destination, candidates, expected):
    made = interface(*candidates)
    assert select_source(address(destination), made, [made]) == address(expected)
    made.addresses.reverse()
    if destination != "192.0.2.1":
        assert select_source(address(destination), made, [made]) == address(expected)


def test_source_selection_avoids_what_is_deprecated_or_tentative():
    made = interface("2001:db8:1::1/64", "2001:db8:2::1/64")
    made.addresses[0].state = AddressState.DEPRECATED
    assert select_source(address("2001:db8:1::9"), made, [made]) == address("2001:db8:2::1")
    made.addresses[1].state = AddressState.TENTATIVE
    assert select_source(address("2001:db8:1::9"), made, [made]) == address("2001:db8:1::1")
    made.addresses[0].state = AddressState.DUPLICATED
    assert select_source(address("2001:db8:1::9"), made, [made]) is None


def test_source_selection_by_temporary_addresses():
    made = interface("2001:db8:1::1/64", "2001:db8:1::2/64")
    made.addresses[1].temporary = True
    far = address("2001:db8:9::9")
    assert select_source(far, made, [made]) == address("2001:db8:1::1")
    assert select_source(far, made, [made], prefer_temporary=True) == address("2001:db8:1::2")


def test_destination_order():
    """RFC 6724 10.2."""

    def order(*pairs):
        return sort_destinations([(address(to), address(of) if of else None) for to, of in pairs])

    four, six = address("198.51.100.121"), address("2001:db8:1::1")
    assert order(("198.51.100.121", "198.51.100.117"), ("2001:db8:1::1", "2001:db8:1::2"))[0] == six
    assert order(("2001:db8:1::1", "fe80::1"), ("198.51.100.121", "198.51.100.117"))[0] == four
    assert order(("2001:db8:1::1", None), ("198.51.100.121", "198.51.100.117"))[0] == four
    assert order(("2001:db8:1::1", "2001:db8:1::2"), ("fe80::1", "fe80::2"))[0] == address("fe80::1")
    assert order(("2001:db8:3ffe::1", "2001:db8:1::2"), ("2001:db8:1::1", "2001:db8:1::2"))[0] == six


def test_interfaces_are_checked():
    stack = Stack()
    stack.add_interface("eth0")
    with pytest.raises(ValueError, match="'eth0' is there already"):
        stack.add_interface("eth0")
    with pytest.raises(ValueError, match="mtu 10"):
        stack.add_interface(mtu=10)
    with pytest.raises(ValueError, match="link address"):
        stack.add_interface(link_address=b"\xff" * 6)
    with pytest.raises(ValueError, match="mtu 67"):
        stack.set_mtu(2, 67)


def test_timers_run_in_order_and_cancelled_ones_are_swept():
    timers = Timers()
    ran = []
    timers.call_at(2.0, ran.append, "late")
    timers.call_at(1.0, ran.append, "first")
    timers.call_at(1.0, ran.append, "second")
    timers.call_at(1.5, ran.append, "never").cancel()
    assert timers.next_deadline() == 1.0
    timers.run_due(0.5)
    assert ran == []
    timers.run_due(1.5)
    assert ran == ["first", "second"]
    assert timers.next_deadline() == 2.0
    for _ in range(10_000):
        timers.call_at(1e9, ran.append, "x").cancel()
    assert len(timers._heap) <= 1024
    timers.clear()
    assert timers.next_deadline() is None

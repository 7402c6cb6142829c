"""Hosts with more than one interface, and sockets that care which."""

import pytest

from catenet.stack.datagram.datagram import Control
from catenet.stack.endpoint import ANY4, ANY6, Fault, Name, StackError
from catenet.wire import ip, udp
from catenet.wire.address import Prefix, parse_interface
from catenet.wire.icmp import Problem

from .net import Network, address, pair

ANY = {4: ANY4, 6: ANY6}
both = pytest.mark.parametrize("version", [4, 6])
GROUP = {4: address("239.1.2.3"), 6: address("ff05::1:3")}


def three_hosts(version):
    """A middle host with an interface to each of two others: (network, left, middle, right)."""
    net = Network()
    texts = ("10.0.{}.{}/24", "fd00:{}::{}/64")[version == 6]
    left = net.host(texts.format(1, 1))
    middle = net.host(texts.format(1, 2))
    net.attach(middle, texts.format(2, 2))
    right = net.host(texts.format(2, 1))
    net.wire((left, 2), (middle, 2))
    net.wire((middle, 3), (right, 2))
    return net, left, middle, right


def own(stack, index=2):
    return stack.interfaces[index].addresses[0].address


def bound(stack, version, port, **options):
    endpoint = stack.udp_endpoint(version)
    endpoint.set_option("SO_REUSEADDR", 1)
    for option, value in options.items():
        endpoint.set_option(option, value)
    endpoint.bind(Name(ANY[version], port))
    return endpoint


def count(endpoint):
    number = 0
    while endpoint.receive_from() is not None:
        number += 1
    return number


@both
def test_a_socket_bound_to_a_device_hears_and_speaks_there_only(version):
    net, left, middle, right = three_hosts(version)
    first = bound(middle, version, 53, SO_BINDTODEVICE=2)
    second = bound(middle, version, 53, SO_BINDTODEVICE=b"eth1\0")
    assert second.get_option("SO_BINDTODEVICE") == 3
    left.udp_endpoint(version).send_to(b"x", Name(own(middle, 2), 53))
    right.udp_endpoint(version).send_to(b"x", Name(own(middle, 3), 53))
    right.udp_endpoint(version).send_to(b"x", Name(own(middle, 3), 53))
    net.settle()
    assert (count(first), count(second)) == (1, 2)
    net.seen.clear()
    # A device asked for by name is taken at its word: what no route tells of is on its link, as in Linux's IPv4.
    first.send_to(b"x", Name(own(right), 9))
    net.settle()
    assert [interface for stack, interface, _ in net.seen if stack is middle] == [2]
    with pytest.raises(StackError) as error:
        first.set_option("SO_BINDTODEVICE", b"eth9")
    assert error.value.fault is Fault.ADDRESS_NOT_AVAILABLE


@both
def test_multicast_leaves_by_the_interface_asked_for(version):
    net, left, middle, right = three_hosts(version)
    listening = [bound(stack, version, 53) for stack in (left, right)]
    for endpoint in listening:
        endpoint.join(GROUP[version], 2)
    sender = middle.udp_endpoint(version)
    sender.send_to(b"x", Name(GROUP[version], 53))
    net.settle()
    assert [count(endpoint) for endpoint in listening] == [1, 0]
    sender.set_option("IP_MULTICAST_IF" if version == 4 else "IPV6_MULTICAST_IF", 3)
    sender.send_to(b"x", Name(GROUP[version], 53))
    net.settle()
    assert listening[1].receive_from().source.address == own(middle, 3)
    assert [count(endpoint) for endpoint in listening] == [0, 0]
    sender.send_to(b"x", Name(GROUP[version], 53), Control(interface=2))
    net.settle()
    assert [count(endpoint) for endpoint in listening] == [1, 0]
    with pytest.raises(StackError) as error:
        sender.set_option("IP_MULTICAST_IF", 77)
    assert error.value.fault is Fault.ADDRESS_NOT_AVAILABLE


@both
def test_membership_is_per_interface(version):
    net, left, middle, right = three_hosts(version)
    listening = bound(middle, version, 53)
    listening.join(GROUP[version], 3)
    for stack in (left, right):
        stack.udp_endpoint(version).send_to(b"x", Name(GROUP[version], 53))
    net.settle()
    got = listening.receive_from()
    assert got.destination.interface == 3
    assert listening.receive_from() is None


@both
def test_any_own_address_on_any_interface(version):
    net, left, middle, _ = three_hosts(version)
    listening = bound(middle, version, 53)
    prefix = Prefix.of(own(middle, 3), 24 if version == 4 else 64)
    left.add_route(prefix, 2, own(middle, 2))
    left.udp_endpoint(version).send_to(b"x", Name(own(middle, 3), 53))
    net.settle()
    got = listening.receive_from()
    assert got.destination == Name(own(middle, 3), 53, 2)
    listening.send_to(b"back", got.source, Control(source=own(middle, 3)))
    net.settle()
    assert ip.parse(net.seen[-1][2]).source == own(middle, 3)


@both
def test_an_answer_carries_the_address_that_was_asked(version):
    net, left, middle, _ = three_hosts(version)
    second, length = parse_interface("10.0.1.77/24" if version == 4 else "fd00:1::77/64")
    middle.add_address(2, second, length)
    listening = bound(middle, version, 53)
    client = left.udp_endpoint(version)
    client.connect(Name(second, 53))
    client.send_to(b"x")
    net.settle()
    got = listening.receive_from()
    listening.send_to(b"y", got.source, Control(source=got.destination.address))
    net.settle()
    assert client.receive_from().data == b"y"


def test_datagrams_without_checksum():
    net, one, other, _, b = pair(4)
    listening = bound(other, 4, 53)
    client = one.udp_endpoint(4)
    client.set_option("SO_NO_CHECK", 1)
    client.send_to(b"x", Name(b, 53))
    net.settle()
    assert ip.parse(net.seen[-1][2]).payload[6:8] == b"\0\0"
    assert count(listening) == 1


@both
def test_the_error_queue_is_bounded(version):
    net, one, _, _, b = pair(version, icmp_ratelimit=0)
    client = one.udp_endpoint(version)
    client.set_option("IP_RECVERR", 1)
    for _ in range(200):
        client.take_error()
        client.send_to(b"x", Name(b, 9))
        net.settle()
    errors = 0
    while (queued := client.receive_error()) is not None:
        assert queued.report.problem is Problem.PORT_UNREACHABLE
        errors += 1
    assert errors == 64


@both
def test_a_datagram_for_a_port_nobody_has_is_not_kept(version):
    net, one, other, _, b = pair(version)
    for port in range(1000, 1200):
        one.udp_endpoint(version).send_to(bytes(500), Name(b, port))
        net.settle()
    assert other.counters[version].udp.NoPorts == 200
    assert not other.udp.ports.by_port
    assert all(ip.parse(raw).protocol in (udp.PROTOCOL, 1, 58) for _, _, raw in net.seen)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.stack.endpoint import ANY4, ANY6, Fault, Name, StackError
from catenet.stack.group.multicast import Filter, merge
from catenet.stack.group.querier import Querier
from catenet.wire import icmp, ip, multicast
from catenet.wire.multicast import GroupRecord, Leave, Membership, Query, Report

from .net import Network, address, pair

ANY = {4: ANY4, 6: ANY6}
GROUP = {4: address("239.1.2.3"), 6: address("ff05::1:3")}
both = pytest.mark.parametrize("version", [4, 6])


def member(stack, version, group=None, source=None, port=5000, interface=2):
    endpoint = stack.udp_endpoint(version)
    endpoint.set_option("SO_REUSEADDR", 1)
    endpoint.bind(Name(ANY[version], port))
    endpoint.join(group or GROUP[version], interface, source)
    return endpoint


def reports(net):
    """Membership messages seen on the wire, with the packets that carried them; forgets them."""
    found = []
    for _, _, raw in net.seen:
        packet = ip.parse(raw)
        if packet.protocol == multicast.IGMP:
            found.append((multicast.parse_igmp(packet.payload), packet))
        elif packet.protocol == 58:
            other = icmp.parse(packet.payload, packet.source, packet.destination)
            if isinstance(other, icmp.Other):
                found.append((multicast.parse_mld(other), packet))
    net.seen.clear()
    return found


def texts(net):
    return [message for message, _ in reports(net)]


def faults(call, *args):
    with pytest.raises(StackError) as error:
        call(*args)
    return error.value.fault


def drain(endpoint):
    found = []
    while (got := endpoint.receive_from()) is not None:
        found.append(got.data)
    return found


@both
def test_members_get_multicast_others_do_not(version):
    net, one, other, _, _ = pair(version)
    listening = member(other, version)
    deaf = other.udp_endpoint(version)
    deaf.set_option("SO_REUSEADDR", 1)
    deaf.set_option("IP_MULTICAST_ALL", 0)
    deaf.bind(Name(ANY[version], 5000))
    sender = one.udp_endpoint(version)
    sender.send_to(b"to all", Name(GROUP[version], 5000))
    net.settle()
    assert drain(listening) == [b"to all"]
    assert drain(deaf) == []
    listening.leave(GROUP[version], 2)
    sender.send_to(b"again", Name(GROUP[version], 5000))
    net.settle()
    assert drain(listening) == []


@both
def test_every_member_on_a_host_gets_it_and_the_sender_by_loop(version):
    net, one, other, _, _ = pair(version)
    members = [member(other, version), member(other, version), member(one, version)]
    sender = one.udp_endpoint(version)
    sender.send_to(b"x", Name(GROUP[version], 5000))
    net.settle()
    assert [drain(each) for each in members] == [[b"x"], [b"x"], [b"x"]]
    sender.set_option("IP_MULTICAST_LOOP", 0)
    sender.send_to(b"y", Name(GROUP[version], 5000))
    net.settle()
    assert [drain(each) for each in members] == [[b"y"], [b"y"], []]


@both
def test_hop_limit_of_multicast(version):
    net, one, other, _, _ = pair(version)
    listening = member(other, version)
    mine = member(one, version)
    sender = one.udp_endpoint(version)
    sender.send_to(b"x", Name(GROUP[version], 5000))
    net.settle()
    assert listening.receive_from().hop_limit == 1
    drain(mine)
    sender.set_option("IP_MULTICAST_TTL", 0)
    sender.send_to(b"host", Name(GROUP[version], 5000))
    net.settle()
    assert drain(listening) == []
    assert drain(mine) == [b"host"]


@both
def test_joining_and_leaving_is_reported_twice(version):
    net, one, other, _, _ = pair(version)
    listening = member(other, version)
    net.run(2)
    group = GROUP[version]
    found = reports(net)
    join = Report((GroupRecord(multicast.CHANGE_TO_EXCLUDE, group),))
    assert [message for message, _ in found] == [join, join]
    packet = found[0][1]
    assert packet.hop_limit == 1
    assert packet.destination == multicast.ALL_REPORT_ROUTERS[version]
    assert packet.options or packet.extensions
    second = member(other, version)
    net.run(2)
    assert reports(net) == []
    listening.close()
    net.run(2)
    assert reports(net) == []
    second.close()
    net.run(2)
    leave = Report((GroupRecord(multicast.CHANGE_TO_INCLUDE, group),))
    assert texts(net) == [leave, leave]
    assert other.multicast.groups(2) == {}
    assert one.counters[version].ip.InMcastPkts >= 4


@both
def test_source_filters(version):
    net, one, other, a, _ = pair(version)
    stranger = address("10.0.0.77" if version == 4 else "fd00::77")
    group = GROUP[version]
    only = member(other, version, source=stranger)
    sender = one.udp_endpoint(version)
    sender.send_to(b"1", Name(group, 5000))
    net.settle()
    assert drain(only) == []
    only.join(group, 2, a)
    sender.send_to(b"2", Name(group, 5000))
    net.settle()
    assert drain(only) == [b"2"]
    net.run(2)
    kinds = [record.kind for message in texts(net) if isinstance(message, Report) for record in message.records]
    assert multicast.ALLOW_NEW_SOURCES in kinds
    assert multicast.CHANGE_TO_EXCLUDE not in kinds
    every = member(other, version, port=5001)
    every.block(group, 2, a, True)
    sender.send_to(b"3", Name(group, 5001))
    net.settle()
    assert drain(every) == []
    every.block(group, 2, a, False)
    sender.send_to(b"4", Name(group, 5001))
    net.settle()
    assert drain(every) == [b"4"]
    assert every.source_filter(group, 2) == Filter(True)


@both
def test_membership_mistakes(version):
    _net, _one, other, a, b = pair(version)
    listening = member(other, version)
    group = GROUP[version]
    assert faults(listening.join, group, 2) is Fault.ADDRESS_IN_USE
    assert faults(listening.join, a, 2) is Fault.INVALID
    assert faults(listening.join, group, 2, b) is Fault.INVALID
    assert faults(listening.leave, address("239.9.9.9" if version == 4 else "ff05::9"), 2) is (
        Fault.ADDRESS_NOT_AVAILABLE
    )
    assert faults(listening.join, group, 99) is Fault.NETWORK_UNREACHABLE
    base = bytearray(group)
    for number in range(10, 29):
        base[-1] = number
        listening.join(bytes(base), 2)
    base[-1] = 99
    assert faults(listening.join, bytes(base), 2) is Fault.NO_BUFFERS


@both
def test_queries_are_answered_within_their_time(version):
    net, one, other, _, _ = pair(version)
    member(other, version)
    net.run(2)
    reports(net)
    querier = Querier(one, 2)
    net.run(11)
    messages = texts(net)
    assert any(isinstance(message, Query) for message in messages)
    assert Report((GroupRecord(multicast.MODE_IS_EXCLUDE, GROUP[version]),)) in messages
    assert querier.listeners(net.now) == [GROUP[version]]
    querier.close()
    net.run(200)
    assert texts(net) == []


@both
def test_a_querier_notices_that_the_last_member_left(version):
    net, one, other, _, _ = pair(version)
    querier = Querier(one, 2)
    listening = member(other, version)
    net.run(1)
    assert querier.listeners(net.now) == [GROUP[version]]
    listening.close()
    net.run(5)
    assert querier.listeners(net.now) == []


@both
def test_one_of_two_members_leaving_is_not_the_last(version):
    net = Network()
    texts_of = ("10.0.0.{}/24", "fd00::{}/64")[version == 6]
    stacks = [net.host(texts_of.format(number)) for number in (1, 2, 3)]
    net.wire(*((stack, 2) for stack in stacks))
    querier = Querier(stacks[0], 2)
    members = [member(stack, version) for stack in stacks[1:]]
    net.run(3)
    members[0].close()
    net.run(20)
    assert querier.listeners(net.now) == [GROUP[version]]


@both
def test_the_lower_address_queries(version):
    net, one, other, _, _ = pair(version)
    Querier(one, 2)
    Querier(other, 2)
    net.run(1000)
    sources = [packet.source for message, packet in reports(net) if isinstance(message, Query)]
    low = one.interfaces[2].addresses[0].address
    assert sources[-5:] == [low] * 5


@both
def test_an_older_querier_is_spoken_to_in_its_protocol(version):
    net, _one, other, a, _ = pair(version)
    query = Query(bytes(len(a)), 1.0, 2)
    if version == 4:
        packet = ip.IpPacket(a, multicast.ALL_REPORT_ROUTERS[4][:3] + b"\x01", 2, multicast.build_igmp(query), 1)
    else:
        target = address("ff02::1")
        packet = ip.IpPacket(a, target, 58, icmp.build(multicast.build_mld(query), a, target), 1)
    member(other, version)
    net.run(2)
    reports(net)
    other.receive(ip.build(packet), net.now)
    net.run(2)
    assert texts(net) == [Membership(GROUP[version])]
    second_group = bytes((*GROUP[version][:-1], 99))
    listening = member(other, version, second_group)
    net.run(2)
    listening.close()
    net.run(2)
    messages = texts(net)
    assert Membership(second_group) in messages
    assert Leave(second_group) in messages
    assert not any(isinstance(message, Report) for message in messages)


def test_mld_counts_only_from_this_link():
    net, _one, other, a, _ = pair(6)
    member(other, 6)
    net.run(2)
    reports(net)
    target = address("ff02::1")
    query = icmp.build(multicast.build_mld(Query(bytes(16), 1.0)), a, target)
    other.receive(ip.build(ip.IpPacket(a, target, 58, query, 64)), net.now)
    net.run(5)
    assert texts(net) == []


sources = st.lists(st.sampled_from([bytes((10, 0, 0, n)) for n in range(6)]), unique=True).map(
    lambda each: tuple(sorted(each))
)
filters = st.lists(st.builds(Filter, st.booleans(), sources), max_size=5)


@given(filters, st.sampled_from([bytes((10, 0, 0, n)) for n in range(7)]))
def test_the_merged_filter_lets_in_what_any_socket_wants(each, source):
    assert merge(each).allows(source) == any(one.allows(source) for one in each)

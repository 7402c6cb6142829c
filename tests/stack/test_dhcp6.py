"""The DHCPv6 client and server on one link, in virtual time; a client that strangers and hostile servers talk to."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.stack.dhcp.client6 import Dhcp6Client, Dhcp6State
from catenet.stack.dhcp.lease import Information, LeaseChange
from catenet.stack.dhcp.pool import AddressPool, ServerConfig
from catenet.stack.dhcp.server6 import Dhcp6Responder, Dhcp6Server
from catenet.stack.endpoint import Name
from catenet.stack.ethernet.autoconf import Autoconfiguration
from catenet.stack.interface import AddressState
from catenet.wire import dhcp6, ethernet, icmp, ip, nd, udp
from catenet.wire.address import Prefix
from catenet.wire.dhcp6 import (
    Association,
    Dhcp6Message,
    LeasedAddress,
    MessageType,
    OptionCode,
    Status,
    StatusCode,
    build_association,
    duid_ll,
    parse_association,
)

from .lan import link, port, station
from .net import Network, address

PREFIX = Prefix.parse("2001:db8::/64")
DUID = duid_ll(link(2))


def config(**options):
    pool = AddressPool(address("2001:db8::100"), address("2001:db8::1ff"))
    chosen = {"lifetime": 1000, "dns_servers": (address("2001:db8::53"),), "search": (b"\4home\0",), **options}
    return ServerConfig(PREFIX, pool, **chosen)


class Link:
    """A client and a server; `seen` are the messages on the link, `lose` drops those of which it says so."""

    def __init__(self, serve=True, **options):
        self.net = Network()
        self.stack = station(self.net, 1)
        self.other = station(self.net, 2)
        self.net.wire((self.stack, 2), (self.other, 2))
        for stack in (self.stack, self.other):
            Autoconfiguration(stack, port(stack)).start()
        self.config = config(**options)
        self.server = Dhcp6Server(self.other, 2, self.config, DUID) if serve else None
        self.client = Dhcp6Client(self.stack, port(self.stack))
        self.lose = lambda message: False
        self.seen = []
        self.net.meddle = self.meddle
        self.net.run(3)  # link-local addresses

    def meddle(self, raw):
        message = message_in(raw)
        if message is not None:
            self.seen.append((self.net.now, message))
            if self.lose(message):
                return []
        return [raw]

    def types(self):
        found = [message.type for _, message in self.seen]
        self.seen.clear()
        return found

    def own(self):
        return [each for each in self.stack.interfaces[2].addresses if each.origin == "dhcp"]

    def say(self, message, source="fe80::66", port=dhcp6.SERVER_PORT):
        """Have a stranger send a message to the client."""
        here, there = address(source), self.stack.interfaces[2].link_local()
        data = udp.build(udp.UdpDatagram(port, dhcp6.CLIENT_PORT, dhcp6.build(message)), here, there)
        packet = ip.build(ip.IpPacket(here, there, 17, data))
        self.stack.receive(ethernet.build_frame(ethernet.Frame(link(1), link(66), 0x86DD, packet)), self.net.now, 2)

    def events(self):
        found = []
        while (event := self.stack.next_event()) is not None:
            found += [event] if isinstance(event, LeaseChange) else []
        return found


def message_in(raw):
    frame = ethernet.parse_frame(raw)
    if frame.ethertype != 0x86DD:
        return None
    packet = ip.parse(frame.payload)
    if packet.protocol != 17:
        return None
    datagram = udp.parse(packet.payload, packet.source, packet.destination)
    ports = {datagram.source_port, datagram.destination_port}
    return dhcp6.parse(datagram.payload) if ports & {dhcp6.CLIENT_PORT, dhcp6.SERVER_PORT} else None


def associations(message):
    return [parse_association(value) for code, value in message.options if code == OptionCode.IA_NA]


def test_an_address_in_one_exchange_with_rapid_commit():
    each = Link()
    each.client.start()
    each.net.run(10)
    assert each.types() == [MessageType.SOLICIT, MessageType.REPLY]
    assert each.client.state is Dhcp6State.BOUND
    (own,) = each.own()
    assert own.address in each.config.pool
    assert (own.length, own.state) == (128, AddressState.PREFERRED)
    (event,) = each.events()
    assert (event.version, event.lease.dns_servers, event.lease.search) == (
        6,
        (address("2001:db8::53"),),
        (b"\4home\0",),
    )


def test_an_address_in_two_exchanges_without():
    each = Link(rapid=False)
    each.client.start()
    each.net.run(10)
    assert each.types() == [MessageType.SOLICIT, MessageType.ADVERTISE, MessageType.REQUEST, MessageType.REPLY]
    assert len(each.own()) == 1


def test_a_server_with_the_best_preference_is_not_compared_with_others():
    each = Link(rapid=False, preference=255)
    each.client.start()
    each.net.run(10)
    times = [when for when, message in each.seen if message.type in (MessageType.ADVERTISE, MessageType.REQUEST)]
    assert times[0] == times[1]


def test_it_is_renewed_then_rebound_then_begun_anew():
    each = Link()
    each.client.start()
    each.net.run(10)
    each.types()
    each.net.run(350)  # T1 is half of the preferred lifetime, 312 s
    assert each.types() == [MessageType.RENEW, MessageType.REPLY]
    each.lose = lambda message: message.type == MessageType.REPLY
    each.net.run(480)
    kinds = each.types()
    assert kinds[0] == MessageType.RENEW
    assert each.client.state is Dhcp6State.REBINDING
    assert MessageType.REBIND in kinds
    (own,) = each.own()
    assert own.state is AddressState.PREFERRED
    each.net.run(300)
    assert own.state is AddressState.DEPRECATED
    each.net.run(400)
    assert each.own() == []
    assert each.client.state is Dhcp6State.SOLICITING
    assert each.events()[-1].lease is None
    each.lose = lambda message: False
    each.net.run(4000)
    assert [found.address for found in each.own()] == [own.address], "who comes back gets what it had"


def test_retransmission_is_that_of_section_15():
    each = Link(serve=False)
    each.client.start()
    each.net.run(20_000)
    times = [when for when, _ in each.seen]
    waits = [later - before for before, later in itertools.pairwise(times)]
    assert 1.0 < waits[0] <= 1.1, "the first wait is never shorter than IRT (18.2.1)"
    for before, later in itertools.pairwise(waits):
        assert 1.9 * before <= later <= 2.1 * before or 0.9 * 3600 <= later <= 1.1 * 3600
    elapsed = [int.from_bytes(message.find(OptionCode.ELAPSED_TIME), "big") for _, message in each.seen]
    assert elapsed[0] == 0
    assert elapsed[1] == int(waits[0] * 100)
    assert elapsed[-1] == 0xFFFF
    assert len({message.transaction for _, message in each.seen}) == 1


def test_a_request_nobody_answers_ends_after_ten():
    each = Link(rapid=False)
    each.lose = lambda message: message.type == MessageType.REQUEST
    each.client.start()
    each.net.run(600)
    kinds = each.types()
    first = kinds.index(MessageType.REQUEST)
    assert kinds[first : first + 11] == [MessageType.REQUEST] * 10 + [MessageType.SOLICIT]


def test_release():
    each = Link()
    each.client.start()
    each.net.run(10)
    each.types()
    each.client.stop()
    assert each.own() == [], "it is out of use before the server hears of it (18.2.7)"
    each.net.run(1)
    assert each.types() == [MessageType.RELEASE, MessageType.REPLY]
    assert (each.client.state, len(each.config.pool)) == (Dhcp6State.IDLE, 0)


def test_a_release_nobody_answers_is_sent_four_times():
    each = Link()
    each.client.start()
    each.net.run(10)
    each.types()
    each.lose = lambda message: True
    each.client.stop()
    each.net.run(100)
    assert each.types() == [MessageType.RELEASE] * 4
    assert each.client.state is Dhcp6State.IDLE


def test_an_address_that_somebody_has_is_declined():
    each = Link()
    port(each.other).add_address(address("2001:db8::100"), 64)
    each.net.run(3)
    each.client.start()
    each.net.run(8)
    assert each.types()[2:4] == [MessageType.DECLINE, MessageType.REPLY]
    assert each.own() == []
    each.net.run(20)
    assert [found.address for found in each.own()] == [address("2001:db8::101")]


def test_an_address_that_is_not_given_any_more_ends_and_another_comes():
    each = Link()
    each.client.start()
    each.net.run(10)
    (old,) = each.own()
    each.config.pool.move(address("2001:db8::200"), address("2001:db8::2ff"))
    each.net.run(400)
    (new,) = each.own()
    assert (old.address, new.address) == (address("2001:db8::100"), address("2001:db8::200"))
    assert each.client.state is Dhcp6State.BOUND
    assert not each.stack.address_table.is_local(old.address)


def test_a_server_that_has_forgotten_is_asked_again():
    each = Link()
    each.client.start()
    each.net.run(10)
    (own,) = each.own()
    each.types()
    each.config.pool.release(*next((client, held.address) for client, held in each.config.pool._by_client.items()))
    each.net.run(350)
    assert each.types() == [MessageType.RENEW, MessageType.REPLY, MessageType.REQUEST, MessageType.REPLY]
    assert [found.address for found in each.own()] == [own.address]


@pytest.mark.parametrize(("elsewhere", "left"), [(False, 1), (True, 0)])
def test_whoever_comes_to_a_link_asks_whether_it_is_the_same(elsewhere, left):
    each = Link()
    each.client.start()
    each.net.run(10)
    if elsewhere:
        each.config.prefix = Prefix.parse("2001:db8:1::/64")
        each.lose = lambda message: message.type == MessageType.SOLICIT
    each.types()
    each.client.confirm()
    each.net.run(5)
    assert each.types()[:2] == [MessageType.CONFIRM, MessageType.REPLY]
    assert len(each.own()) == left


def test_an_address_stays_when_nobody_confirms_it():
    each = Link()
    each.client.start()
    each.net.run(10)
    each.lose = lambda message: True
    each.client.confirm()
    each.net.run(20)
    assert each.client.state is Dhcp6State.BOUND
    assert len(each.own()) == 1


def advertise(each, managed=False, other=False):
    """A router's word on how addresses are had."""
    here, everyone = address("fe80::1"), address("ff02::1")
    message = nd.RouterAdvertisement(64, managed, other, lifetime=1800)
    data = icmp.build(nd.build(message), here, everyone)
    packet = ip.build(ip.IpPacket(here, everyone, 58, data, nd.HOP_LIMIT))
    frame = ethernet.build_frame(ethernet.Frame(b"\x33\x33\0\0\0\1", link(66), 0x86DD, packet))
    each.stack.receive(frame, each.net.now, 2)


@pytest.mark.parametrize(
    ("flags", "setting", "kinds"),
    [
        ({}, 1, []),
        ({"managed": True, "other": True}, 1, [MessageType.SOLICIT, MessageType.REPLY]),
        ({"other": True}, 1, [MessageType.INFORMATION_REQUEST, MessageType.REPLY]),
        ({"managed": True}, 0, []),
    ],
)
def test_routers_say_what_is_asked_for(flags, setting, kinds):
    each = Link()
    each.stack.settings.dhcp6 = setting
    advertise(each, **flags)
    each.net.run(5)
    advertise(each, **flags)
    each.net.run(5)
    assert each.types() == kinds


def test_name_servers_alone_are_asked_for_again_after_a_day():
    each = Link()
    advertise(each, other=True)
    each.net.run(5)
    assert each.client.information == Information((address("2001:db8::53"),), (b"\4home\0",))
    assert each.own() == []
    each.types()
    each.net.run(86_400)
    assert each.types() == [MessageType.INFORMATION_REQUEST, MessageType.REPLY]


def reply(transaction, *options, server=DUID, client=None, kind=MessageType.REPLY):
    head = ((OptionCode.SERVER_ID, server), (OptionCode.CLIENT_ID, duid_ll(link(1)) if client is None else client))
    return Dhcp6Message(kind, transaction, (*head, *options))


def leased(identity, *addresses, renew=0, rebind=0, status=None):
    return (OptionCode.IA_NA, build_association(Association(identity, renew, rebind, addresses, status)))


GOOD = LeasedAddress(address("2001:db8::77"), 600, 1000)


def soliciting():
    each = Link(serve=False)
    each.client.start()
    each.net.run(2)
    asked = each.seen[-1][1]
    return each, asked.transaction, associations(asked)[0].identity


RAPID = (OptionCode.RAPID_COMMIT, b"")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t, i: reply(t + 1 & 0xFFFFFF, RAPID, leased(i, GOOD)),
        lambda t, i: reply(t, leased(i, GOOD)),
        lambda t, i: reply(t, RAPID, leased(i + 1 & 0xFFFFFFFF, GOOD)),
        lambda t, i: reply(t, RAPID, leased(i, GOOD), server=b""),
        lambda t, i: reply(t, RAPID, leased(i, GOOD), client=b"another"),
        lambda t, i: reply(t, RAPID, leased(i, GOOD, renew=9, rebind=5)),
        lambda t, i: reply(t, RAPID, leased(i, GOOD._replace(preferred=2000))),
        lambda t, i: reply(t, RAPID, leased(i, GOOD._replace(valid=1, preferred=1))),
        lambda t, i: reply(t, RAPID, leased(i, GOOD._replace(address=address("ff02::1")))),
        lambda t, i: reply(t, RAPID, leased(i, GOOD._replace(address=address("fe80::1")))),
        lambda t, i: reply(t, RAPID, leased(i, GOOD._replace(address=address("::1")))),
        lambda t, i: reply(t, RAPID, leased(i, GOOD._replace(address=address("::ffff:1.2.3.4")))),
        lambda t, i: reply(t, RAPID, leased(i, GOOD), kind=MessageType.RECONFIGURE),
        lambda t, i: reply(t, RAPID, leased(i, GOOD), (OptionCode.STATUS, b"\0\1broken")),
        lambda t, i: reply(t, RAPID, leased(i, GOOD), (OptionCode.STATUS, b"\0")),
    ],
)
def test_replies_that_do_not_count(spoil):
    each, transaction, identity = soliciting()
    each.say(spoil(transaction, identity))
    each.net.run(5)
    assert each.own() == []
    assert each.client.state is Dhcp6State.SOLICITING


def test_the_reply_that_they_spoil_counts():
    each, transaction, identity = soliciting()
    each.say(reply(transaction, RAPID, leased(identity, GOOD)))
    each.net.run(5)
    assert [found.address for found in each.own()] == [GOOD.address]


def test_a_server_cannot_keep_a_client_busy():
    """With T1 of a second, and addresses taken back again and again."""
    each, transaction, identity = soliciting()
    each.say(reply(transaction, RAPID, leased(identity, GOOD, renew=1, rebind=1)))
    each.net.run(5)
    assert each.client.lease.renew_at - each.net.now > 4
    each, transaction, identity = soliciting()
    each.seen.clear()

    def refuse(message):
        if message.type == MessageType.SOLICIT:
            status = leased(identity, status=Status(StatusCode.NO_ADDRESSES))
            each.stack.timers.call_at(each.net.now, each.say, reply(message.transaction, RAPID, status))
        return False

    each.lose = refuse
    each.net.run(600)
    assert 5 <= len(each.seen) <= 25


def test_a_server_can_give_no_more_addresses_than_eight():
    each, transaction, identity = soliciting()
    many = [GOOD._replace(address=address(f"2001:db8::{number:x}")) for number in range(1, 300)]
    each.say(reply(transaction, RAPID, leased(identity, *many)))
    each.net.run(5)
    assert len(each.own()) == 8


def test_advertisements_do_not_fill_memory():
    each, transaction, identity = soliciting()
    each.client._exchange.sent = 1
    for number in range(200):
        each.say(reply(transaction, leased(identity, GOOD), server=b"server%d" % number, kind=MessageType.ADVERTISE))
    each.net.settle()
    assert len(each.client._offers) <= 16


def test_longest_waits_are_learnt_within_their_range():
    each, transaction, identity = soliciting()
    for seconds in (10, 100_000, 120):
        none = leased(identity, status=Status(StatusCode.NO_ADDRESSES))
        limit = (OptionCode.SOL_MAX_RT, seconds.to_bytes(4, "big"))
        each.say(reply(transaction, none, limit, kind=MessageType.ADVERTISE))
        each.net.settle()
        assert each.client._longest[Dhcp6State.SOLICITING] == (120 if seconds == 120 else 3600)


@settings(max_examples=40)
@given(st.data())
def test_no_reply_raises(data):
    each, transaction, identity = soliciting()
    codes = st.sampled_from([1, 2, 3, 5, 6, 7, 8, 13, 14, 23, 24, 32, 82, 83])
    values = st.binary(max_size=40) | st.just(leased(identity, GOOD)[1]) | st.just(duid_ll(link(1)))
    extra = data.draw(st.lists(st.tuples(codes, values), max_size=6))
    kind = data.draw(st.sampled_from([MessageType.ADVERTISE, MessageType.REPLY, MessageType.RECONFIGURE]))
    each.say(reply(transaction, *extra, kind=kind))
    each.net.run(3)


# The server.


def ask(kind, *options, client=b"\0\3\0\1client", server=None):
    head = [(OptionCode.CLIENT_ID, client)] if client else []
    head += [(OptionCode.SERVER_ID, server)] if server else []
    return Dhcp6Message(kind, 1, (*head, *options))


@given(st.data())
def test_no_request_makes_the_server_raise(data):
    responder = Dhcp6Responder(config(), DUID)
    codes = st.sampled_from([1, 2, 3, 6, 8, 13, 14])
    values = st.binary(max_size=50) | st.just(leased(1, GOOD)[1]) | st.just(DUID)
    for _ in range(5):
        options = data.draw(st.lists(st.tuples(codes, values), max_size=6))
        answer = responder.respond(Dhcp6Message(data.draw(st.integers(0, 13)), 1, tuple(options)), 0.0)
        assert answer is None or dhcp6.parse(dhcp6.build(answer)) == answer


@pytest.mark.parametrize(
    "message",
    [
        ask(MessageType.SOLICIT, client=b""),
        ask(MessageType.SOLICIT, leased(1), server=DUID),
        ask(MessageType.REQUEST, leased(1)),
        ask(MessageType.RENEW, leased(1), server=b"another"),
        ask(MessageType.CONFIRM, leased(1)),
        ask(MessageType.INFORMATION_REQUEST, leased(1)),
        ask(MessageType.REPLY),
        ask(12),
    ],
)
def test_messages_that_get_no_answer(message):
    assert Dhcp6Responder(config(), DUID).respond(message, 0.0) is None


def test_a_client_that_asks_for_an_address_of_another_link_is_told():
    wrong = leased(1, LeasedAddress(address("2001:db8:9::1")))
    answer = Dhcp6Responder(config(), DUID).respond(ask(MessageType.REQUEST, wrong, server=DUID), 0.0)
    assert associations(answer)[0].status.code == StatusCode.NOT_ON_LINK


def test_invented_clients_fill_a_pool_and_no_more():
    responder = Dhcp6Responder(config(), DUID)
    pool = responder.config.pool = AddressPool(address("2001:db8::1"), address("2001:db8::ffff"), most=50)
    for number in range(100):
        answer = responder.respond(ask(MessageType.SOLICIT, leased(1), client=b"\0\4%d" % number), 0.0)
    assert len(pool) == 50
    assert associations(answer)[0].status.code == StatusCode.NO_ADDRESSES
    answer = responder.respond(ask(MessageType.SOLICIT, leased(1), client=b"late"), 61.0)
    assert associations(answer)[0].addresses, "offers are kept for a minute"


def test_many_associations_of_one_client_are_not_all_answered():
    responder = Dhcp6Responder(config(), DUID)
    answer = responder.respond(ask(MessageType.SOLICIT, *map(leased, range(100))), 0.0)
    assert len(associations(answer)) == 4


def test_what_is_sent_to_the_server_itself_is_ignored():
    each = Link()
    user = each.stack.udp_endpoint(6)
    user.bind(Name(bytes(16), 0))
    there = each.other.interfaces[2].link_local()
    for target in (there, dhcp6.ALL_SERVERS):
        user.send_to(dhcp6.build(ask(MessageType.SOLICIT, leased(1))), Name(target, dhcp6.SERVER_PORT, 2))
        each.net.run(1)
    assert each.types() == [MessageType.SOLICIT, MessageType.SOLICIT, MessageType.ADVERTISE]

"""The DHCPv4 server as a pure function, and our client against it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.stack.dhcp.client4 import DhcpClient, DhcpState
from catenet.stack.dhcp.pool import AddressPool, ServerConfig
from catenet.stack.dhcp.server4 import Dhcp4Responder, Dhcp4Server
from catenet.wire import dhcp
from catenet.wire.address import Prefix
from catenet.wire.dhcp import DhcpMessage, Option

from .lan import link, port, station
from .net import Network, address

SERVER = address("10.0.0.2")
ME = address("10.0.0.50")


def responder(last="10.0.0.53", **options):
    pool = AddressPool(ME, address(last))
    config = ServerConfig(Prefix.parse("10.0.0.0/24"), pool, lifetime=600, routers=(SERVER,), **options)
    return Dhcp4Responder(config, SERVER)


def ask(kind, client=1, **fields):
    options = fields.pop("options", {})
    return DhcpMessage(kind, 7, link(client), options=options, **fields)


WANTED = {Option.REQUESTED_ADDRESS: ME}
CHOSEN = {**WANTED, Option.SERVER_IDENTIFIER: SERVER}


def test_offer_acknowledgement_renewal_release():
    server = responder()
    offer = server.respond(ask(dhcp.DHCPDISCOVER), 0.0)
    assert (offer.type, offer.yours) == (dhcp.DHCPOFFER, ME)
    given = server.respond(ask(dhcp.DHCPREQUEST, options=CHOSEN), 1.0)
    assert (given.type, given.yours, given.number(Option.LEASE_TIME)) == (dhcp.DHCPACK, ME, 600)
    assert given.addresses(Option.ROUTERS) == [SERVER]
    renewed = server.respond(ask(dhcp.DHCPREQUEST, client=1, options={}), 2.0)
    assert renewed.type == dhcp.DHCPNAK, "neither chosen nor named"
    message = DhcpMessage(dhcp.DHCPREQUEST, 7, link(1), client=ME)
    assert server.respond(message, 300.0).type == dhcp.DHCPACK
    assert server.respond(DhcpMessage(dhcp.DHCPRELEASE, 7, link(1), client=ME), 301.0) is None
    assert len(server.config.pool) == 0


def test_what_another_has_or_nobody_knows_is_refused():
    server = responder()
    server.respond(ask(dhcp.DHCPREQUEST, options=CHOSEN), 0.0)
    for message in (
        ask(dhcp.DHCPREQUEST, client=2, options=CHOSEN),
        ask(dhcp.DHCPREQUEST, client=2, options=WANTED),
        DhcpMessage(dhcp.DHCPREQUEST, 7, link(2), client=address("10.0.0.51")),
    ):
        refused = server.respond(message, 1.0)
        assert (refused.type, refused.broadcast, refused.yours) == (dhcp.DHCPNAK, True, bytes(4))


@pytest.mark.parametrize(
    "message",
    [
        ask(dhcp.DHCPREQUEST, options={**CHOSEN, Option.SERVER_IDENTIFIER: address("10.0.0.9")}),
        ask(dhcp.DHCPDISCOVER, reply=True),
        ask(dhcp.DHCPDISCOVER, relay=address("10.0.0.9")),
        ask(dhcp.DHCPOFFER),
        DhcpMessage(dhcp.DHCPDISCOVER, 7, b""),
    ],
)
def test_messages_that_get_no_answer(message):
    assert responder().respond(message, 0.0) is None


def test_an_address_that_somebody_has_is_not_offered_for_an_hour():
    server = responder()
    server.respond(ask(dhcp.DHCPREQUEST, options=CHOSEN), 0.0)
    server.respond(ask(dhcp.DHCPDECLINE, options=WANTED), 1.0)
    assert server.respond(ask(dhcp.DHCPDISCOVER), 2.0).yours == address("10.0.0.51")
    assert server.respond(ask(dhcp.DHCPDISCOVER, client=2, options=WANTED), 3700.0).yours == ME


def test_a_full_pool_offers_nothing_until_offers_are_over():
    server = responder()
    for client in range(1, 5):
        assert server.respond(ask(dhcp.DHCPDISCOVER, client=client), 0.0) is not None
    assert server.respond(ask(dhcp.DHCPDISCOVER, client=9), 1.0) is None
    assert server.respond(ask(dhcp.DHCPDISCOVER, client=9), 61.0).yours == ME


@given(st.lists(st.tuples(st.integers(0, 9), st.dictionaries(st.integers(1, 130), st.binary(max_size=8))), max_size=8))
def test_no_message_makes_the_server_raise(messages):
    server = responder()
    for kind, options in messages:
        options = {code: value for code, value in options.items() if code not in (52, 53)}
        answer = server.respond(ask(kind, options=options), 0.0)
        assert answer is None or dhcp.parse(dhcp.build(answer)) == answer


def test_our_client_follows_when_other_addresses_are_given():
    net = Network()
    stack, other = station(net, 1), station(net, 2, "10.0.0.2/24")
    net.wire((stack, 2), (other, 2))
    config = responder().config
    Dhcp4Server(other, 2, config, SERVER)
    client = DhcpClient(stack, port(stack), "alice")
    client.start()
    net.run(10)
    assert (client.state, client.lease.address) == (DhcpState.BOUND, ME)
    config.pool.move(address("10.0.0.100"), address("10.0.0.110"))
    net.run(320)
    assert (client.state, client.lease.address) == (DhcpState.BOUND, address("10.0.0.100"))
    assert not stack.address_table.is_local(ME)

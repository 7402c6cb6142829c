"""The DHCPv4 client against a server made for it."""

import pytest

from catenet.stack.dhcp.client4 import DhcpClient, DhcpState
from catenet.stack.dhcp.lease import LeaseChange
from catenet.stack.endpoint import ANY4, Name
from catenet.wire import dhcp, ethernet, ip, udp
from catenet.wire.address import BROADCAST, Prefix
from catenet.wire.dhcp import DhcpMessage, Option
from catenet.wire.ethernet import Frame

from .lan import link, port, station
from .net import Network, address


class Server:
    """A DHCP server made of a stack's UDP endpoint, with what a test wants to go wrong."""

    def __init__(self, net, lease=3600):
        self.net = net
        self.stack = station(net, 2, "10.0.0.2/24")
        self.endpoint = self.stack.udp_endpoint(4)
        self.endpoint.set_option("SO_BROADCAST", 1)
        self.endpoint.bind(Name(ANY4, dhcp.SERVER_PORT))
        self.lease = lease
        self.offered = address("10.0.0.100")
        self.seen = []
        self.silent = False
        self.refuse = False
        self.routes = b""
        self.options = {}
        self.endpoint.on_ready = self.wake

    def wake(self):
        self.stack.timers.call_at(self.stack.now, self.serve)

    def serve(self):
        while (datagram := self.endpoint.receive_from()) is not None:
            message = dhcp.parse(datagram.data)
            self.seen.append(message)
            if self.silent or message.type not in (dhcp.DHCPDISCOVER, dhcp.DHCPREQUEST):
                continue
            kind = (
                dhcp.DHCPOFFER if message.type == dhcp.DHCPDISCOVER else dhcp.DHCPNAK if self.refuse else dhcp.DHCPACK
            )
            options = {
                Option.SERVER_IDENTIFIER: address("10.0.0.2"),
                Option.LEASE_TIME: self.lease.to_bytes(4, "big"),
                Option.SUBNET_MASK: address("255.255.255.0"),
                Option.ROUTERS: address("10.0.0.254"),
                Option.DNS_SERVERS: address("10.0.0.53"),
            }
            if self.routes:
                options[Option.CLASSLESS_ROUTES] = self.routes
            options |= self.options
            reply = DhcpMessage(
                kind, message.transaction, message.client_link, True, yours=self.offered, options=options
            )
            target = BROADCAST if message.broadcast else message.client
            self.endpoint.send_to(dhcp.build(reply), Name(target, dhcp.CLIENT_PORT))

    def types(self):
        found = [message.type for message in self.seen]
        self.seen.clear()
        return found


def client_and_server(**options):
    net = Network()
    stack = station(net, 1)
    server = Server(net, **options)
    net.wire((stack, 2), (server.stack, 2))
    client = DhcpClient(stack, port(stack), "alice")
    client.start()
    return net, stack, server, client


def test_dhcp_gives_an_address_routes_and_servers():
    net, stack, server, client = client_and_server()
    net.run(10)
    assert server.types() == [dhcp.DHCPDISCOVER, dhcp.DHCPREQUEST]
    assert client.state is DhcpState.BOUND
    assert stack.address_table.is_local(address("10.0.0.100"))
    route = stack.output.route(address("192.0.2.1"))
    assert (route.next_hop, route.source) == (address("10.0.0.254"), address("10.0.0.100"))
    event = stack.next_event()
    assert isinstance(event, LeaseChange)
    assert event.lease.dns_servers == (address("10.0.0.53"),)
    client.stop()
    net.settle()
    net.run(1)
    assert server.types() == [dhcp.DHCPRELEASE]
    assert not stack.address_table.is_local(address("10.0.0.100"))


def test_dhcp_prefers_classless_routes():
    net, stack, server, _ = client_and_server()
    server.routes = dhcp.build_routes([(Prefix.parse("172.16.0.0/12"), address("10.0.0.253"))])
    net.run(10)
    assert stack.output.route(address("172.16.1.1")).next_hop == address("10.0.0.253")
    with pytest.raises(Exception, match="unreachable"):
        stack.output.route(address("192.0.2.1"))


def test_dhcp_renews_then_rebinds_then_begins_anew():
    net, stack, server, client = client_and_server(lease=1000)
    net.run(10)
    server.types()
    net.run(600)
    assert server.types() == [dhcp.DHCPREQUEST]
    assert client.state is DhcpState.BOUND
    server.silent = True
    net.run(600)
    assert client.state is DhcpState.RENEWING
    renewals = server.seen[:]
    assert renewals
    assert all(message.client == address("10.0.0.100") for message in renewals)
    net.run(200)
    assert client.state is DhcpState.REBINDING
    net.run(300)
    assert client.state is DhcpState.SELECTING
    assert not stack.address_table.is_local(address("10.0.0.100"))
    server.silent = False
    net.run(100)
    assert client.state is DhcpState.BOUND


def test_dhcp_asks_again_ever_more_rarely():
    net, _, server, client = client_and_server()
    server.silent = True
    net.run(300)
    assert client.state is DhcpState.SELECTING
    assert 6 <= len(server.types()) <= 9


def test_dhcp_refused_begins_anew():
    net, stack, server, client = client_and_server()
    server.refuse = True
    net.run(60)
    assert client.lease is None
    assert 4 <= server.types().count(dhcp.DHCPREQUEST) <= 8
    server.refuse = False
    net.run(100)
    assert client.state is DhcpState.BOUND
    assert stack.address_table.is_local(address("10.0.0.100"))


def test_dhcp_declines_an_address_that_somebody_has():
    net, stack, server, client = client_and_server()
    server.offered = address("10.0.0.2")
    net.run(8)
    assert dhcp.DHCPDECLINE in server.types()
    assert not stack.address_table.is_local(address("10.0.0.2"))
    server.offered = address("10.0.0.101")
    net.run(30)
    assert client.state is DhcpState.BOUND
    assert stack.address_table.is_local(address("10.0.0.101"))


def test_dhcp_ignores_strangers():
    net, stack, server, client = client_and_server()
    server.silent = True
    net.run(2)
    reply = DhcpMessage(dhcp.DHCPOFFER, 12345, link(1), True, yours=address("10.0.0.9"))
    data = udp.build(udp.UdpDatagram(67, 68, dhcp.build(reply)), address("10.0.0.66"), BROADCAST)
    packet = ip.build(ip.IpPacket(address("10.0.0.66"), BROADCAST, 17, data))
    stack.receive(ethernet.build_frame(Frame(ethernet.BROADCAST, link(66), 0x0800, packet)), net.now, 2)
    net.run(1)
    assert client.state is DhcpState.SELECTING


@pytest.mark.parametrize(
    ("options", "search"),
    [
        ({}, ()),
        ({Option.DOMAIN_NAME: b"home.example"}, (b"\4home\7example\0",)),
        ({Option.DOMAIN_NAME: b"home.example\0"}, (b"\4home\7example\0",)),
        ({Option.DOMAIN_NAME: b"h\xe4me"}, ()),
        ({Option.DOMAIN_NAME: b"a..b"}, ()),
        # The second name ends in a pointer into the first (RFC 3397 2).
        ({Option.DOMAIN_SEARCH: b"\1a\7example\0\1b\xc0\2"}, (b"\1a\7example\0", b"\1b\7example\0")),
        ({Option.DOMAIN_SEARCH: b"\1a\0", Option.DOMAIN_NAME: b"b"}, (b"\1a\0",)),
        ({Option.DOMAIN_SEARCH: b"\1a\0\5cut"}, ()),
        ({Option.DOMAIN_SEARCH: b"\1a\xc0\0"}, ()),
        ({Option.DOMAIN_SEARCH: b"\1a\0" * 300}, (b"\1a\0",) * 32),
    ],
)
def test_dhcp_gives_domains_to_complete_names_with(options, search):
    net, _, server, client = client_and_server()
    server.options = options
    net.run(10)
    assert client.lease.search == search

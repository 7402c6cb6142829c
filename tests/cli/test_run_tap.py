"""A program as a station on a bridge of the kernel, with addresses given, or asked for by SLAAC and DHCP."""

import ast
import itertools
import re
import sys

import pytest

from catenet.wire.pcapng import LINKTYPE_ETHERNET, read_pcapng

pytestmark = pytest.mark.slow(40)

CATENET = [sys.executable, "-m", "catenet"]

PROGRAM = """
import socket
print("ready", flush=True)
with socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    while True:
        with listener.accept()[0] as peer:
            while data := peer.recv(65536):
                peer.sendall(data)
"""

CALL = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=60) as peer:
    data = bytes(range(256)) * 200
    peer.sendall(data)
    got = b""
    while len(got) < len(data):
        got += peer.recv(65536)
    print(got == data, peer.getpeername()[0])
"""

SERVICES = """
import socket, struct, sys, threading, time
from catenet.wire import dhcp, nd
from catenet.wire.address import parse_address

def advertise():
    index = socket.if_nametoindex("br0")
    option = nd.PrefixInformation(parse_address("fd05::"), 64, True, True, 3600, 3600)
    message = nd.build(nd.RouterAdvertisement(64, lifetime=1800, options=(option,)))
    data = bytes((message.type, message.code, 0, 0)) + message.body
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as user:
        user.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        while True:
            user.sendto(data, ("ff02::1", 0, 0, index))
            time.sleep(0.3)

def lease():
    options = {
        dhcp.Option.SERVER_IDENTIFIER: parse_address("10.5.0.1"),
        dhcp.Option.LEASE_TIME: struct.pack("!I", 600),
        dhcp.Option.SUBNET_MASK: parse_address("255.255.255.0"),
        dhcp.Option.ROUTERS: parse_address("10.5.0.1"),
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as user:
        user.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        user.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"br0")
        user.bind(("", 67))
        while True:
            asked = dhcp.parse(user.recv(2000))
            kind = {dhcp.DHCPDISCOVER: dhcp.DHCPOFFER, dhcp.DHCPREQUEST: dhcp.DHCPACK}.get(asked.type)
            if kind is not None:
                answer = dhcp.DhcpMessage(
                    kind, asked.transaction, asked.client_link, True, yours=parse_address("10.5.0.99"), options=options
                )
                user.sendto(dhcp.build(answer), ("255.255.255.255", 68))

threading.Thread(target=lease, daemon=True).start()
print("serving", flush=True)
advertise()
"""


@pytest.fixture
def bridged(namespace):
    """A namespace with a bridge that has addresses of its own."""
    namespace.run("ip", "link", "add", "br0", "type", "bridge")
    namespace.run("ip", "addr", "add", "10.5.0.1/24", "dev", "br0")
    namespace.run("ip", "addr", "add", "fd05::1/64", "dev", "br0", "nodad")
    namespace.run("ip", "link", "set", "br0", "up")
    return namespace


def start(namespace, folder, *options):
    (folder / "program.py").write_text(PROGRAM)
    child = namespace.start(*CATENET, "run", "--net", "tun", "--bridge", "br0", *options, folder / "program.py")
    lines = []
    while not lines or not lines[-1].endswith("| ready\n"):
        lines.append(child.stdout.readline())
        assert lines[-1], lines
    return lines


@pytest.mark.root
def test_a_station_with_given_addresses(bridged, tmp_path):
    options = [
        "--address",
        "10.5.0.7/24",
        "--address",
        "fd05::7/64",
        "--pcap",
        tmp_path / "frames.pcapng",
        "--for",
        "4s",
    ]
    start(bridged, tmp_path, *options)
    for address in ("10.5.0.7", "fd05::7"):
        assert bridged.run(sys.executable, "-c", CALL, address).stdout == f"True {address}\n"
    child = bridged._children[-1]
    assert child.wait(15) == 0
    frames = list(read_pcapng((tmp_path / "frames.pcapng").read_bytes()))
    assert {frame.linktype for frame in frames} == {LINKTYPE_ETHERNET}
    kinds = {frame.data[12:14] for frame in frames}
    assert kinds == {b"\x08\x00", b"\x08\x06", b"\x86\xdd"}


@pytest.mark.root
def test_two_stations_reach_each_other_over_the_kernel_s_bridge(bridged, tmp_path):
    start(bridged, tmp_path, "--address", "10.5.0.7/24", "--address", "fd05::7/64")
    (tmp_path / "call.py").write_text(CALL)
    for address in ("10.5.0.7", "fd05::7"):
        own = ["--address", "10.5.0.8/24", "--address", "fd05::8/64"]
        done = bridged.run(*CATENET, "run", "--net", "tun", "--bridge", "br0", *own, tmp_path / "call.py", address)
        assert f"host  | True {address}\n" in done.stdout


@pytest.mark.root
def test_a_station_asks_for_its_addresses(bridged, tmp_path):
    services = bridged.start(sys.executable, "-c", SERVICES)
    assert services.stdout.readline() == "serving\n"
    said = "".join(start(bridged, tmp_path))
    assert re.search(r"world \| \d+\.\d+ s: address ", said)
    assert bridged.run(sys.executable, "-c", CALL, "10.5.0.99").stdout == "True 10.5.0.99\n"
    six = re.search(r"fd05:[0-9a-f:]+", said)
    assert six is not None, said
    assert bridged.run(sys.executable, "-c", CALL, six[0]).stdout == f"True {six[0]}\n"


@pytest.mark.root
def test_a_missing_bridge_is_one_line(namespace, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    words = ["run", "--net", "tun", "--bridge", "br7", "--address", "10.5.0.7/24", tmp_path / "program.py"]
    done = namespace.run(*CATENET, *words, check=False)
    assert done.returncode == 2
    assert done.stderr == "catenet: there is no bridge 'br7'; make it with: sudo ip link add br7 type bridge\n"


NAMES = """
import socket
print(open("/etc/resolv.conf").read().split())
print(sorted({entry[4][0] for entry in socket.getaddrinfo("www", 80)}))
"""


@pytest.mark.root
@pytest.mark.peer("dnsmasq")
def test_a_station_asks_the_name_servers_that_the_network_tells_of(bridged, tmp_path):
    (tmp_path / "program.py").write_text(NAMES)
    words = ["dnsmasq", "-k", "--no-resolv", "--no-hosts", "--pid-file", "--conf-file=/dev/null", "--interface=br0"]
    words += ["--dhcp-range=10.5.0.50,10.5.0.60,255.255.255.0", "--dhcp-range=::,constructor:br0,ra-stateless"]
    words += [
        "--local=/example/",
        "--no-ping",
        "--enable-ra",
        "--ra-param=br0,4",
        f"--dhcp-leasefile={tmp_path}/leases",
        "--dhcp-authoritative",
    ]
    words += [
        "--dhcp-option=option:domain-search,first.example,second.example",
        "--dhcp-option=option6:domain-search,third.example",
    ]
    words += ["--address=/www.second.example/192.0.2.1", "--address=/www.second.example/2001:db8::1"]
    bridged.start(*words)
    done = bridged.run(*CATENET, "run", "--net", "tun", "--bridge", "br0", tmp_path / "program.py")
    lines = [line.removeprefix("host  | ") for line in done.stdout.splitlines() if line.startswith("host  |")]
    assert lines[1] == "['192.0.2.1', '2001:db8::1']"
    words = ast.literal_eval(lines[0])
    assert words[:2] == ["nameserver", "10.5.0.1"]
    servers = [address for word, address in itertools.pairwise(words) if word == "nameserver"]
    assert [":" in server for server in servers] in ([False, True], [False, True, True]), "DHCP, a router, DHCPv6"
    assert words[words.index("search") + 1 :] == ["first.example", "second.example", "third.example"]
    assert re.search(r"world \| \d+\.\d+ s: names from 10\.5\.0\.1, f", done.stdout + done.stderr)
